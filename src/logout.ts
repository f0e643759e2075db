/** Takes a session back: exactly our entries, only if they are still ours; what stood there before stands there again. */
import { rm } from "node:fs/promises";
import { LoginError } from "./errors.ts";
import { isoTime } from "./identity/token.ts";
import type { LocalPlatform } from "./platform/platform.ts";
import { restoreEntries } from "./registry/authfile.ts";
import { removeRoots } from "./registry/certificates.ts";
import { readSession, type Session } from "./session.ts";

/**
 * Idempotent; works on a session that was broken off at any point.
 * @returns the session that was taken back, undefined where there was nothing left to do
 * @throws LoginError where something of ours may still stand; everything else has been taken back by then
 */
export async function logout(folder: string, platform: LocalPlatform): Promise<Session | undefined> {
  const session = await readSession(folder);
  if (session === undefined) {
    await rm(folder, { recursive: true, force: true });
    return undefined;
  }
  const failures: LoginError[] = [];
  const attempt = async (work: () => Promise<void>) => {
    try {
      await work();
    } catch (error) {
      if (!(error instanceof LoginError)) {
        throw error;
      }
      failures.push(error);
    }
  };
  // Last changed, first restored: what one of our files held before may be another's doing.
  for (const record of [...session.files].reverse()) {
    await attempt(() => restoreEntries(record, session.id, platform));
  }
  for (const record of session.certificates) {
    await removeRoots(record);
  }
  const [first, ...others] = failures;
  if (first) {
    // The folder remembers what stood in the file before: it stays until that stands there again.
    first.also = others;
    throw first;
  }
  await rm(session.folder, { recursive: true, force: true });
  if (session.robots.length > 0) {
    platform.reporter.info(`Logged out of ${session.robots.map(({ scope }) => scope).join(", ")}.`);
  }
  for (const { robot, expiresAt } of session.robots) {
    platform.reporter.info(
      `The robot token of ${robot} can't be revoked in Quay: it ends by itself at ${isoTime(expiresAt)}.`,
    );
  }
  return session;
}
