/** Extra root certificates: read and checked once, and installed for later steps where the containers tools look. */
import { createHash, X509Certificate } from "node:crypto";
import { readdir, rm } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { codeOf, invalidInput } from "../platform/errors.ts";
import { FileFailure, maxSize, readOwnFile, readTextWithin } from "../platform/files.ts";
import { makeFolders, missingFolders, removeFolders } from "../platform/fs.ts";
import { removeLeftovers, replaceFile } from "../platform/replace.ts";
import { mention } from "../platform/wording.ts";

/**
 * @param path undefined: there are no extra roots
 * @returns the PEM text
 * @throws ExplainedError `invalid-input`: unreadable, empty, not PEM, a certificate that can't be parsed
 */
export async function readRoots(path: string | undefined): Promise<string | undefined> {
  if (path === undefined) {
    return undefined;
  }
  const example = mention("ca-file", "/path/to/root.pem");
  let text: string;
  try {
    text = await readTextWithin(path, maxSize.certificates);
  } catch (error) {
    throw error instanceof FileFailure ? invalidInput("ca-file", path, `the file ${error.message}`, example) : error;
  }
  const blocks = text.match(/-----BEGIN CERTIFICATE-----[^-]*-----END CERTIFICATE-----/g) ?? [];
  if (blocks.length === 0) {
    throw invalidInput(
      "ca-file",
      path,
      text.trim() ? "the file holds no PEM certificate" : "the file is empty",
      example,
    );
  }
  for (const [index, block] of blocks.entries()) {
    try {
      new X509Certificate(block);
    } catch {
      throw invalidInput("ca-file", path, `certificate ${index + 1} in the file is damaged`, example);
    }
  }
  return `${blocks.join("\n")}\n`;
}

export interface CertificateRecord {
  readonly path: string;
  readonly folders: readonly string[];
  /** SHA-256 of what was written. */
  readonly hash: string;
}

/** For the tools that log in now: a folder that holds nothing else. */
export async function offerRoots(pem: string, folder: string): Promise<string> {
  await makeFolders(folder);
  await replaceFile(join(folder, "ca.crt"), pem, { mode: 0o600 });
  return folder;
}

/**
 * For the tools of later steps, until logout: puts the roots into `folder` under a name of our own.
 * @param remember is called with the record before the file is written
 */
export async function installRoots(
  pem: string,
  folder: string,
  id: string,
  remember: (record: CertificateRecord) => Promise<void>,
): Promise<void> {
  // It holds no secrets, and a tool that another user runs fails if it may not enter ~/.config/containers.
  const path = join(folder, nameOf(id));
  await remember({ path, folders: await missingFolders(folder), hash: hashOf(pem) });
  await makeFolders(folder, 0o755);
  await replaceFile(path, pem, { mode: 0o644, id });
}

const nameOf = (id: string): string => `quay-keyless-login-${id}.crt`;

/** Whether a session of this id would install its roots there. */
export const isCertificateOf = (path: string, id: string): boolean =>
  basename(path) === nameOf(id) && basename(join(path, "../..")) === "certs.d";

/**
 * Removes the installed roots. Succeeds if they are gone already.
 * @returns false if another process has written the file since: it stays
 * @throws the file system's own error
 */
export async function removeRoots({ path, folders, hash }: CertificateRecord): Promise<boolean> {
  await removeLeftovers(path);
  const found = await readOwnFile(path, maxSize.certificates).catch((error) => {
    // Recorded, and then it could not be made.
    if (!["ENOENT", "ENOTDIR"].includes(codeOf(error))) {
      throw error;
    }
  });
  const isForeign = found && hashOf(found.bytes) !== hash;
  if (found && !isForeign) {
    await rm(path, { force: true });
  }
  await removeFoldersOfLast(path, folders);
  return !isForeign;
}

/** The first of several sessions made the folders, and the last to log out removes them: a note names them for the others. */
async function removeFoldersOfLast(removed: string, made: readonly string[]): Promise<void> {
  const folder = dirname(removed);
  const isOfAnother = (name: string) => /^quay-keyless-login-[0-9a-f]+\.crt$/.test(name) && name !== basename(removed);
  const note = join(folder, ".quay-keyless-login-folders"); // no tool reads a name without .crt, .cert or .key
  const isUsed = async () => (await readdir(folder).catch(() => [])).some(isOfAnother);
  const read = await readOwnFile(note, maxSize.certificates).catch(() => undefined);
  const noted = String(read?.bytes ?? "")
    .split("\n")
    .filter(Boolean);
  const all = [...new Set([...noted, ...made])].sort((a, b) => a.length - b.length);
  if (all.length > noted.length && (await isUsed())) {
    await replaceFile(note, all.join("\n"), { mode: 0o644 });
  }
  if (!(await isUsed())) {
    await rm(note, { force: true }).catch(() => {}); // no note can be there if the folder is not one
    await removeFolders(all.filter((each) => folder === each || folder.startsWith(`${each}/`)));
  }
}

const hashOf = (data: string | Buffer): string => createHash("sha256").update(data).digest("hex");
