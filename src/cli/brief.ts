/** A login in three lines, for a terminal. Pure. */
import type { OutputName } from "../options/table.ts";
import { type Mention, mention } from "../platform/wording.ts";
import { flagSyntax } from "./syntax.ts";

const { write } = flagSyntax("logout");

export interface ShownLogin {
  readonly outputs: Readonly<Record<Exclude<OutputName, "token">, string>>;
  readonly scopes: readonly string[];
  readonly isWatching: boolean;
  /** The folder that --session names. */
  readonly session: string | undefined;
  /** The file that --auth-file names. */
  readonly namedFile: string | undefined;
}

export function inBrief(login: ShownLogin): readonly string[] {
  const { registry, robot, "expires-at": expiresAt, "auth-file": authFile } = login.outputs;
  return [
    `Logged in to ${registry} as ${robot.replaceAll("\n", ", ")} until ${expiresAt}.`,
    `Auth file: ${authFile}`,
    login.isWatching
      ? "Renewing the login until you stop this program (Ctrl-C)."
      : `To log out: quay-keyless-login logout ${logoutOptions(login).map(write).join(" ")}`,
  ];
}

function logoutOptions({ outputs: { registry }, scopes, session, namedFile }: ShownLogin): readonly Mention[] {
  if (session !== undefined) {
    return [mention("session", session)];
  }
  const isWhole = scopes.every((scope) => scope === registry);
  return [
    ...(isWhole ? [mention("registry", registry)] : scopes.map((scope) => mention("scope", scope))),
    ...(namedFile === undefined ? [] : [mention("auth-file", namedFile)]),
  ];
}
