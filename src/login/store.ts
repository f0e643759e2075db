/** Writes the logins of all robots into their files, each file in one step. */
import { type Change, mergeEntries } from "../authfile/change.ts";
import type { AuthEntry } from "../authfile/read.ts";
import { ExplainedError } from "../platform/errors.ts";
import type { Platform } from "../platform/platform.ts";
import { kindOf, scopeParts } from "../quay/scope.ts";
import type { Destinations } from "./destinations.ts";
import { withoutDocker } from "./docker-files.ts";
import type { Journal } from "./journal.ts";
import { openFolderTo, privateFile, programOf } from "./session.ts";

/** Entries by their scopes, or the helper that tools ask instead. */
export type Stored = Pick<Change, "entries" | "helpers">;

/**
 * @param journal is written before each change of a file
 * @returns the auth file, for REGISTRY_AUTH_FILE
 * @throws ExplainedError `auth-file-unusable`, `auth-file-locked`
 */
export async function storeLogins(
  { entries, helpers }: Stored,
  { authFile, isDockers, mode, docker, explainDocker, start }: Destinations,
  journal: Pick<Journal, "session" | "recordFile">,
  platform: Platform,
): Promise<string> {
  const { folder, id, files: earlier } = journal.session;
  const programs = Object.fromEntries(Object.values(helpers ?? {}).map((name) => [name, programOf(folder, name)]));
  const merge = (path: string, more: Pick<Change, "entries"> & Partial<Change>) => {
    const renews = earlier.find((record) => record.path === path);
    return mergeEntries(
      { path, helpers, programs, mode: undefined, id, renews, ...more },
      platform,
      journal.recordFile,
    );
  };
  const path = authFile?.path ?? privateFile(folder);
  // By path: both may be one file, and a second merge would record our own entry as the earlier one.
  const files = new Map<string, Record<string, AuthEntry>>();
  const add = (to: string, more: readonly (readonly [string, AuthEntry])[]) =>
    files.set(to, { ...files.get(to), ...Object.fromEntries(more) });
  const ofTools = Object.entries(entries).filter(([scope]) => kindOf(scope) !== "action");
  add(path, isDockers ? [] : ofTools);
  for (const { scope, file } of docker) {
    // In each of its files, docker looks for the host.
    const entry = entries[scope];
    add(file.path, entry ? [[scopeParts(scope).host, entry]] : []);
  }
  const explained = (error: unknown) =>
    explainDocker && error instanceof ExplainedError ? explainDocker(error) : error;
  await merge(path, { entries: files.get(path) ?? {}, mode, ...(start && { start }) }).catch((error) => {
    throw isDockers ? explained(error) : error;
  });
  files.delete(path);
  for (const [other, ofDocker] of files) {
    await merge(other, { entries: ofDocker }).catch((error) => {
      if (explainDocker || !(error instanceof ExplainedError) || error.code !== "auth-file-unusable") {
        throw explained(error);
      }
      platform.reporter.warning(withoutDocker(error));
    });
  }
  if (authFile === undefined) {
    await openFolderTo(journal.session, mode ?? 0o600);
  }
  return path;
}
