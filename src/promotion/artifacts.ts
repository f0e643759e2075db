/**
 * What belongs to an image without being part of it: signatures, attestations, SBOMs. cosign keeps them under tags made
 * of the image's digest (cosign, specs/SIGNATURE_SPEC.md); OCI 1.1 lists what refers to an image (distribution
 * specification, "Listing referrers"). Every user who may write to the source can add to both lists. An artifact is copied
 * only if it passes the checks of belonging.ts.
 */

import { mapLimit, together } from "../platform/concurrency.ts";
import { ExplainedError } from "../platform/errors.ts";
import type { Reporter } from "../platform/reporter.ts";
import { mention, text } from "../platform/wording.ts";
import { maxConcurrentQuestions, type RepositoryClient } from "../registry/client.ts";
import { type Descriptor, readManifest } from "../registry/manifest.ts";
import { addToFallback, listReferrers, maxReferrers, tooManyReferrers } from "../registry/referrers.ts";
import type { Manifest } from "../registry/types.ts";
import { type Finding, judgeReferrer, judgeTagged } from "./belonging.ts";
import type { Copier } from "./copy.ts";
import { keepATag } from "./image.ts";
import { byDigest, byTag } from "./reference.ts";
import type { ExistingTags } from "./request.ts";
import type { ArtifactResult } from "./result.ts";

export type Artifact = Omit<ArtifactResult, "copied" | "tag"> &
  (
    | { readonly tag: string; readonly manifest: Manifest; readonly referrer?: never }
    /** Its entry in a list of referrers. */
    | { readonly tag: undefined; readonly referrer: Descriptor }
  );

const suffixes = [
  ["sig", "signature"],
  ["att", "attestation"],
  ["sbom", "sbom"],
] as const;

/** Bound of all their manifests together. */
const maxBytes = 64 * 1024 * 1024;

/** Lines in the log and in an error; the last of them counts the rest. */
const maxLeftOutLines = 4;

/**
 * Everything that belongs to the image and its children, and to the artifacts found for them. An artifact that is listed but
 * does not name the image is left out, with a warning.
 * @throws ExplainedError `signatures-missing` if there is none
 */
export async function findArtifacts(
  source: RepositoryClient,
  subjects: readonly string[],
  reporter: Reporter,
): Promise<readonly Artifact[]> {
  const image = byDigest(source, subjects[0] ?? "");
  const search: Search = { source, image, found: new Map(), leftOut: [], listed: 0, bytes: 0 };
  const asked = new Set(subjects);
  for (let layer = subjects; layer.length > 0; ) {
    const listed = await mapLimit(layer, maxConcurrentQuestions, (subject) => lookBeside(search, subject));
    // All of the layer are counted here, before the first is read.
    const next = await mapLimit(listed.flat(), 2 * maxConcurrentQuestions, (each) => lookAtReferrer(search, each));
    layer = next.flat().filter((digest) => !asked.has(digest) && asked.add(digest));
  }
  const { found, leftOut } = search;
  const shown = maxLeftOutLines - 1;
  const lines =
    leftOut.length > maxLeftOutLines
      ? [...leftOut.slice(0, shown), `And ${leftOut.length - shown} more are left out.`]
      : leftOut;
  if (found.size === 0) {
    throw new ExplainedError(
      "signatures-missing",
      text`${image} has no signature, attestation or SBOM, and ${mention("with-signatures")} requires one.`,
      {
        remedy: [
          ...lines,
          `Sign it before you promote it: cosign sign ${image}`,
          text`Or leave ${mention("with-signatures")} out.`,
        ],
      },
    );
  }
  for (const line of lines) {
    reporter.warning(line);
  }
  return [...found.values()];
}

/** What the search has found so far. */
interface Search {
  readonly source: RepositoryClient;
  /** The image's reference, for messages. */
  readonly image: string;
  /** Keyed by cosign's tag, or else by digest. */
  readonly found: Map<string, Artifact>;
  readonly leftOut: string[];
  /** Number of list entries; `bytes` counts their manifests. */
  listed: number;
  bytes: number;
}

interface Listed {
  readonly digest: string;
  readonly size: number;
  /** The digest whose list has it. */
  readonly subject: string;
}

/** Keeps what cosign's tags point to. @returns the referrers that the registry lists, counted but not yet read */
async function lookBeside(search: Search, subject: string): Promise<readonly Listed[]> {
  const { source } = search;
  const [referrers] = await together(
    (ended) => listReferrers(source.until(ended), subject),
    ...suffixes.map(([suffix, kind]) => async (ended: AbortSignal) => {
      const until = source.until(ended);
      const tag = `${subject.replace(":", "-")}.${suffix}`;
      const manifest = await until.manifest(tag);
      if (manifest !== undefined) {
        count(search, 0, Buffer.byteLength(manifest.text));
        const why = await judgeTagged(until, subject, kind, manifest.text);
        const artifact = { kind, digest: manifest.digest, subject, tag, manifest };
        keep(search, byTag(source, tag), why === undefined ? { artifact } : { why });
      }
    }),
  );
  const bytes = referrers.reduce((sum, { size }) => sum + size, 0);
  count(search, referrers.length, bytes);
  return referrers.map(({ digest, size }) => ({ digest, size, subject }));
}

