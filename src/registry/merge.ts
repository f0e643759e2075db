/**
 * Entries into and out of an auth file: under a lock, in one rename, so that a reader or a kill sees the old file or the new
 * one. What is not ours stays as it is.
 */
import { createHash } from "node:crypto";
import { rmSync } from "node:fs";
import { dirname } from "node:path";
import { LoginError } from "../errors.ts";
import { isThere, makeFolders, markOf, missingFolders, removeFolders } from "../platform/folders.ts";
import type { LocalPlatform } from "../platform/platform.ts";
import { draft, removeLeftovers } from "../platform/replace.ts";
import { type AuthContent, type AuthEntry, type AuthFile, assertChangeable, own, readAuthFile } from "./authfile.ts";
import { withLock } from "./lock.ts";
import { writingTo } from "./replaceable.ts";

/** What a merge did to one file: enough to take it back. Written down before the file is touched. Holds other people's secrets. */
export interface FileRecord {
  readonly path: string;
  /** The file's bytes before, base64; null where it did not exist. */
  readonly before: string | null;
  readonly mode: number;
  /** Folders made for it, outermost first. */
  readonly folders: readonly string[];
  readonly scopes: Readonly<Record<string, ScopeRecord>>;
  /** SHA-256 of the whole file as written, and as it stood before the last renewal: a kill may have left either. */
  readonly after: readonly string[];
}

interface ScopeRecord {
  readonly before: AuthEntry | null;
  /** SHA-256 of the entries that were written there, the newest first. */
  readonly written: readonly string[];
}

export interface Change {
  readonly path: string;
  readonly entries: Readonly<Record<string, AuthEntry>>;
  /** Permissions to give it; undefined: 0600 for a new file, unchanged for one already there. */
  readonly mode: number | undefined;
  /** What a file that doesn't exist yet starts with. */
  readonly start?: AuthContent;
  /** Distinguishes the temporary files of two logins. */
  readonly id: string;
  /** Of the login that this one renews: logout is to put back what stood before that one. */
  readonly renews?: FileRecord | undefined;
}

/**
 * Adds the entries to the file.
 * @param remember is called with the record before the file is touched
 * @throws LoginError `auth-file-unusable`, `auth-file-locked`
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
    await changeUnderLock(change.path, platform, async (file) => {
      assertChangeable(file);
      const content = file.existing ? file.content : (change.start ?? {});
      const text = format({ ...content, auths: { ...content.auths, ...change.entries } });
      await remember(recordOf(file, content, text, change, folders));
      return { ...file, bytes: Buffer.from(text), mode: change.mode ?? file.existing?.mode ?? 0o600, id: change.id };
    });
  });
}

const untouched = (path: string): FileRecord => ({
  path,
  before: null,
  mode: 0o600,
  folders: [],
  scopes: {},
  after: [],
});

/** Entries that may still stand there: of a renewal that was killed, of the one before it, and so on. */
const mostWritten = 4;

function recordOf(
  file: AuthFile,
  content: AuthContent,
  text: string,
  { entries, renews, id }: Change,
  folders: readonly string[],
): FileRecord {
  const scopes = Object.entries(entries).map(([scope, entry]): [string, ScopeRecord] => {
    const earlier = own(renews?.scopes, scope);
    const found = own(content.auths, scope);
    const isStillOurs = renews !== undefined && isOurs(renews, scope, found);
    return [
      scope,
      {
        before: (isStillOurs ? earlier?.before : found) ?? null,
        written: [
          ...new Set([entry, ...(isStillOurs ? [found] : [])].map(hashOf).concat(earlier?.written ?? [])),
        ].slice(0, mostWritten),
      },
    ];
  });
  // What a logout would make of the file as it stands now.
  const rest = renews ? restored(file, renews, id) : "leave";
  const bytes = typeof rest === "object" ? rest.bytes : rest === "leave" ? file.existing?.bytes : undefined;
  return {
    path: file.path,
    before: bytes?.toString("base64") ?? null,
    mode: renews?.mode ?? file.existing?.mode ?? 0o600,
    folders: [...(renews?.folders ?? []), ...folders],
    scopes: Object.fromEntries(scopes),
    after: [sha256(text), ...(renews && file.existing ? [sha256(file.existing.bytes)] : [])],
  };
}

/**
 * Takes back what `record` says. Where nobody else wrote to the file it is afterwards, byte for byte, what it was before;
 * where somebody did, only those entries go that are still ours. Does nothing the second time.
 * @throws LoginError `auth-file-unusable`, `auth-file-locked`, `logout-incomplete`
 */
