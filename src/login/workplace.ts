import type { JobLogin, Session } from "./session.ts";

/** What an entry point knows of where it runs. */
export interface Workplace {
  /** Private files of the job belong here. */
  readonly temporaryFolder: string;
  /** The folder that the user named for the session; undefined: one in the temporary folder. */
  readonly sessionFolder: string | undefined;
  /** Whether a logout will follow that can take back what is left for later steps. */
  readonly willLogOut: boolean;
  /**
   * Where a login goes for which no file is named: into a private file of the job, made known to later steps, or into the file
   * that the tool reads by itself.
   */
  readonly keepsLogins: "privately" | "where-the-tool-looks";
  /** Never written to: what lies there ends up in images and artifacts. */
  readonly workspace: string | undefined;
  /** A machine made for this job alone, whose home folder may be used freely. */
  readonly isDisposable: boolean;
  /** PEM text of the option ca-file. */
  readonly roots: string | undefined;
  /** The entry point's results show the identity: the log does so only where it is verbose. */
  readonly showsIdentity?: boolean;
  /** What the end of the job has to know; undefined: the login belongs to no job. */
  readonly job?: JobLogin | undefined;
  /** Told of the session before it is made or changed; of one in a folder that the user named, once that is made. */
  readonly onSession: (session: Session) => void;
}
