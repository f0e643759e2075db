/**
 * Entries into and out of an auth file: under a lock, in one rename, so that a reader or a kill sees the old file or the new
 * one. What is not ours stays as it is.
 */
import { createHash } from "node:crypto";
import { constants } from "node:fs";
import { access, chmod, chown, rename, rm, writeFile } from "node:fs/promises";
import { dirname } from "node:path";
import { LoginError } from "../errors.ts";
import { existingFolder, isThere, makeFolders, removeFolders } from "../platform/folders.ts";
import type { LocalPlatform } from "../platform/platform.ts";
import { type AuthContent, type AuthEntry, type AuthFile, codeOf, readAuthFile } from "./authfile.ts";
import { withLock } from "./lock.ts";

/** What a merge did to one file: enough to take it back. Written down before the file is touched. Holds other people's secrets. */
export interface FileRecord {
  readonly path: string;
  /** The file's bytes before, base64; null where it did not exist. */
  readonly before: string | null;
  readonly mode: number;
  /** Folders made for it, outermost first. */
  readonly folders: readonly string[];
  readonly scopes: Readonly<Record<string, { readonly before: AuthEntry | null; readonly written: string }>>;
  /** SHA-256 of the whole file as written. */
  readonly after: string;
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
}

/**
 * Finds out whether a file could be written, before anything is asked of anybody.
 * @throws LoginError `auth-file-unusable`
 */
export function assertWritable(path: string): Promise<void> {
  return writingTo(path, async () => access(await existingFolder(dirname(path)), constants.W_OK | constants.X_OK));
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
    const folders = await makeFolders(dirname(change.path));
    await changeUnderLock(change.path, platform, async (file) => {
      const content = file.existing ? file.content : (change.start ?? {});
      const text = format({ ...content, auths: { ...content.auths, ...change.entries } });
      const scopes = Object.entries(change.entries).map(
        ([scope, entry]) =>
          [scope, { before: content.auths?.[scope] ?? null, written: sha256(JSON.stringify(entry)) }] as const,
      );
      await remember({
        path: file.path,
        before: file.existing?.bytes.toString("base64") ?? null,
        mode: file.existing?.mode ?? 0o600,
        folders,
        scopes: Object.fromEntries(scopes),
        after: sha256(text),
      });
      return { ...file, bytes: Buffer.from(text), mode: change.mode ?? file.existing?.mode ?? 0o600, id: change.id };
    });
  });
}

/**
 * Takes back what `record` says. Where nobody else wrote to the file it is afterwards, byte for byte, what it was before;
 * where somebody did, only those entries go that are still ours. Does nothing the second time.
 * @throws LoginError `auth-file-unusable`, `auth-file-locked`, `logout-incomplete`
 */
export async function restoreEntries(record: FileRecord, id: string, platform: LocalPlatform): Promise<void> {
  await writingTo(record.path, async () => {
    await rm(temporaryName(record.path, id), { force: true });
    // Also where the file is gone: the lock of a login that was killed goes with it.
    if (await isThere(dirname(record.path))) {
      await changeUnderLock(record.path, platform, async (file) => restored(file, record, id));
    }
    await removeFolders(record.folders);
  });
  const left = Object.entries((await readAuthFile(record.path)).content.auths ?? {}).find(([scope, entry]) =>
    isOurs(record, scope, entry),
  );
  if (left) {
    throw new LoginError("logout-incomplete", `The login for ${left[0]} still stands in ${record.path}.`, {
      remedy: [`Delete it by hand: skopeo logout --authfile ${record.path} ${left[0]}`],
    });
  }
}

function restored(file: AuthFile, record: FileRecord, id: string): Write | "delete" | "leave" {
  if (!file.existing) {
    return "leave";
  }
  if (sha256(file.existing.bytes) === record.after) {
    return record.before === null
      ? "delete"
      : { ...file, bytes: Buffer.from(record.before, "base64"), mode: record.mode, id };
  }
  const auths: Record<string, AuthEntry> = { ...file.content.auths };
  let changed = false;
  for (const [scope, { before }] of Object.entries(record.scopes)) {
    if (isOurs(record, scope, auths[scope])) {
      changed = true;
      delete auths[scope];
      if (before !== null) {
        auths[scope] = before;
      }
    }
  }
  return changed
    ? { ...file, bytes: Buffer.from(format({ ...file.content, auths })), mode: file.existing.mode, id }
    : "leave";
}

function isOurs(record: FileRecord, scope: string, entry: AuthEntry | undefined): boolean {
  return entry !== undefined && sha256(JSON.stringify(entry)) === record.scopes[scope]?.written;
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
      removed = scopes.filter((scope) => auths[scope] !== undefined && isOurs(auths[scope]));
      for (const scope of removed) {
        delete auths[scope];
      }
      return removed.length > 0 && file.existing
        ? { ...file, bytes: Buffer.from(format({ ...file.content, auths })), mode: file.existing.mode, id }
        : "leave";
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
      const result = await change(await readAuthFile(path));
      if (result === "leave") {
        return true;
      }
      if (result === "delete") {
        await rm(path);
        return true;
      }
      const temporary = temporaryName(result.path, result.id);
      await writeFile(temporary, result.bytes, { mode: 0o600, flag: "w" });
      await chmod(temporary, result.mode);
      if (
        result.existing &&
        (result.existing.uid !== process.getuid?.() || result.existing.gid !== process.getgid?.())
      ) {
        await chown(temporary, result.existing.uid, result.existing.gid).catch(() => {}); // root keeps the owner, others can't
      }
      if (!(await lock.isHeld())) {
        await rm(temporary, { force: true });
        return false;
      }
      await rename(temporary, result.path);
      return true;
    });
    if (done) {
      return;
    }
  }
}

const temporaryName = (path: string, id: string): string => `${path}.${id}.tmp`;

/** Turns the file system's refusals into an error that names the file. */
async function writingTo(path: string, work: () => Promise<void>): Promise<void> {
  try {
    await work();
  } catch (error) {
    const problem = writeProblems[codeOf(error)];
    if (problem === undefined) {
      throw error;
    }
    throw new LoginError("auth-file-unusable", `The auth file ${path} cannot be written: ${problem}.`, {
      remedy: ["Make room or give the right to write there, or name another file: auth-file: /path/auth.json"],
      cause: error,
    });
  }
}

const writeProblems: Readonly<Record<string, string>> = {
  EACCES: "this user may not write there",
  EPERM: "this user may not write there",
  EROFS: "the file system is read-only",
  ENOSPC: "the disk is full",
  EDQUOT: "the disk quota is used up",
  ENOTDIR: "a part of its path is a file",
  ENOENT: "there can be no file or folder",
  ENAMETOOLONG: "its name is too long",
};

/** As the containers tools and docker write it: Go's MarshalIndent with a tab. */
const format = (content: AuthContent): string => JSON.stringify(content, null, "\t");

const sha256 = (data: string | Buffer): string => createHash("sha256").update(data).digest("hex");
