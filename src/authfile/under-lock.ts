/** Replaces an auth file under its lock by one rename, unless another program has written it meanwhile. */
import { rmSync } from "node:fs";
import { fingerprint } from "../platform/fs.ts";
import type { LocalPlatform } from "../platform/platform.ts";
import { draft } from "../platform/replace.ts";
import { withLock } from "./lock.ts";
import { type AuthFile, readAuthFile } from "./read.ts";

export interface Target {
  readonly path: string;
  /** Distinguishes the temporary files of two logins. */
  readonly id: string;
}

type Write = AuthFile & { readonly bytes: Buffer; readonly mode: number };
export type Result = Write | "delete" | "unchanged";

/** Of a link, also the file that it leads to: that one has the content. */
function remove(path: string, real: string): void {
  rmSync(real);
  rmSync(path, { force: true });
}

/** @param target the file, and what distinguishes the temporary file beside it */
export async function changeUnderLock(
  { path, id }: Target,
  platform: LocalPlatform,
  change: (file: AuthFile) => Promise<Result>,
  afterwards: () => Promise<void> = async () => {},
): Promise<void> {
  for (;;) {
    const done = await withLock(path, platform, async (lock) => {
      const mark = fingerprint(path);
      const file = await readAuthFile(path, "read");
      const result = await change(file);
      if (result === "unchanged") {
        await afterwards();
        return true;
      }
      const made =
        result === "delete"
          ? { place: () => remove(path, file.path), discard: async () => {} }
          : await draft(result.path, result.bytes, { mode: result.mode, id, owner: result.existing });
      try {
        const isHeld = await lock.isHeld();
        // The tools take no lock: what one of them has written meanwhile must not be lost.
        if (!isHeld || fingerprint(path) !== mark) {
          await made.discard();
          return false;
        }
        made.place();
        await afterwards();
        return true;
      } catch (error) {
        await made.discard();
        throw error;
      }
    });
    if (done) {
      return;
    }
  }
}
