/**
 * Whether what is listed beside an image belongs to it, as it says by itself: never something that could be run. Whoever
 * may write to the source may list anything there, and no verify-command looks at it.
 */
import { isObject, parseObject } from "../platform/json.ts";
import type { RepositoryClient } from "../registry/client.ts";
import { type Descriptor, readManifest } from "../registry/manifest.ts";
import type { Manifest } from "../registry/types.ts";
import type { ArtifactResult } from "./result.ts";

type Kind = ArtifactResult["kind"];

/** `why` it does not belong to the image: a phrase that can follow a colon. */
export type Finding<T> =
  | { readonly artifact: T; readonly why?: never }
  | { readonly artifact?: never; readonly why: string };

/** What cosign (pkg/types/media.go), in-toto, notation and BuildKit call the parts of what they write. */
const layerTypes: Readonly<Record<Exclude<Kind, "other">, RegExp>> = {
  signature: /^application\/(?:vnd\.dev\.cosign\.simplesigning\.v1\+json|jose\+json|cose)$/,
  attestation: /^application\/vnd\.(?:dsse\.envelope|in-toto|dev\.sigstore\.bundle)[\w.+;=-]*$/,
  sbom: /^(?:text\/spdx|application\/(?:spdx|vnd\.cyclonedx|vnd\.syft))(?:\+(?:json|xml))?$/,
};

/** What containers/image, containerd or docker (which takes the last ones for it as well) run as an image. */
const imageConfigs = new Set([
  "application/vnd.oci.image.config.v1+json",
  "application/vnd.docker.container.image.v1+json",
  "application/octet-stream",
  "application/json",
  "text/html",
  "",
]);

const isIndex = "it is an index, and no signature";

/** As a list of referrers has it, by the manifest: not every registry's list tells all of it, and a list may lie. */
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
    return { why: "it is no manifest" };
  }
  if (size > listedSize) {
    return { why: `it is larger than the ${listedSize} bytes that are listed` };
  }
  if (content.manifests !== undefined) {
    return { why: isIndex };
  }
  if (content.subject?.digest !== subject) {
    return { why: `it is listed for ${subject}, and does not refer to it (its field subject)` };
  }
  const { config, layers, annotations } = content;
  const known = Object.values(layerTypes);
  const isArtifact = layers.length > 0 && layers.every(({ mediaType }) => known.some((type) => type.test(mediaType)));
  if (imageConfigs.has(config.mediaType) && !isArtifact) {
    return { why: "it is an image, and no signature" };
  }
  const artifactType = content.artifactType || config.mediaType;
  const referrer = { mediaType, digest, size, ...{ artifactType, ...(annotations && { annotations }) } };
  return { artifact: { kind: kindOf(referrer), digest, subject, tag: undefined, referrer } };
}

/** By its artifact type; cosign's bundles tell in an annotation whether they hold an attestation. */
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
 * What stands under a tag of cosign's is bound to the image by the tag's name alone; a signature by what it signs as well.
 * @returns why it does not belong to the image; undefined: it does
 */
export async function judgeTagged(
  source: Pick<RepositoryClient, "blob">,
  subject: string,
  kind: Exclude<Kind, "other">,
  text: string,
): Promise<string | undefined> {
  const content = readManifest(text);
  if (content === undefined) {
    return "it is no manifest";
  }
  if (content.manifests !== undefined) {
    return isIndex;
  }
  const { layers } = content;
  const other = layers.find(({ mediaType }) => !layerTypes[kind].test(mediaType));
  if (layers.length === 0 || other !== undefined) {
    return `it is no ${kind === "sbom" ? "SBOM" : kind}: ${other ? `it holds ${JSON.stringify(other.mediaType.slice(0, 100))}` : "it is empty"}`;
  }
  if (kind !== "signature") {
    return undefined;
  }
  // Two keys' signatures are of the same payload.
  const payloads = new Map(layers.map(({ digest, size }) => [digest, size]));
  if (payloads.size > maxPayloads) {
    return `it holds more than ${maxPayloads} signatures`;
  }
  for (const [digest, size] of payloads) {
    const signed = size <= maxPayloadBytes ? await source.blob(digest) : undefined;
    if (signed === undefined || signedDigest(signed) !== subject) {
      return `its part ${digest} is no signature of this image`;
    }
  }
  return undefined;
}

/** Of a "simple signing" payload (containers/image, docs/containers-signature.5.md). */
function signedDigest(payload: string): unknown {
  let value: unknown = parseObject(payload);
  for (const key of ["critical", "image", "docker-manifest-digest"]) {
    value = isObject(value) ? value[key] : undefined;
  }
  return value;
}
