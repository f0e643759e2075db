/** Extra root certificates: read and checked once, and left for later steps where the containers tools look. */
import { X509Certificate } from "node:crypto";
import { mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { invalidInput } from "../errors.ts";
import { makeFolders, missingFolders, removeFolders } from "../platform/folders.ts";

/**
 * @returns the PEM text
 * @throws LoginError `invalid-input`: unreadable, empty, not PEM, a certificate that can't be parsed
 */
export async function readRoots(path: string): Promise<string> {
  const example = "ca-file: /path/to/root.pem";
  let text: string;
  try {
    text = await readFile(path, "utf8");
  } catch (error) {
    throw invalidInput("ca-file", path, `the file cannot be read (${(error as NodeJS.ErrnoException).code})`, example);
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
}

/** For the tools that log in now: a folder that holds nothing else. */
export async function offerRoots(pem: string, folder: string): Promise<string> {
  await mkdir(folder, { mode: 0o700, recursive: true });
  await writeFile(join(folder, "ca.crt"), pem, { mode: 0o600 });
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
  // No secrets here, and a tool run by another user fails on a ~/.config/containers that it may not enter.
  const path = join(folder, `quay-keyless-login-${id}.crt`);
  await remember({ path, folders: await missingFolders(folder) });
  await makeFolders(folder, 0o755);
  await writeFile(path, pem, { mode: 0o644 });
}

/** Also when it is gone already. */
export async function removeRoots({ path, folders }: CertificateRecord): Promise<void> {
  await rm(path, { force: true }).catch((error: NodeJS.ErrnoException) => {
    // It was written down, and then could not be made.
    if (error.code !== "ENOTDIR") {
      throw error;
    }
  });
  await removeFolders(folders);
}
