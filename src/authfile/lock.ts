/**
 * A lock file beside a file, for changes that take milliseconds. It is made with O_EXCL, and needs neither hard links nor process
 * ids, which mean nothing across containers that share a volume. A holder that was killed blocks others for `staleMs` at most.
 */
import { randomUUID } from "node:crypto";
import { lstat, rm } from "node:fs/promises";
import { anotherFile, codeOf, ExplainedError } from "../platform/errors.ts";
import { maxSize, readOwnFile } from "../platform/files.ts";
import type { LocalPlatform } from "../platform/platform.ts";
import { createFile } from "../platform/replace.ts";

export const staleMs = 5_000;

export interface Lock {
  /** Whether the lock is still ours: another process takes it if this one slept longer than `staleMs`. */
  isHeld(): Promise<boolean>;
}

/**
 * Runs `change` while it holds the lock of `path`.
 * @throws ExplainedError `auth-file-locked`; the file system's own error where the lock can't be made
 */
export async function withLock<T>(
  path: string,
  platform: Pick<LocalPlatform, "clock" | "signal">,
  change: (lock: Lock) => Promise<T>,
): Promise<T> {
  const lockPath = `${path}.lock`;
  const id = randomUUID();
  const isHeld = async () => (await contentOf(lockPath)) === id;
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
  const giveUp = clock.elapsed() + 6 * staleMs;
  const isStale = watchForStale(clock);
  while (!(await tryToMake(lockPath, id))) {
    await breakIfStale(lockPath, id, isStale);
    if (clock.elapsed() > giveUp) {
      throw new ExplainedError(
        "auth-file-locked",
        `Another process has held the lock ${lockPath} for more than ${(6 * staleMs) / 1000} s.`,
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
    await createFile(lockPath, id);
    return true;
  } catch (error) {
    if (codeOf(error) === "EEXIST") {
      return false;
    }
    throw error;
  }
}

const contentOf = async (path: string): Promise<string | undefined> =>
  readOwnFile(path, maxSize.token).then(
    ({ bytes }) => bytes.toString(),
    () => undefined,
  );

/**
 * Deletes a lock of this program: a UUID, or still empty and this user's.
 * @throws ExplainedError `auth-file-locked` if it is another file, which only its owner may delete
 */
async function breakLock(path: string): Promise<void> {
  const found = await readOwnFile(path, maxSize.token).catch(codeOf);
  if (found === "ENOENT") {
    return;
  }
  const isOurs =
    typeof found !== "string" &&
    (found.info.size === 0 ? found.info.uid === process.geteuid?.() : uuid.test(found.bytes.toString()));
  if (!isOurs) {
    throw new ExplainedError("auth-file-locked", `${path} is in the way: it is not a lock of this program.`, {
      remedy: [`If no program uses it, move it away: mv ${path} ${path}.old`, anotherFile],
    });
  }
  await rm(path, { force: true });
}

const uuid = /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;

type StaleTest = (path: string) => Promise<boolean>;

/** Lets one of the processes that find the lock stale delete it: under a second lock, and only if it is still stale. */
async function breakIfStale(lockPath: string, id: string, isStale: StaleTest): Promise<void> {
  if (!(await isStale(lockPath))) {
    return;
  }
  const breaking = `${lockPath}.break`;
  if (await tryToMake(breaking, id)) {
    try {
      if (await isStale(lockPath)) {
        await breakLock(lockPath);
      }
    } finally {
      await rm(breaking, { force: true });
    }
  } else if (await isStale(breaking)) {
    await breakLock(breaking);
  }
}

/** Stale by its date, or unchanged since we first looked: a shared volume's clock may be ahead of ours. */
function watchForStale(clock: LocalPlatform["clock"]): StaleTest {
  const seen = new Map<string, { readonly mark: string; readonly since: number }>();
  return async (path) => {
    try {
      const { ino, mtimeMs } = await lstat(path);
      const mark = `${ino} ${mtimeMs}`;
      const now = clock.elapsed();
      const first = seen.get(path);
      if (first?.mark !== mark) {
        seen.set(path, { mark, since: now });
      }
      return clock.now() - mtimeMs >= staleMs || (first?.mark === mark && now - first.since >= staleMs);
    } catch (error) {
      if (codeOf(error) === "ENOENT") {
        return false;
      }
      throw error;
    }
  };
}
