/**
 * The one way in which this program writes a file, also in folders where other users may write: under a new random name that cannot
 * be guessed, with mode and owner set before the content, then by rename.
 */
import { randomBytes } from "node:crypto";
import { constants, lstatSync, renameSync, type Stats } from "node:fs";
import { type FileHandle, lstat, open, readdir, readFile, unlink } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { anotherFile, ExplainedError } from "./errors.ts";

const { O_CREAT, O_EXCL, O_NOFOLLOW, O_WRONLY } = constants;

/** Marks this program's files in shared folders. */
export const newId = (): string => randomBytes(6).toString("hex");

const idForm = "[0-9a-f]{12}";

/** Whether a text has the form of `newId`. */
export const isId = (text: unknown): text is string => typeof text === "string" && new RegExp(`^${idForm}$`).test(text);

export interface Owner {
  readonly uid: number;
  readonly gid: number;
}

export interface WriteOptions {
  readonly mode: number;
  /** The id of the session that writes: its logout finds what a kill has left. Default: no session. */
  readonly id?: string;
  /** The file's new owner. undefined: as the file system sets it for a new file. */
  readonly owner?: Owner | undefined;
}

/** New content beside a file, complete except for its name. */
export interface Draft {
  /** Replaces the file in one step. Synchronous: nothing runs between a last check and the rename. */
  place(): void;
  discard(): Promise<void>;
}

/**
 * Writes new content beside `path`.
 * @throws ExplainedError `auth-file-unusable` if its owner and group can't be kept; the file system's own error
 */
export async function draft(path: string, content: string | Buffer, options: WriteOptions): Promise<Draft> {
  const temporary = join(dirname(path), `.${basename(path)}.${options.id ?? newId()}.${newId()}.tmp`);
  const discard = () => unlink(temporary).catch(() => {});
  const file = await open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0o600);
  let made: Stats;
  try {
    made = await prepare(file, path, options);
    await file.writeFile(content);
    await file.close(); // some file systems report a full disk only now
  } catch (error) {
    await file.close().catch(() => {});
    await discard();
    throw error;
  }
  const place = () => {
    const { dev, ino } = lstatSync(temporary);
    if (dev !== made.dev || ino !== made.ino) {
      throw new ExplainedError("auth-file-unusable", `Another process has replaced ${temporary}.`, {
        remedy: ["Make sure that no other user can write to that folder.", anotherFile],
      });
    }
    renameSync(temporary, path);
  };
  return { place, discard };
}

async function prepare(file: FileHandle, path: string, { mode, owner }: WriteOptions): Promise<Stats> {
  const made = await file.stat();
  if (owner && (made.uid !== owner.uid || made.gid !== owner.gid)) {
    await file.chown(owner.uid, owner.gid).catch(async (error) => {
      // Only root can change the owner. A file that its group may use as its owner does stays shared with that group.
      const isShared = ((mode >> 6) & ~(mode >> 3) & 0o6) === 0;
      await (isShared ? file.chown(made.uid, owner.gid) : Promise.reject(error)).catch((cause) => {
        throw cannotKeepOwner(path, owner, cause);
      });
    });
  }
  await file.chmod(mode); // after chown, which clears bits; and regardless of umask
  return made;
}

/** Replaces or creates the file at `path`. @throws as `draft` does */
export async function replaceFile(path: string, content: string | Buffer, options: WriteOptions): Promise<void> {
  const made = await draft(path, content, options);
  try {
    made.place();
  } catch (error) {
    await made.discard();
    throw error;
  }
}

/**
 * Creates a file with mode 600 directly under its name: for a file that must be the first one there, such as a lock.
 * @throws the file system's own error; EEXIST if anything exists there, even a dangling link
 */
export async function createFile(path: string, content: string): Promise<void> {
  const file = await open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0o600);
  try {
    await file.writeFile(content);
    await file.close();
  } catch (error) {
    await file.close().catch(() => {});
    await unlink(path).catch(() => {});
    throw error;
  }
}

/** Deletes what killed writers of `path` have left beside it. @param id their session's; default: any session */
export async function removeLeftovers(path: string, id = idForm): Promise<void> {
  const [start, end] = [`.${basename(path)}.`, new RegExp(`^${id}\\.${idForm}\\.tmp$`)];
  const names = await readdir(dirname(path)).catch(() => []);
  for (const name of names.filter((each) => each.startsWith(start) && end.test(each.slice(start.length)))) {
    const leftover = join(dirname(path), name);
    const info = await lstat(leftover).catch(() => undefined);
    if (info?.isFile()) {
      await unlink(leftover).catch(() => {});
    }
  }
}

/**
 * Checks whether `path` can be replaced by a file of this owner or, if its group shares it, at least of that group. It makes one and
 * deletes it: what a volume, a group or a root without capabilities may do cannot be predicted.
 * @throws ExplainedError `auth-file-unusable`; the file system's own error
 */
export async function tryOwner(path: string, mode: number, owner: Owner): Promise<void> {
  const made = await draft(path, "", { mode, owner });
  await made.discard();
}

function cannotKeepOwner(path: string, { uid, gid }: Owner, cause?: unknown): ExplainedError {
  const user = process.geteuid?.();
  return new ExplainedError(
    "auth-file-unusable",
    `The file ${path} belongs to user ${uid} and group ${gid}, and this user (${user}) cannot preserve that; the file is unchanged.`,
    {
      remedy: [
        `Log in as its owner, or make it this user's: sudo chown ${user}:${process.getegid?.()} ${path}`,
        anotherFile,
      ],
      cause,
    },
  );
}

/** Whether a file is a mount of its own, as `docker run --volume FILE:FILE` makes it: no rename can replace it then. */
export async function isMounted(path: string): Promise<boolean> {
  // proc(5), mountinfo: the fifth field, with blanks and similar characters as octal numbers.
  const mounts = await readFile("/proc/self/mountinfo", "utf8").catch(() => "");
  const octal = (_: string, digits: string) => String.fromCharCode(Number.parseInt(digits, 8));
  return mounts.split("\n").some((line) => line.split(" ")[4]?.replaceAll(/\\([0-7]{3})/g, octal) === path);
}
