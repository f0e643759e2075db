/** What a login hands out, by the names of the table of outputs. Pure. */
import { isoTime } from "../identity/token.ts";
import type { OutputName } from "../options/table.ts";
import type { LoginResult } from "./login.ts";
import type { LoginRequest } from "./request.ts";

export function outputsOf(request: LoginRequest, result: LoginResult): Readonly<Record<OutputName, string>> {
  const { identity, session, tokens, authFile } = result;
  return {
    "logged-in": "true",
    registry: request.registry,
    robot: session.robots.map(({ robot }) => robot).join("\n"),
    "expires-at": isoTime(Math.min(...tokens.map(({ expiresAt }) => expiresAt))),
    "auth-file": authFile,
    issuer: identity.issuer,
    subject: identity.subject,
    audience: identity.audience.join(" "),
    token: (request.exportToken && tokens[0]?.token) || "",
  };
}
