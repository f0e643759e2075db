/** Removes robot tokens from auth files without a record of their login. */
import { dirname, join, relative, sep } from "node:path";
import { isRobotLogin, readEntry } from "../authfile/entry.ts";
import type { AuthEntry } from "../authfile/read.ts";
import { removeEntries } from "../authfile/restore.ts";
import { ExplainedError } from "../platform/errors.ts";
import { removeFolders } from "../platform/fs.ts";
import type { LocalPlatform } from "../platform/platform.ts";
import { newId } from "../platform/replace.ts";
import { logExpiry } from "./logout.ts";
import { type AuthFileStatus, keyIn, type Status, type StoredLogin } from "./status.ts";

/**
 * Deletes the robot tokens under `scopes` in auth files for which no session knows the earlier content. Where only some of the
 * files hold one, what the others hold is not this program's.
 * @returns the scopes that are logged out now
 * @throws ExplainedError `logout-incomplete` if another kind of password is there; `auth-file-unusable`, `auth-file-locked`
 */
export async function logoutOf(
  status: Status,
  scopes: readonly string[],
  platform: LocalPlatform,
): Promise<readonly string[]> {
  const places = status.map((place) => ({
    ...place,
    logins: place.logins.filter(({ scope }) => scopes.includes(scope)),
  }));
  const ours = places.filter(({ logins }) => logins.some(isRobotLogin));
  const removed: StoredLogin[] = [];
  for (const place of ours.length > 0 ? ours : places) {
    removed.push(...(await logoutOfPlace(place, platform)));
  }
  // One token may be in several files.
  const expiries = new Map(removed.map(({ robot, expiresAt }) => [`${robot} ${expiresAt}`, { robot, expiresAt }]));
  for (const { robot, expiresAt } of expiries.values()) {
    if (expiresAt !== undefined) {
      logExpiry(robot, expiresAt, platform);
    }
  }
  return [...new Set(removed.map(({ scope }) => scope))];
}

/** @returns the logins that are removed now */
async function logoutOfPlace(
  { authFile, logins }: AuthFileStatus,
  platform: LocalPlatform,
): Promise<readonly StoredLogin[]> {
  const stored = logins.find((login) => !isRobotLogin(login));
  if (stored) {
    throw new ExplainedError(
      "logout-incomplete",
      `${authFile} has a stored password for ${stored.scope} (user ${stored.robot}), not a robot token; it was left in place.`,
      { remedy: [`To delete it: skopeo logout --authfile ${authFile} ${stored.scope}`] },
    );
  }
  const isOurs = (entry: AuthEntry) => isRobotLogin(readEntry(entry) ?? { robot: "", expiresAt: undefined });
  const removed: StoredLogin[] = [];
  for (const login of logins) {
    const { scope, path: own } = login;
    const path = own ?? authFile;
    const target = { path, id: newId(), isBuilders: own !== undefined };
    const keys = await removeEntries(target, [keyIn(path, scope)], isOurs, platform);
    removed.push(...(keys.length > 0 ? [login] : []));
    if (own !== undefined) {
      await removeFolders(foldersBetween(authFile, own));
    }
  }
  if (removed.length > 0) {
    platform.reporter.info(`Logged out of ${removed.map(({ scope }) => scope).join(", ")}: ${authFile}`);
  }
  return removed;
}

/** @returns `folder`, and those below it on the way to the file, outermost first */
function foldersBetween(folder: string, file: string): readonly string[] {
  const names = relative(folder, dirname(file)).split(sep);
  return [folder, ...names.map((_, index) => join(folder, ...names.slice(0, index + 1)))];
}
