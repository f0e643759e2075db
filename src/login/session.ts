/**
 * The record of what a login changes, written into its private folder before each change, so that logout can undo it after a
 * failure or a kill at any moment. An entry point has to keep only the folder's path.
 */
import { constants } from "node:fs";
import { chmod, mkdir, open, readdir, realpath, rm, rmdir } from "node:fs/promises";
import { basename, dirname, join, resolve } from "node:path";
import { codeOf, ExplainedError, invalidInput } from "../platform/errors.ts";
import { makeFolders, removeFolders } from "../platform/fs.ts";
import { newId, removeLeftovers, replaceFile } from "../platform/replace.ts";
import { mention } from "../platform/wording.ts";
import { type JobLogin, readRecord, recordVersion, type Session, whyNotOurs } from "./record.ts";

export type { JobLogin, Session } from "./record.ts";

const record = "session.json";
const prefix = "quay-keyless-login-";

/**
 * Makes a folder with a unique name for one login.
 * @param temporaryFolder where the job's private files belong, outside of its workspace
 * @param remember gets the session before its folder is made: after a kill at any moment the caller knows it
 * @throws ExplainedError `auth-file-unusable`
 */
export async function openSession(
  temporaryFolder: string,
  remember: (session: Session) => void = () => {},
  job?: JobLogin,
): Promise<Session> {
  const folder = join(resolve(temporaryFolder), `${prefix}${newId()}`);
  const session = { ...newSession(folder, false), ...(job && { job }) };
  remember(session);
  let isMade = false;
  try {
    await mkdir(folder, { mode: 0o700 });
    isMade = true;
    return await write(session);
  } catch (cause) {
    await (isMade && removeEmptySession(folder));
    throw new ExplainedError(
      "auth-file-unusable",
      `No private folder can be made in ${temporaryFolder} (${codeOf(cause)}).`,
      {
        remedy: [
          "The temporary folder (RUNNER_TEMP on GitHub, elsewhere TMPDIR) must exist, be writable, and have free space.",
        ],
        cause,
      },
    );
  }
}

/**
 * The folder that the user named; an earlier session in it must have been logged out.
 * @throws ExplainedError `invalid-input`: it can't be made, or holds something else
 */
export async function openNamedSession(folder: string): Promise<Session> {
  const fail = (problem: string) =>
    invalidInput("session", folder, problem, mention("session", "/path/of/a/new/folder"));
  let made: readonly string[] = [];
  try {
    made = await makeFolders(folder);
    const found = await readdir(folder);
    if (found.length > 0) {
      throw fail("the folder holds other files, and a session needs its own folder");
    }
    await makePrivate(folder);
    const problem = await whyNotOurs(folder);
    if (problem !== undefined) {
      throw fail(problem);
    }
    const session = await write(newSession(folder, true));
    await readSession(folder, true).catch(async ({ message }: Error) => {
      // A volume that gives each file to another user: logout would not trust the record.
      await removeSession(session);
      throw fail(message);
    });
    return session;
  } catch (error) {
    await removeFolders(made);
    if (error instanceof ExplainedError) {
      throw error;
    }
    throw fail(`the folder can't be made or written to (${codeOf(error)})`);
  }
}

/** By a handle: a user who may write to the folder above could put a link in its place. Another user's folder stays as it is. */
async function makePrivate(folder: string): Promise<void> {
  const opened = await open(folder, constants.O_DIRECTORY | constants.O_NOFOLLOW).catch(() => undefined);
  if (opened !== undefined && (await opened.stat()).uid === process.geteuid?.()) {
    await opened.chmod(0o700);
  }
  await opened?.close();
}

/** The sessions of a job's logins: those in its temporary folder whose record is trusted. */
export async function jobSessions(temporaryFolder: string): Promise<readonly Session[]> {
  const names = await readdir(temporaryFolder).catch(() => []);
  const sessions = await Promise.all(names.map((name) => jobSession(join(temporaryFolder, name))));
  return sessions.filter((session) => session !== undefined);
}

