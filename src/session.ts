/**
 * What a login leaves behind, written into its private folder before each change, so that logout can take it back after a
 * failure or a kill at any moment. The folder's path is all that a face has to keep.
 */
import { chmod, mkdtemp, readFile, rename, writeFile } from "node:fs/promises";
import { basename, join } from "node:path";
import { LoginError } from "./errors.ts";
import type { FileRecord } from "./registry/authfile.ts";
import type { CertificateRecord } from "./registry/certificates.ts";

export interface Session {
  /** Private to the user; holds the private auth file, the record of this session, and folders of tools at work. */
  readonly folder: string;
  /** Distinguishes what is ours in folders shared with others. */
  readonly id: string;
  readonly files: readonly FileRecord[];
  readonly certificates: readonly CertificateRecord[];
  /** What is logged in, and when its robot token ends (seconds since 1970): Quay has no revocation for it. */
  readonly robots: readonly { readonly robot: string; readonly scope: string; readonly expiresAt: number }[];
}

const prefix = "quay-keyless-login-";

/**
 * @param temporaryFolder where the job's private files belong, outside of its workspace
 * @throws LoginError `auth-file-unusable`
 */
export async function openSession(temporaryFolder: string): Promise<Session> {
  const folder = await mkdtemp(join(temporaryFolder, prefix)).catch((cause) => {
    throw new LoginError("auth-file-unusable", `No private folder can be made in ${temporaryFolder} (${cause.code}).`, {
      remedy: ["Let the job's temporary folder (RUNNER_TEMP) exist, be writable, and have room."],
      cause,
    });
  });
  return saveSession({ folder, id: basename(folder).slice(prefix.length), files: [], certificates: [], robots: [] });
}

/** Writes the record by rename: it holds what stood in other people's files before, so it is never half. */
export async function saveSession(session: Session): Promise<Session> {
  const path = join(session.folder, "session.json");
  await writeFile(`${path}.tmp`, JSON.stringify(session), { mode: 0o600 });
  await rename(`${path}.tmp`, path);
  return session;
}

/**
 * @returns undefined where the session was taken back already
 * @throws LoginError `logout-incomplete`
 */
export async function readSession(folder: string): Promise<Session | undefined> {
  const path = join(folder, "session.json");
  try {
    return JSON.parse(await readFile(path, "utf8"));
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "ENOENT") {
      return undefined;
    }
    // A parser's message quotes the text, which holds secrets: it is not passed on.
    throw new LoginError(
      "logout-incomplete",
      `The record of the login, ${path}, ${code ? `can't be read (${code})` : "is damaged"}.`,
      {
        remedy: ["Log out by hand, of each file that held the login: skopeo logout --authfile FILE HOST"],
      },
    );
  }
}

/** Lets other users through to a file whose own permissions let them read it. */
export async function openFolderTo(session: Session, mode: number): Promise<void> {
  if ((mode & 0o077) !== 0) {
    await chmod(session.folder, 0o711);
  }
}
