/**
 * A lock file beside a file. It is made with O_EXCL, and needs neither hard links nor process ids, which mean nothing across containers
 * that share a volume. Its holder renews its date as long as it holds it. A holder that was killed blocks others for `staleMs` at most.
 */
import { randomUUID } from "node:crypto";
import { constants } from "node:fs";
import { lstat, open, rm } from "node:fs/promises";
import { anotherFile, codeOf, ExplainedError } from "../platform/errors.ts";
import { maxSize, readOwnFile } from "../platform/files.ts";
import { isThere } from "../platform/fs.ts";
import type { LocalPlatform } from "../platform/platform.ts";
import { createFile } from "../platform/replace.ts";

/** A lock that was not renewed for as long is of a process that was killed. */
export const staleMs = 4_000;

const renewalMs = 1_000;

export interface Lock {
  /** Whether the lock is still ours: another process takes it if this one slept longer than `staleMs`. */
  isHeld(): Promise<boolean>;
}

/** How long to wait for the lock, in milliseconds, and what ends the wait without it: a result of `instead`, which is asked again and again. */
export interface Patience<T> {
  readonly waitMs: number;
  readonly instead?: () => T | undefined;
}

/**
 * Runs `change` while it holds the lock of `path`.
 * @returns the result of `change`, or of `instead`
 * @throws ExplainedError `auth-file-locked`; the file system's own error where the lock can't be made
 */
export async function withLock<T>(
  path: string,
  platform: Pick<LocalPlatform, "clock" | "signal">,
  change: (lock: Lock) => Promise<T>,
  patience: Patience<T> = { waitMs: 30_000 },
): Promise<T> {
  const lockPath = `${path}.lock`;
  const id = randomUUID();
  const isHeld = async () => (await contentOf(lockPath)) === id;
  const found = await acquire(lockPath, id, platform, patience);
  if (found !== undefined) {
    return found;
  }
  const stopRenewing = renewUntilStopped(lockPath, id);
  try {
    return await change({ isHeld });
  } finally {
    await stopRenewing();
    if (await isHeld()) {
      await rm(lockPath, { force: true });
    }
  }
}

/** @returns a result of `instead`, or undefined once the lock is ours */
async function acquire<T>(
  lockPath: string,
  id: string,
  { clock, signal }: Pick<LocalPlatform, "clock" | "signal">,
  { waitMs, instead }: Patience<T>,
): Promise<T | undefined> {
  const began = clock.elapsed();
  const isStale = watchForStale(clock);
  while (!(await tryToMake(lockPath, id))) {
    await breakIfStale(lockPath, id, isStale);
    const found = instead?.();
    if (found !== undefined) {
      return found;
    }
    const waited = clock.elapsed() - began;
    if (waited > waitMs) {
      throw new ExplainedError(
        "auth-file-locked",
        `Another process has held the lock ${lockPath} for more than ${waitMs / 1000} s.`,
        {
          remedy: [`If no other login is running, delete ${lockPath}.`],
        },
      );
    }
    // A change of a file takes milliseconds; what takes longer may take a minute.
    await clock.sleep((5 + clock.random() * 20) * (waited < 1_000 ? 1 : 5), signal);
  }
  return undefined;
}

/**
 * Renews the lock's date by the clock of its file system, which gave it the first one: by writing what it holds already.
 * @returns stops it, and waits for a renewal in progress
 */
function renewUntilStopped(lockPath: string, id: string): () => Promise<void> {
  let renewing: Promise<void> | undefined;
  const timer = setInterval(() => {
    // One that fails is no reason to stop: the next may succeed, and `isHeld` tells the truth.
    renewing = renew(lockPath, id).catch(() => {});
  }, renewalMs);
  return async () => {
    clearInterval(timer);
    await renewing;
  };
}

async function renew(lockPath: string, id: string): Promise<void> {
  const { O_NOFOLLOW, O_NONBLOCK, O_RDWR } = constants;
  const file = await open(lockPath, O_RDWR | O_NOFOLLOW | O_NONBLOCK);
  try {
    const size = Buffer.byteLength(id);
    const { buffer, bytesRead } = await file.read(Buffer.alloc(size + 1), 0, size + 1, 0);
    // Another process may have taken it.
    if (buffer.toString("utf8", 0, bytesRead) === id) {
      await file.write(id, 0);
    }
  } finally {
    await file.close();
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

/** Also of a file that a kill has left locked before it was made: to look at it takes the lock away. */
export const isThereOrLocked = async (path: string): Promise<boolean> =>
  (await isThere(path)) || (await isThere(`${path}.lock`));

/** Removes a lock that a killed process has left. */
export const removeStaleLock = (lockPath: string, clock: LocalPlatform["clock"]): Promise<void> =>
  breakIfStale(lockPath, randomUUID(), watchForStale(clock));

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
