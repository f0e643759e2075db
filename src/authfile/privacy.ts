/** Who may read a file: its own permissions, and those of the folders on the way to it. */
import type { Stats } from "node:fs";
import { realpath, stat } from "node:fs/promises";
import { dirname } from "node:path";

/** A file that is to be made, or to get other permissions. */
export interface Opened {
  readonly mode: number;
  readonly gid: number;
}

/** Whether nobody could read `opened` who can't read the file at `path`: this user apart, who reads it already. */
export async function isAsPrivate({ mode, gid }: Opened, path: string): Promise<boolean> {
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
