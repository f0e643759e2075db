/** Removes a login from an auth file and restores the file's earlier content, in whatever order several sessions log out. */

import { dirname } from "node:path";
import { isDeepStrictEqual } from "node:util";
import { dayMs } from "../platform/clock.ts";
import { ExplainedError } from "../platform/errors.ts";
import { isThere, removeFolders } from "../platform/fs.ts";
import type { LocalPlatform } from "../platform/platform.ts";
import { removeLeftovers } from "../platform/replace.ts";
import {
  beforesOf,
  type FileRecord,
  format,
  hashOf,
  holdsLogins,
  isOurs,
  mapValues,
  restored,
  sha256,
} from "./change.ts";
import { holdsHelperOfSession, holdsOurHelper, isOurHelper, ownHosts, withoutHelpers } from "./cred-helpers.ts";
import { robotLoginState } from "./entry.ts";
import {
  countHolders,
  entryKey,
  forgetProgram,
  type Handover,
  readHandover,
  removeHandover,
  worthRestoring,
  writeHandover,
} from "./handover.ts";
import { type AuthContent, type AuthEntry, type AuthFile, assertChangeable, getOwn, readAuthFile } from "./read.ts";
import { writingTo } from "./replaceable.ts";
import { changeUnderLock, type Result, type Target } from "./under-lock.ts";

/**
 * Undoes `record`. A file that no other process wrote to is afterwards, byte for byte, what it was before; otherwise only the
 * entries that are still ours are removed. A second call does nothing.
 * @throws ExplainedError `auth-file-unusable`, `auth-file-locked`, `logout-incomplete`
 */
export async function restoreEntries(record: FileRecord, id: string, platform: LocalPlatform): Promise<void> {
  let shared: readonly string[] = [];
  await writingTo(record.path, async () => {
    await removeLeftovers(record.path, id);
    let { folders } = record;
    let isLast = false;
    // Also if the file is gone: this removes the lock of a login that was killed.
    if (await isThere(dirname(record.path))) {
      await changeUnderLock(
        { path: record.path, id },
        platform,
        async (file) => {
          const handover = await readHandover(record.path);
          const { result, next, ...rest } = planLogout(file, record, handover, platform.clock.now());
          isLast = next === undefined;
          shared = rest.shared;
          if (next === undefined) {
            folders = [...record.folders, ...handover.folders];
          } else if (next !== handover) {
            await writeHandover(record.path, next);
          }
          return result;
        },
        async () => {
          await (isLast ? removeHandover(record.path) : countHolders(record.path, shared, -1));
        },
      );
    }
    await removeFolders(folders);
  });
  const { content } = await readAuthFile(record.path, "read");
  const left = Object.entries(content.auths ?? {}).find(
    ([scope, entry]) => isOurs(record, scope, entry) && !shared.includes(entryKey(scope, hashOf(entry))),
  );
  if (left) {
    throw new ExplainedError("logout-incomplete", `The login for ${left[0]} is still in ${record.path}.`, {
      remedy: [`Delete it: skopeo logout --authfile ${record.path} ${left[0]}`],
    });
  }
  const [host] = ownHosts(record.helpers, content);
  if (host !== undefined) {
    throw new ExplainedError("logout-incomplete", `The credential helper for ${host} is still in ${record.path}.`, {
      remedy: [`Remove credHelpers.${host} from that file.`],
    });
  }
}

interface LogoutPlan {
  readonly result: Result;
  /** The keys of entries that another session has written too: they stay. */
  readonly shared: readonly string[];
  /** For the other sessions of the file; undefined: this session is the last. */
  readonly next: Handover | undefined;
}

