/** Checks, before the first request, that an auth file can be replaced; explains the file system's refusals. */
import { constants } from "node:fs";
import { access } from "node:fs/promises";
import { dirname } from "node:path";
import { anotherFile, codeOf, ExplainedError } from "../platform/errors.ts";
import { existingFolder } from "../platform/fs.ts";
import { isMounted, tryOwner } from "../platform/replace.ts";
import type { AuthFile } from "./read.ts";

/**
 * A file is never written in place, where a kill would leave half of it. A rename must be possible, and the new file must be
 * able to belong to the old one's owner, or to the group that shares it.
 * @throws ExplainedError `auth-file-unusable`
 */
export function assertReplaceable({ path, existing }: Pick<AuthFile, "path" | "existing">): Promise<void> {
  return writingTo(path, async () => {
    await access(await existingFolder(dirname(path)), constants.W_OK | constants.X_OK);
    if (existing && (existing.uid !== process.geteuid?.() || existing.gid !== process.getegid?.())) {
      await tryOwner(path, existing.mode, existing);
    }
    if (existing && (await isMounted(path))) {
      throw cannotWrite(path, "EBUSY");
    }
  });
}

/** Turns the file system's refusals into an error that names the file. */
export async function writingTo(path: string, work: () => Promise<void>): Promise<void> {
  try {
    await work();
  } catch (error) {
    if (!(codeOf(error) in problems)) {
      throw error;
    }
    throw cannotWrite(path, codeOf(error), error);
  }
}

const cannotWrite = (path: string, code: string, cause?: unknown): ExplainedError =>
  new ExplainedError("auth-file-unusable", `The auth file ${path} cannot be written: ${problems[code]}.`, {
    remedy: [
      code === "EBUSY" || code === "EXDEV"
        ? "Mount its folder instead."
        : "Free some space, or let this user write there.",
      anotherFile,
    ],
    cause,
  });

const mounted = "it is mounted by itself, so it can't be replaced";

const problems: Readonly<Record<string, string>> = {
  EACCES: "this user may not write there",
  EPERM: "this user may not write there",
  EROFS: "the file system is read-only",
  ENOSPC: "the disk is full",
  EDQUOT: "the disk quota is used up",
  ENOTDIR: "a part of its path is a file",
  EISDIR: "it is a folder",
  ELOOP: "its path is a loop of symbolic links",
  ENOENT: "no file or folder can be made there",
  ENAMETOOLONG: "its name is too long",
  EBUSY: mounted,
  EXDEV: mounted,
};
