/** Writes the logins of all robots into their files, each file in one step. */
import { type Change, type FileRecord, mergeEntries } from "../authfile/change.ts";
import type { AuthEntry } from "../authfile/read.ts";
import { ExplainedError } from "../platform/errors.ts";
import type { Platform } from "../platform/platform.ts";
import { type Destinations, withoutDocker } from "./destinations.ts";
import type { Journal } from "./journal.ts";
import { openFolderTo, privateFile } from "./session.ts";

/**
 * @param entries by their scopes
 * @param journal is written before each change of a file
 * @returns the auth file, for REGISTRY_AUTH_FILE
 * @throws ExplainedError `auth-file-unusable`, `auth-file-locked`
 */
export async function storeLogins(
  entries: Readonly<Record<string, AuthEntry>>,
  { authFile, mode, docker, dockerIsNeeded, start }: Destinations,
  journal: Journal,
  platform: Platform,
): Promise<string> {
  const { folder, id, files } = journal.session;
  const remember = (record: FileRecord) =>
    journal.write({ files: [...journal.session.files.filter(({ path }) => path !== record.path), record] });
  const merge = (path: string, more: Partial<Change>) => {
    const renews = files.find((record) => record.path === path);
    return mergeEntries({ path, entries, mode: undefined, id, renews, ...more }, platform, remember);
  };
  const path = authFile?.path ?? privateFile(folder);
  await merge(path, { mode, ...(start && { start }) });
  // Both may be one file: a second merge would record our own entry as the earlier one.
  if (docker !== undefined && docker.path !== path) {
    await merge(docker.path, {}).catch((error) => {
      if (dockerIsNeeded || !(error instanceof ExplainedError) || error.code !== "auth-file-unusable") {
        throw error;
      }
      platform.reporter.warning(withoutDocker(error));
    });
  }
  if (authFile === undefined) {
    await openFolderTo(journal.session, mode ?? 0o600);
  }
  return path;
}
