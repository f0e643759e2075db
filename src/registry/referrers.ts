/** The referrers of a manifest: by the API of OCI 1.1, or by the fallback tag. */
import { createHash } from "node:crypto";
import { ExplainedError } from "../platform/errors.ts";
import { parseObject } from "../platform/json.ts";
import { mention, text } from "../platform/wording.ts";
import type { RepositoryClient } from "./client.ts";
import { type Descriptor, readDescriptors } from "./manifest.ts";
import { ask, pathTo } from "./transport.ts";
import type { Manifest } from "./types.ts";

const indexType = "application/vnd.oci.image.index.v1+json";

interface Index {
  readonly manifests: readonly Descriptor[];
  /** All of its fields. */
  readonly raw: Readonly<Record<string, unknown>>;
}

/** No registry has that many pages; an endless loop of pages does. */
const maxPages = 100;

/** The list under a fallback tag cannot be locked: each interfering writer costs one attempt. */
const maxFallbackAttempts = 4;

/** More than any image has: stops an endless list before any of its entries is fetched. */
export const maxReferrers = 1_000;

/**
 * The manifests that refer to this one. `GET /v2/<name>/referrers/<digest>`, all pages. A registry without it answers 404, and some
 * 400, 405 or 406: then the index under the fallback tag counts (OCI distribution specification, "Listing Referrers" and
 * "Referrers Tag Schema").
 * @throws ExplainedError `copy-failed` if the answer is not an index, and as `ask` does
 */
export async function listReferrers(client: RepositoryClient, digest: string): Promise<readonly Descriptor[]> {
  const { transport, repository } = client;
  const { base } = transport;
  const image = `${placeOf(client)}@${digest}`;
  const what = `the list of referrers of ${image}`;
  const found = new Map<string, Descriptor>();
  let url: URL | undefined = new URL(pathTo(transport, repository, "referrers", digest), base);
  for (let page = 0; url !== undefined; page++) {
    const statuses = page === 0 ? [400, 404, 405, 406] : [];
    const answer = await ask(transport, { repository, what, path: url.href, headers: { accept: indexType }, statuses });
    if (answer.status >= 400) {
      const held = await client.manifest(fallbackTag(digest));
      return withinBound((held && parseIndex(held.text))?.manifests ?? [], image);
    }
    const index = parseIndex(answer.body);
    const next = nextPage(answer.headers.link, url);
    if (index === undefined || (next !== undefined && next.origin !== base.origin) || page === maxPages) {
      throw new ExplainedError("copy-failed", `${base.host} did not answer with ${what}.`, {
        remedy: [
          text`Ask the registry's administrator to check its API for referrers, or leave the option ${mention("with-signatures")} out.`,
        ],
      });
    }
    for (const descriptor of index.manifests) {
      found.set(descriptor.digest, descriptor);
    }
    withinBound([...found.values()], image);
    url = next;
  }
  return [...found.values()];
}

/** For messages: `quay.io/acme/app`. */
const placeOf = ({ registry, repository }: RepositoryClient): string => `${registry}/${repository}`;

function withinBound(found: readonly Descriptor[], image: string): readonly Descriptor[] {
  if (found.length > maxReferrers) {
    throw tooManyReferrers(image, `${maxReferrers} artifacts`);
  }
  return found;
}

/** @param image as a reference @param bound what is exceeded */
export function tooManyReferrers(image: string, bound: string): ExplainedError {
  return new ExplainedError("copy-failed", `More than ${bound} refer to ${image}.`, {
    remedy: [text`List its referrers: oras discover ${image}. Or leave the option ${mention("with-signatures")} out.`],
  });
}

/**
 * For a registry without that API: adds these to the index under the fallback tag, and keeps its other entries. The tag cannot be
 * locked. It is therefore read again afterwards, and written again if another writer interfered.
 * @throws ExplainedError `copy-failed` if the tag holds no index, or never keeps what was written
 */
export function addToFallback(
  client: RepositoryClient,
  digest: string,
  descriptors: readonly Descriptor[],
): Promise<void> {
  // In sequence: promotions that run at the same time may share an image.
  const { changes } = client.transport;
  const tag = `${client.repository}:${fallbackTag(digest)}`;
  const add = () => addAlone(client, digest, descriptors);
  const added = (changes.get(tag) ?? Promise.resolve()).then(add, add);
  changes.set(tag, added);
  return added;
}

async function addAlone(client: RepositoryClient, digest: string, descriptors: readonly Descriptor[]): Promise<void> {
  const tag = fallbackTag(digest);
  for (let attempts = 0; attempts < maxFallbackAttempts; attempts++) {
    const held = await client.manifest(tag);
    const index = held === undefined ? { manifests: [], raw: {} } : parseIndex(held.text);
    if (index === undefined || (index.raw.mediaType ?? indexType) !== indexType) {
      throw new ExplainedError(
        "copy-failed",
        `The tag ${placeOf(client)}:${tag} should list the referrers of ${digest}, but holds something else.`,
        { remedy: ["Delete that tag if it is not needed, and run this again."] },
      );
    }
    const missing = descriptors.filter((each) => !index.manifests.some((known) => known.digest === each.digest));
    if (missing.length === 0) {
      return;
    }
    // Unknown fields are kept, in its entries too.
    const manifests = [...(Array.isArray(index.raw.manifests) ? index.raw.manifests : []), ...missing];
    await client.putManifest(tag, indexOf({ ...index.raw, manifests }));
  }
  throw new ExplainedError(
    "copy-failed",
    `The tag ${placeOf(client)}:${tag} does not keep what is written to it: another process writes to it too.`,
    { remedy: ["Run it again when the other job has finished."] },
  );
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
