/** What an image consists of: its manifest, and those of all its platforms. */
import { mapLimit } from "../platform/concurrency.ts";
import { ExplainedError } from "../platform/errors.ts";
import { parseObject } from "../platform/json.ts";
import type { Reporter } from "../platform/reporter.ts";
import { mention, text } from "../platform/wording.ts";
import { maxConcurrentQuestions, type RepositoryClient } from "../registry/client.ts";
import { type Descriptor, type ManifestContent, readManifest } from "../registry/manifest.ts";
import type { Manifest } from "../registry/types.ts";
import type { Labelled } from "./expiry.ts";
import { byDigest, formatReference, type Reference, type Repository } from "./reference.ts";

export interface Image {
  readonly digest: string;
  readonly manifest: Manifest;
  /** Manifests below an index, nested ones too. */
  readonly children: readonly string[];
  /** To be written in this order: skopeo copies a digest, a manifest is put unchanged. */
  readonly parts: readonly (string | Manifest)[];
  /** Configs and layers of the image and its children, each once. */
  readonly blobs: readonly Blob[];
  /** Its own manifest and those of its children. */
  readonly labelled: readonly Labelled[];
  /** os/architecture of an index's images; for a single image only if the option platform is set. */
  readonly platforms: readonly string[];
}

type Blob = Pick<Descriptor, "digest" | "size">;

/** More than any image has. Each bound is checked before the requests that it limits. */
const maxSize = { manifests: 1_000, bytesOfManifests: 64 * 1024 * 1024, blobs: 10_000 };

/**
 * @returns the digest; for a tag, the one that it points to now
 * @throws ExplainedError `source-not-found`
 */
export async function resolve(client: RepositoryClient, reference: Reference, reporter: Reporter): Promise<string> {
  if ("digest" in reference.by) {
    return reference.by.digest;
  }
  const digest = await client.digestOf(reference.by.tag);
  if (digest === undefined) {
    throw notFound(formatReference(reference));
  }
  reporter.info(`${formatReference(reference)} is ${digest}: this digest is promoted.`);
  return digest;
}

/**
 * @param wanted platforms that the image must have
 * @throws ExplainedError `source-not-found`, `platform-missing`, `copy-failed` for a format that can't be copied and an image beyond the bounds
 */
export async function readImage(source: RepositoryClient, digest: string, wanted: readonly string[]): Promise<Image> {
  const what = byDigest(source, digest);
  const manifest = await read(source, { digest, size: maxSize.bytesOfManifests });
  const inventory: Inventory = {
    ...{ what, found: new Map(), listed: new Set(), blobs: new Map(), labelled: [], platforms: new Set(), bytes: 0 },
  };
  const content = contentOf(manifest, source);
  for (let layer = note(inventory, manifest, content); layer.length > 0; ) {
    const below = await mapLimit(layer, maxConcurrentQuestions, async (descriptor) => {
      const child = await read(source, descriptor);
      return note(inventory, child, contentOf(child, source));
    });
    layer = below.flat();
  }
  const { found, listed, blobs, labelled, platforms } = inventory;
  if (content.manifests === undefined && wanted.length > 0) {
    platforms.add(platformOf(await source.blob(content.config.digest)));
  }
  assertPlatforms([...platforms], wanted, what);
  return {
    ...{ digest, manifest, children: [...listed], parts: partsOf(digest, found) },
    ...{ blobs: [...blobs.values()], labelled, platforms: [...platforms] },
  };
}

/** What has been read of an image so far. */
interface Inventory {
  /** The image's reference, for messages. */
  readonly what: string;
  readonly found: Map<string, Found>;
  readonly listed: Set<string>;
  readonly blobs: Map<string, Blob>;
  readonly labelled: Labelled[];
  readonly platforms: Set<string>;
  /** Bytes of all manifests. */
  bytes: number;
}

/** A manifest that was read. An index keeps its text, because it may have to be put unchanged. */
type Found = { readonly children: undefined } | { readonly children: readonly string[]; readonly manifest: Manifest };

/**
 * @returns the manifests to read next
 * @throws ExplainedError `copy-failed` if the image is beyond the bounds
 */
