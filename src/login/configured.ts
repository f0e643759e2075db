/**
 * The entry of a registry in the credential helper's configuration, which `configure` writes and a logout removes. Entries of other
 * registries stay as they are. src/helper/configuration.ts reads the file.
 */

import { rm } from "node:fs/promises";
import { dirname } from "node:path";
import { isDeepStrictEqual } from "node:util";
import { sha256 } from "../authfile/change.ts";
import { isThereOrLocked, withLock } from "../authfile/lock.ts";
import { getOwn } from "../authfile/read.ts";
import { writingTo } from "../authfile/replaceable.ts";
import type { Target } from "../authfile/under-lock.ts";
import { codeOf, ExplainedError } from "../platform/errors.ts";
import { maxSize, readOwnFile } from "../platform/files.ts";
import { makeFolders, removeFolders } from "../platform/fs.ts";
import { isObject, parseObject } from "../platform/json.ts";
import type { LocalPlatform } from "../platform/platform.ts";
import { removeLeftovers, replaceFile } from "../platform/replace.ts";

/** By their names, as text, without the registry. */
export type ConfiguredOptions = Readonly<Record<string, string>>;

/** What `configure` wrote. Saved before the file changes. */
export interface ConfiguredRecord {
  readonly path: string;
  readonly registry: string;
  /** SHA-256 of the entries that were written, the newest first: a kill may have left the one before. */
  readonly written: readonly string[];
  /** Folders made for the file, outermost first. */
  readonly folders: readonly string[];
}

export const hashOfOptions = (options: ConfiguredOptions): string => sha256(JSON.stringify(options));

type Registries = Readonly<Record<string, unknown>>;

/** @throws ExplainedError `auth-file-unusable`, `auth-file-locked`, `configuration-unusable` */
export async function writeConfigured(
  { path, registry }: ConfiguredRecord,
  id: string,
  options: ConfiguredOptions,
  platform: LocalPlatform,
): Promise<void> {
  await makeFolders(dirname(path));
  await change({ path, id }, platform, (registries) => ({ ...registries, [registry]: options }));
}

/**
 * Removes the entry, and the file with the last one.
 * @returns whether there was one
 * @throws ExplainedError `auth-file-unusable`, `auth-file-locked`, `configuration-unusable`
 */
export async function removeConfigured(
  target: Target,
  registry: string,
  platform: LocalPlatform,
  isOurs: (entry: unknown) => boolean = () => true,
): Promise<boolean> {
  let wasThere = false;
  if (await isThereOrLocked(target.path)) {
    await change(target, platform, (registries) => {
      const { [registry]: entry, ...others } = registries;
      wasThere = entry !== undefined && isOurs(entry);
      return wasThere ? others : registries;
    });
  }
  return wasThere;
}

/** @throws as `removeConfigured` does */
export async function undoConfigured(
  { path, registry, written, folders }: ConfiguredRecord,
  id: string,
  platform: LocalPlatform,
): Promise<void> {
  await removeLeftovers(path, id);
  const isOurs = (entry: unknown) => written.includes(sha256(JSON.stringify(entry)));
  await removeConfigured({ path, id }, registry, platform, isOurs);
  await removeFolders(folders);
}

/** The options of a registry as they are configured now; undefined: it is not configured, or the file is none of ours. */
export async function readConfigured(path: string, registry: string): Promise<unknown> {
  return getOwn((await read(path).catch(() => undefined))?.registries, registry);
}

/** @throws ExplainedError `configuration-unusable` */
export const configuredRegistries = async (path: string): Promise<readonly string[]> =>
  Object.keys((await read(path)).registries);

async function change(
  { path, id }: Target,
  platform: LocalPlatform,
  edit: (registries: Registries) => Registries,
): Promise<void> {
  await writingTo(path, () =>
    withLock(path, platform, async () => {
      const content = await read(path);
      const registries = edit(content.registries);
      if (isDeepStrictEqual(registries, content.registries)) {
        return;
      }
      await (Object.keys(registries).length === 0
        ? rm(path, { force: true })
        : replaceFile(path, `${JSON.stringify({ ...content, registries }, undefined, 2)}\n`, { mode: 0o600, id }));
    }),
  );
}

/** @throws ExplainedError `configuration-unusable` */
async function read(path: string): Promise<{ readonly registries: Registries }> {
  const bytes = await readOwnFile(path, maxSize.logins).then(
    (found) => found.bytes,
    (error) => (codeOf(error) === "ENOENT" ? undefined : Promise.reject(unusable(path, (error as Error).message))),
  );
  const content = bytes === undefined ? { version: 1, registries: {} } : parseObject(bytes.toString());
  if (content?.version !== 1 || !isObject(content.registries)) {
    throw unusable(path, "is damaged, or of another version of this program");
  }
  return { ...content, registries: content.registries };
}

const unusable = (path: string, problem: string): ExplainedError =>
  new ExplainedError("configuration-unusable", `The credential helper's configuration ${path} ${problem}.`, {
    remedy: [`Delete it, and configure each registry again: rm ${path}`],
  });
