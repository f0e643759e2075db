/**
 * A file that decides where a secret goes, or that holds one: read only if no other user can have written it. Synchronous, without
 * node:fs/promises: a credential helper is asked again and again, and its start is most of its time.
 */
import {
  closeSync,
  constants,
  fstatSync,
  lstatSync,
  openSync,
  readFileSync,
  readlinkSync,
  readSync,
  type Stats,
  statSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { codeOf } from "./errors.ts";

const { O_NOCTTY, O_NOFOLLOW, O_NONBLOCK, O_RDONLY } = constants;

/** Bytes. No configuration, cache or token comes near. */
const maxSize = 1024 * 1024;

/** Why a file is not trusted. */
export interface Distrust {
  readonly reason: "link" | "not-a-file" | "owner" | "writable" | "large" | "unreadable" | "broken";
  /** The file, or the folder or link on the way to it that is at fault. */
  readonly at: string;
  /** It can follow the file's name, as in `is a symbolic link`. */
  readonly problem: string;
}

export type TrustedFile =
  | { readonly kind: "read"; readonly text: string }
  | { readonly kind: "missing" }
  | ({ readonly kind: "untrusted" } & Distrust);

/**
 * Reads a regular file of this user, or of root in a folder of root, if no other user can write to it or to its folder.
 */
export function readTrustedFile(path: string): TrustedFile {
  const untrusted = (reason: Distrust["reason"], problem: string): TrustedFile => ({
    kind: "untrusted",
    ...{ reason, at: path, problem },
  });
  try {
    const folder = statSync(dirname(path));
    const before = whyUntrusted(path, lstatSync(path), folder);
    if (before) {
      return { kind: "untrusted", ...before };
    }
    const { info, bytes } = readOpened(path, O_NOFOLLOW);
    const problem = whyUntrusted(path, info, folder);
    return problem
      ? { kind: "untrusted", ...problem }
      : bytes === undefined
        ? untrusted("large", "is larger than 1 MiB")
        : { kind: "read", text: bytes.toString() };
  } catch (error) {
    const code = codeOf(error);
    return code === "ENOENT" || code === "ENOTDIR"
      ? { kind: "missing" }
      : code === "EACCES"
        ? untrusted("unreadable", "is not readable by this user")
        : untrusted("broken", `can't be read (${code})`);
  }
}

/** user_namespaces(7): the owner of all files whose own owner is not in this process's namespace. */
const overflowUser = 65_534;

/**
 * In a namespace of their own, where rootless buildah and podman ask their helper, root's files and those of other users outside look
 * the same.
 */
const mayBeRoots = ({ uid }: Stats): boolean => uid === overflowUser && isInNamespace();

function isInNamespace(): boolean {
  try {
    return !/^\s*0\s+0\s+4294967295\s*$/.test(readFileSync("/proc/self/uid_map", "utf8"));
  } catch {
    return false; // not Linux
  }
}

/**
 * Whether another user decides where a path leads, as sshd's StrictModes asks: each folder and each link on the way to `folder`, itself
 * included, must belong to this user or to root, and others may write to such a folder only if its sticky bit keeps them from replacing
 * what is in it.
 * @param folder an absolute path. What does not exist yet is trusted
 */
export function whyWayUntrusted(folder: string): Distrust | undefined {
  const user = process.geteuid?.();
  const rest = folder.split("/");
  let at = "/";
  for (let links = 0; ; ) {
    let info: Stats | undefined;
    try {
      info = lstatSync(at, { throwIfNoEntry: false });
    } catch (error) {
      return {
        reason: "broken",
        at: dirname(at),
        problem: `is below ${at}, which can't be reached (${codeOf(error)})`,
      };
    }
    if (info === undefined) {
      return undefined;
    }
    if (info.uid !== user && info.uid !== 0 && !mayBeRoots(info)) {
      return {
        reason: "owner",
        at,
        problem: `is below ${at}, which belongs to user ${info.uid}, and this is user ${user}`,
      };
    }
    if (info.isSymbolicLink()) {
      if (++links > maxLinks) {
        return { reason: "broken", at, problem: `is below ${at}, which leads through too many links` };
      }
      const target = readlinkSync(at);
      rest.unshift(...target.split("/"));
      at = target.startsWith("/") ? "/" : dirname(at);
    } else if (info.isDirectory() && (info.mode & 0o022) !== 0 && (info.mode & 0o1000) === 0) {
      return { reason: "writable", at, problem: `is below ${at}, a folder that others can write to` };
    }
    const next = rest.find((name) => name !== "" && name !== ".");
    if (next === undefined) {
      return undefined;
    }
    rest.splice(0, rest.indexOf(next) + 1);
    at = join(at, next); // `at` is free of links by now: `..` is its parent
  }
}

/** As the kernel does (path_resolution(7)). */
const maxLinks = 40;

/**
 * A regular file from outside, also behind a link, as text.
 * @returns undefined if it can't be read, is something else, or is larger
 */
export function readTextNow(path: string): string | undefined {
  try {
    return readOpened(path, 0).bytes?.toString();
  } catch {
    return undefined;
  }
}

/** @param bytes absent: the file is not a regular one, or is larger */
function readOpened(path: string, flags: number): { readonly info: Stats; readonly bytes?: Buffer } {
  const file = openSync(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | flags);
  try {
    const info = fstatSync(file);
    if (!info.isFile()) {
      return { info };
    }
    const bytes = Buffer.alloc(Math.min(info.size, maxSize) + 1);
    let length = 0;
    for (let read = -1; read !== 0 && length < bytes.length; length += read) {
      read = readSync(file, bytes, length, bytes.length - length, null);
    }
    return { info, ...(length <= maxSize && { bytes: bytes.subarray(0, length) }) };
  } finally {
    closeSync(file);
  }
}

function whyUntrusted(path: string, file: Stats, folder: Stats): Distrust | undefined {
  const user = process.geteuid?.();
  const parent = dirname(path);
  if (file.isSymbolicLink()) {
    return { reason: "link", at: path, problem: "is a symbolic link" };
  }
  if (!file.isFile()) {
    return { reason: "not-a-file", at: path, problem: "is not a regular file" };
  }
  if (file.uid !== user && (file.uid !== 0 || folder.uid !== 0)) {
    return { reason: "owner", at: path, problem: `belongs to user ${file.uid}, and this is user ${user}` };
  }
  if (folder.uid !== user && folder.uid !== 0) {
    return { reason: "owner", at: parent, problem: `is in a folder of user ${folder.uid}, and this is user ${user}` };
  }
  return (file.mode & 0o022) !== 0
    ? { reason: "writable", at: path, problem: "can be written by others" }
    : (folder.mode & 0o022) !== 0
      ? { reason: "writable", at: parent, problem: "is in a folder that others can write to" }
      : undefined;
}
