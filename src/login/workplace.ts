import type { IdentityChoice } from "../identity/index.ts";
import type { Identity } from "../identity/token.ts";
import type { RobotToken } from "../quay/exchange.ts";
import type { JobLogin, Session } from "./session.ts";

/** What a credential helper of a job begins with. */
export interface FirstLogin {
  readonly session: Session;
  readonly source: IdentityChoice;
  readonly identity: Identity;
  readonly token: RobotToken;
}

/** What an entry point knows of the machine and job that it runs in. */
export interface Workplace {
  /** Private files of the job belong here. */
  readonly temporaryFolder: string;
  /** The folder that the user named for the session; undefined: one in the temporary folder. */
  readonly sessionFolder: string | undefined;
  /** Whether a logout will follow, which can remove what is installed for later steps. */
  readonly willLogOut: boolean;
  /**
   * Where a login goes if no file is named: into a private file of the job, which later steps learn of, or into the file
   * that the tool reads by default.
   */
  readonly keepsLogins: "privately" | "where-the-tool-looks";
  /** Never written to: its files end up in images and artifacts. */
  readonly workspace: string | undefined;
  /** A machine made for this job alone, whose home folder may be used freely. */
  readonly isDisposable: boolean;
  /** PEM text of the option ca-file. */
  readonly roots: string | undefined;
  /** The entry point's results show the identity: the log shows it only if it is verbose. */
  readonly showsIdentity?: boolean;
  /** What the end of the job needs to know; undefined: the login belongs to no job. */
  readonly job?: JobLogin | undefined;
  /**
   * Set where no login is stored: makes the program of a credential helper in the session's folder, which the tools ask instead.
   * @returns the helper's name
   */
  readonly installHelper?: ((first: FirstLogin) => Promise<string>) | undefined;
  /** Called with the session before it is made or changed; with one in a folder that the user named, once that is made. */
  readonly onSession: (session: Session) => void;
}
