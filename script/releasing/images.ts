/** Image and bundle of Tasks on their way: pushed to staging, signed there, promoted with their signatures. */

import { writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { readImages } from "./files.ts";
import { digestOf, platformsOf } from "./layout.ts";
import { architectures, imageTagsOf, layouts, readRelease, signatureFile, sumsFile } from "./project.ts";
import { attempt, run } from "./run.ts";
import { withScratch } from "./scratch.ts";
import { cosignIdentity, offline } from "./verify.ts";

/** Pushes both under their tags: Quay deletes what has none. */
export async function pushImages(folder: string, staging: string): Promise<void> {
  const tags = imageTagsOf(readRelease());
  for (const what of ["image", "bundle"] as const) {
    const source = `oci:${layouts(folder)[what]}`;
    await run("skopeo", ["copy", "--all", "--preserve-digests", source, `docker://${staging}:${tags[what]}`]);
    console.log(`${what}: ${staging}:${tags[what]}@${digestOf(layouts(folder)[what])}`);
  }
}

/** Signs everything that has a digest of its own: SHA256SUMS for all files, image and bundle by digest. What is signed already stays. */
export async function signRelease(folder: string, staging: string, key?: string): Promise<void> {
  const { image, bundle } = layouts(folder);
  const platforms = platformsOf(image);
  // Each platform's image too: a policy may see only that.
  const signed = [digestOf(image), ...platforms.values(), digestOf(bundle)].map((digest) => `${staging}@${digest}`);
  await withSigner(key, async ({ how, by }) => {
    const [sums, signature] = [join(folder, sumsFile), ["--bundle", join(folder, signatureFile)]];
    await once(["verify-blob", ...by, ...signature, sums], ["sign-blob", ...how, ...signature, sums], signatureFile);
    for (const reference of signed) {
      await once(["verify", ...by, reference], ["sign", ...how, reference], `signature of ${reference}`);
    }
    for (const platform of Object.keys(architectures)) {
      const reference = `${staging}@${platforms.get(platform)}`;
      const type = ["--type", "cyclonedx"];
      const predicate = ["--predicate", join(folder, `sbom-image-${platform}.cdx.json`)];
      const attest = ["attest", ...how, ...type, ...predicate, reference];
      await once(["verify-attestation", ...by, ...type, reference], attest, `attestation of the SBOM of ${reference}`);
    }
  });
}

/** Options of cosign to sign with, and to verify by. */
interface Signer {
  readonly how: readonly string[];
  readonly by: readonly string[];
}

async function withSigner(key: string | undefined, use: (signer: Signer) => Promise<void>): Promise<void> {
  if (key === undefined) return use({ how: ["--yes"], by: cosignIdentity(undefined) });
  await withScratch(async (scratch) => {
    const publicKey = join(scratch, "cosign.pub");
    writeFileSync(publicKey, await run("cosign", ["public-key", "--key", key]));
    await use({ how: ["--yes", "--key", key, ...offline], by: cosignIdentity(publicKey) });
  });
}

/** A second signature says nothing new, and each reader has to decide between two. */
async function once(verify: readonly string[], sign: readonly string[], what: string): Promise<void> {
  if ((await attempt("cosign", verify)).code === 0) return console.log(`${what}: there already`);
  await run("cosign", sign);
  console.log(what);
}

/**
 * With the program that is released: it checks the signatures, copies by digest, and sets the tags last.
 * @param more options of `quay-keyless-login promote`
 */
export async function promoteImages(
  folder: string,
  staging: string,
  key: string | undefined,
  more: readonly string[],
): Promise<void> {
  const tags = imageTagsOf(readRelease());
  const images = readImages(folder);
  const entries = (["image", "bundle"] as const).map((what) => {
    const [destination, digest] = images[what].split("@");
    return { source: `${staging}@${digest}`, destination, tags: [tags[what]] };
  });
  const check = ["cosign", "verify", ...cosignIdentity(key)].map(quoted).join(" ");
  await withScratch(async (scratch) => {
    const file = join(scratch, "promotions.yaml");
    writeFileSync(file, JSON.stringify(entries)); // JSON is YAML
    const options = ["--file", file, "--with-signatures", "--verify-command", check, ...more];
    console.log(await run(process.execPath, [resolve("dist/cli/index.js"), "promote", ...options]));
  });
}

const quoted = (word: string): string => `'${word.replaceAll("'", "'\\''")}'`;
