/** docs/verify.md is the verification: its commands run here as they stand, but for the signer in a rehearsal. */
import { readdirSync, readFileSync, symlinkSync } from "node:fs";
import { join, resolve } from "node:path";
import { readRelease, tagOf } from "./project.ts";
import { attempt, Refusal } from "./run.ts";
import { withScratch } from "./scratch.ts";

const page = "docs/verify.md";
/** Makes the release again, which takes minutes: not a part of each verification. */
export const rebuilding = "Build it yourself";
/** Options of cosign without Sigstore's servers. */
export const offline = ["--use-signing-config=false", "--tlog-upload=false"];

/** What cosign verifies the signer by: the release workflow at the version's tag, or a public key. */
export function cosignIdentity(key: string | undefined): string[] {
  if (key !== undefined) return ["--key", key, "--insecure-ignore-tlog=true"];
  const release = readRelease();
  return [
    ...["--certificate-oidc-issuer", "https://token.actions.githubusercontent.com"],
    ...["--certificate-identity", `${release.url}/.github/workflows/release.yml@refs/tags/${tagOf(release)}`],
  ];
}

/** A block of commands, with the heading that it is under. */
export interface Block {
  readonly heading: string;
  readonly commands: string;
}

/** @returns the blocks that are not marked as an illustration, in order */
export function blocksOf(markdown: string): Block[] {
  const blocks: Block[] = [];
  let heading = "";
  for (const [, title, illustration, commands] of markdown.matchAll(
    /^#+ (.+)$|^(<!-- illustration -->\n)?```sh\n([\s\S]*?)^```$/gm,
  )) {
    heading = title ?? heading;
    if (commands !== undefined && illustration === undefined) blocks.push({ heading, commands });
  }
  return blocks;
}

/**
 * Runs the page's commands in a folder with the release's files.
 * @param key cosign's public key; without it, the signer is the release workflow, as on the page
 * @throws Refusal with the heading of the block that failed, and its output
 */
export async function verifyRelease(folder: string, key?: string): Promise<void> {
  const blocks = blocksOf(readFileSync(page, "utf8")).filter(({ heading }) => heading !== rebuilding);
  const script = blocks.map(({ heading, commands }) => {
    const isSigner = /^signer=\($/m.test(commands);
    const text = key !== undefined && isSigner ? `signer=(${cosignIdentity(key).join(" ")})\n` : commands;
    return `heading=${JSON.stringify(heading)}\n${text}`;
  });
  const failed = `trap 'echo "failed under: $heading: $BASH_COMMAND" >&2' ERR`;
  await withScratch(async (scratch) => {
    for (const entry of readdirSync(folder, { withFileTypes: true })) {
      if (entry.isFile()) symlinkSync(resolve(folder, entry.name), join(scratch, entry.name));
    }
    const input = ["set -euo pipefail", failed, ...script].join("\n");
    const { code, output } = await attempt("bash", ["-s"], { cwd: scratch, input });
    if (code !== 0) throw new Refusal(`${page} does not accept the release in ${folder}:\n${output.trimEnd()}`);
  });
  for (const heading of new Set(blocks.map((block) => block.heading))) console.log(`verified: ${heading}`);
}