function note(inventory: Inventory, manifest: Manifest, content: ManifestContent): readonly Descriptor[] {
  const { what, found, listed, blobs, labelled, platforms } = inventory;
  const { digest } = manifest;
  const config = content.manifests === undefined ? content.config : undefined;
  labelled.push({ digest, annotations: content.annotations, config });
  if (content.manifests === undefined) {
    for (const { digest, size } of [content.config, ...content.layers]) {
      blobs.set(digest, { digest, size });
    }
    found.set(digest, { children: undefined });
    assertWithin(blobs.size, maxSize.blobs, "configs and layers", what);
    return [];
  }
  for (const { platform } of content.manifests) {
    const { os, architecture, variant } = platform ?? {};
    if (os && os !== "unknown") {
      platforms.add([os, architecture, variant].filter(Boolean).join("/"));
    }
  }
  found.set(digest, { children: content.manifests.map((child) => child.digest), manifest });
  // An index may list one image for several platforms.
  const fresh = content.manifests.filter((child) => !listed.has(child.digest) && listed.add(child.digest));
  inventory.bytes += fresh.reduce((sum, { size }) => sum + size, 0);
  assertWithin(listed.size, maxSize.manifests, "manifests", what);
  assertWithin(inventory.bytes, maxSize.bytesOfManifests, "bytes of manifests", what);
  return fresh;
}

/** @throws ExplainedError `source-not-found`, `copy-failed` if it is larger than its index names: the bounds rely on that size */
async function read(
  source: RepositoryClient,
  { digest, size }: Pick<Descriptor, "digest" | "size">,
): Promise<Manifest> {
  const manifest = await source.manifest(digest);
  if (manifest === undefined) {
    throw notFound(byDigest(source, digest));
  }
  if (Buffer.byteLength(manifest.text) > size) {
    throw new ExplainedError(
      "copy-failed",
      `${byDigest(source, digest)} is larger than the ${size} bytes that its index names.`,
      {
        remedy: ["Rebuild and push the index: some tools reject one with a wrong size."],
      },
    );
  }
  return manifest;
}

/** skopeo copies an index with its images, but not an index inside an index. */
function partsOf(digest: string, found: ReadonlyMap<string, Found>, done = new Set<string>()): Image["parts"] {
  const node = found.get(digest);
  if (done.has(digest) || node === undefined) {
    return [];
  }
  done.add(digest);
  const isNested = node.children?.some((child) => found.get(child)?.children);
  return node.children && isNested
    ? [...node.children.flatMap((child) => partsOf(child, found, done)), node.manifest]
    : [digest];
}

function assertWithin(count: number, bound: number, of: string, what: string): void {
  if (count > bound) {
    throw new ExplainedError("copy-failed", `${what} has more than ${bound} ${of}, which is the limit.`, {
      remedy: [`Look at it: skopeo inspect --raw docker://${what}`],
    });
  }
}

/** @throws ExplainedError `copy-failed` */
function contentOf({ text, mediaType, digest }: Manifest, repository: Repository): ManifestContent {
  const what = byDigest(repository, digest);
  if (mediaType.startsWith("application/vnd.docker.distribution.manifest.v1+")) {
    throw new ExplainedError(
      "copy-failed",
      `${what} is in Docker's first format (schema 1), whose digest changes in a copy.`,
      {
        remedy: ["Rebuild and push it with a current tool."],
      },
    );
  }
  const content = readManifest(text);
  if (content === undefined) {
    throw new ExplainedError("copy-failed", `${what} is neither an image nor an index: its type is ${mediaType}.`, {
      remedy: [`Look at it: skopeo inspect --raw docker://${what}`],
    });
  }
  return content;
}

/** A wanted platform without a variant matches every variant: `linux/arm64/v8` counts as `linux/arm64`. */
function assertPlatforms(found: readonly string[], wanted: readonly string[], what: string): void {
  const missing = wanted.filter(
    (platform) => !found.some((each) => each === platform || each.startsWith(`${platform}/`)),
  );
  if (missing.length > 0) {
    throw new ExplainedError("platform-missing", `${what} is not available for ${missing.join(", ")}.`, {
      remedy: [
        `It is available for ${found.join(", ") || "no named platform"}. Build it for all platforms that you need.`,
      ],
    });
  }
}

/** The platform in an image's own config. A field that is empty or not text counts as missing. */
function platformOf(config: string | undefined): string {
  const { os, architecture, variant } = parseObject(config ?? "") ?? {};
  const parts = [os, architecture, variant].filter((each) => typeof each === "string" && each !== "");
  return typeof os === "string" && os !== "" ? parts.join("/") : "unknown";
}

/** The remedy for an image that disappeared. */
export const keepATag =
  "Quay deletes an image and its signatures as soon as its last tag moves to another image: always keep a version tag on it, and promote that tag.";

/** An image that existed when the promotion began, and does not any more. */
export const sourceGone = (what: string): ExplainedError =>
  new ExplainedError("source-not-found", `${what} disappeared during the promotion.`, {
    remedy: [keepATag],
  });

function notFound(what: string): ExplainedError {
  return new ExplainedError("source-not-found", `${what} does not exist.`, {
    remedy: [
      text`Check repository and digest or tag of the option ${mention("source")} (or of the file's entry).`,
      keepATag,
    ],
  });
}
