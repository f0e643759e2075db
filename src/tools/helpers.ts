/**
 * Credential helpers, where the containers tools store logins if registries.conf says so (`credential-helpers`,
 * containers-registries.conf(5)), whatever --authfile says. No option that all these tools have turns that off: programs of
 * ours, first on PATH, stand in for all installed helpers, and answer that they store nothing.
 */
import { access, constants, readdir, rm } from "node:fs/promises";
import { userInfo } from "node:os";
import { delimiter, isAbsolute, join } from "node:path";
import { helperName, removal } from "../authfile/cred-helpers.ts";
import { containersLocations } from "../authfile/locations.ts";
import { type AuthContent, readAuthFile } from "../authfile/read.ts";
import type { Environment } from "../platform/environment.ts";
import { codeOf, ExplainedError } from "../platform/errors.ts";
import { maxSize, readTextWithin } from "../platform/files.ts";
import { makeFolders } from "../platform/fs.ts";
import { replaceFile } from "../platform/replace.ts";

const prefix = "docker-credential-";
/** The name of the auth files in a list of helpers. */
const authFiles = "containers-auth.json";
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
  const naming = missing === undefined ? [] : await authFilesThatName(missing, env);
  const message =
    missing === undefined
      ? `${tool} stores logins only in ${names.length > 0 ? named(names) : "a credential helper"}, and would not read one from a file.`
      : `${tool} asks the credential helper ${missing}, which is not installed, before each login and pull.`;
  return new ExplainedError("credential-helper", `${message} The helper did not get the robot token.`, {
    remedy: [...naming, ...(files.length > 0 || naming.length === 0 ? withoutHelpers(files) : [])],
  });
}

const withoutHelpers = (files: readonly string[]): readonly string[] => [
  `${files.join(" and ") || "registries.conf"} sets credential-helpers. Write there, for this job:`,
  `credential-helpers = ["${authFiles}"]`,
];

/** A remedy for each entry of `credHelpers` that names the helper, in the files that the containers tools read. */
async function authFilesThatName(helper: string, env: Environment): Promise<readonly string[]> {
  const found = containersLocations(env).map(async ({ path }) => {
    const { content } = await readAuthFile(path, "read").catch(() => ({ content: {} as AuthContent }));
    const hosts = Object.entries(content.credHelpers ?? {}).filter(([, name]) => name === helper);
    return hosts.map(([host]) =>
      helper === helperName
        ? `${path} names it for ${host}. Put ${prefix}${helper} on PATH, or remove it: ${removal(host)}`
        : `${path} names it for ${host}. Install ${prefix}${helper}, or remove credHelpers.${host} from that file for this job.`,
    );
  });
  return (await Promise.all(found)).flat();
}

/** What the containers tools ask before they read a login in a file. */
interface InFront {
  /** That say so. */
  readonly files: readonly string[];
  readonly helpers: readonly string[];
  /** Whether they read no file at all. */
  readonly instead: boolean;
}

/** @returns undefined: they read the files first */
async function helpersInFront(env: Environment): Promise<InFront | undefined> {
  const lists = await helperLists(env);
  const naming = lists.filter(({ names }) => names[0] !== authFiles);
  const helpers = naming.flatMap(({ names }) => names.filter((name) => name !== authFiles));
  // Which of several lists counts is up to the tool.
  const instead = !lists.some(({ names }) => names.includes(authFiles));
  return naming.length === 0 ? undefined : { files: naming.map(({ file }) => file), helpers, instead };
}

/** @returns a warning if the containers tools will ask a helper before a file, or read none */
export async function helpersWarning(registry: string, env: Environment): Promise<string | undefined> {
  const found = await helpersInFront(env);
  return found?.instead
    ? `The containers tools will not read this login: ${withoutHelpers(found.files).join(" ")}`
    : found && askedFirst(found.helpers, registry);
}

/** @throws ExplainedError `credential-helper` if skopeo would read no file with logins */
export async function assertFilesAreRead(env: Environment): Promise<void> {
  const found = await helpersInFront(env);
  if (found?.instead) {
    const message = `skopeo takes logins only from ${named(found.helpers)}, and would not read one from a file.`;
    throw new ExplainedError("credential-helper", message, { remedy: withoutHelpers(found.files) });
  }
}

const named = (helpers: readonly string[]): string => `the credential helper ${helpers.join(", ")}`;

export const askedFirst = (helpers: readonly string[], registry: string): string =>
  `registries.conf names ${named(helpers)} before the file: where it holds another login for ${registry}, later steps use that one.`;

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

/** The files that name more than the auth files. */
async function filesThatSet(env: Environment): Promise<readonly string[]> {
  const lists = await helperLists(env);
  return lists.filter(({ names }) => names.some((name) => name !== authFiles)).map(({ file }) => file);
}

/** A file with a list of helpers. */
interface HelperList {
  readonly file: string;
  /** In the order in which the tools ask them; never empty. */
  readonly names: readonly string[];
}

/**
 * containers-registries.conf(5), "CONFIGURATION FILES". Current libraries also look below /usr/share, have drop-ins for each
 * kind of user (registries.rootful.conf.d, registries.rootless.conf.d/UID) and respect XDG_CONFIG_HOME (storage/pkg/configfile).
 */
async function helperLists(env: Environment): Promise<readonly HelperList[]> {
  const variables = ["CONTAINERS_REGISTRIES_CONF", "CONTAINERS_REGISTRIES_CONF_OVERRIDE", "REGISTRIES_CONFIG_PATH"];
  const homes = [env.XDG_CONFIG_HOME, join(env.HOME || homeOfUser(), ".config"), "/etc", "/usr/share"];
  const folders = [...new Set(homes)].filter(Boolean).map((home) => join(home as string, "containers"));
  const below = (await Promise.all(folders.map(settingsIn))).flat();
  const candidates = [...variables.map((name) => env[name]).filter((path) => path !== undefined), ...below];
  const lists = await Promise.all(
    candidates.map(async (file) => {
      const names = namesOfHelpers(await readTextWithin(file, maxSize.logins).catch(() => ""));
      return names && { file, names };
    }),
  );
  return lists.filter((list) => list !== undefined);
}

/** The files of a folder that may name helpers, drop-ins last. One look at the folder: most machines have none. */
async function settingsIn(folder: string): Promise<readonly string[]> {
  const dropIns = ["registries.conf.d", "registries.rootful.conf.d", "registries.rootless.conf.d"];
  const all = ["registries.conf", ...dropIns];
  const there = await readdir(folder).catch((error) => (codeOf(error) === "EACCES" ? all : []));
  const files = all
    .filter((name) => there.includes(name))
    .map(async (name) => {
      if (!dropIns.includes(name)) {
        return [join(folder, name)];
      }
      const names = await readdir(join(folder, name), { recursive: true }).catch(() => []);
      return names.filter((each) => each.endsWith(".conf")).map((each) => join(folder, name, each));
    });
  return (await Promise.all(files)).flat();
}

/** @returns undefined: the text has no list. An empty list means the auth files alone. */
function namesOfHelpers(text: string): readonly string[] | undefined {
  const [, list] = /^\s*["']?credential-helpers["']?\s*=([^\]]*)/m.exec(text) ?? [];
  return list === undefined ? undefined : (list.replaceAll(/#.*/g, "").match(/[\w.-]+/g) ?? [authFiles]);
}

/** If HOME is not set, the tools ask the system's list of users. */
function homeOfUser(): string {
  try {
    return userInfo().homedir;
  } catch {
    return "/";
  }
}