/** What becomes of the file when a session logs out. */
function planLogout(file: AuthFile, record: FileRecord, handover: Handover, now: number): LogoutPlan {
  const shared = Object.entries(record.scopes)
    .flatMap(([scope, { written }]) => written.map((hash) => entryKey(scope, hash)))
    .filter((key) => (getOwn(handover.holders, key) ?? 0) > 0);
  const held = Object.keys(record.scopes).filter((scope) => {
    const found = getOwn(file.content.auths, scope);
    return isOurs(record, scope, found) && shared.includes(entryKey(scope, hashOf(found)));
  });
  const scopes = mapValues(record.scopes, (each, scope) => ({
    ...each,
    before: worthRestoring(each.before, (entry) => entryKey(scope, hashOf(entry)), handover, now),
    written: held.includes(scope) ? [] : each.written,
    // A login over ours had nothing to restore, since ours had expired. No session logs out of an expired login.
    ...(getOwn(file.content.auths, scope) === undefined &&
      (each.isTaken || (each.endsAt ?? Number.POSITIVE_INFINITY) * 1000 <= now) && { isVacant: true }),
  }));
  // Bytes with an entry that is not to be restored are not restored.
  const settled = { ...record, scopes, after: isDeepStrictEqual(scopes, record.scopes) ? record.after : [] };
  const result = restored(file, settled, handover.befores);
  const content: AuthContent =
    result === "unchanged" ? file.content : result === "delete" ? {} : JSON.parse(result.bytes.toString());
  // The session of an expired token may still log out.
  const isOfSession = (entry: AuthEntry) => robotLoginState(entry, now - dayMs) === "valid";
  const isShared = holdsHelperOfSession(content) || Object.values(content.auths ?? {}).some(isOfSession);
  if (!isShared && !holdsOurHelper(content)) {
    return { result, shared, next: undefined };
  }
  // The record of a renewed session has the file without it at the renewal, not the file before its first login.
  const [written, isRenewed] = settled.after;
  if (file.existing && !isRenewed && written === sha256(file.existing.bytes)) {
    return { result, shared, next: isShared ? handover : lasting(handover) }; // the file is as it was before this session
  }
  // As recorded, even if expired: the session of that entry knows what was there before it.
  const replaced = Object.entries(record.scopes).flatMap(([scope, { before, written }]) =>
    // If another session had written the same entry, that session knows more.
    written
      .filter((hash) => before === null || hash !== hashOf(before))
      .map((hash) => [entryKey(scope, hash), before] as const),
  );
  const didWrite = Object.keys({ ...record.scopes, ...record.helpers }).length > 0;
  const next = {
    ...handover,
    entries: { ...handover.entries, ...Object.fromEntries(replaced) },
    befores: [...new Set([...handover.befores, ...(didWrite ? beforesOf(record) : [])])],
    folders: [...new Set([...record.folders, ...handover.folders])],
  };
  return { result, shared, next: isShared ? next : lasting(next) };
}

/** For a helper on a user's machine alone, which may stay for years: without other users' logins. */
const lasting = ({ befores, folders }: Handover): Handover => ({
  entries: {},
  befores: befores.filter((before) => !holdsLogins(before)),
  holders: {},
  folders,
});

/** @returns those of our scopes, and of our helpers' hosts, whose entry in the file is still ours; none if the file can't be read */
export async function ownScopes(record: FileRecord): Promise<readonly string[]> {
  const { content } = await readAuthFile(record.path, "read").catch(() => ({ content: {} as AuthContent }));
  const scopes = Object.keys(record.scopes).filter((scope) => isOurs(record, scope, getOwn(content.auths, scope)));
  return [...scopes, ...ownHosts(record.helpers, content)];
}

/**
 * Deletes the entries under `scopes` that `isOurs` accepts; the rest of the file stays as it is. A file of docker's builder goes
 * with its last entry: without one, it would keep the builder from the other logins.
 * @returns the scopes whose entry was deleted
 * @throws ExplainedError `auth-file-unusable`, `auth-file-locked`
 */
export async function removeEntries(
  target: Target & { readonly isBuilders?: boolean },
  scopes: readonly string[],
  isOurs: (entry: AuthEntry) => boolean,
  platform: LocalPlatform,
): Promise<readonly string[]> {
  let removed: readonly string[] = [];
  await writingTo(target.path, () =>
    changeUnderLock(target, platform, async (file) => {
      const auths: Record<string, AuthEntry> = { ...file.content.auths };
      removed = scopes.filter((scope) => {
        const entry = getOwn(auths, scope);
        return entry !== undefined && isOurs(entry);
      });
      for (const scope of removed) {
        delete auths[scope];
      }
      if (removed.length === 0 || !file.existing) {
        return "unchanged";
      }
      assertChangeable(file);
      const content = { ...file.content, auths };
      if (target.isBuilders && isDeepStrictEqual(content, { auths: {} })) {
        return "delete";
      }
      return { ...file, bytes: Buffer.from(format(content, file)), mode: file.existing.mode };
    }),
  );
  return removed;
}

/**
 * Removes the helper of a host where `isWanted` accepts it; the rest of the file stays as it is.
 * @returns whether there was one
 * @throws ExplainedError `auth-file-unusable`, `auth-file-locked`
 */
export async function removeHelper(
  target: Target,
  host: string,
  platform: LocalPlatform,
  isWanted: (name: unknown) => boolean = isOurHelper,
): Promise<boolean> {
  let isRemoved = false;
  let name = "";
  await writingTo(target.path, () =>
    changeUnderLock(
      target,
      platform,
      async (file) => {
        name = getOwn(file.content.credHelpers, host) ?? "";
        isRemoved = isWanted(name);
        if (!isRemoved || !file.existing) {
          return "unchanged";
        }
        assertChangeable(file);
        return {
          ...file,
          bytes: Buffer.from(format(withoutHelpers(file.content, [host]), file)),
          mode: file.existing.mode,
        };
      },
      async () => {
        await (isRemoved && forgetProgram(target.path, name));
      },
    ),
  );
  return isRemoved;
}
