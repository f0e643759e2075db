/** Takes a session back: exactly our entries, only if they are still ours; what stood there before stands there again. */
import { existsSync } from "node:fs";
import { dirname } from "node:path";
import { type FileRecord, mapValues } from "../authfile/change.ts";
import { isRobotLogin, readEntry } from "../authfile/entry.ts";
import { type AuthContent, type AuthEntry, getOwn, readAuthFile } from "../authfile/read.ts";
import { ownScopes, removeEntries, restoreEntries } from "../authfile/restore.ts";
import { isoTime } from "../identity/token.ts";
import { asExplainedError, ExplainedError, reworded, withOthers } from "../platform/errors.ts";
import { isThere } from "../platform/fs.ts";
import type { LocalPlatform } from "../platform/platform.ts";
import { newId } from "../platform/replace.ts";
import { mentionsIn } from "../platform/wording.ts";
import { type CertificateRecord, removeRoots } from "../tools/certificates.ts";
import { whyNotOurs } from "./record.ts";
import { readSession, removeEmptySession, removeSession, type Session, saveSession } from "./session.ts";
import type { AuthFileStatus } from "./status.ts";

/** What may be kept of a session where no secret may stand: all but what stood in the files before. */
export interface Trace {
  readonly session: Session;
  /** Where logins stood that ours took the place of. */
  readonly replaced: readonly { readonly path: string; readonly scope: string }[];
  /** Whether the entries are left out, since there are too many. */
  readonly isShort?: boolean;
}

export const shortTrace = ({ session }: Trace): Trace => ({
  session: { ...session, robots: [], files: session.files.map((file) => ({ ...file, scopes: {} })) },
  replaced: [],
  isShort: true,
});

export function traceOf(session: Session): Trace {
  const files = session.files.map((file) => ({
    ...file,
    before: file.before === null ? null : "", // there was a file, of no known content
    after: [],
    scopes: mapValues(file.scopes, ({ written }) => ({ before: null, written })),
  }));
  const replaced = session.files.flatMap(({ path, scopes }) =>
    Object.entries(scopes).flatMap(([scope, { before }]) => (before === null ? [] : [{ path, scope }])),
  );
  return { session: { ...session, files }, replaced };
}

/**
 * Idempotent; works on a session that was broken off at any point.
 * @param known `named`: whether the user chose the folder, so that others may have put something there; `trace`: what else is
 * known of it, where its record may be gone
 * @returns the session that was taken back, undefined where there was nothing left to do
 * @throws ExplainedError where something of ours may still stand, or something of others can't be put back; everything else has
 * been taken back by then
 */
export async function logout(
  folder: string,
  platform: LocalPlatform,
  { named = false, trace }: { readonly named?: boolean; readonly trace?: Trace | undefined } = {},
): Promise<Session | undefined> {
  const { session, unreadable } = await recordOf(folder, named, trace);
  if (session === undefined) {
    const found = trace && (await takeBackTraced(trace, unreadable, platform));
    await removeEmptySession(folder);
    return found;
  }
  // The folder remembers what stood in the files before: it stays until that stands there again.
  throwAll(await takeBack(session, platform));
  await removeSession(session);
  tellLoggedOut(session, platform);
  return session;
}

async function recordOf(folder: string, named: boolean, trace: Trace | undefined) {
  try {
    return { session: await readSession(folder, named), unreadable: undefined };
  } catch (error) {
    if (trace === undefined || !(error instanceof ExplainedError)) {
      throw error;
    }
    return { session: undefined, unreadable: error };
  }
}

