/** What an image consists of: its manifest, and those of all its platforms. */
import { LoginError } from "../errors.ts";
import { settleAll } from "../platform/settle.ts";
import type { Descriptor, Manifest, RegistryClient } from "../registry/client.ts";
import type { Reporter } from "../reporter.ts";
import { byDigest, formatReference, type Reference, type Repository } from "./reference.ts";

export interface Image {
  readonly digest: string;
  readonly manifest: Manifest;
  /** Manifests below an index, nested ones too. */
  readonly children: readonly string[];
  /** In this order it is whole at the end: a digest is copied by skopeo, a manifest is put as it is. */
  readonly parts: readonly (string | Manifest)[];
  /** Configs and layers of all of them, each once. */
  readonly blobs: readonly Descriptor[];
  /** os/architecture of an index's images; of a single image only where a platform is asked for. */
  readonly platforms: readonly string[];
}

/** What of a manifest matters here: of an index `manifests`, of an image the rest (OCI image specification). */
export interface ManifestContent {
  readonly mediaType?: string;
  readonly artifactType?: string;
  readonly annotations?: Readonly<Record<string, string>>;
  readonly config?: Descriptor;
  readonly layers?: readonly Descriptor[];
  readonly manifests?: readonly Descriptor[];
}

/**
 * @returns the digest, of a tag as it is now
 * @throws LoginError `source-not-found`
 */
export async function resolve(client: RegistryClient, source: Reference, reporter: Reporter): Promise<string> {
  if ("digest" in source.by) {
    return source.by.digest;
  }
  const digest = await client.digestOf(source.repository, source.by.tag);
  if (digest === undefined) {
    throw notFound(formatReference(source));
  }
  reporter.info(`${formatReference(source)} is ${digest} now; that is what is promoted.`);
  return digest;
}

/**
 * @param wanted platforms that must be there
 * @throws LoginError `source-not-found`, `platform-missing`, `copy-failed` for a format that can't be copied
 */
export async function readImage(
  client: RegistryClient,
  source: Repository,
  digest: string,
  wanted: readonly string[],
): Promise<Image> {
  const manifest = await client.manifest(source.repository, digest);
  if (manifest === undefined) {
    throw notFound(byDigest(source, digest));
  }
  const children: string[] = [];
  const blobs = new Map<string, Descriptor>();
  const platforms = new Set<string>();
  const look = async (
    found: Manifest,
  ): Promise<{ readonly parts: Image["parts"]; readonly content: ManifestContent }> => {
    const content = contentOf(found, source);
    const { manifests = [], config, layers = [] } = content;
    for (const blob of [...(config ? [config] : []), ...layers]) {
      blobs.set(blob.digest, blob);
    }
    const below = await settleAll(manifests, 4, async ({ digest, platform }) => {
      const { os = "unknown", architecture, variant } = platform ?? {};
      if (os !== "unknown") {
        platforms.add([os, architecture, variant].filter(Boolean).join("/"));
      }
      // One image may stand for several platforms.
      if (children.includes(digest)) {
        return undefined;
      }
      children.push(digest);
      const child = await client.manifest(source.repository, digest);
      if (child === undefined) {
        throw notFound(byDigest(source, digest));
      }
      return look(child);
    });
    // skopeo copies an index with its images, but not an index within an index.
    const parts = below.some((each) => each?.content.manifests)
      ? [...below.flatMap((each) => each?.parts ?? []), found]
      : [found.digest];
    return { parts, content };
  };
  const { parts, content } = await look(manifest);
  if (content.config && wanted.length > 0) {
    platforms.add(platformOf(await client.blob(source.repository, content.config.digest)));
  }
  assertPlatforms([...platforms], wanted, byDigest(source, digest));
  return { digest, manifest, children, parts, blobs: [...blobs.values()], platforms: [...platforms] };
}

/** @throws LoginError `copy-failed` */
export function contentOf({ text, mediaType, digest }: Manifest, repository: Repository): ManifestContent {
  const what = byDigest(repository, digest);
  if (mediaType.startsWith("application/vnd.docker.distribution.manifest.v1+")) {
    throw new LoginError("copy-failed", `${what} is in Docker's first format, whose digest does not survive a copy.`, {
      remedy: ["Build and push it anew with a tool of this decade."],
    });
  }
  try {
    const content: ManifestContent = JSON.parse(text);
    if (
      content.manifests?.every(isDescriptor) ??
      (isDescriptor(content.config) && content.layers?.every(isDescriptor))
    ) {
      return content;
    }
  } catch {
    // As one that says nothing.
  }
  throw new LoginError("copy-failed", `${what} is neither an image nor an index: its type is ${mediaType}.`, {
    remedy: [`Look at it: skopeo inspect --raw docker://${what}`],
  });
}

const isDescriptor = (value: Descriptor | undefined): boolean =>
  typeof value?.digest === "string" && Number.isFinite(value.size);

/** A variant belongs to the platform only where it is asked for: `linux/arm64` is there as `linux/arm64/v8`. */
function assertPlatforms(found: readonly string[], wanted: readonly string[], what: string): void {
  const missing = wanted.filter(
    (platform) => !found.some((each) => each === platform || each.startsWith(`${platform}/`)),
  );
  if (missing.length > 0) {
    throw new LoginError("platform-missing", `${what} is not there for ${missing.join(", ")}.`, {
      remedy: [`It is there for ${found.join(", ") || "no platform that it names"}. Build it for all that are wanted.`],
    });
  }
}

function platformOf(config: string | undefined): string {
  try {
    const { os = "unknown", architecture, variant } = JSON.parse(config ?? "");
    return [os, architecture, variant].filter(Boolean).join("/");
  } catch {
    return "unknown";
  }
}

function notFound(what: string): LoginError {
  return new LoginError("source-not-found", `There is no ${what}.`, {
    remedy: [
      "Check the option source (or the file's entry): repository, and digest or tag.",
      "An image without a tag is deleted by and by: keep a tag on it until it is promoted.",
    ],
  });
}
