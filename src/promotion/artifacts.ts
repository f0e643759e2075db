/**
 * What belongs to an image without being part of it: signatures, attestations, SBOMs. cosign keeps them under tags made
 * of the image's digest (cosign, specs/SIGNATURE_SPEC.md); OCI 1.1 lists what refers to an image (distribution
 * specification, "Listing referrers"). Both are lists that anybody who may write to the source can add to: what goes along
 * is what says by itself that it belongs to the image.
 */

import { mapLimit, together } from "../platform/concurrency.ts";
import { ExplainedError } from "../platform/errors.ts";
import type { Reporter } from "../platform/reporter.ts";
import type { Manifest, RegistryClient } from "../registry/client.ts";
import { type Descriptor, readManifest } from "../registry/manifest.ts";
import { maxReferrers, tooManyReferrers } from "../registry/referrers.ts";
import { type Finding, judgeReferrer, judgeTagged } from "./belonging.ts";
import type { Copier } from "./copy.ts";
import { keepATag } from "./image.ts";
import { byDigest, byTag, type Repository } from "./reference.ts";
import type { ExistingTags } from "./request.ts";
import type { ArtifactResult } from "./result.ts";

export type Artifact = Omit<ArtifactResult, "copied" | "tag"> &
  (
    | { readonly tag: string; readonly manifest: Manifest; readonly referrer?: never }
    /** As a registry lists it. */
    | { readonly tag: undefined; readonly referrer: Descriptor }
  );

const suffixes = [
  ["sig", "signature"],
  ["att", "attestation"],
  ["sbom", "sbom"],
] as const;

/** Of all their manifests together. */
const mostBytes = 64 * 1024 * 1024;

/**
 * Everything that belongs to the image and its children, and to what is found so. What is only listed as such is left out,
 * and said.
 * @throws ExplainedError `signatures-missing` where there is nothing
 */
export async function findArtifacts(
  client: RegistryClient,
  source: Repository,
  subjects: readonly string[],
  reporter: Reporter,
): Promise<readonly Artifact[]> {
  const image = byDigest(source, subjects[0] ?? "");
  const found = new Map<string, Artifact>();
  const leftOut: string[] = [];
  const asked = new Set(subjects);
  let [listed, bytes] = [0, 0];
  const count = (size: number, more = 0) => {
    listed += more;
    bytes += size;
    if (listed > maxReferrers || bytes > mostBytes) {
      const bound = listed > maxReferrers ? `${maxReferrers} artifacts` : "64 MiB of manifests";
      throw tooManyReferrers(image, bound);
    }
  };
  const keep = (what: string, finding: Finding<Artifact>) => {
    if (finding.why !== undefined) {
      leftOut.push(`${what} is left out: ${finding.why}.`);
      return [];
    }
    const { artifact } = finding;
    found.set(artifact.tag ?? artifact.digest, artifact);
    return [artifact.digest];
  };

  for (let layer = subjects; layer.length > 0; ) {
    const referring = await mapLimit(layer, 4, async (subject) => {
      const [referrers] = await together(
        (ended) => client.until(ended).referrers(source.repository, subject),
        ...suffixes.map(([suffix, kind]) => async (ended: AbortSignal) => {
          const until = client.until(ended);
          const tag = `${subject.replace(":", "-")}.${suffix}`;
          const manifest = await until.manifest(source.repository, tag);
          if (manifest !== undefined) {
            count(Buffer.byteLength(manifest.text));
            const why = await judgeTagged(until, source.repository, subject, kind, manifest.text);
            const artifact = { kind, digest: manifest.digest, subject, tag, manifest };
            keep(byTag(source, tag), why === undefined ? { artifact } : { why });
          }
        }),
      );
      count(
        referrers.reduce((sum, { size }) => sum + size, 0),
        referrers.length,
      );
      return referrers.map(({ digest, size }) => ({ digest, size, subject }));
    });
    // All of them are counted by now, before any is asked for.
    const next = await mapLimit(referring.flat(), 8, async ({ digest, size, subject }) => {
      const manifest = await client.manifest(source.repository, digest);
      // Listed, but deleted: nothing that could be copied.
      return manifest ? keep(byDigest(source, digest), judgeReferrer(manifest, size, subject)) : [];
    });
    layer = next.flat().filter((digest) => !asked.has(digest) && asked.add(digest));
  }
  const told = leftOut.length > 4 ? [...leftOut.slice(0, 3), `And ${leftOut.length - 3} more are left out.`] : leftOut;
  if (found.size === 0) {
    throw new ExplainedError(
      "signatures-missing",
      `${image} has no signature, attestation or SBOM, and with-signatures asks for them.`,
      { remedy: [...told, "Sign it before it is promoted, as with cosign sign.", "Or leave with-signatures out."] },
    );
  }
  for (const line of told) {
    reporter.warning(line);
  }
  return [...found.values()];
}

