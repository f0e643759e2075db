/** Folders: made on the way to a file, removed again with it; and what is known of a path. */
import { existsSync, statSync } from "node:fs";
import { mkdir, realpath, rmdir, stat } from "node:fs/promises";
import { dirname } from "node:path";
import { codeOf } from "./errors.ts";
import { withoutSecrets } from "./text.ts";

/** @returns the missing folders on the way to `folder`, itself included, outermost first */
export async function missingFolders(folder: string): Promise<readonly string[]> {
  const missing: string[] = [];
  for (let at = folder; !(await isThere(at)); at = dirname(at)) {
    missing.unshift(at);
  }
  return missing;
}

/** @returns the folders that had to be made, outermost first */
export async function makeFolders(folder: string, mode = 0o700): Promise<readonly string[]> {
  // Not with `recursive`: Node's mkdir then never returns where the file system takes no folders (/proc).
  const missing = await missingFolders(folder);
  const made: string[] = [];
  for (const at of missing) {
    try {
      await mkdir(at, { mode });
      made.push(at);
    } catch (error) {
      // Another process was faster.
      if (codeOf(error) !== "EEXIST") {
        throw error;
      }
    }
  }
  return made;
}

/** Removes the empty ones; a folder that another process uses by now is kept. */
export async function removeFolders(folders: readonly string[]): Promise<void> {
  for (const folder of [...folders].reverse()) {
    await rmdir(folder).catch(() => {});
  }
}

/** The folder itself, or its nearest existing ancestor. */
export async function existingFolder(folder: string): Promise<string> {
  let at = folder;
  while (!(await isThere(at)) && dirname(at) !== at) {
    at = dirname(at);
  }
  return at;
}

/** Whether a path leads into `folder`, also through links or another mount. The path itself need not exist. */
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

/** Changes when a process writes to the file, behind links too. Synchronous: it is cheap, and nothing runs in between. */
export function fingerprint(path: string): string {
  try {
    const info = statSync(path, { bigint: true, throwIfNoEntry: false });
    return info ? `${info.ino} ${info.size} ${info.mtimeNs}` : "none";
  } catch (error) {
    return codeOf(error);
  }
}

/** A path for a message about it. The part that exists is always shown; the rest may be a secret in the wrong option. */
export function pathAsGiven(path: string): string {
  let known = path;
  while (!existsSync(known) && dirname(known) !== known) {
    known = dirname(known);
  }
  const length = known !== "/" && path.startsWith(known) ? known.length : 0;
  return path.slice(0, length) + withoutSecrets(path.slice(length));
}
