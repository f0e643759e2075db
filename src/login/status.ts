/** Which logins an auth file holds for a registry, and when they expire. A robot token is a JWT: reading the file is enough. */
import { resolve } from "node:path";
import { type EntryLogin, readEntry } from "../authfile/entry.ts";
import { containersLocations } from "../authfile/locations.ts";
import { type AuthContent, readAuthFile } from "../authfile/read.ts";
import { isoTime } from "../identity/token.ts";
import type { Environment } from "../platform/environment.ts";
import { ExplainedError } from "../platform/errors.ts";
import { mention, text } from "../platform/wording.ts";

export interface StoredLogin extends EntryLogin {
  readonly scope: string;
}

export interface AuthFileStatus {
  readonly authFile: string;
  readonly logins: readonly StoredLogin[];
}

/** What to look for: all of the registry, or only these scopes. */
export interface Wanted {
  readonly registry: string;
  readonly scopes: readonly string[];
}

/**
 * @param file undefined: the first that the tools read and that holds such a login
 * @throws ExplainedError `auth-file-unusable`
 */
export async function readStatus(wanted: Wanted, file: string | undefined, env: Environment): Promise<AuthFileStatus> {
  // No tool writes .dockercfg any more, so no robot token is there.
  const locations = containersLocations(env).filter(({ legacy }) => !legacy);
  const paths = (file === undefined ? locations.map(({ path }) => path) : [file]).map((path) => resolve(path));
  for (const authFile of paths) {
    const { content } = await readAuthFile(authFile, "read");
    const logins = loginsIn(content, wanted);
    if (logins.length > 0) {
      return { authFile, logins };
    }
  }
  return { authFile: paths[0] ?? "", logins: [] };
}

function loginsIn(content: AuthContent, { registry, scopes }: Wanted): readonly StoredLogin[] {
  const isWanted = (scope: string) =>
    scopes.length > 0 ? scopes.includes(scope) : scope === registry || scope.startsWith(`${registry}/`);
  return Object.entries(content.auths ?? {}).flatMap(([scope, entry]) => {
    const login = isWanted(scope) ? readEntry(entry) : undefined;
    return login ? [{ scope, ...login }] : [];
  });
}

/**
 * @param now milliseconds since 1970
 * @param seconds how long each login must still last
 * @throws ExplainedError `not-logged-in`, `login-ends-soon`
 */
export function assertLasting(
  { authFile, logins }: AuthFileStatus,
  wanted: Wanted,
  now: number,
  seconds: number,
): void {
  const missing =
    logins.length === 0
      ? (wanted.scopes[0] ?? wanted.registry)
      : wanted.scopes.find((scope) => !logins.some((login) => login.scope === scope));
  if (missing !== undefined) {
    throw new ExplainedError("not-logged-in", `${authFile} holds no login for ${missing}.`, {
      remedy: [
        `Log in: quay-keyless-login login --registry ${wanted.registry} --robot organization+name`,
        text`If another file holds it, name that file: ${mention("auth-file", "/path/auth.json")}`,
      ],
    });
  }
  const short = logins.find(({ expiresAt }) => expiresAt !== undefined && expiresAt * 1000 < now + seconds * 1000);
  if (short?.expiresAt !== undefined) {
    const left = Math.floor(short.expiresAt - now / 1000);
    const state =
      left < 0
        ? `expired at ${isoTime(short.expiresAt)}`
        : `expires at ${isoTime(short.expiresAt)}, in ${left} s: less than ${seconds} s`;
    const robot = short.scope === wanted.registry ? short.robot : `${short.scope}=${short.robot}`;
    throw new ExplainedError("login-ends-soon", `The login for ${short.scope} in ${authFile} ${state}.`, {
      remedy: [
        `Log in again: quay-keyless-login login --registry ${wanted.registry} --robot ${robot} --auth-file ${authFile}`,
      ],
    });
  }
}
