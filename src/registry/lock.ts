/**
 * A lock beside a file, for changes that take milliseconds. Made with O_EXCL, so it needs neither hard links nor process
 * ids (which mean nothing across containers that share a volume). A holder that was killed blocks for `staleMs` at most.
 */
import { randomUUID } from "node:crypto";
import { readFile, rename, rm, stat, writeFile } from "node:fs/promises";
import { LoginError } from "../errors.ts";
import type { LocalPlatform } from "../platform/platform.ts";

export const staleMs = 5_000;

export interface Lock {
  /** Whether the lock is still ours: another process takes it where this one slept longer than `staleMs`. */
  isHeld(): Promise<boolean>;
}

/**
 * Runs `change` while nobody else who asks for the lock of `path` does.
 * @throws LoginError `auth-file-locked`; the file system's own error where the lock can't be made
 */
export async function withLock<T>(
  path: string,
  platform: Pick<LocalPlatform, "clock" | "signal">,
  change: (lock: Lock) => Promise<T>,
): Promise<T> {
  const lockPath = `${path}.lock`;
  const id = randomUUID();
  const isHeld = async () => (await readFile(lockPath, "utf8").catch(() => "")) === id;
  await acquire(lockPath, id, platform);
  try {
    return await change({ isHeld });
  } finally {
    if (await isHeld()) {
      await rm(lockPath, { force: true });
    }
  }
}

async function acquire(
  lockPath: string,
  id: string,
  { clock, signal }: Pick<LocalPlatform, "clock" | "signal">,
): Promise<void> {
  const giveUp = clock.now() + 6 * staleMs;
  while (!(await tryToMake(lockPath, id))) {
    await breakIfStale(lockPath, clock.now());
    if (clock.now() > giveUp) {
      throw new LoginError(
        "auth-file-locked",
        `Somebody else has been changing the file for more than ${(6 * staleMs) / 1000} s: ${lockPath} stands.`,
        {
          remedy: [`If no other login is running, delete ${lockPath}.`],
        },
      );
    }
    await clock.sleep(5 + clock.random() * 20, signal);
  }
}

async function tryToMake(lockPath: string, id: string): Promise<boolean> {
  try {
    await writeFile(lockPath, id, { flag: "wx", mode: 0o600 });
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "EEXIST") {
      return false;
    }
    throw error;
  }
}

/** Renaming, not deleting: of several that find the lock stale, one moves it away, and it can see what it has moved. */
async function breakIfStale(lockPath: string, now: number): Promise<void> {
  try {
    const [holder, { mtimeMs }] = await Promise.all([readFile(lockPath, "utf8"), stat(lockPath)]);
    if (now - mtimeMs < staleMs) {
      return;
    }
    const aside = `${lockPath}.${randomUUID()}`;
    await rename(lockPath, aside);
    const moved = await readFile(aside, "utf8");
    if (moved === holder) {
      await rm(aside, { force: true });
    } else {
      // Somebody broke it first and holds it now: give it back. Its holder checks before it writes.
      await rename(aside, lockPath);
    }
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ENOENT") {
      throw error;
    }
  }
}
