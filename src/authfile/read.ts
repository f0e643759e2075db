/**
 * Reads an auth file: `auth.json` of the containers tools, `config.json` of docker. change.ts changes it.
 */
import { isUtf8 } from "node:buffer";
import type { Stats } from "node:fs";
import { lstat, realpath } from "node:fs/promises";
import { anotherFile, codeOf, ExplainedError } from "../platform/errors.ts";
import { FileFailure, maxSize, readFileWithin } from "../platform/files.ts";
import { pathAsGiven } from "../platform/fs.ts";
import { isObject } from "../platform/json.ts";
import type { Owner } from "../platform/replace.ts";
import { lossOf } from "./round-trip.ts";

/** The entry under a scope: `{"auth": base64(user:password)}` and what a tool adds. */
export type AuthEntry = Readonly<Record<string, unknown>>;

export type AuthContent = Readonly<Record<string, unknown>> & {
  readonly auths?: Readonly<Record<string, AuthEntry>>;
  readonly credHelpers?: Readonly<Record<string, string>>;
  readonly credsStore?: string;
};

export interface AuthFile {
  /** With symbolic links followed: the file that a rename must replace. */
  readonly path: string;
  readonly content: AuthContent;
  /** Absent: there is no such file yet. */
  readonly existing?: Owner & { readonly bytes: Buffer; readonly mode: number };
}

/**
 * Reads an auth file, or finds that there is none.
 * @param purpose "change": the file must pass `assertChangeable` too
 * @throws ExplainedError `auth-file-unusable`: a folder, a dangling link, unreadable, empty, not JSON
 */
export async function readAuthFile(path: string, purpose: "read" | "change" = "change"): Promise<AuthFile> {
  let real: string;
  try {
    real = await realpath(path);
  } catch (error) {
    const code = codeOf(error);
    const isLink = await isDanglingLink(path);
    if (code === "ENOENT" && !isLink) {
      return { path, content: {} };
    }
    const problem = isLink ? "is a symbolic link to nothing" : `cannot be reached (${code})`;
    throw unusable(
      path,
      problem,
      "Let this user enter its folders. The path must lead to a file, or to nothing.",
      error,
    );
  }
  let bytes: Buffer;
  let info: Stats;
  try {
    ({ bytes, info } = await readFileWithin(real, maxSize.logins));
  } catch (error) {
    throw error instanceof FileFailure
      ? unusable(path, error.message, "Put a file there that this user can read, or nothing.", error)
      : error;
  }
  const content = parseAuthFile(bytes);
  if (typeof content === "string") {
    const remedy = "Fix or delete it: every tool that reads it fails too. A file without logins contains {}";
    throw unusable(path, content, remedy);
  }
  const existing = { bytes, mode: info.mode & 0o777, uid: info.uid, gid: info.gid };
  const file: AuthFile = { path: real, content, existing };
  if (purpose === "change") {
    assertChangeable(file);
  }
  return file;
}

/**
 * Fails if a new version of the file would lose content of other programs, or if the file is read-only.
 * @throws ExplainedError `auth-file-unusable`
 */
export function assertChangeable({ path, existing }: AuthFile): void {
  if (existing && (existing.mode & 0o222) === 0) {
    throw unusable(path, "is read-only", `Make it writable: chmod u+w ${path}`);
  }
  const loss =
    existing && (isUtf8(existing.bytes) ? lossOf(existing.bytes.toString()) : "holds bytes that are not UTF-8");
  if (loss) {
    throw unusable(path, `${loss}, which a new version of the file would lose`, "Fix the file.");
  }
}

const unusable = (path: string, problem: string, remedy: string, cause?: unknown): ExplainedError =>
  new ExplainedError("auth-file-unusable", `The auth file ${pathAsGiven(path)} ${problem}.`, {
    remedy: [remedy, anotherFile],
    cause,
  });

/** @returns the content, or what is wrong with it; never the parser's message, which quotes the text with its secrets */
export function parseAuthFile(bytes: Buffer): AuthContent | string {
  const text = bytes.toString("utf8");
  if (text.trim() === "") {
    return "is empty, which is not valid JSON";
  }
  let content: unknown;
  try {
    content = JSON.parse(text);
  } catch {
    return "is not JSON";
  }
  return isObject(content) && isObjectOrAbsent(content.auths) && isObjectOrAbsent(content.credHelpers)
    ? content
    : 'is JSON, but not an auth file: {"auths": {"host": {"auth": "…"}}}';
}

/** Keys come from outside: `constructor` must not be found in an object that has no such key of its own. */
export const getOwn = <T>(record: Readonly<Record<string, T>> | undefined, key: string): T | undefined =>
  record && Object.hasOwn(record, key) ? record[key] : undefined;

const isObjectOrAbsent = (value: unknown): boolean => value === undefined || value === null || isObject(value);

async function isDanglingLink(path: string): Promise<boolean> {
  return lstat(path).then(
    (info) => info.isSymbolicLink(),
    () => false,
  );
}