async function jobSession(folder: string): Promise<Session | undefined> {
  const session = basename(folder).startsWith(prefix) ? await readSession(folder).catch(() => undefined) : undefined;
  return session?.job ? session : undefined;
}

/** The program of a job's credential helper. */
export const programOf = (folder: string, helper: string): string => join(folder, `docker-credential-${helper}`);

/** The private auth file of a login. */
export const privateFile = (folder: string): string => join(folder, "auth.json");

/** @returns the session of an earlier login of the same job, where this is its private file */
export async function sessionOfFile(path: string | undefined, temporaryFolder: string): Promise<Session | undefined> {
  const folder = dirname(path ?? "");
  const isIn = async (parent: string) => dirname(folder) === parent || dirname(folder) === (await realpath(parent));
  return path === privateFile(folder) && (await isIn(temporaryFolder)) ? jobSession(folder) : undefined;
}

function newSession(folder: string, named: boolean): Session {
  return { version: recordVersion, folder, named, id: newId(), files: [], certificates: [], robots: [] };
}

/**
 * Deletes the session's folder, its record last: after a kill on the way another call can continue. In a folder that the user
 * named, files that are not ours stay.
 */
export async function removeSession({ folder, named }: Session): Promise<void> {
  const found = await readdir(folder).catch(() => []);
  // Only this program makes a folder of such a name that the user did not choose.
  const isWhollyOurs = !named && basename(folder).startsWith(prefix);
  for (const name of found.filter(
    (each) => isWhollyOurs || /^(?:certificates|helpers|source|tool-[0-9]+)$/.test(each),
  )) {
    if (name !== record) {
      await rm(join(folder, name), { recursive: true, force: true });
    }
  }
  await rm(join(folder, record), { force: true });
  await removeEmptySession(folder);
}

/**
 * Makes a job's folder private again: a later step may have opened it to others, and what is in it is deleted all the same.
 * @returns whether it is this user's folder of a session
 */
export async function takeBack({ folder, named }: Session): Promise<boolean> {
  if (!named && basename(folder).startsWith(prefix)) {
    await makePrivate(folder);
  }
  return (await whyNotOurs(folder).catch(() => "it is gone")) === undefined;
}

/** Without a record, the folder holds nothing of ours. Another user's folder stays. */
export async function removeEmptySession(folder: string): Promise<void> {
  if ((await whyNotOurs(folder).catch(() => "it is not there")) !== undefined) {
    return;
  }
  await removeLeftovers(join(folder, record));
  await rmdir(folder).catch(() => {});
}

/**
 * Writes the record in one step: it holds the earlier contents of other users' files and must never be incomplete.
 * @throws ExplainedError `auth-file-unusable`
 */
export async function saveSession(session: Session): Promise<Session> {
  try {
    return await write(session);
  } catch (cause) {
    throw new ExplainedError(
      "auth-file-unusable",
      `The record of the login can't be written to ${session.folder} (${codeOf(cause)}).`,
      {
        remedy: ["That folder must stay while a login runs, be writable, and have free space. Log in again."],
        cause,
      },
    );
  }
}

async function write(session: Session): Promise<Session> {
  await replaceFile(join(session.folder, record), JSON.stringify(session), { mode: 0o600, id: session.id });
  return session;
}

/**
 * The session in this folder, checked before it is trusted.
 * @param named whether the user chose the folder, which the record itself can't know
 * @returns undefined if the session was logged out already
 * @throws ExplainedError `logout-incomplete`
 */
export async function readSession(folder: string, named = false): Promise<Session | undefined> {
  const read = await readRecord(folder, record);
  return read && { ...read, folder, named };
}

/** Lets other users enter the folder of a file whose permissions let them read it. */
export async function openFolderTo(session: Session, mode: number): Promise<void> {
  if ((mode & 0o077) !== 0) {
    await chmod(session.folder, 0o711);
  }
}
