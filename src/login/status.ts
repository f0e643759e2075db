/** Which logins the auth files hold for a registry, and when they expire. A robot token is a JWT: reading the file is enough. */
import { readdir } from "node:fs/promises";
import { basename, dirname, resolve } from "node:path";
import { type EntryLogin, readEntry } from "../authfile/entry.ts";
import { builderFolder, containersLocations, dockerConfigPath } from "../authfile/locations.ts";
import { type AuthContent, getOwn, readAuthFile } from "../authfile/read.ts";
import { isoTime } from "../identity/token.ts";
import type { Environment } from "../platform/environment.ts";
import { ExplainedError } from "../platform/errors.ts";
import { mention, text } from "../platform/wording.ts";
import { kindOf, scopeParts } from "../quay/scope.ts";

export interface StoredLogin extends EntryLogin {
  readonly scope: string;
  /** Its own file, for docker's builder. */
  readonly path?: string;
}

export interface AuthFileStatus {
  /** For docker's builder, which has a file for each login, the folder of all. */
  readonly authFile: string;
  readonly logins: readonly StoredLogin[];
  /** The credential helper that the tools ask instead of reading these logins. */
  readonly helper?: string | undefined;
}

/** What to look for: all of the registry, or only these scopes. */
export interface Wanted {
  readonly registry: string;
  readonly scopes: readonly string[];
}

/** The places that hold such a login, or name a helper for the registry; if none does, the first of the tools, without a login. */
export type Status = readonly [AuthFileStatus, ...AuthFileStatus[]];

/**
 * @param file undefined: the first that the containers tools read and that holds something, docker's configuration, and the
 * folder of docker's builder
 * @throws ExplainedError `auth-file-unusable`
 */
export async function readStatus(wanted: Wanted, file: string | undefined, env: Environment): Promise<Status> {
  if (file !== undefined) {
    return [await readPlace(resolve(file), wanted)];
  }
  // No tool writes .dockercfg any more, so no robot token is there.
  const locations = containersLocations(env).filter(({ legacy }) => !legacy);
  const paths = locations.map(({ path }) => resolve(path));
  const places: AuthFileStatus[] = [];
  for (const path of paths) {
    const place = places.length === 0 ? await readPlace(path, wanted) : undefined;
    places.push(...(place && (place.logins.length > 0 || place.helper) ? [place] : []));
  }
  const ofDocker = await readDockers(wanted, env).catch((error) => {
    if (places.length === 0) {
      throw error;
    }
    return [];
  });
  const more = ofDocker.filter(({ authFile }) => authFile !== places[0]?.authFile);
  const [first, ...others] = [...places, ...more.filter(({ logins }) => logins.length > 0)];
  if (first) {
    return [first, ...others];
  }
  const builder = wanted.scopes.some((scope) => kindOf(scope) === "action") ? ofDocker.at(-1) : undefined;
  return [{ authFile: builder?.authFile ?? paths[0] ?? "", logins: [] }];
}

/** docker's configuration, and the folder of its builder. */
async function readDockers(wanted: Wanted, env: Environment): Promise<readonly AuthFileStatus[]> {
  const [path, folder] = [dockerConfigPath(env), builderFolder(env)];
  return [
    // Its helper is one of the containers tools' files too, or no business of this status.
    ...(path === undefined ? [] : [{ ...(await readPlace(resolve(path), wanted)), helper: undefined }]),
    ...(folder === undefined ? [] : [await readBuilder(folder, wanted)]),
  ];
}

async function readPlace(authFile: string, wanted: Wanted): Promise<AuthFileStatus> {
  const { content } = await readAuthFile(authFile, "read");
  const helper = getOwn(content.credHelpers, wanted.registry);
  return { authFile, logins: loginsIn(content, wanted), ...(helper && { helper: String(helper) }) };
}

function loginsIn(content: AuthContent, wanted: Wanted): readonly StoredLogin[] {
  return Object.entries(content.auths ?? {}).flatMap(([scope, entry]) => {
    const login = isWanted(scope, wanted) ? readEntry(entry) : undefined;
    return login ? [{ scope, ...login }] : [];
  });
}

const isWanted = (scope: string, { registry, scopes }: Wanted): boolean =>
  scopes.length > 0
    ? scopes.includes(scope)
    : /^[/@]?$/.test(scope.slice(registry.length, registry.length + 1)) && scope.startsWith(registry);

/** The logins of docker's builder: the path of each file is its scope. */
async function readBuilder(folder: string, wanted: Wanted): Promise<AuthFileStatus> {
  const names = await readdir(folder, { recursive: true }).catch(() => []);
  const logins: StoredLogin[] = [];
  for (const name of names.filter((each) => basename(each) === "config.json").sort()) {
    const scope = dirname(name);
    const path = resolve(folder, name);
    if (isWanted(scope, wanted)) {
      const { content } = await readAuthFile(path, "read");
      const login = readEntry(getOwn(content.auths, keyIn(path, scope)) ?? {});
      logins.push(...(login ? [{ scope, path, ...login }] : []));
    }
  }
  return { authFile: resolve(folder), logins };
}

/** The key of a scope's login in this file: docker's builder has a file for each scope, with the login under its host. */
export const keyIn = (path: string, scope: string): string =>
  path.endsWith(`/${scope}/config.json`) ? scopeParts(scope).host : scope;

/**
 * @param now milliseconds since 1970
 * @param seconds how long each login must still last; of several for one scope, the first counts
 * @throws ExplainedError `not-logged-in`, `login-ends-soon`
 */
export function assertLasting(status: Status, wanted: Wanted, now: number, seconds: number): void {
  const all = status.flatMap(({ authFile, logins }) => logins.map((login) => ({ authFile, ...login })));
  const logins = all.filter(({ scope }, index) => all.findIndex((each) => each.scope === scope) === index);
  const missing =
    logins.length === 0
      ? (wanted.scopes[0] ?? wanted.registry)
      : wanted.scopes.find((scope) => !logins.some((login) => login.scope === scope));
  if (missing !== undefined) {
    const { authFile } = status[0];
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
    const { authFile } = short;
    const robot = short.scope === wanted.registry ? short.robot : `${short.scope}=${short.robot}`;
    throw new ExplainedError("login-ends-soon", `The login for ${short.scope} in ${authFile} ${state}.`, {
      remedy: [
        short.path === undefined
          ? `Log in again: quay-keyless-login login --registry ${wanted.registry} --robot ${robot} --auth-file ${authFile}`
          : `Log in again: quay-keyless-login login --registry ${wanted.registry} --robot ${robot} --tool docker`,
      ],
    });
  }
}