export async function restoreEntries(record: FileRecord, id: string, platform: LocalPlatform): Promise<void> {
  await writingTo(record.path, async () => {
    await removeLeftovers(record.path, id);
    // Also where the file is gone: the lock of a login that was killed goes with it.
    if (await isThere(dirname(record.path))) {
      await changeUnderLock(record.path, platform, async (file) => restored(file, record, id));
    }
    await removeFolders(record.folders);
  });
  const left = Object.entries((await readAuthFile(record.path, "read")).content.auths ?? {}).find(([scope, entry]) =>
    isOurs(record, scope, entry),
  );
  if (left) {
    throw new LoginError("logout-incomplete", `The login for ${left[0]} still stands in ${record.path}.`, {
      remedy: [`Delete it by hand: skopeo logout --authfile ${record.path} ${left[0]}`],
    });
  }
}

function restored(file: AuthFile, record: FileRecord, id: string): Write | "delete" | "leave" {
  const found = Object.keys(record.scopes).filter((scope) => isOurs(record, scope, own(file.content.auths, scope)));
  // Bytes alone prove nothing: a record that somebody else wrote could name any file that they know.
  if (!file.existing || found.length === 0) {
    return "leave";
  }
  assertChangeable(file);
  if (record.after.includes(sha256(file.existing.bytes))) {
    return record.before === null
      ? "delete"
      : { ...file, bytes: Buffer.from(record.before, "base64"), mode: record.mode, id };
  }
  const auths: Record<string, AuthEntry> = { ...file.content.auths };
  for (const scope of found) {
    const before = record.scopes[scope]?.before ?? null;
    delete auths[scope];
    if (before !== null) {
      auths[scope] = before;
    }
  }
  return { ...file, bytes: Buffer.from(format({ ...file.content, auths })), mode: file.existing.mode, id };
}

/** By hash; and what has no credential, such as docker's placeholders, is nobody's login. */
function isOurs(record: FileRecord, scope: string, entry: AuthEntry | undefined): boolean {
  const written = own(record.scopes, scope)?.written;
  return entry !== undefined && written !== undefined && Boolean(entry?.auth) && written.includes(hashOf(entry));
}

/** Whether something stands in the file for each of our scopes: ours, or what somebody has put in its place. */
export async function areThere({ path, scopes }: FileRecord): Promise<boolean> {
  const { content } = await readAuthFile(path, "read").catch(() => ({ content: {} as AuthContent }));
  return Object.keys(scopes).every((scope) => own(content.auths, scope) !== undefined);
}

/**
 * Deletes the entries under `scopes` that `isOurs` accepts; the rest of the file stays.
 * @param id distinguishes the temporary file
 * @returns the scopes whose entry was deleted
 * @throws LoginError `auth-file-unusable`, `auth-file-locked`
 */
export async function removeEntries(
  path: string,
  scopes: readonly string[],
  isOurs: (entry: AuthEntry) => boolean,
  id: string,
  platform: LocalPlatform,
): Promise<readonly string[]> {
  let removed: readonly string[] = [];
  await writingTo(path, () =>
    changeUnderLock(path, platform, async (file) => {
      const auths: Record<string, AuthEntry> = { ...file.content.auths };
      removed = scopes.filter((scope) => {
        const entry = own(auths, scope);
        return entry !== undefined && isOurs(entry);
      });
      for (const scope of removed) {
        delete auths[scope];
      }
      if (removed.length === 0 || !file.existing) {
        return "leave";
      }
      assertChangeable(file);
      return { ...file, bytes: Buffer.from(format({ ...file.content, auths })), mode: file.existing.mode, id };
    }),
  );
  return removed;
}

type Write = AuthFile & { readonly bytes: Buffer; readonly mode: number; readonly id: string };

async function changeUnderLock(
  path: string,
  platform: LocalPlatform,
  change: (file: AuthFile) => Promise<Write | "delete" | "leave">,
): Promise<void> {
  for (;;) {
    const done = await withLock(path, platform, async (lock) => {
      const mark = markOf(path);
      const result = await change(await readAuthFile(path, "read"));
      if (result === "leave") {
        return true;
      }
      const made =
        result === "delete"
          ? { place: () => rmSync(path), discard: async () => {} }
          : await draft(result.path, result.bytes, { mode: result.mode, id: result.id, owner: result.existing });
      try {
        const isHeld = await lock.isHeld();
        // Others, the tools themselves, know no lock: what one of them has put there meanwhile must not be lost.
        if (!isHeld || markOf(path) !== mark) {
          await made.discard();
          return false;
        }
        made.place();
        return true;
      } catch (error) {
        await made.discard();
        throw error;
      }
    });
    if (done) {
      return;
    }
  }
}

/** As the containers tools and docker write it: Go's MarshalIndent with a tab. */
const format = (content: AuthContent): string => JSON.stringify(content, null, "\t");

function hashOf(entry: AuthEntry | undefined): string {
  try {
    return sha256(JSON.stringify(entry));
  } catch {
    return ""; // nested deeper than anything that a tool writes
  }
}

const sha256 = (data: string | Buffer): string => createHash("sha256").update(data).digest("hex");
