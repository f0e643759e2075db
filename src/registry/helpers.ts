/**
 * Credential helpers that the containers tools keep logins in where registries.conf says so (`credential-helpers`,
 * containers-registries.conf(5)), whatever --authfile says. No option of all these tools turns that off: so programs of
 * ours, first on PATH, stand in for all that are installed, and say that they keep nothing.
 */
import { mkdir, readdir, rm, writeFile } from "node:fs/promises";
import { delimiter, isAbsolute, join } from "node:path";
import { LoginError } from "../errors.ts";
import type { Environment } from "../platform/environment.ts";
import { most, readTextWithin } from "../platform/files.ts";

const prefix = "docker-credential-";
const asked = ".asked";

/** The answer of every helper to a host that it knows nothing of (docker-credential-helpers); a login is not taken. */
const standIn = `#!/bin/sh
[ "$1" != store ] || : >"$0${asked}"
echo "credentials not found in native keychain"
exit 1
`;

/**
 * Stand-ins for the helpers that are on PATH.
 * @param folder for them; made where there are any
 * @returns the folder, undefined where there are none
 */
export async function standInForHelpers(env: Environment, folder: string): Promise<string | undefined> {
  const places = (env.PATH ?? "").split(delimiter).filter((place) => isAbsolute(place));
  const found = await Promise.all(places.map((place) => readdir(place).catch(() => [])));
  const names = new Set(found.flat().filter((name) => name.startsWith(prefix)));
  if (names.size === 0) {
    return undefined;
  }
  await mkdir(folder, { recursive: true, mode: 0o700 });
  await Promise.all([...names].map((name) => writeFile(join(folder, name), standIn, { mode: 0o700 })));
  return folder;
}

/** @param folder of the stand-ins */
export const withStandIns = (env: Environment, folder: string | undefined): Environment =>
  folder === undefined ? env : { ...env, PATH: [folder, env.PATH].filter(Boolean).join(delimiter) };

async function askedHelpers(folder: string | undefined): Promise<readonly string[]> {
  const names = folder === undefined ? [] : await readdir(folder).catch(() => []);
  return names.filter((name) => name.endsWith(asked)).map((name) => name.slice(prefix.length, -asked.length));
}

/**
 * Where a tool failed since it keeps logins in a helper, or asks one that is not installed.
 * @param words what it said last
 * @param folder of the stand-ins
 */
export async function explainHelper(
  tool: string,
  words: string,
  folder: string | undefined,
  env: Environment,
): Promise<LoginError | undefined> {
  if (!/error (?:getting|storing) credentials - err: /.test(words)) {
    return undefined;
  }
  const missing = /docker-credential-([\w.-]+)/.exec(words)?.[1];
  const names = missing === undefined ? await askedHelpers(folder) : [missing];
  const files = await filesThatSet(env);
  const message =
    missing === undefined
      ? `${tool} keeps logins in ${names.length > 0 ? `the credential helper ${names.join(", ")}` : "a credential helper"} alone, and would not read one in a file.`
      : `${tool} asks the credential helper ${missing}, which is not installed, before each login and pull.`;
  return new LoginError("credential-helper", `${message} The helper has not got the robot token.`, {
    remedy: [
      `${files.join(" and ") || "registries.conf"} sets credential-helpers. Write there, for this job:`,
      `credential-helpers = ["containers-auth.json"]`,
    ],
  });
}

/**
 * Runs `work` beside stand-ins for the helpers that are on PATH; they are gone afterwards.
 * @returns `asked`: the helpers that a tool wanted to give a login to before the file, by name
 */
export async function besideHelpers<T>(
  env: Environment,
  folder: string,
  work: (helpers: string | undefined) => Promise<T>,
): Promise<{ readonly result: T; readonly asked: readonly string[] }> {
  const helpers = await standInForHelpers(env, folder);
  try {
    const result = await work(helpers);
    return { result, asked: await askedHelpers(helpers) };
  } finally {
    await (helpers && rm(helpers, { recursive: true, force: true }));
  }
}

/** containers-registries.conf(5), "CONFIGURATION FILES"; today's libraries look below /usr/share, too, and mind XDG_CONFIG_HOME. */
async function filesThatSet(env: Environment): Promise<readonly string[]> {
  const named = [env.CONTAINERS_REGISTRIES_CONF, env.REGISTRIES_CONFIG_PATH].filter((path) => path !== undefined);
  const homes = [env.XDG_CONFIG_HOME, env.HOME && join(env.HOME, ".config"), "/etc", "/usr/share"];
  const usual = [...new Set(homes)].filter(Boolean).map((home) => join(home as string, "containers/registries.conf"));
  const dropIns = await Promise.all(
    usual.map(async (file) => {
      const names = await readdir(`${file}.d`).catch(() => []);
      return names.filter((name) => name.endsWith(".conf")).map((name) => join(`${file}.d`, name));
    }),
  );
  const candidates = [...named, ...usual, ...dropIns.flat()];
  const sets = await Promise.all(
    candidates.map(async (file) =>
      /^\s*credential-helpers\s*=/m.test(await readTextWithin(file, most.logins).catch(() => "")),
    ),
  );
  return candidates.filter((_, index) => sets[index]);
}