/**
 * Which of them the destination does not have yet.
 * @throws ExplainedError `tag-taken` where one of cosign's tags holds something else there
 */
export async function missingArtifacts(
  client: RegistryClient,
  destination: Repository,
  artifacts: readonly Artifact[],
  existing: ExistingTags,
): Promise<readonly Artifact[]> {
  const isThere = await mapLimit(artifacts, 4, async (artifact) => {
    const { tag, digest } = artifact;
    if (tag === undefined) {
      return (await client.digestOf(destination.repository, digest)) !== undefined;
    }
    const there = await client.manifest(destination.repository, tag);
    if (there === undefined || there.digest === digest) {
      return there !== undefined;
    }
    if (holdsAll(layersOf(there), layersOf(artifact.manifest))) {
      return true;
    }
    if (existing === "move") {
      return false;
    }
    throw new ExplainedError(
      "tag-taken",
      `${byTag(destination, tag)} points to ${there.digest}, not to ${digest}, and lacks some of what the source has. No tag was changed.`,
      {
        remedy: ["Look at both: cosign tree. To replace the destination's by the source's: move-tags: true"],
      },
    );
  });
  return artifacts.filter((_, index) => !isThere[index]);
}

function layersOf({ text }: Manifest): readonly Descriptor[] {
  const content = readManifest(text);
  return content?.manifests === undefined ? (content?.layers ?? []) : [];
}

/**
 * Within one repository nothing is copied, but what was found may go: Quay ends cosign's tags with the image's last other tag.
 * @param state what of the promotion is done
 * @throws ExplainedError `signatures-missing`
 */
export async function assertStaying(
  client: RegistryClient,
  repository: Repository,
  artifacts: readonly Artifact[],
  state: string,
): Promise<void> {
  const [gone] = await missingArtifacts(client, repository, artifacts, "move");
  if (gone) {
    const { kind, tag, digest } = gone;
    const name = tag === undefined ? byDigest(repository, digest) : byTag(repository, tag);
    throw new ExplainedError("signatures-missing", `${name} (${kind}) has gone since the promotion began. ${state}`, {
      remedy: ["Sign the image again, and run the same again.", keepATag],
    });
  }
}

/** cosign adds a signature as a layer; those of two keys differ in an annotation only. */
function holdsAll(there: readonly Descriptor[], wanted: readonly Descriptor[]): boolean {
  const keys = (layers: readonly Descriptor[]) =>
    layers.map(({ digest, annotations }) => `${digest} ${annotations?.["dev.cosignproject.cosign/signature"]}`);
  const has = new Set(keys(there));
  return keys(wanted).every((key) => has.has(key));
}

/** Copies those that are missing, and has the destination list all that refer to the image. */
export async function copyArtifacts(
  {
    copy,
    from,
    to,
    client,
  }: {
    readonly copy: Copier;
    readonly from: Repository;
    readonly to: Repository;
    readonly client: RegistryClient;
  },
  artifacts: readonly Artifact[],
  missing: readonly Artifact[],
): Promise<void> {
  await mapLimit(missing, 4, async (artifact) => {
    await copy({ from, to, digest: artifact.digest, isArtifact: true, onProgress: () => {} });
    if (artifact.tag !== undefined) {
      await client.putManifest(to.repository, artifact.tag, artifact.manifest);
    }
  });
  for (const [subject, referrers] of Map.groupBy(artifacts, (artifact) => artifact.subject)) {
    const wanted = referrers.flatMap(({ referrer }) => referrer ?? []);
    if (wanted.length === 0) {
      continue;
    }
    const listed = new Set((await client.referrers(to.repository, subject)).map(({ digest }) => digest));
    const unlisted = wanted.filter(({ digest }) => !listed.has(digest));
    if (unlisted.length > 0) {
      // A registry of before OCI 1.1: its clients keep the list, under a tag.
      await client.addFallbackReferrers(to.repository, subject, unlisted);
    }
  }
}
