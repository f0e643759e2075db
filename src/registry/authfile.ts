/**
 * Entries into and out of an auth file (`auth.json` of the containers tools, `config.json` of docker): under a lock, in one
 * rename, so that a reader or a kill sees the old file or the new one. What is not ours stays as it is.
 */
import { createHash } from "node:crypto";
import { chmod, chown, lstat, readFile, realpath, rename, rm, stat, writeFile } from "node:fs/promises";
import { dirname } from "node:path";
import { LoginError } from "../errors.ts";
import { isThere, makeFolders, removeFolders } from "../platform/folders.ts";
import type { LocalPlatform } from "../platform/platform.ts";
import { withLock } from "./lock.ts";

/** What stands under a scope: `{"auth": base64(user:password)}` and whatever a tool adds. */
export type AuthEntry = Readonly<Record<string, unknown>>;

export type AuthContent = Readonly<Record<string, unknown>> & {
  readonly auths?: Readonly<Record<string, AuthEntry>>;
  readonly credHelpers?: Readonly<Record<string, string>>;
  readonly credsStore?: string;
};

export interface AuthFile {
  /** With symbolic links followed: the file that a rename must replace. */
  readonly path: string;
  readonly content: AuthContent;
  /** Absent: there is no such file yet. */
  readonly existing?: { readonly bytes: Buffer; readonly mode: number; readonly uid: number; readonly gid: number };
}

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

/**
 * Reads an auth file, or finds that there is none.
 * @throws LoginError `auth-file-unusable`: a folder, a dangling link, read-only, unreadable, empty, not JSON
 */
export async function readAuthFile(path: string): Promise<AuthFile> {
  const fail = (problem: string, remedy: string, cause?: unknown) =>
    new LoginError("auth-file-unusable", `The auth file ${path} ${problem}.`, { remedy: [remedy], cause });
  let real: string;
  try {
    real = await realpath(path);
  } catch (error) {
    const code = codeOf(error);
    const isLink = await isDanglingLink(path);
    if (code === "ENOENT" && !isLink) {
      return { path, content: {} };
    }
    throw fail(
      isLink ? "is a symbolic link to nothing" : `cannot be reached (${code})`,
      "Name a file that can be written.",
      error,
    );
  }
  try {
    const [bytes, info] = await Promise.all([readFile(real), stat(real)]);
    if ((info.mode & 0o222) === 0) {
      throw fail("is read-only", `Make it writable (chmod u+w ${path}), or name another file: auth-file: /path`);
    }
    const existing = { bytes, mode: info.mode & 0o777, uid: info.uid, gid: info.gid };
    return { path: real, content: parse(bytes.toString("utf8"), fail), existing };
  } catch (error) {
    if (error instanceof LoginError) {
      throw error;
    }
    const code = codeOf(error);
    throw fail(
      code === "EISDIR" ? "is a folder" : `cannot be read (${code})`,
      "Name a file: auth-file: /path/auth.json",
      error,
    );
  }
}

function parse(text: string, fail: (problem: string, remedy: string) => LoginError): AuthContent {
  const remedy = "Mend or delete it: every tool that reads it fails on it too. A file without logins reads {}";
  if (text.trim() === "") {
    throw fail("is empty, which is not valid JSON", remedy);
  }
  let content: unknown;
  try {
    content = JSON.parse(text);
  } catch {
    // The parser's message quotes the text, which holds secrets.
    throw fail("is not JSON", remedy);
  }
  if (!isObject(content) || !isObjectOrAbsent(content.auths) || !isObjectOrAbsent(content.credHelpers)) {
    throw fail('is JSON, but not an auth file: {"auths": {"host": {"auth": "…"}}}', remedy);
  }
  return content;
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

/** Fails where a helper would be asked instead of the file, so that a login in the file would never be seen. */
export function assertNotHidden(
  kind: "containers" | "docker",
  path: string,
  content: AuthContent,
  registry: string,
): void {
  const helper = content.credHelpers?.[registry];
  // credsStore: docker asks it for every host; the containers tools ignore it.
  const hiding = helper
    ? `credHelpers.${registry}`
    : kind === "docker" && content.credsStore
      ? "credsStore"
      : undefined;
  if (hiding === undefined) {
    return;
  }
  const remedy =
    kind === "docker"
      ? ["Leave docker's configuration out: docker-config: false", `Or remove ${hiding} from it for this job.`]
      : [`Remove ${hiding} from it for this job, or name another file: auth-file: /path/auth.json`];
  throw new LoginError("credential-helper", `${path} sets ${hiding}, so that a login in the file would not be read.`, {
    remedy,
  });
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

const codeOf = (error: unknown): string => (error as NodeJS.ErrnoException).code ?? "";

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null && !Array.isArray(value);

const isObjectOrAbsent = (value: unknown): boolean => value === undefined || value === null || isObject(value);

async function isDanglingLink(path: string): Promise<boolean> {
  return lstat(path).then(
    (info) => info.isSymbolicLink(),
    () => false,
  );
}
