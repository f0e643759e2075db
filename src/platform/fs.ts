/** Folders made on the way to a file, so that they can be taken back with it. */
import { existsSync, statSync } from "node:fs";
import { mkdir, realpath, rmdir, stat } from "node:fs/promises";
import { dirname } from "node:path";
import { codeOf } from "./errors.ts";
import { withoutSecrets } from "./text.ts";

/** @returns those on the way to `folder` that are not there yet, outermost first */
export async function missingFolders(folder: string): Promise<readonly string[]> {
  const missing: string[] = [];
  for (let at = folder; !(await isThere(at)); at = dirname(at)) {
    missing.unshift(at);
  }
  return missing;
}

/** @returns the folders that had to be made, outermost first */
export async function makeFolders(folder: string, mode = 0o700): Promise<readonly string[]> {
  // Not by mkdir's own `recursive`: Node's never ends where the file system has no room for folders (/proc).
  const missing = await missingFolders(folder);
  const made: string[] = [];
  for (const at of missing) {
    try {
      await mkdir(at, { mode });
      made.push(at);
    } catch (error) {
      // Somebody else was faster.
      if (codeOf(error) !== "EEXIST") {
        throw error;
      }
    }
  }
  return made;
}

/** Removes those that are empty; a folder that somebody else uses by now stays. */
export async function removeFolders(folders: readonly string[]): Promise<void> {
  for (const folder of [...folders].reverse()) {
    await rmdir(folder).catch(() => {});
  }
}

/** The folder itself, or the nearest above it that there is. */
export async function existingFolder(folder: string): Promise<string> {
  let at = folder;
  while (!(await isThere(at)) && dirname(at) !== at) {
    at = dirname(at);
  }
  return at;
}

/** Whether a path leads into `folder`, by links or another mount too; the path itself may not be there yet. */
export async function leadsInto(folder: string, path: string): Promise<boolean> {
  const wanted = await stat(folder).catch(() => undefined);
  for (let at = await realpath(await existingFolder(path)); wanted; at = dirname(at)) {
    const { dev, ino } = await stat(at);
    if (dev === wanted.dev && ino === wanted.ino) {
      return true;
    }
    if (at === dirname(at)) {
      break;
    }
  }
  return false;
}

export async function isThere(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  );
}

/** What tells whether somebody has written to a file, behind links too. Synchronous: cheap, and nothing comes in between. */
export function fingerprint(path: string): string {
  try {
    const info = statSync(path, { bigint: true, throwIfNoEntry: false });
    return info ? `${info.ino} ${info.size} ${info.mtimeNs}` : "none";
  } catch (error) {
    return codeOf(error);
  }
}

/** A path for a message about it. What of it is there is shown whatever it looks like; the rest may be a secret in the wrong option. */
export function pathAsGiven(path: string): string {
  let known = path;
  while (!existsSync(known) && dirname(known) !== known) {
    known = dirname(known);
  }
  const length = known !== "/" && path.startsWith(known) ? known.length : 0;
  return path.slice(0, length) + withoutSecrets(path.slice(length));
}
