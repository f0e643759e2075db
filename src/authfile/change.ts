/**
 * Changes an auth file under a lock and by one rename: a reader sees the old file or the new one, and so does a kill. Other
 * processes' entries stay as they are.
 */
import { createHash } from "node:crypto";
import { dirname } from "node:path";
import { isDeepStrictEqual } from "node:util";
import { makeFolders, missingFolders } from "../platform/fs.ts";
import { parseObject } from "../platform/json.ts";
import type { LocalPlatform } from "../platform/platform.ts";
import { assertEnterable, type HelperNames, ownHosts, withHelpers, withoutHelpers } from "./cred-helpers.ts";
import { readEntry, robotLoginState } from "./entry.ts";
import { countHolders, entryKey, type Handover, rememberProgram } from "./handover.ts";
import { type AuthContent, type AuthEntry, type AuthFile, assertChangeable, getOwn, readAuthFile } from "./read.ts";
import { writingTo } from "./replaceable.ts";
import { changeUnderLock, type Result, type Target } from "./under-lock.ts";

/** What a merge did to one file, for logout to undo. Saved before the file changes. It holds other users' secrets. */
export interface FileRecord {
  readonly path: string;
  /** The file's bytes before, base64; null where it did not exist. */
  readonly before: string | null;
  /** Whether the file did not exist before the first login, though another session's login is in it since. */
  readonly wasMissing?: boolean;
  readonly mode: number;
  /** Folders made for it, outermost first. */
  readonly folders: readonly string[];
  readonly scopes: Readonly<Record<string, ScopeRecord>>;
  /** The entries of `credHelpers` that are ours. No other was there before. */
  readonly helpers?: HelperNames | undefined;
  /** SHA-256 of the whole file as written, and as it was before the last renewal: a kill may have left either. */
  readonly after: readonly string[];
}

interface ScopeRecord {
  readonly before: AuthEntry | null;
  /** SHA-256 of the entries that were written under the scope, the newest first. */
  readonly written: readonly string[];
  /** When the newest of them expires, in seconds since 1970. */
  readonly endsAt?: number | undefined;
  /** Whether another process's login was under the scope at the last renewal. */
  readonly isTaken?: boolean;
  /** Whether another process's login was there and is gone: the entry from before ours is restored, though ours is gone too. */
  readonly isVacant?: boolean;
}

export interface Change extends Target {
  readonly entries: Readonly<Record<string, AuthEntry>>;
  /** Credential helpers to enter for hosts that have none. */
  readonly helpers?: HelperNames | undefined;
  /** Where their programs are, by their names, if those go with a job. */
  readonly programs?: Readonly<Record<string, string>> | undefined;
  /** Permissions to give it; undefined: 0600 for a new file, unchanged for an existing one. */
  readonly mode: number | undefined;
  /** What a file that doesn't exist yet starts with. */
  readonly start?: AuthContent;
  /** The record of the login that this one renews: logout restores what the file held before that one. */
  readonly renews?: FileRecord | undefined;
}

/**
 * Adds the entries to the file.
 * @param remember is called with the record before the file is touched
 * @throws ExplainedError `auth-file-unusable`, `auth-file-locked`
 */
export async function mergeEntries(
  change: Change,
  platform: LocalPlatform,
  remember: (record: FileRecord) => Promise<void>,
): Promise<void> {
  await writingTo(change.path, async () => {
    const folders = await missingFolders(dirname(change.path));
    if (folders.length > 0) {
      await remember({
        ...(change.renews ?? untouched(change.path)),
        folders: [...(change.renews?.folders ?? []), ...folders],
      });
      await makeFolders(dirname(change.path));
    }
    let doubled: readonly string[] = [];
    const add = async (file: AuthFile): Promise<Result> => {
      assertChangeable(file);
      const content = file.existing ? file.content : (change.start ?? {});
      const { entries, renews } = withoutTaken(change, content, platform);
      for (const [host, name] of Object.entries(change.helpers ?? {})) {
        assertEnterable({ host, name }, { path: file.path, content }, platform.clock.now());
      }
      const changed = withEntries(content, entries, change.helpers);
      const text = format(changed, file);
      const record = recordOf(file, content, text, { entries, renews, folders, helpers: change.helpers });
      const isThere = file.existing !== undefined || change.start === undefined;
      if (changed === content && isThere) {
        // Other processes' logins are under all our scopes by now, or our helpers are entered already.
        await remember({ ...(renews ?? { ...record, after: [] }), folders: record.folders, helpers: record.helpers });
        return "unchanged";
      }
      await remember(record);
      for (const [name, program] of Object.entries(change.programs ?? {})) {
        await rememberProgram(change.path, name, program);
      }
      doubled = renews ? [] : identicalEntries(entries, content);
      return { ...file, bytes: Buffer.from(text), mode: change.mode ?? file.existing?.mode ?? 0o600 };
    };
    await changeUnderLock(change, platform, add, () => countHolders(change.path, doubled, 1));
  });
}

