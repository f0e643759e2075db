/** Results of promotions, for tests of their output. */
import { ExplainedError } from "../../src/platform/errors.ts";
import type { Promotion } from "../../src/promotion/request.ts";
import type { ArtifactResult, PromotionResult } from "../../src/promotion/result.ts";

export const digest = `sha256:${"0123456789abcdef".repeat(4)}`;
export const older = `sha256:${"fedcba9876543210".repeat(4)}`;

export function promotionOf(name: string, tags: readonly string[] = ["1.4.2"], registry = "quay.io"): Promotion {
  return {
    source: { registry: "staging.example.com", repository: name, by: { tag: "nightly" } },
    destination: { registry, repository: name },
    tags,
  };
}

export function resultOf(name: string, change: Partial<PromotionResult> = {}): PromotionResult {
  const promotion = promotionOf(name);
  return {
    promotion,
    digest,
    platforms: [],
    tags: promotion.tags.map((tag) => ({ tag, state: "new", before: undefined })),
    artifacts: [],
    changed: true,
    bytes: 12_345_678,
    milliseconds: 4_120,
    failure: undefined,
    ...change,
  };
}

export function artifact(kind: ArtifactResult["kind"], copied = true): ArtifactResult {
  return { kind, digest: older, subject: digest, tag: undefined, copied };
}

/** The source was not found. */
export const failed = (
  name: string,
  code: ExplainedError["code"] = "source-not-found",
  message = "It is not there.",
): PromotionResult =>
  resultOf(name, {
    digest: undefined,
    tags: [],
    changed: false,
    bytes: 0,
    milliseconds: 210,
    failure: new ExplainedError(code, message, { remedy: ["Look for it."] }),
  });
