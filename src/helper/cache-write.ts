/** Changes the cache of the credential helper: under its lock, for milliseconds, by a new file in its place. */
import { readdir, rm } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { removeStaleLock, withLock } from "../authfile/lock.ts";
import { asExplainedError, codeOf, ExplainedError } from "../platform/errors.ts";
import { isThere } from "../platform/fs.ts";
import type { LocalMachine, LocalPlatform } from "../platform/platform.ts";
import { draft, removeLeftovers } from "../platform/replace.ts";
import { text, type Words } from "../platform/wording.ts";
import { type CacheEntry, type CacheKey, cachePlace, isSame, readCache } from "./cache.ts";

type Timed = Pick<LocalPlatform, "clock" | "signal">;

/**
 * Keeps a robot token that was issued just now. Its life is counted from now, by this machine's clock.
 * @throws ExplainedError `auth-file-locked`; the file system's own error
 */
export async function keepToken(
  path: string,
  key: CacheKey,
  { token, lifeSeconds }: Pick<CacheEntry, "token" | "lifeSeconds">,
  platform: Timed,
): Promise<void> {
  const expiresAt = Math.floor(platform.clock.now() / 1000) + lifeSeconds;
  const entry: CacheEntry = { ...key, token, expiresAt, lifeSeconds };
  await change(path, platform, (entries) => [entry, ...entries.filter((each) => !isSame(each, key))]);
}

/**
 * Removes the tokens of a registry, and what killed processes have left: a file with tokens that never got its name, and locks.
 * @throws ExplainedError `auth-file-locked`; the file system's own error
 */
export async function dropTokens(path: string, registry: string, platform: Timed): Promise<void> {
  if (!(await isThere(dirname(path)))) {
    return;
  }
  await change(path, platform, (entries) => entries.filter((entry) => entry.registry !== registry));
  const [start, end] = [`${basename(path)}.`, ".lock"];
  const locks = (await readdir(dirname(path))).filter((name) => name.startsWith(start) && name.endsWith(end));
  for (const name of locks) {
    await removeStaleLock(join(dirname(path), name), platform.clock);
  }
}

/**
 * Removes a registry's tokens once its configuration is removed. They would only wait for their expiry: a failure is a warning.
 * @param configuration the path of the user's file
 */
export async function forgetTokens(configuration: string, registry: string, machine: LocalMachine): Promise<void> {
  const path = cachePlace({ kind: "file", path: configuration }, machine.env);
  if (path !== undefined) {
    await dropTokens(path, registry, machine).catch((error) => {
      machine.reporter.warning(text`${path} may still hold a robot token. ${whyUnusable(error)}`);
    });
  }
}

/** Why a cache could not be used, as a sentence: a full disk (ENOSPC) is no bug of ours, and Node names no file for it. */
export const whyUnusable = (error: unknown): Words =>
  error instanceof ExplainedError || codeOf(error) === ""
    ? asExplainedError(error).headline
    : `The file system answered ${codeOf(error)}.`;

async function change(
  path: string,
  platform: Timed,
  edit: (entries: readonly CacheEntry[]) => readonly CacheEntry[],
): Promise<void> {
  await withLock(path, platform, async (lock) => {
    const now = platform.clock.now() / 1000;
    await removeLeftovers(path);
    const alive = readCache(path).filter(({ expiresAt }) => expiresAt > now);
    const entries = edit(alive);
    if (entries.length === 0) {
      await rm(path, { force: true });
      return;
    }
    const made = await draft(path, JSON.stringify({ version: 1, entries }), { mode: 0o600 });
    try {
      // A process that slept for long has lost the lock, and what it has read is old.
      if (await lock.isHeld()) {
        made.place();
      }
    } finally {
      await made.discard(); // once it is placed, there is nothing to discard
    }
  });
}