/** @returns the very same content if it has all of them */
function withEntries(content: AuthContent, entries: Change["entries"], helpers: HelperNames | undefined): AuthContent {
  const withLogins =
    Object.keys(entries).length === 0 ? content : { ...content, auths: { ...content.auths, ...entries } };
  const isEntered = ownHosts(helpers, content).length === Object.keys(helpers ?? {}).length;
  return isEntered ? withLogins : withHelpers(withLogins, helpers);
}

const untouched = (path: string): FileRecord => ({
  path,
  before: null,
  mode: 0o600,
  folders: [],
  scopes: {},
  after: [],
});

/** A renewal keeps a login that another process has written over ours: the later login wins, unless it has expired. */
function withoutTaken(
  { path, entries, renews }: Change,
  { auths }: AuthContent,
  { clock, reporter }: LocalPlatform,
): Pick<Change, "entries" | "renews"> {
  const taken = Object.keys(entries).filter((scope) => {
    const found = getOwn(auths, scope);
    return renews && found && !isOurs(renews, scope, found) && robotLoginState(found, clock.now()) !== "expired";
  });
  if (renews === undefined || taken.length === 0) {
    return { entries, renews };
  }
  const news = taken.filter((scope) => !getOwn(renews.scopes, scope)?.isTaken);
  if (news.length > 0) {
    reporter.info(
      `Another process has logged in for ${news.join(", ")} in ${path} since; that login was left in place.`,
    );
  }
  return {
    entries: Object.fromEntries(Object.entries(entries).filter(([scope]) => !taken.includes(scope))),
    renews: {
      ...renews,
      scopes: mapValues(renews.scopes, (scope, name) => (taken.includes(name) ? { ...scope, isTaken: true } : scope)),
    },
  };
}

/** Quay's tokens have no id: two logins of one robot within a second get the same token, and write the same entry. */
const identicalEntries = (entries: Change["entries"], { auths }: AuthContent): readonly string[] =>
  Object.entries(entries)
    .filter(([scope, entry]) => hashOf(getOwn(auths, scope)) === hashOf(entry))
    .map(([scope, entry]) => entryKey(scope, hashOf(entry)));

/** How many of our entries may still be found there: that of a killed renewal, of the one before it, and so on. */
const maxWrittenHashes = 4;

function recordOf(
  file: AuthFile,
  content: AuthContent,
  text: string,
  { entries, renews, folders, helpers }: Pick<Change, "entries" | "renews" | "helpers"> & Pick<FileRecord, "folders">,
): FileRecord {
  const scopes = Object.entries(entries).map(([scope, entry]): [string, ScopeRecord] => {
    const earlier = getOwn(renews?.scopes, scope);
    const found = getOwn(content.auths, scope);
    // Removed on purpose by another process; not by a session whose login was over ours and that has logged out.
    const wasTakenAway = found === undefined && !earlier?.isTaken;
    const isStillOurs = renews !== undefined && isOurs(renews, scope, found);
    return [
      scope,
      {
        before: (renews ? (wasTakenAway ? null : earlier?.before) : found) ?? null,
        written: [
          ...new Set([entry, ...(isStillOurs ? [found] : [])].map(hashOf).concat(earlier?.written ?? [])),
        ].slice(0, maxWrittenHashes),
        endsAt: readEntry(entry)?.expiresAt,
      },
    ];
  });
  // Where ours replaces another login that is gone or has expired, no record has the file's bytes from before both.
  const isAnew = Object.keys(renews ? entries : {}).some((scope) => {
    const found = getOwn(content.auths, scope);
    return found ? !isOurs(renews as FileRecord, scope, found) : getOwn(renews?.scopes, scope)?.isTaken;
  });
  // What a logout would make of the file now.
  const rest = renews ? restored(file, renews) : "unchanged";
  const bytes = typeof rest === "object" ? rest.bytes : rest === "unchanged" ? file.existing?.bytes : undefined;
  return {
    path: file.path,
    before: bytes?.toString("base64") ?? null,
    ...(bytes && renews && beforesOf(renews).includes(null) && { wasMissing: true }),
    mode: renews?.mode ?? file.existing?.mode ?? 0o600,
    folders: [...(renews?.folders ?? []), ...folders],
    scopes: { ...renews?.scopes, ...Object.fromEntries(scopes) },
    ...((helpers ?? renews?.helpers) && { helpers: { ...renews?.helpers, ...helpers } }),
    after: isAnew ? [] : [sha256(text), ...(renews && file.existing ? [sha256(file.existing.bytes)] : [])],
  };
}

/** Whether the bytes, base64, hold another user's login. */
export function holdsLogins(before: string | null): boolean {
  const { auths = {} } =
    before === null ? {} : ((parseObject(Buffer.from(before, "base64").toString()) ?? {}) as AuthContent);
  return Object.values(auths).some((entry) => Object.keys(entry ?? {}).length > 0);
}

