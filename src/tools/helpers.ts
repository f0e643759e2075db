/**
 * Credential helpers that the containers tools keep logins in where registries.conf says so (`credential-helpers`,
 * containers-registries.conf(5)), whatever --authfile says. No option of all these tools turns that off: so programs of
 * ours, first on PATH, stand in for all that are installed, and say that they keep nothing.
 */
import { access, constants, readdir, rm } from "node:fs/promises";
import { userInfo } from "node:os";
import { delimiter, isAbsolute, join } from "node:path";
import type { Environment } from "../platform/environment.ts";
import { ExplainedError } from "../platform/errors.ts";
import { maxSize, readTextWithin } from "../platform/files.ts";
import { makeFolders } from "../platform/fs.ts";
import { replaceFile } from "../platform/replace.ts";

const prefix = "docker-credential-";
const asked = ".asked";

/** The answer of every helper to a host that it knows nothing of (docker-credential-helpers); a login is not taken. */
const standIn = `#!/bin/sh
[ "$1" != store ] || : >"$0${asked}"
echo "credentials not found in native keychain"
exit 1
`;

/**
 * Stand-ins for the helpers that are on PATH, where a registries.conf names any.
 * @param folder for them; made where there are any
 * @returns the folder, undefined where there are none
 * @throws ExplainedError `credential-helper` where no program can run in `folder`: the tools would go on to the helper itself
 */
export async function standInForHelpers(env: Environment, folder: string): Promise<string | undefined> {
  const files = await filesThatSet(env);
  if (files.length === 0) {
    return undefined;
  }
  const places = (env.PATH ?? "").split(delimiter).filter((place) => isAbsolute(place));
  const found = await Promise.all(places.map((place) => readdir(place).catch(() => [])));
  const programs = [...new Set(found.flat())]
    .filter((name) => name.startsWith(prefix))
    .map((name) => join(folder, name));
  if (programs.length === 0) {
    return undefined;
  }
  await makeFolders(folder);
  await Promise.all(programs.map((program) => replaceFile(program, standIn, { mode: 0o700 })));
  try {
    await Promise.all(programs.map((program) => access(program, constants.X_OK)));
  } catch (error) {
    await rm(folder, { recursive: true, force: true });
    const message = `No program can be run in ${folder} (noexec): nothing there keeps credential helpers from getting the robot token.`;
    const elsewhere = "Or have the temporary folder (RUNNER_TEMP, TMPDIR) where programs can be run.";
    throw new ExplainedError("credential-helper", message, {
      remedy: [...withoutHelpers(files), elsewhere],
      cause: error,
    });
  }
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
): Promise<ExplainedError | undefined> {
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
  return new ExplainedError("credential-helper", `${message} The helper has not got the robot token.`, {
    remedy: withoutHelpers(files),
  });
}

const withoutHelpers = (files: readonly string[]): readonly string[] => [
  `${files.join(" and ") || "registries.conf"} sets credential-helpers. Write there, for this job:`,
  `credential-helpers = ["containers-auth.json"]`,
];

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

/**
 * containers-registries.conf(5), "CONFIGURATION FILES". Libraries of today look below /usr/share, too, have drop-ins by who runs
 * them (registries.rootful.conf.d, registries.rootless.conf.d/UID) and mind XDG_CONFIG_HOME (storage/pkg/configfile).
 */
async function filesThatSet(env: Environment): Promise<readonly string[]> {
  const variables = ["CONTAINERS_REGISTRIES_CONF", "CONTAINERS_REGISTRIES_CONF_OVERRIDE", "REGISTRIES_CONFIG_PATH"];
  const homes = [env.XDG_CONFIG_HOME, join(env.HOME || homeOfUser(), ".config"), "/etc", "/usr/share"];
  const usual = [...new Set(homes)].filter(Boolean).map((home) => join(home as string, "containers/registries"));
  const dropIns = await Promise.all(
    ["", ".rootful", ".rootless"]
      .flatMap((kind) => usual.map((file) => `${file}${kind}.conf.d`))
      .map(async (folder) => {
        const names = await readdir(folder, { recursive: true }).catch(() => []);
        return names.filter((name) => name.endsWith(".conf")).map((name) => join(folder, name));
      }),
  );
  const candidates = [
    ...variables.map((name) => env[name]).filter((path) => path !== undefined),
    ...usual.map((file) => `${file}.conf`),
    ...dropIns.flat(),
  ];
  const sets = await Promise.all(
    candidates.map(async (file) => namesHelpers(await readTextWithin(file, maxSize.logins).catch(() => ""))),
  );
  return candidates.filter((_, index) => sets[index]);
}

/** Anything but the files of logins alone, which is what an empty list means as well. */
function namesHelpers(text: string): boolean {
  const [, list] = /^\s*["']?credential-helpers["']?\s*=([^\]]*)/m.exec(text) ?? [];
  return list !== undefined && /[\w.-]+/.test(list.replaceAll(/(["'])containers-auth\.json\1|#.*/g, ""));
}

/** Where HOME is not set, the tools ask the system's list of users. */
function homeOfUser(): string {
  try {
    return userInfo().homedir;
  } catch {
    return "/";
  }
}
