/** Takes a session back: exactly our entries, only if they are still ours; what stood there before stands there again. */
import { asLoginError, LoginError } from "./errors.ts";
import { isoTime } from "./identity/token.ts";
import type { LocalPlatform } from "./platform/platform.ts";
import { newId } from "./platform/replace.ts";
import type { AuthEntry } from "./registry/authfile.ts";
import { removeRoots } from "./registry/certificates.ts";
import { isRobotLogin, readEntry } from "./registry/entry.ts";
import { removeEntries, restoreEntries } from "./registry/restore.ts";
import { readSession, removeEmptySession, removeSession, type Session } from "./session.ts";
import type { Standing } from "./status.ts";

/**
 * Idempotent; works on a session that was broken off at any point.
 * @param named whether the user chose the folder, so that others may have put something there
 * @returns the session that was taken back, undefined where there was nothing left to do
 * @throws LoginError where something of ours may still stand; everything else has been taken back by then
 */
export async function logout(
  folder: string,
  platform: LocalPlatform,
  { named = false }: { readonly named?: boolean } = {},
): Promise<Session | undefined> {
  const session = await readSession(folder, named);
  if (session === undefined) {
    await removeEmptySession(folder);
    return undefined;
  }
  const failures: LoginError[] = [];
  const attempt = async (work: () => Promise<void>) => {
    try {
      await work();
    } catch (error) {
      // Whatever it is, the rest is taken back.
      failures.push(error === platform.signal.reason ? late(error) : asLoginError(error));
    }
  };
  // Last changed, first restored: what one of our files held before may be another's doing.
  for (const record of [...session.files].reverse()) {
    await attempt(() => restoreEntries(record, session.id, platform));
  }
  for (const record of session.certificates) {
    await attempt(async () => {
      if (!(await removeRoots(record))) {
        platform.reporter.warning(`${record.path} is not what this login left there any more: it stays.`);
      }
    });
  }
  const [first, ...others] = failures;
  if (first) {
    // The folder remembers what stood in the file before: it stays until that stands there again.
    first.also = others;
    throw first;
  }
  await removeSession(session);
  if (session.robots.length > 0) {
    platform.reporter.info(`Logged out of ${session.robots.map(({ scope }) => scope).join(", ")}.`);
  }
  for (const { robot, expiresAt } of session.robots) {
    tellEnd(robot, expiresAt, platform);
  }
  return session;
}

/**
 * Deletes the robot tokens that stand under `scopes` in an auth file, where no session says what stood there before.
 * @returns the scopes that are logged out now
 * @throws LoginError `logout-incomplete` where a password of another kind stands there; `auth-file-unusable`, `auth-file-locked`
 */
export async function logoutOf(
  { authFile, logins }: Standing,
  scopes: readonly string[],
  platform: LocalPlatform,
): Promise<readonly string[]> {
  const stored = logins.find((login) => scopes.includes(login.scope) && !isRobotLogin(login));
  if (stored) {
    throw new LoginError(
      "logout-incomplete",
      `What ${authFile} holds for ${stored.scope} is a password of ${stored.robot}, not a robot token of Quay: it stays.`,
      { remedy: [`To delete it all the same: skopeo logout --authfile ${authFile} ${stored.scope}`] },
    );
  }
  const isOurs = (entry: AuthEntry) => isRobotLogin(readEntry(entry) ?? { robot: "", expiresAt: undefined });
  const removed = await removeEntries(authFile, [...new Set(scopes)], isOurs, newId(), platform);
  if (removed.length > 0) {
    platform.reporter.info(`Logged out of ${removed.join(", ")}: ${authFile}`);
  }
  for (const { robot, scope, expiresAt } of logins) {
    if (removed.includes(scope) && expiresAt !== undefined) {
      tellEnd(robot, expiresAt, platform);
    }
  }
  return removed;
}

const late = (cause: unknown): LoginError =>
  new LoginError("timeout", "The time for logging out was over, while others held the lock of a file.", {
    remedy: ["Log out once more: what is taken back already stays so."],
    cause,
  });

function tellEnd(robot: string, expiresAt: number, { reporter }: LocalPlatform): void {
  reporter.info(`The robot token of ${robot} can't be revoked in Quay: it ends by itself at ${isoTime(expiresAt)}.`);
}
