/** Writes the changed files: only those that git tracks, that have no changes, and that no link leads to. */
import { realpath } from "node:fs/promises";
import { join } from "node:path";
import { codeOf, ExplainedError } from "../platform/errors.ts";
import { readOwnFile } from "../platform/files.ts";
import { type Draft, draft } from "../platform/replace.ts";
import { applyEdits } from "./edits.ts";
import type { Git } from "./git.ts";
import type { ChangedFile } from "./plan.ts";

const maxBytes = 1024 * 1024;

/** Why this file is not written; undefined: it can be. */
export async function whyNotWritten(git: Git, { path }: ChangedFile): Promise<string | undefined> {
  const full = join(git.root, path);
  const real = await realpath(full).catch(() => undefined);
  return real === full ? git.whyNotClean(path) : "it is a link, or in a linked folder";
}

/**
 * Replaces the files, each by rename. All new contents are on the disk before the first rename.
 * @throws ExplainedError `file-not-written`
 */
export async function writeFiles(root: string, files: readonly ChangedFile[]): Promise<void> {
  const drafts: (Draft & { readonly file: ChangedFile })[] = [];
  try {
    for (const file of files) {
      drafts.push({ ...(await draftOf(root, file)), file });
    }
    for (const { file, place } of drafts) {
      await told(file, async () => {
        assertSame(file, (await readOwnFile(join(root, file.path), maxBytes)).bytes);
        place();
      });
    }
  } finally {
    await Promise.all(drafts.map(({ discard }) => discard()));
  }
}

const draftOf = (root: string, file: ChangedFile): Promise<Draft> =>
  told(file, async () => {
    const full = join(root, file.path);
    const { bytes, info } = await readOwnFile(full, maxBytes);
    assertSame(file, bytes);
    return draft(full, applyEdits(file.text, file.edits), { mode: info.mode & 0o7777, owner: info });
  });

/** A failure of the file system names the file. */
async function told<T>({ path }: ChangedFile, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    const isTold = error instanceof ExplainedError && error.code === "file-not-written";
    throw isTold ? error : notWritten(path, reasonOf(error), error);
  }
}

function assertSame({ path, text }: ChangedFile, bytes: Buffer): void {
  if (!bytes.equals(Buffer.from(text, "utf8"))) {
    throw notWritten(path, "another process has changed it meanwhile");
  }
}

const reasonOf = (error: unknown): string => codeOf(error) || (error as Error).message;

export const notWritten = (path: string, why: string, cause?: unknown): ExplainedError =>
  new ExplainedError("file-not-written", `${path} was not written: ${why}.`, {
    remedy: ["Commit it, or undo what has changed there, and run the same again."],
    cause,
  });
