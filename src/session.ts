/**
 * What a login leaves behind, written into its private folder before each change, so that logout can take it back after a
 * failure or a kill at any moment. The folder's path is all that a face has to keep.
 */
import { randomBytes } from "node:crypto";
import { chmod, mkdtemp, readdir, readFile, rename, rm, rmdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { invalidInput, LoginError } from "./errors.ts";
import { makeFolders, removeFolders } from "./platform/folders.ts";
import type { Life } from "./quay/answers.ts";
import type { CertificateRecord } from "./registry/certificates.ts";
import type { FileRecord } from "./registry/merge.ts";
import type { RobotLogin } from "./request.ts";

/** Of the record's form: another program version must not guess what it means. */
const version = 1;

export interface Session {
  readonly version: number;
  /** Private to the user; holds the private auth file, the record of this session, and folders of tools at work. */
  readonly folder: string;
  /** Whether the user chose the folder, so that others may have put something there. */
  readonly named: boolean;
  /** Distinguishes what is ours in folders shared with others. */
  readonly id: string;
  readonly files: readonly FileRecord[];
  readonly certificates: readonly CertificateRecord[];
  /** What is logged in, and when its robot token ends (seconds since 1970): Quay has no revocation for it. */
  readonly robots: readonly (RobotLogin & Life)[];
}

const record = "session.json";

/**
 * A folder of its own name for one login.
 * @param temporaryFolder where the job's private files belong, outside of its workspace
 * @throws LoginError `auth-file-unusable`
 */
export async function openSession(temporaryFolder: string): Promise<Session> {
  let folder: string | undefined;
  try {
    folder = await mkdtemp(join(temporaryFolder, "quay-keyless-login-"));
    return await saveSession(newSession(folder, false));
  } catch (cause) {
    await (folder && removeEmptySession(folder));
    const { code } = cause as NodeJS.ErrnoException;
    throw new LoginError("auth-file-unusable", `No private folder can be made in ${temporaryFolder} (${code}).`, {
      remedy: ["Let the temporary folder (RUNNER_TEMP on GitHub, elsewhere TMPDIR) exist, be writable, and have room."],
      cause,
    });
  }
}

/**
 * The folder that the user named; an earlier session in it must have been taken back.
 * @throws LoginError `invalid-input`: it can't be made, or holds something else
 */
export async function openNamedSession(folder: string): Promise<Session> {
  const fail = (problem: string) => invalidInput("session", folder, problem, "session: /path/of/a/new/folder");
  let made: readonly string[] = [];
  try {
    made = await makeFolders(folder);
    const found = await readdir(folder);
    if (found.length > 0) {
      throw fail("the folder holds other files, and must be its own");
    }
    await chmod(folder, 0o700);
    return await saveSession(newSession(folder, true));
  } catch (error) {
    if (error instanceof LoginError) {
      throw error;
    }
    await rm(join(folder, `${record}.tmp`), { force: true }).catch(() => {});
    await removeFolders(made);
    const { code } = error as NodeJS.ErrnoException;
    throw fail(`the folder can't be made or written to (${code})`);
  }
}

/** Distinguishes the files of two logins in one folder. */
export const newId = (): string => randomBytes(6).toString("hex");

function newSession(folder: string, named: boolean): Session {
  return { version, folder, named, id: newId(), files: [], certificates: [], robots: [] };
}

/**
 * Deletes the session's folder, its record last, so that a kill on the way leaves enough to go on. In a folder that the user
 * named, whatever is not ours stays.
 */
export async function removeSession({ folder, named }: Session): Promise<void> {
  const found = await readdir(folder).catch(() => []);
  for (const name of found.filter((each) => !named || /^(?:certificates|tool-[0-9]+)$/.test(each))) {
    if (name !== record) {
      await rm(join(folder, name), { recursive: true, force: true });
    }
  }
  await rm(join(folder, record), { force: true });
  await removeEmptySession(folder);
}

/** Where there is no record, nothing else of ours is there either. */
export async function removeEmptySession(folder: string): Promise<void> {
  await rm(join(folder, `${record}.tmp`), { force: true }).catch(() => {});
  await rmdir(folder).catch(() => {});
}

/** Writes the record by rename: it holds what stood in other people's files before, so it is never half. */
export async function saveSession(session: Session): Promise<Session> {
  const path = join(session.folder, record);
  await writeFile(`${path}.tmp`, JSON.stringify(session), { mode: 0o600 });
  await rename(`${path}.tmp`, path);
  return session;
}

/**
 * @returns undefined where the session was taken back already
 * @throws LoginError `logout-incomplete`
 */
export async function readSession(folder: string): Promise<Session | undefined> {
  const path = join(folder, record);
  try {
    const read: Session = JSON.parse(await readFile(path, "utf8"));
    assertRecord(read);
    return { ...read, folder };
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "ENOENT" || code === "ENOTDIR") {
      return undefined;
    }
    // A parser's message quotes the text, which holds secrets: it is not passed on.
    throw new LoginError(
      "logout-incomplete",
      `The record of the login, ${path}, ${code ? `can't be read (${code})` : "is damaged, or of another version of this program"}.`,
      {
        remedy: ["Log out by hand, of each file that held the login: skopeo logout --authfile FILE HOST"],
      },
    );
  }
}

/** The folder may be the user's own choice, and another program's record may lie there. */
function assertRecord({ files, certificates, robots, ...session }: Session): void {
  const sound =
    session.version === version &&
    files.every(
      ({ path, folders, scopes, after }) => path && scopes && Array.isArray(after) && Array.isArray(folders),
    ) &&
    certificates.every(({ path, folders }) => path && Array.isArray(folders)) &&
    robots.every(
      (each) => each.robot && each.scope && Number.isFinite(each.expiresAt) && Number.isFinite(each.lifeSeconds),
    );
  if (!sound) {
    throw new Error("a part is missing");
  }
}

/** Lets other users through to a file whose own permissions let them read it. */
export async function openFolderTo(session: Session, mode: number): Promise<void> {
  if ((mode & 0o077) !== 0) {
    await chmod(session.folder, 0o711);
  }
}
