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
  /** In this order it is whole at the end: a digest is copied by skopeo, a manifest is put as it is. */
  readonly parts: readonly (string | Manifest)[];
  /** Configs and layers of all of them, each once. */
  readonly blobs: readonly Blob[];
  /** Its own manifest, and those of its children. */
  readonly labelled: readonly Labelled[];
  /** os/architecture of an index's images; of a single image only where a platform is asked for. */
  readonly platforms: readonly string[];
}

type Blob = Pick<Descriptor, "digest" | "size">;

/** More than any image has. Each is looked at before what it bounds is asked for. */
const maxSize = { manifests: 1_000, bytesOfManifests: 64 * 1024 * 1024, blobs: 10_000 };

/**
 * @returns the digest, of a tag as it is now
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
  reporter.info(`${formatReference(reference)} is ${digest} now; that is what is promoted.`);
  return digest;
}

/**
 * @param wanted platforms that must be there
 * @throws ExplainedError `source-not-found`, `platform-missing`, `copy-failed` for a format that can't be copied, or an image beyond all measure
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
  /** For messages: the image's reference. */
  readonly what: string;
  readonly found: Map<string, Found>;
  readonly listed: Set<string>;
  readonly blobs: Map<string, Blob>;
  readonly labelled: Labelled[];
  readonly platforms: Set<string>;
  /** Bytes of manifests. */
  bytes: number;
}

/** Of a manifest: an index is kept, since it may have to be put as it is. */
type Found = { readonly children: undefined } | { readonly children: readonly string[]; readonly manifest: Manifest };

/**
 * @returns what is to be read next
 * @throws ExplainedError `copy-failed` where the image has grown beyond all measure
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
  // One image may stand for several platforms.
  const news = content.manifests.filter((child) => !listed.has(child.digest) && listed.add(child.digest));
  inventory.bytes += news.reduce((sum, { size }) => sum + size, 0);
  assertWithin(listed.size, maxSize.manifests, "manifests", what);
  assertWithin(inventory.bytes, maxSize.bytesOfManifests, "bytes of manifests", what);
  return news;
}

/** @throws ExplainedError `source-not-found`, `copy-failed` where it is larger than was said, which the bounds have counted on */
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
      `${byDigest(source, digest)} is larger than the ${size} bytes of its index.`,
      {
        remedy: ["Build and push the index anew: some tools refuse one that tells a wrong size."],
      },
    );
  }
  return manifest;
}

/** skopeo copies an index with its images, but not an index within an index. */
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
    throw new ExplainedError(
      "copy-failed",
      `${what} has more than ${bound} ${of}: that is no image that anybody runs.`,
      {
        remedy: [`Look at it: skopeo inspect --raw docker://${what}`],
      },
    );
  }
}

/** @throws ExplainedError `copy-failed` */
function contentOf({ text, mediaType, digest }: Manifest, repository: Repository): ManifestContent {
  const what = byDigest(repository, digest);
  if (mediaType.startsWith("application/vnd.docker.distribution.manifest.v1+")) {
    throw new ExplainedError(
      "copy-failed",
      `${what} is in Docker's first format, whose digest does not survive a copy.`,
      {
        remedy: ["Build and push it anew with a tool of this decade."],
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

/** A variant belongs to the platform only where it is asked for: `linux/arm64` is there as `linux/arm64/v8`. */
function assertPlatforms(found: readonly string[], wanted: readonly string[], what: string): void {
  const missing = wanted.filter(
    (platform) => !found.some((each) => each === platform || each.startsWith(`${platform}/`)),
  );
  if (missing.length > 0) {
    throw new ExplainedError("platform-missing", `${what} is not there for ${missing.join(", ")}.`, {
      remedy: [`It is there for ${found.join(", ") || "no platform that it names"}. Build it for all that are wanted.`],
    });
  }
}

/** By an image's own config; what others leave empty or fill with something else counts as not told. */
function platformOf(config: string | undefined): string {
  const { os, architecture, variant } = parseObject(config ?? "") ?? {};
  const told = [os, architecture, variant].filter((each) => typeof each === "string" && each !== "");
  return typeof os === "string" && os !== "" ? told.join("/") : "unknown";
}

/** What the messages about something that was there advise. */
export const keepATag =
  "Quay deletes an image, with its signatures, the moment its last tag moves to another: always keep a version tag on it, and promote that.";

/** What was there when the promotion began. */
export const sourceGone = (what: string): ExplainedError =>
  new ExplainedError("source-not-found", `${what} has gone since the promotion began.`, {
    remedy: [keepATag],
  });

function notFound(what: string): ExplainedError {
  return new ExplainedError("source-not-found", `There is no ${what}.`, {
    remedy: [
      text`Check the option ${mention("source")} (or the file's entry): repository, and digest or tag.`,
      keepATag,
    ],
  });
}