/** @returns its digest, if it belongs to the image */
async function lookAtReferrer(search: Search, { digest, size, subject }: Listed): Promise<readonly string[]> {
  const manifest = await search.source.manifest(digest);
  // Listed, but deleted: there is nothing to copy.
  return manifest ? keep(search, byDigest(search.source, digest), judgeReferrer(manifest, size, subject)) : [];
}

/** @throws ExplainedError `copy-failed` if there are too many */
function count(search: Search, listed: number, bytes: number): void {
  search.listed += listed;
  search.bytes += bytes;
  if (search.listed > maxReferrers || search.bytes > maxBytes) {
    const bound = search.listed > maxReferrers ? `${maxReferrers} artifacts` : "64 MiB of manifests";
    throw tooManyReferrers(search.image, bound);
  }
}

/** @returns its digest, if it belongs to the image */
function keep({ found, leftOut }: Search, what: string, { artifact, why }: Finding<Artifact>): readonly string[] {
  if (artifact === undefined) {
    leftOut.push(`${what} is left out: ${why}.`);
    return [];
  }
  found.set(artifact.tag ?? artifact.digest, artifact);
  return [artifact.digest];
}

/**
 * The artifacts that the destination does not have yet.
 * @throws ExplainedError `tag-taken` if one of cosign's tags points to something else there
 */
export async function missingArtifacts(
  destination: RepositoryClient,
  artifacts: readonly Artifact[],
  existing: ExistingTags,
): Promise<readonly Artifact[]> {
  const present = await mapLimit(artifacts, maxConcurrentQuestions, async (artifact) => {
    const { tag, digest } = artifact;
    if (tag === undefined) {
      return (await destination.digestOf(digest)) !== undefined;
    }
    const there = await destination.manifest(tag);
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
        remedy: [
          text`Compare both: cosign tree. To replace the destination's with the source's: ${mention("move-tags", "true")}`,
        ],
      },
    );
  });
  return artifacts.filter((_, index) => !present[index]);
}

function layersOf({ text }: Manifest): readonly Descriptor[] {
  const content = readManifest(text);
  return content?.manifests === undefined ? (content?.layers ?? []) : [];
}

/**
 * Within one repository nothing is copied, but an artifact can disappear: Quay deletes cosign's tags with the image's last other
 * tag.
 * @param state what the promotion has done so far, for the message
 * @throws ExplainedError `signatures-missing`
 */
export async function assertStaying(
  destination: RepositoryClient,
  artifacts: readonly Artifact[],
  state: string,
): Promise<void> {
  const [gone] = await missingArtifacts(destination, artifacts, "move");
  if (gone) {
    const { kind, tag, digest } = gone;
    const name = tag === undefined ? byDigest(destination, digest) : byTag(destination, tag);
    throw new ExplainedError("signatures-missing", `${name} (${kind}) disappeared during the promotion. ${state}`, {
      remedy: ["Sign the image again, and run the same again.", keepATag],
    });
  }
}

/** cosign adds a signature as a layer. Signatures of two keys differ in an annotation only. */
function holdsAll(there: readonly Descriptor[], wanted: readonly Descriptor[]): boolean {
  const keys = (layers: readonly Descriptor[]) =>
    layers.map(({ digest, annotations }) => `${digest} ${annotations?.["dev.cosignproject.cosign/signature"]}`);
  const has = new Set(keys(there));
  return keys(wanted).every((key) => has.has(key));
}

/** Copies the missing artifacts, and makes the destination list all referrers of the image. */
export async function copyArtifacts(
  { copy, from, to }: { readonly copy: Copier; readonly from: RepositoryClient; readonly to: RepositoryClient },
  artifacts: readonly Artifact[],
  missing: readonly Artifact[],
): Promise<void> {
  await mapLimit(missing, maxConcurrentQuestions, async (artifact) => {
    await copy({ from, to, digest: artifact.digest, isArtifact: true, onProgress: () => {} });
    if (artifact.tag !== undefined) {
      await to.putManifest(artifact.tag, artifact.manifest);
    }
  });
  for (const [subject, referrers] of Map.groupBy(artifacts, (artifact) => artifact.subject)) {
    const wanted = referrers.flatMap(({ referrer }) => referrer ?? []);
    if (wanted.length === 0) {
      continue;
    }
    const listed = new Set((await listReferrers(to, subject)).map(({ digest }) => digest));
    const unlisted = wanted.filter(({ digest }) => !listed.has(digest));
    if (unlisted.length > 0) {
      // A registry without the referrers API of OCI 1.1: its clients keep the list under a tag.
      await addToFallback(to, subject, unlisted);
    }
  }
}
