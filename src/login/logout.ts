/** Undoes a session: removes exactly our entries, only if they are still ours, and restores what they replaced. */
import { existsSync } from "node:fs";
import { rm } from "node:fs/promises";
import { dirname, join } from "node:path";
import { type FileRecord, mapValues } from "../authfile/change.ts";
import { readEntry } from "../authfile/entry.ts";
import { type AuthContent, getOwn, readAuthFile } from "../authfile/read.ts";
import { ownScopes, restoreEntries } from "../authfile/restore.ts";
import { isoTime } from "../identity/token.ts";
import { asExplainedError, ExplainedError, reworded, withOthers } from "../platform/errors.ts";
import { isThere } from "../platform/fs.ts";
import type { LocalPlatform } from "../platform/platform.ts";
import { mentionsIn } from "../platform/wording.ts";
import { type CertificateRecord, removeRoots } from "../tools/certificates.ts";
import { undoConfigured } from "./configured.ts";
import { readSession, removeEmptySession, removeSession, type Session, saveSession, takeBack } from "./session.ts";
import { keyIn } from "./status.ts";

/** A session without its secrets, for places where none may be stored: all but the files' earlier contents. */
export interface Trace {
  readonly session: Session;
  /** Where our logins replaced others. */
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
    before: file.before === null ? null : "", // the file existed; its content is not known
    after: [],
    scopes: mapValues(file.scopes, ({ written }) => ({ before: null, written })),
  }));
  const replaced = session.files.flatMap(({ path, scopes }) =>
    Object.entries(scopes).flatMap(([scope, { before }]) => (before === null ? [] : [{ path, scope }])),
  );
  return { session: { ...session, files }, replaced };
}

/**
 * Idempotent; works on a session that was interrupted at any point.
 * @param known `named`: whether the user chose the folder, where other processes may have put files; `trace`: what else is
 * known of the session, if its record may be gone
 * @returns the session that was undone; undefined if nothing was left to do
 * @throws ExplainedError if a login of ours may still be in a file, or another's can't be restored; everything else has been
 * undone by then
 */
