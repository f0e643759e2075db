/** Folders made on the way to a file, so that they can be taken back with it. */
import { mkdir, rmdir } from "node:fs/promises";
import { dirname } from "node:path";

/** @returns the folders that had to be made, outermost first */
export async function makeFolders(folder: string): Promise<readonly string[]> {
  const first = await mkdir(folder, { recursive: true, mode: 0o700 });
  const made: string[] = [];
  for (let at = folder; first !== undefined && at.length >= first.length; at = dirname(at)) {
    made.unshift(at);
  }
  return made;
}

/** Removes those that are empty; a folder that somebody else uses by now stays. */
export async function removeFolders(folders: readonly string[]): Promise<void> {
  for (const folder of [...folders].reverse()) {
    await rmdir(folder).catch(() => {});
  }
}
