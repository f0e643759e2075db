/** Programs that `need_…` of script/lib.sh has built: one folder per version, shared by all clones of one user. */
import { existsSync, readdirSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";

/** @returns the newest version's; undefined: `need_…` has not run */
export function findBuilt(name: string, program = name): string | undefined {
  const cache = join(process.env.XDG_CACHE_HOME || join(homedir(), ".cache"), "quay-keyless-login");
  const folders = existsSync(cache) ? readdirSync(cache).filter((folder) => folder.startsWith(`${name}@`)) : [];
  return folders
    .toSorted()
    .map((folder) => join(cache, folder, program))
    .findLast(existsSync);
}
