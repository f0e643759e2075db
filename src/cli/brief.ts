/** A login in three lines, for a terminal. Pure. */
import type { OutputName } from "../options/table.ts";
import { type Mention, mention } from "../platform/wording.ts";
import type { RobotLogin } from "../quay/scope.ts";
import { flagSyntax } from "./syntax.ts";

const { write } = flagSyntax("logout");

export interface ShownLogin {
  readonly outputs: Readonly<Record<Exclude<OutputName, "token">, string>>;
  readonly robots: readonly RobotLogin[];
  /** All that hold the login. */
  readonly files: readonly string[];
  readonly isWatching: boolean;
  /** The folder that --session names. */
  readonly session: string | undefined;
  /** The file that --auth-file names. */
  readonly namedFile: string | undefined;
}

export function inBrief(login: ShownLogin): readonly string[] {
  const logins = login.robots.map(({ robot, scope }) => `${scope} as ${robot}`);
  return [
    `Logged in to ${logins.join(", ")} until ${login.outputs["expires-at"]}.`,
    `Auth ${login.files.length > 1 ? "files" : "file"}: ${login.files.join(", ")}`,
    login.isWatching
      ? "Renewing the login until you stop this program (Ctrl-C)."
      : `To log out: quay-keyless-login logout ${logoutOptions(login).map(write).join(" ")}`,
  ];
}

function logoutOptions({ outputs: { registry }, robots, session, namedFile }: ShownLogin): readonly Mention[] {
  if (session !== undefined) {
    return [mention("session", session)];
  }
  const scopes = robots.map(({ scope }) => scope);
  const isWhole = scopes.every((scope) => scope === registry);
  return [
    ...(isWhole ? [mention("registry", registry)] : scopes.map((scope) => mention("scope", scope))),
    ...(namedFile === undefined ? [] : [mention("auth-file", namedFile)]),
  ];
}
