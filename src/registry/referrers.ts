/** What refers to a manifest: by the API that OCI 1.1 brought, or by the tag that stands in for it. */
import { createHash } from "node:crypto";
import { ExplainedError } from "../platform/errors.ts";
import { type Descriptor, parseObject, readDescriptors } from "./manifest.ts";
import type { Ask, Manifest, PathTo, RegistryClient } from "./types.ts";

const indexType = "application/vnd.oci.image.index.v1+json";

export interface Reading extends Pick<RegistryClient, "manifest"> {
  readonly ask: Ask;
  /** The API's own address, `https://host/v2/`. */
  readonly base: URL;
  readonly pathTo: PathTo;
  readonly place: Place;
}

export interface Writing extends Pick<RegistryClient, "manifest" | "putManifest"> {
  readonly place: Place;
}

/** For messages: `quay.io/acme/app`. */
type Place = (repository: string) => string;

interface Index {
  readonly manifests: readonly Descriptor[];
  /** All that it says. */
  readonly raw: Readonly<Record<string, unknown>>;
}

/** No registry has that many; one that leads in a circle does. */
const maxPages = 100;

/** More than anybody makes for one image: a registry that goes on for ever ends here, before anything is asked about them. */
export const maxReferrers = 1_000;

/**
 * `GET /v2/<name>/referrers/<digest>`, all pages. A registry without it answers 404, and some 400, 405 or 406: then the index
 * under the fallback tag counts (OCI distribution specification, "Listing Referrers" and "Referrers Tag Schema").
 * @throws ExplainedError `copy-failed` where the answer is no index
 */
export async function readReferrers(
  registry: Reading,
  repository: string,
  digest: string,
): Promise<readonly Descriptor[]> {
  const { ask, base, pathTo, place } = registry;
  const what = `the list of what refers to ${place(repository)}@${digest}`;
  const found = new Map<string, Descriptor>();
  let url: URL | undefined = new URL(pathTo(repository, "referrers", digest), base);
  for (let page = 0; url !== undefined; page++) {
    const statuses = page === 0 ? [400, 404, 405, 406] : [];
    const answer = await ask({ repository, what, path: url.href, headers: { accept: indexType }, statuses });
    if (answer.status >= 400) {
      const index = await readFallback(registry, repository, digest);
      return withinBound(index?.manifests ?? [], place(repository), digest);
    }
    const index = parseIndex(answer.body);
    const next = nextPage(answer.headers.link, url);
    if (index === undefined || (next !== undefined && next.origin !== base.origin) || page === maxPages) {
      throw new ExplainedError("copy-failed", `${base.host} answered with something else than ${what}.`, {
        remedy: ["Have the registry's administrator look at its API for referrers, or leave with-signatures out."],
      });
    }
    for (const descriptor of index.manifests) {
      found.set(descriptor.digest, descriptor);
    }
    withinBound([...found.values()], place(repository), digest);
    url = next;
  }
  return [...found.values()];
}

function withinBound(found: readonly Descriptor[], place: string, digest: string): readonly Descriptor[] {
  if (found.length > maxReferrers) {
    throw tooManyReferrers(`${place}@${digest}`, `${maxReferrers} artifacts`);
  }
  return found;
}

/** @param image as a reference @param bound what is exceeded */
export function tooManyReferrers(image: string, bound: string): ExplainedError {
  return new ExplainedError("copy-failed", `More than ${bound} refer to ${image}.`, {
    remedy: ["Look at what the registry lists as its referrers: oras discover. Or leave with-signatures out."],
  });
}

/**
 * The tag's index with these added. Nobody can lock it: so it is read again afterwards, and written again where somebody
 * else's writing has come in between.
 * @throws ExplainedError `copy-failed` where the tag holds no index, or never what was written
 */
export async function addToFallback(
  registry: Writing,
  repository: string,
  digest: string,
  descriptors: readonly Descriptor[],
): Promise<void> {
  const tag = fallbackTag(digest);
  for (let attempts = 0; attempts < 4; attempts++) {
    const held = await registry.manifest(repository, tag);
    const index = held === undefined ? { manifests: [], raw: {} } : parseIndex(held.text);
    if (index === undefined || (index.raw.mediaType ?? indexType) !== indexType) {
      throw new ExplainedError(
        "copy-failed",
        `The tag ${registry.place(repository)}:${tag} should list what refers to ${digest}, and holds something else.`,
        { remedy: ["Delete that tag if nobody needs it, and run the same again."] },
      );
    }
    const missing = descriptors.filter((each) => !index.manifests.some((known) => known.digest === each.digest));
    if (missing.length === 0) {
      return;
    }
    // Whatever else it says is kept, of its entries too.
    const manifests = [...(Array.isArray(index.raw.manifests) ? index.raw.manifests : []), ...missing];
    await registry.putManifest(repository, tag, indexOf({ ...index.raw, manifests }));
  }
  throw new ExplainedError(
    "copy-failed",
    `The tag ${registry.place(repository)}:${tag} does not keep what is written to it: somebody else writes to it too.`,
    { remedy: ["Run the same again when the other job has ended."] },
  );
}

async function readFallback({ manifest }: Reading, repository: string, digest: string): Promise<Index | undefined> {
  const held = await manifest(repository, fallbackTag(digest));
  return held && parseIndex(held.text);
}

/** `sha256-HEX`, of at most 32 and 64 characters. */
function fallbackTag(digest: string): string {
  const [algorithm = "", hex = ""] = digest.split(":");
  return `${algorithm.slice(0, 32)}-${hex.slice(0, 64)}`;
}

function indexOf(content: object): Manifest {
  const text = JSON.stringify({ schemaVersion: 2, ...content, mediaType: indexType });
  return { digest: `sha256:${createHash("sha256").update(text).digest("hex")}`, mediaType: indexType, text };
}

function parseIndex(text: string): Index | undefined {
  const raw = parseObject(text);
  const manifests = readDescriptors(raw?.manifests);
  return raw && manifests && { manifests, raw };
}

/** RFC 8288: `</v2/…?n=…>; rel="next"`, relative to the page itself. */
function nextPage(link: string | string[] | undefined, page: URL): URL | undefined {
  const [, target = ""] = /<([^<>]*)>\s*;\s*rel="?next"?/i.exec(String(link ?? "")) ?? [];
  return target !== "" && URL.canParse(target, page.href) ? new URL(target, page) : undefined;
}
