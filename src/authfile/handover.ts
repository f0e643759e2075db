/**
 * What a session leaves behind for the other sessions of an auth file when it logs out before them. It can't restore the file then:
 * another session's login is under the same scope, or in the same file. A session that logs out later restores it from here.
 */
import type { Stats } from "node:fs";
import { rm, stat } from "node:fs/promises";
import { isDeepStrictEqual } from "node:util";
import { maxSize, readOwnFile } from "../platform/files.ts";
import { parseObject } from "../platform/json.ts";
import { replaceFile } from "../platform/replace.ts";
import { robotLoginState } from "./entry.ts";
import { type AuthEntry, getOwn } from "./read.ts";

export interface Handover {
  /** By the key of an entry whose session has logged out: what was there before that entry. */
  readonly entries: Readonly<Record<string, AuthEntry | null>>;
  /** The whole file before a session that has logged out, base64; null: there was none. */
  readonly befores: readonly (string | null)[];
  /** By the key of an entry: how many sessions besides one have written this very entry and have not logged out. */
  readonly holders: Readonly<Record<string, number>>;
  /** Folders made by sessions that have logged out, outermost first. */
  readonly folders: readonly string[];
  /** By the names of jobs' credential helpers in the file: where the program is. It goes with its job. */
  readonly programs?: Readonly<Record<string, string>>;
}

/** Identifies an entry under its scope: one robot's login may be under several. @param hash of the entry */
export const entryKey = (scope: string, hash: string): string => `${scope} ${hash}`;

const nothing: Handover = { entries: {}, befores: [], holders: {}, folders: [] };

const handoverPath = (authFile: string): string => `${authFile}.quay-keyless-login`;

/**
 * Call it under the lock of the auth file.
 * @returns nothing to restore if the file belongs to another user, more users can write to it than to the auth file, it is damaged, or a link
 */
export async function readHandover(authFile: string): Promise<Handover> {
  try {
    const { bytes, info } = await readOwnFile(handoverPath(authFile), maxSize.session);
    const isOurs = info.uid === process.geteuid?.() && !(await canMoreWrite(info, authFile));
    const read = isOurs ? parseObject(bytes.toString()) : undefined;
    const isSound = read?.entries && read.holders && Array.isArray(read.befores) && Array.isArray(read.folders);
    return isSound ? (read as unknown as Handover) : nothing;
  } catch {
    return nothing;
  }
}

/** A volume's fsGroup gives both files to its group, whose members may write to the auth file itself. */
async function canMoreWrite({ mode, gid }: Stats, authFile: string): Promise<boolean> {
  const ofAuthFile = await stat(authFile).catch(() => undefined);
  const groupOfBoth = ofAuthFile?.gid === gid ? ofAuthFile.mode & 0o020 : 0;
  return (mode & 0o022 & ~groupOfBoth) !== 0;
}

/** It holds other users' logins, as the auth file does: only its owner may read it. */
export const writeHandover = (authFile: string, handover: Handover): Promise<void> =>
  replaceFile(handoverPath(authFile), JSON.stringify(handover), { mode: 0o600 });

/** @param by 1: one more session has written these entries, which the file had already; -1: one of several has logged out */
export async function countHolders(authFile: string, keys: readonly string[], by: 1 | -1): Promise<void> {
  if (keys.length > 0) {
    const handover = await readHandover(authFile);
    const counted = keys.map((key) => [key, (getOwn(handover.holders, key) ?? 0) + by]);
    await writeHandover(authFile, { ...handover, holders: { ...handover.holders, ...Object.fromEntries(counted) } });
  }
}

/** Call it before the helper is in the file. */
export async function rememberProgram(authFile: string, name: string, program: string): Promise<void> {
  const handover = await readHandover(authFile);
  await writeHandover(authFile, { ...handover, programs: { ...handover.programs, [name]: program } });
}

/** Call it after the helper was removed from the file by another than its own session. */
export async function forgetProgram(authFile: string, name: string): Promise<void> {
  const handover = await readHandover(authFile);
  const { [name]: known, ...programs } = handover.programs ?? {};
  if (known !== undefined) {
    const rest = { ...handover, programs };
    await (isDeepStrictEqual(rest, { ...nothing, programs: {} })
      ? removeHandover(authFile)
      : writeHandover(authFile, rest));
  }
}

export const removeHandover = (authFile: string): Promise<void> => rm(handoverPath(authFile), { force: true });

/**
 * What to restore of an earlier entry: no robot token that has expired, and none whose session has logged out. Instead of
 * the latter, what that session would have restored.
 * @param keyOf the key of an entry under this scope
 * @param now milliseconds since 1970
 */
export function worthRestoring(
  before: AuthEntry | null,
  keyOf: (entry: AuthEntry) => string,
  { entries }: Handover,
  now: number,
): AuthEntry | null {
  const seen = new Set<string>();
  let entry = before;
  while (entry !== null) {
    const key = keyOf(entry);
    const earlier = seen.has(key) ? undefined : getOwn(entries, key);
    if (earlier === undefined) {
      return robotLoginState(entry, now) === "expired" ? null : entry;
    }
    seen.add(key);
    entry = earlier;
  }
  return null;
}
