/** The story of `configure`: checks -> record -> configuration -> credHelpers; and of its removal, in the other order. */
import { rm } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import { isDeepStrictEqual } from "node:util";
import { type FileRecord, mergeEntries, withoutLogins } from "../authfile/change.ts";
import { helperName, removal } from "../authfile/cred-helpers.ts";
import { containersLocations, dockerConfigPath } from "../authfile/locations.ts";
import { isThereOrLocked, withLock } from "../authfile/lock.ts";
import type { AuthFile } from "../authfile/read.ts";
import { ownScopes, removeHelper } from "../authfile/restore.ts";
import {
  type ConfiguredOptions,
  type ConfiguredRecord,
  configuredRegistries,
  hashOfOptions,
  readConfigured,
  removeConfigured,
  writeConfigured,
} from "../login/configured.ts";
import { type Journal, openJournal } from "../login/journal.ts";
import { logout } from "../login/logout.ts";
import { whyNotOurs } from "../login/record.ts";
import { readSession, type Session } from "../login/session.ts";
import type { Environment } from "../platform/environment.ts";
import { codeOf, ExplainedError, reworded } from "../platform/errors.ts";
import { which } from "../platform/exec.ts";
import { makeFolders, removeFolders } from "../platform/fs.ts";
import type { LocalMachine, LocalPlatform } from "../platform/platform.ts";
import { newId, removeLeftovers } from "../platform/replace.ts";
import { shellWord } from "../platform/text.ts";
import { text } from "../platform/wording.ts";
import { forgetTokens } from "./cache-write.ts";
import { assertTrustedPlace, configurationPath, readConfiguration } from "./configuration.ts";
import { assertOwnHome, assertTrustedThere, noFolder, type PlacesWanted, planPlaces } from "./places.ts";
import { program } from "./protocol.ts";

export interface ConfigureRequest extends PlacesWanted {
  readonly options: ConfiguredOptions;
  /** The folder that the user named for the record; undefined: one in the folder of the configuration. */
  readonly session: string | undefined;
  /** Where this program's own helper is, for an error that says how to put it on PATH. */
  readonly helper: string;
}

export interface Configured {
  readonly change: "new" | "changed" | "none";
  readonly configuration: string;
  /** The files whose credHelpers name the helper now. */
  readonly files: readonly string[];
  /** The other options that the registry had until now; undefined: none. */
  readonly replaced: unknown;
}

/**
 * Lets the tools ask the credential helper for the logins of a registry. The same call again changes nothing.
 * @throws ExplainedError `helper-not-found`, `credential-helper`, `configuration-unusable`, and as `planPlaces` and `mergeEntries` do
 */
export async function configureHelper(request: ConfigureRequest, machine: LocalMachine): Promise<Configured> {
  const { registry, session } = request;
  const { env } = machine;
  const path = pathOfConfiguration(env);
  await assertHelperOnPath(request.helper, env);
  await assertOwnHome(path);
  readConfiguration({ kind: "file", path }, env); // fails where the helper would
  assertTrustedPlace(path);
  return alone(path, machine, async (made) => {
    await assertTrustedThere(path);
    const folder = session ?? recordFolder(path, registry);
    const earlier = await openEarlier(folder, registry, machine);
    const before = await readConfigured(path, registry);
    if (before !== undefined && earlier === undefined) {
      throw configuredElsewhere(registry, path);
    }
    const places = await planPlaces(request, env, machine);
    const isSame = isDeepStrictEqual(before, request.options);
    if (earlier && isSame && (await areEntered(earlier, places, registry))) {
      return {
        change: "none",
        configuration: path,
        files: earlier.files.map((file) => file.path),
        replaced: undefined,
      };
    }
    const where = { sessionFolder: folder, temporaryFolder: "", onSession: () => {}, job: undefined };
    const journal = await openJournal(where, earlier);
    await enter(request, places, { path, made, journal }, machine);
    const files = journal.session.files.map((file) => file.path);
    return { change: earlier ? "changed" : "new", configuration: path, files, replaced: isSame ? undefined : before };
  });
}

function pathOfConfiguration(env: Environment): string {
  const path = configurationPath(env);
  if (path === undefined) {
    throw new ExplainedError(
      "invalid-input",
      "Neither HOME nor XDG_CONFIG_HOME is an absolute path, so there is no place for the credential helper's configuration.",
      { remedy: ["Set HOME to this user's home folder."] },
    );
  }
  return path;
}

const recordsFolder = (configuration: string): string => join(dirname(configuration), "configured");

/** A host is a folder's name: it has no slash. */
const recordFolder = (configuration: string, registry: string): string => join(recordsFolder(configuration), registry);

/** @throws ExplainedError `helper-not-found` */
async function assertHelperOnPath(helper: string, env: Environment): Promise<void> {
  if ((await which(program, env)) !== undefined) {
    return;
  }
  throw new ExplainedError("helper-not-found", `The program ${program} is not on PATH, where the tools look for it.`, {
    remedy: [
      `Put it there: sudo ln -s ${shellWord(helper)} /usr/local/bin/${program}`,
      "Or add its folder to PATH, for this command and for the tools.",
    ],
  });
}

/**
 * @returns the session of an earlier call for this registry. Another one in the folder that the user named is undone, as by login
 * @throws ExplainedError `logout-incomplete`
 */
async function openEarlier(folder: string, registry: string, platform: LocalPlatform): Promise<Session | undefined> {
  const found = await readSession(folder, true).catch((error) => {
    throw error instanceof ExplainedError
      ? reworded(error, { remedy: (lines) => [`To remove the helper without it: ${removal(registry)}`, ...lines] })
      : error;
  });
  if (found?.configured?.registry === registry) {
    return found;
  }
  await logout(folder, platform, { named: true }); // also what a kill has left before there was a record
  return undefined;
}

