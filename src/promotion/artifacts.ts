/**
 * What belongs to an image without being part of it: signatures, attestations, SBOMs. cosign keeps them under tags made
 * of the image's digest (cosign, specs/SIGNATURE_SPEC.md); OCI 1.1 lists what refers to an image (distribution
 * specification, "Listing referrers").
 */
import { LoginError } from "../errors.ts";
import { settleAll, together } from "../platform/settle.ts";
import type { Descriptor, Manifest, RegistryClient } from "../registry/client.ts";
import type { Copier } from "./copy.ts";
import { contentOf } from "./image.ts";
import { byDigest, byTag, type Repository } from "./reference.ts";
import type { ExistingTags } from "./request.ts";
import type { ArtifactResult } from "./result.ts";

export interface Artifact extends Omit<ArtifactResult, "copied"> {
  readonly manifest: Manifest;
  /** As a registry lists it; undefined under a tag. */
  readonly referrer: Descriptor | undefined;
}

const suffixes = [
  ["sig", "signature"],
  ["att", "attestation"],
  ["sbom", "sbom"],
] as const;

/** More than any image has: a registry that goes on for ever ends here. */
const most = 1_000;

/**
 * Everything that belongs to the image and its children, and to what is found so.
 * @throws LoginError `signatures-missing` where there is nothing
 */
export async function findArtifacts(
  client: RegistryClient,
  source: Repository,
  subjects: readonly string[],
): Promise<readonly Artifact[]> {
  const found = new Map<string, Artifact>();
  let layer = subjects;
  while (layer.length > 0) {
    const news = (await settleAll(layer, 4, (subject) => artifactsOf(client, source, subject))).flat();
    layer = news.filter(({ digest, referrer }) => referrer && !found.has(digest)).map(({ digest }) => digest);
    for (const artifact of news) {
      found.set(`${artifact.tag ?? artifact.digest}`, artifact);
    }
    if (found.size > most) {
      throw new LoginError(
        "copy-failed",
        `More than ${most} artifacts refer to ${byDigest(source, subjects[0] ?? "")}.`,
        {
          remedy: ["Look at what the registry lists as its referrers."],
        },
      );
    }
  }
  if (found.size === 0) {
    throw new LoginError(
      "signatures-missing",
      `${byDigest(source, subjects[0] ?? "")} has no signature, attestation or SBOM, and with-signatures asks for them.`,
      { remedy: ["Sign it before it is promoted, as with cosign sign.", "Or leave with-signatures out."] },
    );
  }
  return [...found.values()];
}

async function artifactsOf(client: RegistryClient, source: Repository, subject: string): Promise<Artifact[]> {
  const { repository } = source;
  const tagged = suffixes.map(([suffix, kind]) => async (ended: AbortSignal): Promise<Artifact | undefined> => {
    const tag = `${subject.replace(":", "-")}.${suffix}`;
    const manifest = await client.until(ended).manifest(repository, tag);
    return manifest && { kind, digest: manifest.digest, subject, tag, manifest, referrer: undefined };
  });
  const referring = async (ended: AbortSignal) => {
    const until = client.until(ended);
    return settleAll(
      await until.referrers(repository, subject),
      4,
      async ({ digest }): Promise<Artifact | undefined> => {
        const manifest = await until.manifest(repository, digest);
        // Listed, but deleted: nothing that could be copied.
        const referrer = manifest && descriptorOf(manifest, source);
        return manifest && referrer && { kind: kindOf(referrer), digest, subject, tag: undefined, manifest, referrer };
      },
    );
  };
  const all = await together(...tagged, referring);
  return all.flat().filter((artifact) => artifact !== undefined);
}

/** As a list of referrers has it: by the manifest, since not every registry's list tells all of it. */
function descriptorOf(manifest: Manifest, repository: Repository): Descriptor {
  const { artifactType, config, annotations } = contentOf(manifest, repository);
  const { mediaType, digest, text } = manifest;
  const type = artifactType ?? config?.mediaType;
  return {
    mediaType,
    digest,
    size: Buffer.byteLength(text),
    ...(type && { artifactType: type }),
    ...(annotations && { annotations }),
  };
}

/** By its artifact type; cosign's bundles tell in an annotation whether they hold an attestation. */
function kindOf({ artifactType = "", annotations = {} }: Descriptor): ArtifactResult["kind"] {
  const predicate = annotations["dev.sigstore.bundle.predicateType"] ?? "";
  if (/spdx|cyclonedx|sbom|syft/i.test(`${artifactType} ${predicate}`)) {
    return "sbom";
  }
  if (/attestation|in-toto|dsse/i.test(artifactType) || (predicate !== "" && !/cosign\/sign/.test(predicate))) {
    return "attestation";
  }
  return /sig|notary/i.test(artifactType) ? "signature" : "other";
}

/**
 * Which of them the destination does not have yet.
 * @throws LoginError `tag-taken` where one of cosign's tags holds something else there
 */
export async function missingArtifacts(
  client: RegistryClient,
  destination: Repository,
  artifacts: readonly Artifact[],
  existing: ExistingTags,
): Promise<readonly Artifact[]> {
  const isThere = await settleAll(artifacts, 4, async ({ tag, digest, manifest }) => {
    if (tag === undefined) {
      return (await client.digestOf(destination.repository, digest)) !== undefined;
    }
    const there = await client.manifest(destination.repository, tag);
    if (there === undefined || there.digest === digest) {
      return there !== undefined;
    }
    if (holdsAll(contentOf(there, destination).layers, contentOf(manifest, destination).layers)) {
      return true;
    }
    if (existing === "move") {
      return false;
    }
    throw new LoginError(
      "tag-taken",
      `${byTag(destination, tag)} points to ${there.digest}, not to ${digest}, and lacks some of what the source has. No tag was changed.`,
      {
        remedy: ["Look at both: cosign tree. To replace the destination's by the source's: move-tags: true"],
      },
    );
  });
  return artifacts.filter((_, index) => !isThere[index]);
}

/** cosign adds a signature as a layer; those of two keys differ in an annotation only. */
function holdsAll(there: readonly Descriptor[] = [], wanted: readonly Descriptor[] = []): boolean {
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
  await settleAll(missing, 4, async ({ digest, tag, manifest }) => {
    await copy({ from, to, digest, onProgress: () => {} });
    if (tag !== undefined) {
      await client.putManifest(to.repository, tag, manifest);
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
