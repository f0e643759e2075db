/** Checks, before the first request, that an auth file can be replaced; explains the file system's refusals. */
import { constants } from "node:fs";
import { access } from "node:fs/promises";
import { dirname } from "node:path";
import { anotherFile, codeOf, ExplainedError } from "../platform/errors.ts";
import { existingFolder } from "../platform/fs.ts";
import { isMounted, tryOwner } from "../platform/replace.ts";
import type { AuthFile } from "./read.ts";

/**
 * A file is never written in place, where a kill would leave half of it: so a rename must be possible, and the new file must be
 * able to belong to whom the old one does, or to the group that shares it.
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
        : "Make room or give the right to write there.",
      anotherFile,
    ],
    cause,
  });

const mounted = "it is mounted by itself, so that nothing can take its place";

const problems: Readonly<Record<string, string>> = {
  EACCES: "this user may not write there",
  EPERM: "this user may not write there",
  EROFS: "the file system is read-only",
  ENOSPC: "the disk is full",
  EDQUOT: "the disk quota is used up",
  ENOTDIR: "a part of its path is a file",
  EISDIR: "it is a folder",
  ELOOP: "its path is a circle of links",
  ENOENT: "there can be no file or folder",
  ENAMETOOLONG: "its name is too long",
  EBUSY: mounted,
  EXDEV: mounted,
};