/** @returns what went wrong; everything else is done */
async function takeBack(session: Session, platform: LocalPlatform): Promise<ExplainedError[]> {
  const failures: ExplainedError[] = [];
  const attempt = async (work: () => Promise<void>) => {
    try {
      await work();
    } catch (error) {
      // Whatever it is, the rest is taken back.
      failures.push(error === platform.signal.reason ? late(error) : asExplainedError(error));
    }
  };
  // Last changed, first restored: what one of our files held before may be another's doing.
  for (const record of [...session.files].reverse()) {
    const restored = session.named ? withOursAlone(record) : record;
    await attempt(() =>
      restoreEntries(restored, session.id, platform).catch((error) => {
        throw error instanceof ExplainedError ? standing(error, record.path, session) : error;
      }),
    );
  }
  for (const record of session.certificates) {
    await attempt(() => takeRootsBack(record, platform));
  }
  return failures;
}

/** A record that may have come with a checkout changes nothing where none of our entries stands. */
const withOursAlone = (record: FileRecord): FileRecord => ({
  ...record,
  scopes: mapValues(record.scopes, ({ before, written }) => ({ before, written })),
});

async function takeRootsBack(record: CertificateRecord, { reporter }: LocalPlatform): Promise<void> {
  if (!(await removeRoots(record))) {
    reporter.warning(`${record.path} is not what this login left there any more: it stays.`);
  }
}

function throwAll([first, ...others]: readonly ExplainedError[]): void {
  if (first) {
    throw withOthers(first, others);
  }
}

function tellLoggedOut({ robots }: Session, platform: LocalPlatform): void {
  if (robots.length > 0) {
    platform.reporter.info(`Logged out of ${robots.map(({ scope }) => scope).join(", ")}.`);
  }
  for (const { robot, expiresAt } of robots) {
    logExpiry(robot, expiresAt, platform);
  }
}

/** The record is gone, or can't be read: what is ours is known by its hash, what it replaced is lost. */
async function takeBackTraced(
  { session, replaced, isShort }: Trace,
  unreadable: ExplainedError | undefined,
  platform: LocalPlatform,
): Promise<Session | undefined> {
  const standing = await Promise.all(
    session.files.map(async (record) => ({ record, ...(await lookFor(record, session)) })),
  );
  const roots = await Promise.all(session.certificates.map(({ path }) => isThere(path)));
  const isAnyLeft = standing.some(({ ours }) => ours.length > 0) || roots.includes(true);
  const failures = [
    ...(unreadable ? [unreadable] : []),
    ...(isShort ? session.files.filter(({ path }) => existsSync(path)).map(perhapsLeft(session)) : []),
    ...(await takeBack(session, platform)),
    ...standing.flatMap(({ record: { path }, ours, renewed }) => [
      ...ours
        .filter((scope) => replaced.some((each) => each.path === path && each.scope === scope))
        .map(lost(path, session)),
      ...renewed.map(maybeOurs(path, session)),
    ]),
  ];
  if ((await whyNotOurs(session.folder).catch(() => "it is gone")) === undefined) {
    await removeSession(session);
  }
  if (isAnyLeft) {
    platform.reporter.info(
      `The record of the login is gone (has somebody emptied ${dirname(session.folder)}?). What is left of the login is known all the same.`,
    );
    tellLoggedOut(session, platform);
  }
  throwAll(failures);
  return isAnyLeft ? session : undefined;
}

/** `renewed`: scopes with another token of the same robot, where a process has renewed ours: it may be from that. */
async function lookFor(record: FileRecord, { robots, job }: Session) {
  const ours = await ownScopes(record);
  const { content } = await readAuthFile(record.path, "read").catch(() => ({ content: {} as AuthContent }));
  const renewed = Object.keys(record.scopes).filter((scope) => {
    const found = readEntry(getOwn(content.auths, scope) ?? {});
    return (
      job?.refresh &&
      !ours.includes(scope) &&
      robots.some((each) => each.scope === scope && each.robot === found?.robot)
    );
  });
  return { ours, renewed };
}

const lost =
  (path: string, { folder }: Session) =>
  (scope: string) =>
    new ExplainedError(
      "logout-incomplete",
      `What ${path} held for ${scope} before the login is lost with the login's record: ${folder} is gone. The login itself is taken back.`,
      {
        remedy: [
          `If the earlier login is still wanted: skopeo login --authfile ${path} ${scope}`,
          "Let nothing empty the job's temporary folder before the job ends.",
        ],
      },
    );

