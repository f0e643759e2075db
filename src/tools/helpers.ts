/**
 * Credential helpers, where the containers tools store logins if registries.conf says so (`credential-helpers`,
 * containers-registries.conf(5)), whatever --authfile says. No option that all these tools have turns that off: programs of
 * ours, first on PATH, stand in for all installed helpers, and answer that they store nothing.
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

/** Answers as every helper does for a host that it does not know (docker-credential-helpers); rejects a login. */
const standIn = `#!/bin/sh
[ "$1" != store ] || : >"$0${asked}"
echo "credentials not found in native keychain"
exit 1
`;

/**
 * Makes stand-ins for the helpers on PATH if a registries.conf names any.
 * @param folder for the stand-ins; made if there are any
 * @returns the folder; undefined if there are none
 * @throws ExplainedError `credential-helper` if no program can run in `folder`: the tools would go on to the helper itself
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
    const message = `No program can run in ${folder} (noexec): stand-ins there could not keep the robot token from credential helpers.`;
    const elsewhere = "Or set the temporary folder (RUNNER_TEMP, TMPDIR) to one where programs can run.";
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
 * Explains a tool's failure if its cause is that it stores logins in a helper, or asks one that is not installed.
 * @param words its last message
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
      ? `${tool} stores logins only in ${names.length > 0 ? `the credential helper ${names.join(", ")}` : "a credential helper"}, and would not read one from a file.`
      : `${tool} asks the credential helper ${missing}, which is not installed, before each login and pull.`;
  return new ExplainedError("credential-helper", `${message} The helper did not get the robot token.`, {
    remedy: withoutHelpers(files),
  });
}

const withoutHelpers = (files: readonly string[]): readonly string[] => [
  `${files.join(" and ") || "registries.conf"} sets credential-helpers. Write there, for this job:`,
  `credential-helpers = ["containers-auth.json"]`,
];

/**
 * Runs `work` with stand-ins for the helpers on PATH, and removes them afterwards.
 * @returns `asked`: the names of the helpers that a tool tried to store a login in before it wrote the file
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
 * containers-registries.conf(5), "CONFIGURATION FILES". Current libraries also look below /usr/share, have drop-ins for each
 * kind of user (registries.rootful.conf.d, registries.rootless.conf.d/UID) and respect XDG_CONFIG_HOME (storage/pkg/configfile).
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

/** Whether the list names more than the auth files; an empty list means these alone. */
function namesHelpers(text: string): boolean {
  const [, list] = /^\s*["']?credential-helpers["']?\s*=([^\]]*)/m.exec(text) ?? [];
  return list !== undefined && /[\w.-]+/.test(list.replaceAll(/(["'])containers-auth\.json\1|#.*/g, ""));
}

/** If HOME is not set, the tools ask the system's list of users. */
function homeOfUser(): string {
  try {
    return userInfo().homedir;
  } catch {
    return "/";
  }
}
