/** Helpers of jobs that are over. A job that was killed leaves its entry in a shared home; its program is gone with the job's folder. */
import { lstat } from "node:fs/promises";
import { codeOf } from "../platform/errors.ts";
import type { LocalPlatform } from "../platform/platform.ts";
import { newId } from "../platform/replace.ts";
import { type HelperFile, isHelperOfSession } from "./cred-helpers.ts";
import { readHandover } from "./handover.ts";
import { type AuthFile, getOwn, readAuthFile } from "./read.ts";
import { removeHelper } from "./restore.ts";

/**
 * Reads an auth file that is to be changed, and first removes the host's helper from it if its job is over: no tool can start it.
 * @throws ExplainedError `auth-file-unusable`, `auth-file-locked`
 */
export async function readWithoutDead(
  path: string,
  host: string,
  platform: LocalPlatform,
): Promise<AuthFile & HelperFile> {
  const file = await readAuthFile(path);
  const name = getOwn(file.content.credHelpers, host);
  const program = isHelperOfSession(name) ? getOwn((await readHandover(file.path)).programs, name) : undefined;
  if (program === undefined || !(await isGone(program))) {
    return { ...file, program };
  }
  await removeHelper({ path: file.path, id: newId() }, host, platform, (found) => found === name);
  platform.reporter.info(
    `${file.path} named a credential helper for ${host} of a job that is over (${program} is gone): it was removed.`,
  );
  return readAuthFile(path);
}

/** One that this user may not see is another user's, and may be there. */
const isGone = (program: string): Promise<boolean> =>
  lstat(program).then(
    () => false,
    (error) => ["ENOENT", "ENOTDIR"].includes(codeOf(error)),
  );
