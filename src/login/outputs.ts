/** The outputs of a login, by the names of the table of outputs. Pure. */
import { isoTime } from "../identity/token.ts";
import type { OptionReader } from "../options/reader.ts";
import type { OutputName } from "../options/table.ts";
import { invalidInput } from "../platform/errors.ts";
import type { RobotLogin } from "../quay/scope.ts";
import type { LoginResult } from "./login.ts";

/**
 * The option export-token: the one output that a login has only on request.
 * @throws ExplainedError `invalid-input` if several robots log in
 */
export function parseExportToken({ boolean }: OptionReader, robots: readonly RobotLogin[]): boolean {
  const exportToken = boolean("export-token");
  if (exportToken && robots.length > 1) {
    throw invalidInput(
      "export-token",
      "true",
      "it returns one token, and there are several robots",
      "one step per robot",
    );
  }
  return exportToken;
}

export function outputsOf(
  { identity, session, tokens, authFile }: LoginResult,
  { registry, exportToken }: { readonly registry: string; readonly exportToken: boolean },
): Readonly<Record<OutputName, string>> {
  return {
    "logged-in": "true",
    registry,
    robot: session.robots.map(({ robot }) => robot).join("\n"),
    "expires-at": isoTime(Math.min(...tokens.map(({ expiresAt }) => expiresAt))),
    "auth-file": authFile,
    issuer: identity.issuer,
    subject: identity.subject,
    audience: identity.audience.join(" "),
    token: (exportToken && tokens[0]?.token) || "",
  };
}
