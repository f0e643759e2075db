/**
 * The one way in which this program writes files of its own, in folders too where others may write: under a new random name that nobody could have taken, with mode and owner set before there is content, then by rename.
 */
import { randomBytes } from "node:crypto";
import { constants, lstatSync, renameSync, type Stats } from "node:fs";
import { type FileHandle, lstat, open, readdir, readFile, unlink } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { anotherFile, ExplainedError } from "./errors.ts";

const { O_CREAT, O_EXCL, O_NOFOLLOW, O_WRONLY } = constants;

/** Distinguishes what is ours in folders shared with others. */
export const newId = (): string => randomBytes(6).toString("hex");

const idForm = "[0-9a-f]{12}";

/** Whether a text has the form of `newId`. */
export const isId = (text: unknown): text is string => typeof text === "string" && new RegExp(`^${idForm}$`).test(text);

export interface Owner {
  readonly uid: number;
  readonly gid: number;
}

export interface Manner {
  readonly mode: number;
  /** Of the session that writes: its logout finds what a kill has left. Default: of none. */
  readonly id?: string;
  /** Whose the file is to be; undefined: as the file system gives it to a new file. */
  readonly owner?: Owner | undefined;
}

/** New content beside a file, complete but for its name. */
export interface Draft {
  /** Puts it in the file's place, in one step; synchronous, so that nothing comes between a last look and it. */
  place(): void;
  discard(): Promise<void>;
}

/**
 * Writes new content beside `path`.
 * @throws ExplainedError `auth-file-unusable` where its owner and group can't be kept; the file system's own error
 */
export async function draft(path: string, content: string | Buffer, manner: Manner): Promise<Draft> {
  const temporary = join(dirname(path), `.${basename(path)}.${manner.id ?? newId()}.${newId()}.tmp`);
  const discard = () => unlink(temporary).catch(() => {});
  const file = await open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0o600);
  let made: Stats;
  try {
    made = await prepare(file, path, manner);
    await file.writeFile(content);
    await file.close(); // some file systems say only now that they had no room
  } catch (error) {
    await file.close().catch(() => {});
    await discard();
    throw error;
  }
  const place = () => {
    const { dev, ino } = lstatSync(temporary);
    if (dev !== made.dev || ino !== made.ino) {
      throw new ExplainedError(
        "auth-file-unusable",
        `Somebody else has put another file in the place of ${temporary}.`,
        {
          remedy: ["Let nobody else write to that folder.", anotherFile],
        },
      );
    }
    renameSync(temporary, path);
  };
  return { place, discard };
}

async function prepare(file: FileHandle, path: string, { mode, owner }: Manner): Promise<Stats> {
  const made = await file.stat();
  if (owner && (made.uid !== owner.uid || made.gid !== owner.gid)) {
    await file.chown(owner.uid, owner.gid).catch(async (error) => {
      // Only root gives a file away. What is shared by its group, the owner included, is so afterwards too.
      const isShared = ((mode >> 6) & ~(mode >> 3) & 0o6) === 0;
      await (isShared ? file.chown(made.uid, owner.gid) : Promise.reject(error)).catch((cause) => {
        throw cannotKeepOwner(path, owner, cause);
      });
    });
  }
  await file.chmod(mode); // after chown; and whatever umask says
  return made;
}

/** Puts a whole file in the place of `path`, or makes it. @throws as `draft` does */
export async function replaceFile(path: string, content: string | Buffer, manner: Manner): Promise<void> {
  const made = await draft(path, content, manner);
  try {
    made.place();
  } catch (error) {
    await made.discard();
    throw error;
  }
}

/**
 * Makes a file for the user alone, under its own name: for what must be the first there, such as a lock.
 * @throws the file system's own error, EEXIST where something is there, a dangling link too
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

/** Deletes what writers of `path` that were killed have left beside it. @param id of their session; default: of any */
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
 * Finds out whether `path` can be replaced by a file of this owner or at least, if it is shared by its group, of that group, by making one and deleting it: what a volume, a group or a
 * root without its rights allows can't be foretold.
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
    `The file ${path} belongs to user ${uid} and group ${gid}, and this user (${user}) could not keep that: it stays as it is.`,
    {
      remedy: [
        `Log in as its owner, or make it this user's: sudo chown ${user}:${process.getegid?.()} ${path}`,
        anotherFile,
      ],
      cause,
    },
  );
}

/** Whether a file is mounted by itself, as `docker run --volume FILE:FILE` does it: then no rename can replace it. */
export async function isMounted(path: string): Promise<boolean> {
  // proc(5), mountinfo: the fifth field, with blanks and the like as octal numbers.
  const mounts = await readFile("/proc/self/mountinfo", "utf8").catch(() => "");
  const octal = (_: string, digits: string) => String.fromCharCode(Number.parseInt(digits, 8));
  return mounts.split("\n").some((line) => line.split(" ")[4]?.replaceAll(/\\([0-7]{3})/g, octal) === path);
}
