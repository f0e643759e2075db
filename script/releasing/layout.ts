/** OCI image layouts on disk, as far as a release reads them: https://github.com/opencontainers/image-spec/blob/main/image-layout.md */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { attempt, Refusal } from "./run.ts";

interface Descriptor {
  readonly digest: string;
  readonly mediaType: string;
  readonly platform?: { readonly architecture: string; readonly os: string };
}

interface Manifest {
  readonly manifests?: readonly Descriptor[];
  readonly layers?: readonly Descriptor[];
}

/** @returns the digest of the layout's only image or index */
export function digestOf(layout: string): string {
  const { manifests = [] } = JSON.parse(readFileSync(join(layout, "index.json"), "utf8")) as Manifest;
  const [only, ...others] = manifests;
  if (!only || others.length > 0) throw new Refusal(`${layout} has ${manifests.length} images instead of one`);
  return only.digest;
}

const blob = (layout: string, digest: string): string => join(layout, "blobs", digest.replace(":", "/"));

const manifestOf = (layout: string, digest: string): Manifest => JSON.parse(readFileSync(blob(layout, digest), "utf8"));

/** @returns the digest of each architecture's image */
export function platformsOf(layout: string): Map<string, string> {
  const { manifests = [] } = manifestOf(layout, digestOf(layout));
  return new Map(manifests.flatMap(({ platform, digest }) => (platform ? [[platform.architecture, digest]] : [])));
}

/**
 * A file of an image, from the last layer that has it.
 * @param path without a slash at its beginning
 */
export async function readInImage(layout: string, digest: string, path: string): Promise<string> {
  for (const layer of manifestOf(layout, digest).layers?.toReversed() ?? []) {
    for (const name of [path, `./${path}`]) {
      const read = await attempt("tar", ["--extract", "--to-stdout", "--file", blob(layout, layer.digest), name]);
      if (read.code === 0) return read.stdout;
    }
  }
  throw new Refusal(`the image ${digest} has no /${path}`);
}
