/**
 * Whether an artifact that is listed for an image belongs to it, judged by the artifact's own content. It is never something
 * that could be run: every user who may write to the source can list anything there, and verify-command does not check it.
 */
import { isObject, parseObject } from "../platform/json.ts";
import type { RepositoryClient } from "../registry/client.ts";
import { type Descriptor, readManifest } from "../registry/manifest.ts";
import type { Manifest } from "../registry/types.ts";
import type { ArtifactResult } from "./result.ts";

type Kind = ArtifactResult["kind"];

/** `why`: the reason that it does not belong to the image, a phrase that can follow a colon. */
export type Finding<T> =
  | { readonly artifact: T; readonly why?: never }
  | { readonly artifact?: never; readonly why: string };

/** Media types of the layers that cosign (pkg/types/media.go), in-toto, notation and BuildKit write. */
const layerTypes: Readonly<Record<Exclude<Kind, "other">, RegExp>> = {
  signature: /^application\/(?:vnd\.dev\.cosign\.simplesigning\.v1\+json|jose\+json|cose)$/,
  attestation: /^application\/vnd\.(?:dsse\.envelope|in-toto|dev\.sigstore\.bundle)[\w.+;=-]*$/,
  sbom: /^(?:text\/spdx|application\/(?:spdx|vnd\.cyclonedx|vnd\.syft))(?:\+(?:json|xml))?$/,
};

/** Config types that containers/image, containerd or docker run as an image; the last four are docker's. */
const imageConfigs = new Set([
  "application/vnd.oci.image.config.v1+json",
  "application/vnd.docker.container.image.v1+json",
  "application/octet-stream",
  "application/json",
  "text/html",
  "",
]);

const nouns = { signature: "a signature", attestation: "an attestation", sbom: "an SBOM" } as const;

const isIndex = "it is an index, not a signature";

/** Judges by the manifest, not by the list entry: some registries' entries lack fields, and an entry may be false. */
export function judgeReferrer(
  { mediaType, digest, text }: Manifest,
  listedSize: number,
  subject: string,
): Finding<{
  readonly kind: Kind;
  readonly digest: string;
  readonly subject: string;
  readonly tag: undefined;
  readonly referrer: Descriptor;
}> {
  const size = Buffer.byteLength(text);
  const content = readManifest(text);
  if (content === undefined) {
    return { why: "it is not a manifest" };
  }
  if (size > listedSize) {
    return { why: `it is larger than the listed ${listedSize} bytes` };
  }
  if (content.manifests !== undefined) {
    return { why: isIndex };
  }
  if (content.subject?.digest !== subject) {
    return { why: `it is listed for ${subject}, but its field subject does not name it` };
  }
  const { config, layers, annotations } = content;
  const known = Object.values(layerTypes);
  const isArtifact = layers.length > 0 && layers.every(({ mediaType }) => known.some((type) => type.test(mediaType)));
  if (imageConfigs.has(config.mediaType) && !isArtifact) {
    return { why: "it is an image, not a signature" };
  }
  const artifactType = content.artifactType || config.mediaType;
  const referrer = { mediaType, digest, size, ...{ artifactType, ...(annotations && { annotations }) } };
  return { artifact: { kind: kindOf(referrer), digest, subject, tag: undefined, referrer } };
}

/** By its artifact type; in cosign's bundles an annotation says whether they hold an attestation. */
function kindOf({ artifactType = "", annotations = {} }: Pick<Descriptor, "artifactType" | "annotations">): Kind {
  const predicate = annotations["dev.sigstore.bundle.predicateType"] ?? "";
  if (/spdx|cyclonedx|sbom|syft/i.test(`${artifactType} ${predicate}`)) {
    return "sbom";
  }
  if (/attestation|in-toto|dsse/i.test(artifactType) || (predicate !== "" && !/cosign\/sign/.test(predicate))) {
    return "attestation";
  }
  return /sig|notary/i.test(artifactType) ? "signature" : "other";
}

/** cosign's payload has some 300 bytes. */
const maxPayloadBytes = 1024 * 1024;
const maxPayloads = 1_000;

/**
 * A manifest under cosign's tag is bound to the image by the tag's name only; a signature also by its payload.
 * @returns the reason that it does not belong to the image; undefined: it does
 */
export async function judgeTagged(
  source: Pick<RepositoryClient, "blob">,
  subject: string,
  kind: Exclude<Kind, "other">,
  text: string,
): Promise<string | undefined> {
  const content = readManifest(text);
  if (content === undefined) {
    return "it is not a manifest";
  }
  if (content.manifests !== undefined) {
    return isIndex;
  }
  const { layers } = content;
  const other = layers.find(({ mediaType }) => !layerTypes[kind].test(mediaType));
  if (layers.length === 0 || other !== undefined) {
    return `it is not ${nouns[kind]}: ${other ? `it contains ${JSON.stringify(other.mediaType.slice(0, 100))}` : "it is empty"}`;
  }
  if (kind !== "signature") {
    return undefined;
  }
  // The signatures of two keys have the same payload.
  const payloads = new Map(layers.map(({ digest, size }) => [digest, size]));
  if (payloads.size > maxPayloads) {
    return `it holds more than ${maxPayloads} signatures`;
  }
  for (const [digest, size] of payloads) {
    const signed = size <= maxPayloadBytes ? await source.blob(digest) : undefined;
    if (signed === undefined || signedDigest(signed) !== subject) {
      return `its layer ${digest} is not a signature of this image`;
    }
  }
  return undefined;
}

/** The image's digest in a "simple signing" payload (containers/image, docs/containers-signature.5.md). */
function signedDigest(payload: string): unknown {
  let value: unknown = parseObject(payload);
  for (const key of ["critical", "image", "docker-manifest-digest"]) {
    value = isObject(value) ? value[key] : undefined;
  }
  return value;
}
