/** The text files of a checkout. Links are not followed: what they lead to is read where it is. */
import { isUtf8 } from "node:buffer";
import { lstat, readdir, realpath, stat } from "node:fs/promises";
import { dirname, join, relative, resolve, sep } from "node:path";
import { invalidInput } from "../platform/errors.ts";
import { FileFailure, readOwnFile } from "../platform/files.ts";
import { isThere } from "../platform/fs.ts";
import { mention } from "../platform/wording.ts";

/** Of one file, in bytes: no pipeline's file is larger. */
const maxBytes = 512 * 1024;

/** Of all files together. */
const maxFiles = 50_000;

/** The given paths, absolute and without links. @throws ExplainedError `invalid-input` */
export async function resolvePaths(paths: readonly string[], folder: string): Promise<readonly string[]> {
  return Promise.all(
    paths.map(async (path) => {
      try {
        const real = await realpath(resolve(folder, path));
        const info = await stat(real);
        if (!info.isFile() && !info.isDirectory()) {
          throw new FileFailure("ENXIO", "is neither a file nor a folder");
        }
        return real;
      } catch (error) {
        const problem =
          error instanceof FileFailure ? error.message : "does not exist, or is not readable by this user";
        throw invalidInput("path", path, `it ${problem}`, mention("path", ".github/workflows"));
      }
    }),
  );
}

/** Where a checkout without git begins: the nearest folder above with pipelines, or the given folder itself. */
export async function rootWithoutGit(start: string): Promise<string> {
  for (let at = start; ; at = dirname(at)) {
    if ((await isThere(join(at, ".github"))) || (await isThere(join(at, ".gitlab-ci.yml")))) {
      return at;
    }
    if (at === dirname(at)) {
      return start;
    }
  }
}

/** All files below a folder, but those of git and of package managers. Paths have slashes. */
export async function walk(root: string, at = ""): Promise<readonly string[]> {
  const entries = await readdir(join(root, at), { withFileTypes: true }).catch(() => undefined);
  if (entries === undefined) {
    return [at];
  }
  const found: string[] = [];
  for (const entry of entries) {
    const path = at === "" ? entry.name : `${at}/${entry.name}`;
    if (entry.isFile()) {
      found.push(path);
    } else if (entry.isDirectory() && !/^(?:\.git|node_modules)$/.test(entry.name) && found.length < maxFiles) {
      found.push(...(await walk(root, path)));
    }
  }
  return found.toSorted();
}

export interface Texts {
  /** The files that are text (UTF-8), by path. */
  readonly texts: ReadonlyMap<string, string>;
  /** Files that are not looked at; with their text where only its encoding is another. */
  readonly skipped: ReadonlyMap<string, string | undefined>;
}

/** A link is none of them, nor is what a linked folder holds. */
export async function readTexts(root: string, paths: readonly string[]): Promise<Texts> {
  const texts = new Map<string, string>();
  const skipped = new Map<string, string | undefined>(paths.slice(maxFiles).map((path) => [path, undefined]));
  for (const path of paths.slice(0, maxFiles)) {
    const read = await readText(join(root, path));
    if (read.kind === "text") {
      texts.set(path, read.text);
    } else if (read.kind === "skipped") {
      skipped.set(path, read.text);
    }
  }
  return { texts, skipped };
}

type Read =
  | { readonly kind: "text"; readonly text: string }
  | { readonly kind: "skipped"; readonly text: string | undefined }
  | { readonly kind: "no text" };

/** A byte order mark stays in the text. */
async function readText(path: string): Promise<Read> {
  try {
    const info = await lstat(path);
    if (info.isDirectory()) {
      await readdir(path);
    }
    if (!info.isFile()) {
      return { kind: "no text" };
    }
    const { bytes } = info.size > maxBytes ? { bytes: undefined } : await readOwnFile(path, maxBytes);
    if (bytes?.includes(0)) {
      return { kind: "no text" };
    }
    return bytes && isUtf8(bytes)
      ? { kind: "text", text: new TextDecoder("utf-8", { ignoreBOM: true }).decode(bytes) }
      : { kind: "skipped", text: bytes && Buffer.from(bytes).toString("latin1") };
  } catch (error) {
    const isGone = error instanceof Error && "code" in error && error.code === "ENOENT";
    return isGone ? { kind: "no text" } : { kind: "skipped", text: undefined };
  }
}

/** Whether a path from the root is one of the given ones, or below one. */
export function selects(root: string, given: readonly string[]): (path: string) => boolean {
  const wanted = given.map((each) => relative(root, each).split(sep).join("/"));
  return (path) => wanted.some((each) => each === "" || path === each || path.startsWith(`${each}/`));
}
