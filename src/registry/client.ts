/** A repository's manifests, tags and blobs. Every digest is checked against the received bytes (OCI distribution specification 1.1). */
import { createHash } from "node:crypto";
import { ExplainedError } from "../platform/errors.ts";
import type { HttpAnswer } from "../platform/http.ts";
import { parseObject } from "../platform/json.ts";
import { isDigest, isMediaType } from "./manifest.ts";
import {
  ask,
  capital,
  pathTo,
  type Question,
  redirects,
  type Transport,
  transportUntil,
  unforeseen,
} from "./transport.ts";
import type { Manifest } from "./types.ts";

/** One repository with one login. Every function throws what `ask` throws. */
export interface RepositoryClient {
  readonly registry: string;
  readonly repository: string;
  readonly transport: Transport;
  /** The digest that a tag points to, or the digest itself. undefined: it does not exist */
  digestOf(reference: string): Promise<string | undefined>;
  /** @returns undefined: it does not exist @throws ExplainedError `digest-differs` too */
  manifest(reference: string): Promise<Manifest | undefined>;
  /** A small blob as text: an image's config. undefined: it does not exist @throws ExplainedError `digest-differs` too */
  blob(digest: string): Promise<string | undefined>;
  hasBlob(digest: string): Promise<boolean>;
  /** @returns whether the registry indexes the manifest's subject, so its API for referrers lists it */
  putManifest(reference: string, manifest: Manifest): Promise<{ readonly indexesSubject: boolean }>;
  /** The same client, whose requests also end with this signal. */
  until(ended: AbortSignal): RepositoryClient;
}

/** Requests that one caller sends at the same time; other promotions send theirs. */
export const maxConcurrentQuestions = 4;

const manifestTypes = [
  "application/vnd.oci.image.index.v1+json",
  "application/vnd.oci.image.manifest.v1+json",
  "application/vnd.docker.distribution.manifest.list.v2+json",
  "application/vnd.docker.distribution.manifest.v2+json",
].join(", ");

export function createClient(transport: Transport, repository: string): RepositoryClient {
  const { registry } = transport.options;
  const questionFor = (kind: "manifest" | "blob", reference: string): Question => ({
    repository,
    what: `the ${kind} ${registry}/${repository}${reference.includes(":") ? "@" : ":"}${reference}`,
    path: pathTo(transport, repository, `${kind}s`, reference),
    statuses: [404],
    ...(kind === "manifest" && { headers: { accept: manifestTypes } }),
  });
  const manifest = (reference: string) => fetchManifest(transport, questionFor("manifest", reference), reference);
  return {
    ...{ registry, repository, transport, manifest },
    async digestOf(reference) {
      const question = questionFor("manifest", reference);
      // If HEAD does not work, a GET follows, and explains what is wrong.
      const answer = await ask(transport, { ...question, method: "HEAD", statuses: [404, 400, 405, ...redirects] });
      if (answer.status === 404) {
        return undefined;
      }
      const digest = answer.status < 300 ? digestIn(answer.headers) : undefined;
      return digest ?? (await manifest(reference))?.digest;
    },
    async blob(digest) {
      const question = questionFor("blob", digest);
      const { status, body } = await ask(transport, question);
      if (status === 404) {
        return undefined;
      }
      digestFrom(transport, question, body, digest);
      return body;
    },
    async hasBlob(digest) {
      const question = questionFor("blob", digest);
      const { status } = await ask(transport, { ...question, method: "HEAD", statuses: [404, ...redirects] });
      return status !== 404;
    },
    putManifest: (reference, sent) => putManifest(transport, questionFor("manifest", reference), sent),
    until: (ended) => createClient(transportUntil(transport, ended), repository),
  };
}

async function fetchManifest(
  transport: Transport,
  question: Question,
  reference: string,
): Promise<Manifest | undefined> {
  const answer = await ask(transport, question);
  if (answer.status === 404) {
    return undefined;
  }
  const { headers, body: text } = answer;
  const stated = reference.includes(":") ? reference : digestIn(headers);
  const type = (String(headers["content-type"] ?? "").split(";")[0] ?? "").trim();
  if (/^application\/vnd\.docker\.distribution\.manifest\.v1\+/.test(type)) {
    // The digest of Docker's first format leaves its signatures out.
    return { digest: stated ?? digestFrom(transport, question, text), mediaType: type, text };
  }
  const digest = digestFrom(transport, question, text, stated);
  const content = parseObject(text);
  if (content === undefined) {
    throw unforeseen(transport, question.what, answer);
  }
  const { mediaType } = content;
  // Checked, because it becomes a header when the manifest is pushed.
  return { digest, mediaType: isMediaType(mediaType) ? mediaType : type, text };
}

/** @param question for the manifest under that reference */
async function putManifest(
  transport: Transport,
  { repository, what, path }: Question,
  { digest, mediaType, text }: Manifest,
): Promise<{ readonly indexesSubject: boolean }> {
  const { headers } = await ask(transport, {
    ...{ repository, what, path, method: "PUT", actions: ["pull", "push"] },
    headers: { "content-type": mediaType },
    body: text,
  });
  const stored = digestIn(headers) ?? digest;
  if (stored !== digest) {
    throw new ExplainedError("digest-differs", `${capital(what)} was sent as ${digest}, but is stored as ${stored}.`, {
      remedy: [
        `Something between here and ${transport.options.registry} changes what is sent. Run it again from another network.`,
      ],
    });
  }
  return { indexesSubject: headers["oci-subject"] !== undefined };
}

/**
 * The digest of the received text.
 * @param stated the expected digest; undefined: unknown
 * @throws ExplainedError `digest-differs`
 */
function digestFrom({ options }: Transport, { what }: Question, text: string, stated?: string): string {
  const algorithm = stated?.startsWith("sha512:") ? "sha512" : "sha256";
  const digest = `${algorithm}:${createHash(algorithm).update(text, "utf8").digest("hex")}`;
  if (stated !== undefined && stated !== digest) {
    throw new ExplainedError(
      "digest-differs",
      `${capital(what)} does not match ${stated}: its bytes have the digest ${digest}.`,
      {
        remedy: [
          `Something between here and ${options.registry} changes its answers, or its storage is damaged. Nothing was promoted.`,
        ],
      },
    );
  }
  return digest;
}

function digestIn(headers: HttpAnswer["headers"]): string | undefined {
  const digest = headers["docker-content-digest"];
  return isDigest(digest) ? digest : undefined;
}
