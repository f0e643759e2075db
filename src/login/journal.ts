/** The session of a login under way: each change is recorded, and the entry point learns of it, before it is made. */
import type { FileRecord } from "../authfile/change.ts";
import { ExplainedError } from "../platform/errors.ts";
import { openNamedSession, openSession, readSession, type Session, saveSession } from "./session.ts";
import type { Workplace } from "./workplace.ts";

export interface Journal {
  /** As it is recorded now. */
  readonly session: Session;
  /** @throws ExplainedError `auth-file-unusable` */
  write(change: Partial<Session>): Promise<void>;
  /** Writes what was done to one file in the place of what was known of it. @throws ExplainedError `auth-file-unusable` */
  recordFile(record: FileRecord): Promise<void>;
}

/**
 * The session that a renewal continues, as it is on disk: the last renewal may have failed between one file and the next.
 * @throws ExplainedError `not-logged-in`
 */
export async function reopenSession({ folder, named, id }: Session): Promise<Session> {
  const session = await readSession(folder, named);
  if (session?.id !== id) {
    throw new ExplainedError("not-logged-in", `Another process has logged out: ${folder} has no session any more.`, {
      remedy: ["Log in again if you still need the login."],
    });
  }
  return session;
}

/**
 * @param earlier the session to continue; undefined: a new one
 * @throws ExplainedError `auth-file-unusable`, `invalid-input`
 */
export async function openJournal(
  {
    sessionFolder,
    temporaryFolder,
    onSession,
    job,
  }: Pick<Workplace, "sessionFolder" | "temporaryFolder" | "onSession" | "job">,
  earlier: Session | undefined,
): Promise<Journal> {
  let session =
    earlier ??
    (sessionFolder === undefined
      ? await openSession(temporaryFolder, onSession, job)
      : await openNamedSession(sessionFolder));
  onSession(session);
  const write = async (change: Partial<Session>) => {
    session = { ...session, ...change };
    onSession(session);
    await saveSession(session);
  };
  return {
    get session() {
      return session;
    },
    write,
    recordFile: (record) => write({ files: [...session.files.filter(({ path }) => path !== record.path), record] }),
  };
}