const maybeOurs =
  (path: string, { folder }: Session) =>
  (scope: string) =>
    new ExplainedError(
      "logout-incomplete",
      `The login for ${scope} still stands in ${path}. It was renewed, and the record of that is gone with ${folder}: it may be another job's.`,
      { remedy: [`If no other job uses it: skopeo logout --authfile ${path} ${scope}`] },
    );

const perhapsLeft =
  ({ folder }: Session) =>
  ({ path }: FileRecord) =>
    new ExplainedError(
      "logout-incomplete",
      `Whether ${path} still holds a login can't be told: the record of it is gone with ${folder}, and too many robots were logged in for the runner to remember each.`,
      { remedy: [`Log out of each that stands there: skopeo logout --authfile ${path} HOST`] },
    );

/**
 * For a login that is to stay: the roots that were left for later steps go all the same, since nobody would take them back.
 * @returns their files
 */
export async function takeBackRoots(
  folder: string,
  platform: LocalPlatform,
  trace?: Trace,
): Promise<readonly string[]> {
  const { session } = await recordOf(folder, false, trace);
  const certificates = (session ?? trace?.session)?.certificates ?? [];
  for (const record of certificates) {
    await takeRootsBack(record, platform);
  }
  if (session && certificates.length > 0) {
    await saveSession({ ...session, certificates: [] });
  }
  return certificates.map(({ path }) => path);
}

/**
 * Deletes the robot tokens that stand under `scopes` in an auth file, where no session says what stood there before.
 * @returns the scopes that are logged out now
 * @throws ExplainedError `logout-incomplete` where a password of another kind stands there; `auth-file-unusable`, `auth-file-locked`
 */
export async function logoutOf(
  { authFile, logins }: AuthFileStatus,
  scopes: readonly string[],
  platform: LocalPlatform,
): Promise<readonly string[]> {
  const stored = logins.find((login) => scopes.includes(login.scope) && !isRobotLogin(login));
  if (stored) {
    throw new ExplainedError(
      "logout-incomplete",
      `What ${authFile} holds for ${stored.scope} is a password of ${stored.robot}, not a robot token of Quay: it stays.`,
      { remedy: [`To delete it all the same: skopeo logout --authfile ${authFile} ${stored.scope}`] },
    );
  }
  const isOurs = (entry: AuthEntry) => isRobotLogin(readEntry(entry) ?? { robot: "", expiresAt: undefined });
  const removed = await removeEntries({ path: authFile, id: newId() }, [...new Set(scopes)], isOurs, platform);
  if (removed.length > 0) {
    platform.reporter.info(`Logged out of ${removed.join(", ")}: ${authFile}`);
  }
  for (const { robot, scope, expiresAt } of logins) {
    if (removed.includes(scope) && expiresAt !== undefined) {
      logExpiry(robot, expiresAt, platform);
    }
  }
  return removed;
}

/** What is left there is told, and for how long: another file, which the login would have had, is no help any more. */
const standing = (error: ExplainedError, path: string, { robots }: Session): ExplainedError =>
  reworded(error, {
    remedy: (lines) => [
      ...lines.filter((line) => !mentionsIn(line).includes("auth-file")),
      ...robots.map(
        ({ robot, scope, expiresAt }) =>
          `The login of ${robot} may still stand there, until it ends at ${isoTime(expiresAt)}: skopeo logout --authfile ${path} ${scope}`,
      ),
    ],
  });

const late = (cause: unknown): ExplainedError =>
  new ExplainedError("timeout", "The time for logging out was over, while others held the lock of a file.", {
    remedy: ["Log out once more: what is taken back already stays so."],
    cause,
  });

function logExpiry(robot: string, expiresAt: number, { reporter }: LocalPlatform): void {
  reporter.info(`The robot token of ${robot} can't be revoked in Quay: it ends by itself at ${isoTime(expiresAt)}.`);
}
