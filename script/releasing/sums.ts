/** SHA256SUMS, as `sha256sum` writes and checks it. */
import { createHash } from "node:crypto";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { signatureFile, sumsFile } from "./project.ts";

/** Covers each file of the folder but itself and its signature; the layouts in its sub-folders have digests of their own. */
export function writeSums(folder: string): void {
  const lines = readdirSync(folder, { withFileTypes: true })
    .filter((entry) => entry.isFile() && entry.name !== sumsFile && entry.name !== signatureFile)
    .map(({ name }) => name)
    .sort()
    .map((name) => `${sha256(readFileSync(join(folder, name)))}  ${name}\n`);
  writeFileSync(join(folder, sumsFile), lines.join(""));
}

export const sha256 = (content: string | Uint8Array): string => createHash("sha256").update(content).digest("hex");
