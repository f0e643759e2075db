/**
 * An auth file as it stands: `auth.json` of the containers tools, `config.json` of docker. What changes it is in merge.ts.
 */
import { lstat, readFile, realpath, stat } from "node:fs/promises";
import { LoginError } from "../errors.ts";

/** What stands under a scope: `{"auth": base64(user:password)}` and whatever a tool adds. */
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
  readonly existing?: { readonly bytes: Buffer; readonly mode: number; readonly uid: number; readonly gid: number };
}

/**
 * Reads an auth file, or finds that there is none.
 * @param purpose to change it, a file must be writable
 * @throws LoginError `auth-file-unusable`: a folder, a dangling link, read-only, unreadable, empty, not JSON
 */
export async function readAuthFile(path: string, purpose: "read" | "change" = "change"): Promise<AuthFile> {
  const fail = (problem: string, remedy: string, cause?: unknown) =>
    new LoginError("auth-file-unusable", `The auth file ${path} ${problem}.`, { remedy: [remedy], cause });
  let real: string;
  try {
    real = await realpath(path);
  } catch (error) {
    const code = codeOf(error);
    const isLink = await isDanglingLink(path);
    if (code === "ENOENT" && !isLink) {
      return { path, content: {} };
    }
    throw fail(
      isLink ? "is a symbolic link to nothing" : `cannot be reached (${code})`,
      "Name a file that can be written: auth-file: /path/auth.json",
      error,
    );
  }
  try {
    const [bytes, info] = await Promise.all([readFile(real), stat(real)]);
    if (purpose === "change" && (info.mode & 0o222) === 0) {
      throw fail("is read-only", `Make it writable (chmod u+w ${path}), or name another file: auth-file: /path`);
    }
    const existing = { bytes, mode: info.mode & 0o777, uid: info.uid, gid: info.gid };
    return { path: real, content: parse(bytes.toString("utf8"), fail), existing };
  } catch (error) {
    if (error instanceof LoginError) {
      throw error;
    }
    const code = codeOf(error);
    throw fail(
      code === "EISDIR" ? "is a folder" : `cannot be read (${code})`,
      "Name a file: auth-file: /path/auth.json",
      error,
    );
  }
}

function parse(text: string, fail: (problem: string, remedy: string) => LoginError): AuthContent {
  const remedy = "Mend or delete it: every tool that reads it fails on it too. A file without logins reads {}";
  if (text.trim() === "") {
    throw fail("is empty, which is not valid JSON", remedy);
  }
  let content: unknown;
  try {
    content = JSON.parse(text);
  } catch {
    // The parser's message quotes the text, which holds secrets.
    throw fail("is not JSON", remedy);
  }
  if (!isObject(content) || !isObjectOrAbsent(content.auths) || !isObjectOrAbsent(content.credHelpers)) {
    throw fail('is JSON, but not an auth file: {"auths": {"host": {"auth": "…"}}}', remedy);
  }
  return content;
}

/** Fails where a helper would be asked instead of the file, so that a login in the file would never be seen. */
export function assertNotHidden(
  kind: "containers" | "docker",
  path: string,
  content: AuthContent,
  registry: string,
): void {
  const helper = own(content.credHelpers, registry);
  // credsStore: docker asks it for every host; the containers tools ignore it.
  const hiding = helper
    ? `credHelpers.${registry}`
    : kind === "docker" && content.credsStore
      ? "credsStore"
      : undefined;
  if (hiding === undefined) {
    return;
  }
  const remedy =
    kind === "docker"
      ? ["Leave docker's configuration out: docker-config: false", `Or remove ${hiding} from it for this job.`]
      : [`Remove ${hiding} from it for this job, or name another file: auth-file: /path/auth.json`];
  throw new LoginError("credential-helper", `${path} sets ${hiding}, so that a login in the file would not be read.`, {
    remedy,
  });
}

/** Keys come from outside: `constructor` must not be found where nobody has put it. */
export const own = <T>(record: Readonly<Record<string, T>> | undefined, key: string): T | undefined =>
  record && Object.hasOwn(record, key) ? record[key] : undefined;

export const codeOf = (error: unknown): string => (error as NodeJS.ErrnoException).code ?? "";

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null && !Array.isArray(value);

const isObjectOrAbsent = (value: unknown): boolean => value === undefined || value === null || isObject(value);

async function isDanglingLink(path: string): Promise<boolean> {
  return lstat(path).then(
    (info) => info.isSymbolicLink(),
    () => false,
  );
}