const configuredElsewhere = (registry: string, path: string): ExplainedError =>
  new ExplainedError(
    "credential-helper",
    `The credential helper is configured for ${registry} already, in ${path}, and the record of that is in another place, or lost.`,
    { remedy: [`Remove that first: ${removal(registry)}`] },
  );

async function areEntered({ files }: Session, places: readonly AuthFile[], registry: string): Promise<boolean> {
  const entered = await Promise.all(
    places.map(async ({ path }) => {
      const record = files.find((each) => each.path === path);
      return record !== undefined && (await ownScopes(record)).includes(registry);
    }),
  );
  return entered.every(Boolean);
}

/**
 * One call at a time works on a user's configuration.
 * @param work gets the folders that were made for it
 */
async function alone<T>(
  configuration: string,
  platform: LocalPlatform,
  work: (made: readonly string[]) => Promise<T>,
): Promise<T> {
  const folder = dirname(configuration);
  const locked = join(folder, "configure");
  for (;;) {
    const made = await makeFolders(folder).catch((error) => {
      throw noFolder(folder, error);
    });
    try {
      return await withLock(locked, platform, () => work(made));
    } catch (error) {
      // The call before has removed the last configuration, and its folder.
      if (codeOf(error) !== "ENOENT" || (error as NodeJS.ErrnoException).path !== `${locked}.lock`) {
        throw error;
      }
    } finally {
      await removeFolders([...made, recordsFolder(configuration)]);
    }
  }
}

interface Target {
  /** Of the configuration. */
  readonly path: string;
  /** Folders made for it. */
  readonly made: readonly string[];
  readonly journal: Journal;
}

/** The configuration first: no tool asks a helper that does not know the registry. */
async function enter(
  { registry, options, session }: ConfigureRequest,
  places: readonly AuthFile[],
  { path, made, journal }: Target,
  platform: LocalPlatform,
): Promise<void> {
  const { id, configured: earlier } = journal.session;
  const configured: ConfiguredRecord = {
    path,
    registry,
    written: [hashOfOptions(options), ...(earlier?.written ?? [])].slice(0, 4),
    folders: earlier?.folders ?? made,
  };
  await journal.write({ configured });
  platform.reporter.debug(`what is changed is recorded in ${journal.session.folder}`);
  await writeConfigured(configured, id, options, platform);
  for (const file of places) {
    const { files } = journal.session;
    const renews = files.find((record) => record.path === file.path);
    const remember = (record: FileRecord) => journal.recordFile(session === undefined ? withoutLogins(record) : record);
    const helpers = { [registry]: helperName };
    platform.reporter.debug(`entering credHelpers.${registry} in ${file.path}`);
    await mergeEntries({ path: file.path, entries: {}, helpers, mode: undefined, id, renews }, platform, remember);
  }
}

export interface Removed {
  readonly configuration: string;
  /** The files whose entry was removed. */
  readonly files: readonly string[];
  /** Whether the registry was configured. */
  readonly wasConfigured: boolean;
  /** The registries that are configured still. */
  readonly others: readonly string[];
}

/**
 * Undoes `configure`, also where its record or a part of what it wrote is gone. A second call finds nothing.
 * @param authFile a file to look at besides those that the tools read
 * @throws ExplainedError `logout-incomplete`, `configuration-unusable`, `auth-file-unusable`, `auth-file-locked`
 */
export async function removeConfiguration(
  { registry, authFile }: Pick<ConfigureRequest, "registry" | "authFile">,
  machine: LocalMachine,
): Promise<Removed> {
  const path = pathOfConfiguration(machine.env);
  const { folders, ...removed } = await alone(path, machine, async () => {
    const before = await readConfigured(path, registry);
    const recorded = await undoRecord(recordFolder(path, registry), registry, machine);
    const files = [...recorded.files];
    for (const place of placesOf(machine.env, authFile)) {
      if ((await isThereOrLocked(place)) && (await removeHelper({ path: place, id: newId() }, registry, machine))) {
        files.push(place);
      }
    }
    await removeLeftovers(path);
    await removeConfigured({ path, id: newId() }, registry, machine);
    await forgetTokens(path, registry, machine);
    const others = await configuredRegistries(path);
    return { files, wasConfigured: before !== undefined, others, folders: recorded.folders };
  });
  await removeFolders([...folders, dirname(path)]);
  return { ...removed, configuration: path };
}

/** `files`: those that held our entry until now; `folders`: those that were made for the configuration. */
async function undoRecord(folder: string, registry: string, platform: LocalPlatform) {
  let session: Session | undefined;
  try {
    session = await readSession(folder, true);
  } catch (error) {
    if (!(error instanceof ExplainedError) || (await whyNotOurs(folder)) !== undefined) {
      throw error;
    }
    platform.reporter.warning(
      text`${error.headline} The helper is removed without it; the files are not formatted as before.`,
    );
    await rm(folder, { recursive: true });
    return { files: [], folders: [] };
  }
  const held = await Promise.all(
    (session?.files ?? []).map(async (record) => ((await ownScopes(record)).includes(registry) ? [record.path] : [])),
  );
  // The caller says what was removed.
  const reporter = { ...platform.reporter, info: platform.reporter.debug };
  await logout(folder, { ...platform, reporter }, { named: true });
  return { files: held.flat(), folders: session?.configured?.folders ?? [] };
}

/** The files in which the tools look for helpers. */
function placesOf(env: Environment, authFile: string | undefined): readonly string[] {
  const usual = containersLocations(env).filter(({ legacy }) => !legacy);
  const paths = [authFile, ...usual.map(({ path }) => path), dockerConfigPath(env)];
  return [...new Set(paths.filter((path) => path !== undefined).map((path) => resolve(path)))];
}
