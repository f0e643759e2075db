/**
 * What a session leaves to those that stay, where several share an auth file and the first does not go last. Then it can't put
 * back what stood before it: another's login is in that place, or in the same file. Whoever goes later finds it here.
 */
import type { Stats } from "node:fs";
import { rm, stat } from "node:fs/promises";
import { maxSize, readOwnFile } from "../platform/files.ts";
import { parseObject } from "../platform/json.ts";
import { replaceFile } from "../platform/replace.ts";
import { robotLoginState } from "./entry.ts";
import { type AuthEntry, getOwn } from "./read.ts";

export interface Handover {
  /** By the place of an entry whose session has logged out: what stood there before that. */
  readonly entries: Readonly<Record<string, AuthEntry | null>>;
  /** What the whole file was before a session that has logged out, base64; null: there was none. */
  readonly befores: readonly (string | null)[];
  /** By the place of an entry: how many sessions besides one have written just that, and have not logged out. */
  readonly holders: Readonly<Record<string, number>>;
  /** Folders that a session made which has logged out, outermost first. */
  readonly folders: readonly string[];
}

/** An entry in its place: one robot's login may stand under several scopes. @param hash of the entry */
export const placeOf = (scope: string, hash: string): string => `${scope} ${hash}`;

const nothing: Handover = { entries: {}, befores: [], holders: {}, folders: [] };

const handoverPath = (authFile: string): string => `${authFile}.quay-keyless-login`;

/** To be read and written under the lock of the auth file. Of another user, writable by more than the auth file, damaged or a link: as if there were none. */
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

/** A volume's fsGroup gives both files to its group: who is in it may write to the auth file itself. */
async function canMoreWrite({ mode, gid }: Stats, authFile: string): Promise<boolean> {
  const ofAuthFile = await stat(authFile).catch(() => undefined);
  const groupOfBoth = ofAuthFile?.gid === gid ? ofAuthFile.mode & 0o020 : 0;
  return (mode & 0o022 & ~groupOfBoth) !== 0;
}

/** It holds other people's logins, as the auth file does: for its owner alone. */
export const writeHandover = (authFile: string, handover: Handover): Promise<void> =>
  replaceFile(handoverPath(authFile), JSON.stringify(handover), { mode: 0o600 });

/** @param by 1: one session more has written these entries, which stood there already; -1: one of several has left them */
export async function noteHolders(authFile: string, places: readonly string[], by: 1 | -1): Promise<void> {
  if (places.length > 0) {
    const handover = await readHandover(authFile);
    const counted = places.map((place) => [place, (getOwn(handover.holders, place) ?? 0) + by]);
    await writeHandover(authFile, { ...handover, holders: { ...handover.holders, ...Object.fromEntries(counted) } });
  }
}

export const removeHandover = (authFile: string): Promise<void> => rm(handoverPath(authFile), { force: true });

/**
 * What is worth to be put back of what stood there before: no robot token that has ended, or whose own session has logged out.
 * In the place of such a one stands what that session would have put back.
 * @param placed gives the place of an entry under this scope
 * @param now milliseconds since 1970
 */
export function worthRestoring(
  before: AuthEntry | null,
  placed: (entry: AuthEntry) => string,
  { entries }: Handover,
  now: number,
): AuthEntry | null {
  const seen = new Set<string>();
  let entry = before;
  while (entry !== null) {
    const place = placed(entry);
    const earlier = seen.has(place) ? undefined : getOwn(entries, place);
    if (earlier === undefined) {
      return robotLoginState(entry, now) === "ended" ? null : entry;
    }
    seen.add(place);
    entry = earlier;
  }
  return null;
}