/** The record without other users' logins, for one that lasts: what it undoes then keeps its indentation, not every blank. */
export const withoutLogins = (record: FileRecord): FileRecord =>
  holdsLogins(record.before) ? { ...record, before: Buffer.from("{}").toString("base64"), after: [] } : record;

/** The file's content before this session. */
export const beforesOf = ({ before, wasMissing }: FileRecord): Handover["befores"] =>
  wasMissing ? [before, null] : [before];

/**
 * What the file becomes when `record` is undone.
 * @param befores the file's content before other sessions that have logged out since, as in `FileRecord.before`
 */
export function restored(file: AuthFile, record: FileRecord, befores: Handover["befores"] = []): Result {
  const found = Object.keys(record.scopes).filter(
    (scope) => record.scopes[scope]?.isVacant || isOurs(record, scope, getOwn(file.content.auths, scope)),
  );
  const hosts = ownHosts(record.helpers, file.content);
  // Bytes alone prove nothing: a record from another user could name any file whose content that user knows.
  if (!file.existing || (found.length === 0 && hosts.length === 0)) {
    return "unchanged";
  }
  assertChangeable(file);
  if (record.after.includes(sha256(file.existing.bytes))) {
    return record.before === null
      ? "delete"
      : { ...file, bytes: Buffer.from(record.before, "base64"), mode: record.mode };
  }
  const auths: Record<string, AuthEntry> = { ...file.content.auths };
  for (const scope of found) {
    const before = record.scopes[scope]?.before ?? null;
    delete auths[scope];
    if (before !== null) {
      auths[scope] = before;
    }
  }
  const content = withoutHelpers(found.length === 0 ? file.content : { ...file.content, auths }, hosts);
  // Where the content equals that from before a session that has logged out, the same bytes come back, or no file.
  const before = [...beforesOf(record), ...befores].find((each) => holds(each, content));
  if (before === null) {
    return "delete";
  }
  const bytes = before === undefined ? Buffer.from(format(content, file)) : Buffer.from(before, "base64");
  return { ...file, bytes, mode: file.existing.mode };
}

/** An empty list is the same as none. */
const complete = (content: AuthContent): AuthContent => ({ auths: {}, credHelpers: {}, ...content });

/** Whether these bytes, base64, are this content, however it is formatted; no file is the same as no login. */
function holds(before: string | null, content: AuthContent): boolean {
  const parsed = before === null ? {} : parseObject(Buffer.from(before, "base64").toString());
  return parsed !== undefined && isDeepStrictEqual(complete(parsed), complete(content));
}

export const mapValues = <T, U>(
  record: Readonly<Record<string, T>>,
  map: (value: T, key: string) => U,
): Record<string, U> => Object.fromEntries(Object.entries(record).map(([key, value]) => [key, map(value, key)]));

/** Whether undoing `record` changes more of the file than removing our entries does. */
export function changesMore(record: FileRecord, file: AuthFile): boolean {
  const result = restored(file, record);
  if (result === "unchanged") {
    return false;
  }
  const { auths, ...others } = file.content;
  const left = Object.entries(auths ?? {}).filter(([scope, entry]) => !isOurs(record, scope, entry));
  const after: AuthContent = result === "delete" ? {} : JSON.parse(result.bytes.toString());
  const without = withoutHelpers(
    { ...others, auths: Object.fromEntries(left) },
    ownHosts(record.helpers, file.content),
  );
  return !isDeepStrictEqual(complete(after), complete(without));
}

/** Compares hashes. An entry without a credential, such as docker's placeholder, is not a login. */
export function isOurs(record: FileRecord, scope: string, entry: AuthEntry | undefined): boolean {
  const written = getOwn(record.scopes, scope)?.written;
  return entry !== undefined && written !== undefined && Boolean(entry?.auth) && written.includes(hashOf(entry));
}

/** Whether the file has an entry for each of our scopes, ours or another process's. */
export async function hasAllEntries({ path, scopes }: FileRecord): Promise<boolean> {
  const { content } = await readAuthFile(path, "read").catch(() => ({ content: {} as AuthContent }));
  return Object.keys(scopes).every((scope) => getOwn(content.auths, scope) !== undefined);
}

/** A new file, or one of an odd form, as the containers tools and docker write it: Go's MarshalIndent with a tab. */
const indents = ["\t", "  ", "    ", ""];

/** The content as text, indented as the file is. */
export function format(
  content: AuthContent,
  { existing, content: before }: Pick<AuthFile, "existing" | "content">,
): string {
  const text = existing?.bytes.toString() ?? "";
  for (const indent of indents) {
    const same = JSON.stringify(before, null, indent);
    if (text.trimEnd() === same) {
      return JSON.stringify(content, null, indent) + text.slice(same.length);
    }
  }
  return JSON.stringify(content, null, "\t");
}

export function hashOf(entry: AuthEntry | undefined): string {
  try {
    return sha256(JSON.stringify(entry ?? null));
  } catch {
    return ""; // nested deeper than any tool writes
  }
}

export const sha256 = (data: string | Buffer): string => createHash("sha256").update(data).digest("hex");