export async function logout(
  folder: string,
  platform: LocalPlatform,
  { named = false, trace }: { readonly named?: boolean; readonly trace?: Trace | undefined } = {},
): Promise<Session | undefined> {
  const { session, unreadable } = await recordOf(folder, named, trace);
  if (session === undefined) {
    const found = trace && (await undoTraced(trace, unreadable, platform));
    await removeEmptySession(folder);
    return found;
  }
  const helpers = await helpersOf(session);
  const failures = await undo(session, platform);
  if (session.job) {
    await rm(join(session.folder, "cache.json"), { force: true }); // a credential helper's
  }
  // The folder holds the files' earlier contents: it stays until they are restored.
  throwAll(failures);
  await removeSession(session);
  logLoggedOut(session, helpers, platform);
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

/** @returns the failures; everything else is undone */
async function undo(session: Session, platform: LocalPlatform): Promise<ExplainedError[]> {
  const failures: ExplainedError[] = [];
  const attempt = async (work: () => Promise<void>) => {
    try {
      await work();
    } catch (error) {
      // Whatever fails, the rest is undone.
      failures.push(error === platform.signal.reason ? late(error) : asExplainedError(error));
    }
  };
  // Last changed, first restored: one of our files may have held what we wrote to another.
  for (const record of [...session.files].reverse()) {
    const restored = session.named ? withOursAlone(record) : record;
    await attempt(() =>
      restoreEntries(restored, session.id, platform).catch((error) => {
        throw error instanceof ExplainedError ? withRemaining(error, record, session) : error;
      }),
    );
  }
  for (const record of session.certificates) {
    await attempt(() => undoRoots(record, platform));
  }
  // After the files: a tool never asks a helper that does not know the registry.
  const { configured } = session;
  if (configured) {
    await attempt(() => undoConfigured(configured, session.id, platform));
  }
  return failures;
}

/** A record that may have come with a checkout changes nothing in a file without our entries. */
const withOursAlone = (record: FileRecord): FileRecord => ({
  ...record,
  scopes: mapValues(record.scopes, ({ before, written }) => ({ before, written })),
});

async function undoRoots(record: CertificateRecord, { reporter }: LocalPlatform): Promise<void> {
  if (!(await removeRoots(record))) {
    reporter.warning(`${record.path} has changed since this login wrote it; it was left in place.`);
  }
}

function throwAll([first, ...others]: readonly ExplainedError[]): void {
  if (first) {
    throw withOthers(first, others);
  }
}

export const lasting = "Quay cannot revoke the robot tokens that it has got: each expires an hour after it was issued.";

/** A file in which the session has entered a helper, and whether that is in it. */
interface EnteredHelper {
  readonly host: string;
  readonly path: string;
  readonly isThere: boolean;
}

async function helpersOf({ files }: Session): Promise<readonly EnteredHelper[]> {
  const entered = files.filter(({ helpers }) => helpers);
  const found = entered.map(async (record) => {
    const own = await ownScopes(record);
    return Object.keys(record.helpers ?? {}).map((host) => ({ host, path: record.path, isThere: own.includes(host) }));
  });
  return (await Promise.all(found)).flat();
}

/** @param helpers as they were before the session was undone */
function logLoggedOut({ robots, files }: Session, helpers: readonly EnteredHelper[], platform: LocalPlatform): void {
  const [first] = helpers;
  if (first !== undefined) {
    const isRemoved = helpers.some((each) => each.isThere);
    const others = helpers.filter((each) => !each.isThere).map(({ path }) => `${path} did not name it any more.`);
    const removed = `Removed the credential helper for ${first.host}.`;
    platform.reporter.info([...(isRemoved ? [removed] : []), ...others, lasting].join(" "));
    return;
  }
  // A login that failed may have got a robot token, and written no login.
  if (robots.length > 0 && files.some(({ scopes }) => Object.keys(scopes).length > 0)) {
    platform.reporter.info(`Logged out of ${robots.map(({ scope }) => scope).join(", ")}.`);
  }
  for (const { robot, expiresAt } of robots) {
    logExpiry(robot, expiresAt, platform);
  }
}

/** The record is gone or can't be read: hashes identify our entries, what they replaced is lost. */
async function undoTraced(
  { session, replaced, isShort }: Trace,
  unreadable: ExplainedError | undefined,
  platform: LocalPlatform,
): Promise<Session | undefined> {
  const helpers = await helpersOf(session);
  const remaining = await Promise.all(
    session.files.map(async (record) => ({ record, ...(await lookFor(record, session)) })),
  );
  const roots = await Promise.all(session.certificates.map(({ path }) => isThere(path)));
  const isAnyLeft = remaining.some(({ ours }) => ours.length > 0) || roots.includes(true);
  const failures = [
    ...(unreadable ? [withTraceUsed(unreadable)] : []),
    ...(isShort ? session.files.filter(({ path }) => existsSync(path)).map(perhapsLeft(session)) : []),
    ...(await undo(session, platform)),
    ...remaining.flatMap(({ record: { path }, ours, renewed }) => [
      ...ours
        .filter((scope) => replaced.some((each) => each.path === path && each.scope === scope))
        .map(lost(path, session)),
      ...renewed.map(maybeOurs(path, session)),
    ]),
  ];
  if (await takeBack(session)) {
    await removeSession(session);
  }
  if (isAnyLeft) {
    if (unreadable === undefined) {
      platform.reporter.info(
        `The record of the login is gone (was ${dirname(session.folder)} emptied?). What the login wrote is still known.`,
      );
    }
    logLoggedOut(session, helpers, platform);
  }
  throwAll(failures);
  return isAnyLeft ? session : undefined;
}

/** The record could not be used, and was not needed to remove what the login wrote. */
const withTraceUsed = (unreadable: ExplainedError): ExplainedError =>
  reworded(unreadable, {
    remedy: () => [
      "What the login wrote was removed without it, as the runner remembers it; the files are not formatted as before.",
      "Find the step that changes files in the runner's temporary folder: it could have read the job's robot token.",
    ],
  });

/** `renewed`: scopes with another token of the same robot, if a process renews ours: that process may have written it. */
async function lookFor(record: FileRecord, { robots, job }: Session) {
  const ours = await ownScopes(record);
  const { content } = await readAuthFile(record.path, "read").catch(() => ({ content: {} as AuthContent }));
  const renewed = Object.keys(record.scopes).filter((scope) => {
    const found = readEntry(getOwn(content.auths, scope) ?? {});
    return (
      job?.refresh &&
      !ours.includes(scope) &&
      robots.some((each) => keyIn(record.path, each.scope) === scope && each.robot === found?.robot)
    );
  });
  return { ours, renewed };
}

const lost =
  (path: string, { folder }: Session) =>
  (scope: string) =>
    new ExplainedError(
      "logout-incomplete",
      `What ${path} held for ${scope} before the login is lost with the login's record: ${folder} is gone. The login itself was removed.`,
      {
        remedy: [
          `If you still need the earlier login: skopeo login --authfile ${path} ${scope}`,
          "Don't empty the job's temporary folder before the job ends.",
        ],
      },
    );

const maybeOurs =
  (path: string, { folder }: Session) =>
  (scope: string) =>
    new ExplainedError(
      "logout-incomplete",
      `The login for ${scope} is still in ${path}. It was renewed, and the record of that is gone with ${folder}: it may be another job's.`,
      { remedy: [`If no other job uses it: skopeo logout --authfile ${path} ${scope}`] },
    );

const perhapsLeft =
  ({ folder }: Session) =>
  ({ path }: FileRecord) =>
    new ExplainedError(
      "logout-incomplete",
      `${path} may still hold a login: its record is gone with ${folder}, and there were too many robots for the runner to remember each.`,
      { remedy: [`Log out of each that it holds: skopeo logout --authfile ${path} HOST`] },
    );

/**
 * For a login that is to stay: removes the roots that were installed for later steps, since no later logout would remove them.
 * @returns their files
 */
export async function removeSessionRoots(
  folder: string,
  platform: LocalPlatform,
  trace?: Trace,
): Promise<readonly string[]> {
  const { session } = await recordOf(folder, false, trace);
  const certificates = (session ?? trace?.session)?.certificates ?? [];
  for (const record of certificates) {
    await undoRoots(record, platform);
  }
  if (session && certificates.length > 0) {
    await saveSession({ ...session, certificates: [] });
  }
  return certificates.map(({ path }) => path);
}

/** Names the logins that remain, and their expiry, and drops the advice to name another file: it is too late for that. */
const withRemaining = (error: ExplainedError, { path, scopes }: FileRecord, { robots }: Session): ExplainedError =>
  reworded(error, {
    remedy: (lines) => [
      ...lines.filter((line) => !mentionsIn(line).includes("auth-file")),
      ...robots
        .filter(({ scope }) => Object.hasOwn(scopes, keyIn(path, scope)))
        .map(
          ({ robot, scope, expiresAt }) =>
            `The login of ${robot} may still be there until it expires at ${isoTime(expiresAt)}: skopeo logout --authfile ${path} ${keyIn(path, scope)}`,
        ),
    ],
  });

const late = (cause: unknown): ExplainedError =>
  new ExplainedError("timeout", "The logout timed out while other processes held the lock of a file.", {
    remedy: ["Log out again: it continues where this logout stopped."],
    cause,
  });

/** What is still true of a robot token that was removed. */
export function logExpiry(robot: string, expiresAt: number, { reporter }: LocalPlatform): void {
  reporter.info(`Quay cannot revoke the robot token of ${robot}; it expires at ${isoTime(expiresAt)}.`);
}
