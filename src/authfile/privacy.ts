/** Compares which users may read two files, by the files' permissions and those of the folders above them. */
import type { Stats } from "node:fs";
import { realpath, stat } from "node:fs/promises";
import { dirname } from "node:path";

/** The permissions of a file that is about to be made or changed. */
export interface Permissions {
  readonly mode: number;
  readonly gid: number;
}

/** Whether every user who may read a file with these permissions may read the file at `path` too; this user does already. */
export async function isAsPrivate({ mode, gid }: Permissions, path: string): Promise<boolean> {
  if ((mode & 0o044) === 0) {
    return true;
  }
  const real = await realpath(path);
  const file = await stat(real);
  const way: Stats[] = [];
  for (let at = dirname(real); ; at = dirname(at)) {
    way.push(await stat(at));
    if (at === dirname(at)) {
      break;
    }
  }
  if ((file.mode & 0o004) !== 0 && way.every((folder) => (folder.mode & 0o001) !== 0)) {
    return true;
  }
  const groupReads =
    (file.mode & 0o040) !== 0 && way.every((folder) => (folder.mode & (folder.gid === file.gid ? 0o010 : 0o001)) !== 0);
  return (mode & 0o004) === 0 && groupReads && file.gid === gid;
}

/** The group that a new file in this folder gets. */
export async function groupOfNew(folder: string): Promise<number> {
  const { mode, gid } = await stat(folder);
  return (mode & 0o2000) !== 0 ? gid : (process.getegid?.() ?? gid);
}
