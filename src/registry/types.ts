/** What a promotion asks a registry: manifests, tags, referrers (OCI distribution specification 1.1). */

import type { HttpAnswer, Method } from "../platform/http.ts";
import type { Descriptor } from "./manifest.ts";

export const actionNames = ["pull", "push"] as const;
export type Action = (typeof actionNames)[number];

export interface Manifest {
  readonly digest: string;
  readonly mediaType: string;
  /** The exact text: its bytes are what the digest is of. */
  readonly text: string;
}

/**
 * A question without an answer is a ExplainedError: `access-missing`, `registry-unavailable`, `tls-untrusted`, `login-lapsed`,
 * `login-refused`, `robots-disabled`; `copy-failed` for an answer that no registry should give.
 */
export interface RegistryClient {
  /** What a tag points to, or the digest itself. undefined: not there */
  digestOf(repository: string, reference: string): Promise<string | undefined>;
  /** @returns undefined: not there @throws ExplainedError `digest-differs` too */
  manifest(repository: string, reference: string): Promise<Manifest | undefined>;
  /** A small blob as text: an image's config. undefined: not there @throws ExplainedError `digest-differs` too */
  blob(repository: string, digest: string): Promise<string | undefined>;
  hasBlob(repository: string, digest: string): Promise<boolean>;
  /** @returns whether the registry has noted what the manifest refers to, so that its API for referrers will tell */
  putManifest(repository: string, reference: string, manifest: Manifest): Promise<{ readonly indexesSubject: boolean }>;
  /** Manifests that refer to this one: by the API, or where a registry has none from the index under the fallback tag. */
  referrers(repository: string, digest: string): Promise<readonly Descriptor[]>;
  /** For a registry without that API: adds to the index under the fallback tag, and keeps what is there. */
  addFallbackReferrers(repository: string, digest: string, descriptors: readonly Descriptor[]): Promise<void>;
  /**
   * Whether Quay says that nothing may be pushed over this tag. Its own API is asked, as anybody may: of a private repository
   * it says nothing (a robot can't open that API), nor where the feature is off. `GET /api/v1/repository/<name>/tag/`.
   */
  isImmutable(repository: string, tag: string): Promise<boolean>;
  /**
   * What the registry's token grants of these actions. undefined: it doesn't tell.
   * Asking for `push` makes Quay create a repository that is missing.
   */
  granted(repository: string, actions: readonly Action[]): Promise<readonly string[] | undefined>;
  /** The same, and an error where one of them is lacking. @throws ExplainedError `access-missing` */
  assertGranted(repository: string, actions: readonly Action[]): Promise<void>;
  /** The same client, for questions that end with this signal; what it has found out about its rights is shared. */
  until(ended: AbortSignal): RegistryClient;
}

export interface Question {
  readonly repository: string;
  /** For messages: `the manifest v1 of quay.io/acme/app`. */
  readonly what: string;
  /** Below `/v2/`, or where a page said that the next one is. */
  readonly path: string;
  readonly method?: Method;
  readonly actions?: readonly Action[];
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
  /** Statuses that mean something to whoever asks, besides 200 to 206. */
  readonly statuses?: readonly number[];
}

export type Ask = (question: Question) => Promise<HttpAnswer>;

/** The path below `/v2/` of something in a repository, encoded. */
export type PathTo = (repository: string, what: "manifests" | "blobs" | "referrers", reference: string) => string;
