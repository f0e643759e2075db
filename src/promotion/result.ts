/** The results of a promotion, done or planned, and its progress. Types only. */

import type { Workplace } from "../login/workplace.ts";
import type { ExplainedError } from "../platform/errors.ts";
import type { Platform } from "../platform/platform.ts";
import type { Promotion } from "./request.ts";

export interface TagResult {
  readonly tag: string;
  /** `planned`, `refused` and `immutable` occur in a dry run or a failure; nothing was done. */
  readonly state: "there" | "new" | "moved" | "planned" | "refused" | "immutable";
  /** The digest that it pointed to before. */
  readonly before: string | undefined;
}

/** A signature, an attestation, an SBOM, or another artifact that refers to an image. */
export interface ArtifactResult {
  readonly kind: "signature" | "attestation" | "sbom" | "other";
  readonly digest: string;
  /** The digest of the image that it belongs to. */
  readonly subject: string;
  /** cosign's tag; undefined: a referrer */
  readonly tag: string | undefined;
  readonly copied: boolean;
}

export interface PromotionResult {
  readonly promotion: Promotion;
  /** undefined: the source could not be resolved */
  readonly digest: string | undefined;
  /** os/architecture of an index's images; empty for a single image if the option platform is not set */
  readonly platforms: readonly string[];
  readonly tags: readonly TagResult[];
  readonly artifacts: readonly ArtifactResult[];
  readonly changed: boolean;
  /** Bytes of blobs that the destination did not have. */
  readonly bytes: number;
  readonly milliseconds: number;
  readonly failure: ExplainedError | undefined;
}

/** The current state of a promotion, for a log or a terminal. */
export interface Progress {
  readonly phase: "resolving" | "verifying" | "copying" | "signatures" | "tags" | "done" | "failed";
  /** During a copy: blobs begun, and all blobs. */
  readonly blobs?: { readonly begun: number; readonly all: number };
  /** During a copy: bytes sent, and all bytes that the destination does not have yet. */
  readonly bytes?: { readonly sent: number; readonly all: number };
}

export interface PromotionContext {
  readonly workplace: Workplace;
  /** Creates a platform: one per login, with its time limit, and one without a limit for the copies. Call its `close`. */
  readonly createPlatform: (timeoutSeconds: number | undefined) => Platform & { close(): void };
  /** Called at each step of the promotion with this index. */
  readonly onProgress: (index: number, progress: Progress) => void;
}
