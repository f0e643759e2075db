/** What a promotion has done or would do, and what it is at. Types alone. */

import type { Workplace } from "../login/workplace.ts";
import type { ExplainedError } from "../platform/errors.ts";
import type { Platform } from "../platform/platform.ts";
import type { Promotion } from "./request.ts";

export interface TagResult {
  readonly tag: string;
  /** `planned`, `refused`, `immutable`: of a dry run or a failure; nothing was done. */
  readonly state: "there" | "new" | "moved" | "planned" | "refused" | "immutable";
  /** The digest it pointed to before. */
  readonly before: string | undefined;
}

/** A signature, an attestation, an SBOM, or whatever else refers to an image. */
export interface ArtifactResult {
  readonly kind: "signature" | "attestation" | "sbom" | "other";
  readonly digest: string;
  /** Of the image that it belongs to. */
  readonly subject: string;
  /** cosign's tag; undefined: a referrer */
  readonly tag: string | undefined;
  readonly copied: boolean;
}

export interface PromotionResult {
  readonly promotion: Promotion;
  /** undefined: the source could not be resolved */
  readonly digest: string | undefined;
  /** os/architecture of an index's images; empty for a single image that nobody asked about */
  readonly platforms: readonly string[];
  readonly tags: readonly TagResult[];
  readonly artifacts: readonly ArtifactResult[];
  readonly changed: boolean;
  /** Bytes of blobs that the destination did not have. */
  readonly bytes: number;
  readonly milliseconds: number;
  readonly failure: ExplainedError | undefined;
}

/** What a promotion is at, for whoever watches. */
export interface Progress {
  readonly phase: "resolving" | "verifying" | "copying" | "signatures" | "tags" | "done" | "failed";
  /** While copying: blobs begun, and all. */
  readonly blobs?: { readonly begun: number; readonly all: number };
  /** While copying: sent so far, and what the destination does not have yet. */
  readonly bytes?: { readonly sent: number; readonly all: number };
}

export interface PromotionContext {
  readonly workplace: Workplace;
  /** One for each login, with its time limit; without a limit: the one that the copies run on. Ended by its `close`. */
  readonly createPlatform: (timeoutSeconds: number | undefined) => Platform & { close(): void };
  /** Told of each step of the promotion with this index. */
  readonly onProgress: (index: number, progress: Progress) => void;
}
