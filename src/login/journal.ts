/** The session of a login under way: each change is written down, and made known, before it is made. */
import { ExplainedError } from "../platform/errors.ts";
import { openNamedSession, openSession, readSession, type Session, saveSession } from "./session.ts";
import type { Workplace } from "./workplace.ts";

export interface Journal {
  /** As it is written down now. */
  readonly session: Session;
  /** @throws ExplainedError `auth-file-unusable` */
  write(change: Partial<Session>): Promise<void>;
}

/**
 * The session that a renewal goes on with, as it stands on disk: the last renewal may have failed between one file and the next.
 * @throws ExplainedError `not-logged-in`
 */
export async function reopenSession({ folder, named, id }: Session): Promise<Session> {
  const session = await readSession(folder, named);
  if (session?.id !== id) {
    throw new ExplainedError(
      "not-logged-in",
      `The login was taken back by somebody else: ${folder} has no session any more.`,
      {
        remedy: ["Log in again, if it is still wanted."],
      },
    );
  }
  return session;
}

/**
 * @param earlier the session to go on with; undefined: a new one
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
  return {
    get session() {
      return session;
    },
    async write(change) {
      session = { ...session, ...change };
      onSession(session);
      await saveSession(session);
    },
  };
}
