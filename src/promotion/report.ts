/** The results of promotions, for readers and for programs; the entry points format them. Pure. */

import type { PromotionOutputName } from "../options/table.ts";
import { type ExplainedError, type FailureObject, reworded } from "../platform/errors.ts";
import { text } from "../platform/wording.ts";
import { byDigest, byTag, formatReference, pathOf } from "./reference.ts";
import type { Promotion, PromotionRequest } from "./request.ts";
import type { ArtifactResult, PromotionResult, TagResult } from "./result.ts";

/** One promotion, as text. */
export interface Row {
  /** The destination, with the shortened digest if it is known. */
  readonly image: string;
  readonly tags: readonly { readonly tag: string; readonly state: string }[];
  /** undefined: it succeeded */
  readonly failure: string | undefined;
  readonly bytes: string;
  readonly time: string;
  /** The whole reference, to copy and paste; `source` is where it came from. */
  readonly reference: string;
  readonly source: string;
  /** "2 signatures, 1 SBOM: copied", then each new artifact on its own line. */
  readonly artifacts: readonly string[];
}

/** The part of the request that decides the wording of results. */
export type ReportOptions = Pick<PromotionRequest, "dryRun" | "existingTags">;

export function rowOf(result: PromotionResult, request: ReportOptions): Row {
  const { promotion, digest, bytes, milliseconds, artifacts, changed, failure } = result;
  const { destination } = promotion;
  return {
    image: digest === undefined ? pathOf(destination) : byDigest(destination, shortDigest(digest)),
    tags: tagsOf(result).map((tag) => ({ tag: tag.tag, state: stateOf(tag, result, request) })),
    failure: failure && `failed: ${failure.code}`,
    bytes: failure && !changed ? "-" : formatBytes(bytes),
    time: formatTime(milliseconds),
    reference: digest === undefined ? pathOf(destination) : byDigest(destination, digest),
    source: formatReference(promotion.source),
    artifacts: artifactsOf(artifacts, request.dryRun || failure ? "found" : "already there"),
  };
}

/** All tags of the promotion; those that were not looked at before a failure count as planned. */
function tagsOf({ promotion, tags }: PromotionResult): readonly TagResult[] {
  const missing = promotion.tags.filter((tag) => !tags.some((found) => found.tag === tag));
  return [...tags, ...missing.map((tag) => ({ tag, state: "planned", before: undefined }) as const)];
}

function stateOf({ state, before }: TagResult, { digest, failure }: PromotionResult, request: ReportOptions): string {
  const elsewhere = before !== undefined && before !== digest;
  switch (state) {
    case "there":
      return "already there";
    case "new":
      return "new";
    case "moved":
      return before === undefined ? "moved" : `moved from ${shortDigest(before)}`;
    case "refused":
      return request.existingTags === "forbidden"
        ? "refused: it exists (create-only)"
        : `refused: it points to ${shortDigest(before ?? "")} (no move-tags)`;
    case "immutable":
      return `refused: it points to ${shortDigest(before ?? "")} and is immutable`;
    case "planned":
      if (failure || !request.dryRun) {
        return "not done";
      }
      return elsewhere ? `would move from ${shortDigest(before)}` : "would be new";
  }
}

const kinds = [
  ["signature", "signature", "signatures"],
  ["attestation", "attestation", "attestations"],
  ["sbom", "SBOM", "SBOMs"],
  ["other", "other artifact", "other artifacts"],
] as const;

/** @param otherwise the state of artifacts that were not copied */
function artifactsOf(artifacts: readonly ArtifactResult[], otherwise: string): readonly string[] {
  return [true, false].flatMap((copied) => {
    const some = artifacts.filter((each) => each.copied === copied);
    const counts = kinds.flatMap(([kind, one, several]) => {
      const count = some.filter((each) => each.kind === kind).length;
      return count === 0 ? [] : [`${count} ${count === 1 ? one : several}`];
    });
    const shown = otherwise === "already there" && !copied ? [] : some;
    return counts.length === 0 ? [] : [`${counts.join(", ")}: ${copied ? "copied" : otherwise}`, ...shown.map(lineOf)];
  });
}

function lineOf({ kind, digest, subject, tag }: ArtifactResult): string {
  const name = kinds.find(([each]) => each === kind)?.[1] ?? kind;
  const place = tag === undefined ? "" : `, under ${tag.replace(/^(sha[0-9]+-[0-9a-f]{12})[0-9a-f]+/, "$1…")}`;
  return `${name} ${shortDigest(digest)} of ${shortDigest(subject)}${place}`;
}

/** All results in one line. */
export function conclusion(results: readonly PromotionResult[], { dryRun }: ReportOptions): string {
  const counts = new Map<string, number>();
  for (const result of results) {
    const kind = dryRun ? planned(result) : done(result);
    counts.set(kind, (counts.get(kind) ?? 0) + 1);
  }
  const parts = ["promoted", "to promote", "already there", "to be refused", "failed"].flatMap((kind) => {
    const count = counts.get(kind);
    return count === undefined ? [] : [`${count} ${kind}`];
  });
  return `${dryRun ? "Plan, nothing was changed: " : ""}${parts.join(", ")}.`;
}

function done({ failure, changed }: PromotionResult): string {
  return failure ? "failed" : changed ? "promoted" : "already there";
}

function planned({ failure, tags, bytes }: PromotionResult): string {
  if (failure) {
    return "failed";
  }
  const states = tags.map(({ state }) => state);
  if (states.includes("refused") || states.includes("immutable")) {
    return "to be refused";
  }
  return bytes > 0 || states.includes("planned") ? "to promote" : "already there";
}

/**
 * One promotion, for a program.
 * @param toObject how this entry point formats a failure
 */
export function objectOf(result: PromotionResult, toObject: (failure: ExplainedError) => FailureObject) {
  const { promotion, digest, platforms, artifacts, changed, bytes, milliseconds, failure } = result;
  const { source, destination } = promotion;
  return {
    source: formatReference(source),
    destination: pathOf(destination),
    digest: digest ?? null,
    image: digest === undefined ? null : byDigest(destination, digest),
    platforms,
    tags: tagsOf(result).map(({ tag, state, before }) => ({ tag, state, before: before ?? null })),
    artifacts: artifacts.map(({ kind, digest, subject, tag, copied }) => ({
      ...{ kind, digest, subject, tag: tag ?? null, copied },
    })),
    changed,
    bytes,
    milliseconds,
    ...(failure && { error: toObject(failure) }),
  };
}

/**
 * Keyed by the names of the table of outputs. A promotion that failed or was only planned is in `results` only: later steps
 * sign or deploy what the other outputs name, and must find it.
 */
export function promotionOutputsOf(
  results: readonly PromotionResult[],
  { dryRun, toObject }: { readonly dryRun: boolean; readonly toObject: (failure: ExplainedError) => FailureObject },
): Readonly<Record<PromotionOutputName, string>> {
  const done = dryRun ? [] : results.filter(({ failure, digest }) => failure === undefined && digest !== undefined);
  const single = results.length === 1 ? done[0] : undefined;
  return {
    image: done.map(({ promotion, digest = "" }) => byDigest(promotion.destination, digest)).join("\n"),
    repository: single ? pathOf(single.promotion.destination) : "",
    digest: single?.digest ?? "",
    tags: done.flatMap(({ promotion: { destination, tags } }) => tags.map((tag) => byTag(destination, tag))).join("\n"),
    changed: String(results.some(({ changed }) => changed)),
    results: JSON.stringify(results.map((result) => objectOf(result, toObject))),
  };
}

/**
 * The failures, each once. With several promotions, each names those that it belongs to.
 * @returns them in the order of the promotions
 */
export function failuresOf(results: readonly PromotionResult[]): readonly ExplainedError[] {
  const names = namesOf(results.map(({ promotion }) => promotion));
  const found = new Map<string, { readonly failure: ExplainedError; readonly names: string[] }>();
  for (const [index, { failure }] of results.entries()) {
    if (failure) {
      const key = JSON.stringify([failure.code, failure.headline, failure.remedy]);
      const same = found.get(key) ?? { failure, names: [] };
      same.names.push(names[index] ?? "");
      found.set(key, same);
    }
  }
  return [...found.values()].map(({ failure, names }) => {
    const prefix = results.length === 1 ? "" : `${listed(names)}: `;
    return reworded(failure, { headline: (words) => text`${prefix}${words}` });
  });
}

const listed = (names: readonly string[]): string =>
  names.length > 4 ? `${names.slice(0, 3).join(", ")} and ${names.length - 3} more` : names.join(", ");

/** The name of each promotion in log lines: its destination, with as much more as makes it unique. */
export function namesOf(promotions: readonly Promotion[]): readonly string[] {
  const several = new Set(promotions.map(({ destination }) => destination.registry)).size > 1;
  const short = promotions.map(({ destination }) => (several ? pathOf(destination) : destination.repository));
  return promotions.map(({ tags }, index) => {
    const name = short[index] ?? "";
    return short.filter((other) => other === name).length > 1 ? `${name}:${tags[0]}` : name;
  });
}

export const shortDigest = (digest: string): string => digest.replace(/^([a-z0-9]+:[0-9a-f]{12})[0-9a-f]+$/, "$1…");

const units = [
  ["GB", 1e9],
  ["MB", 1e6],
  ["kB", 1e3],
] as const;

// From 999,950 on, one decimal would round to 1000.0.
const unitOf = (bytes: number) => units.find(([, size]) => bytes >= size * 0.99995);

/** 12.3 MB, in powers of 1000. */
export function formatBytes(bytes: number): string {
  const [unit, size] = unitOf(bytes) ?? ["B", 1];
  return `${size === 1 ? bytes : (bytes / size).toFixed(1)} ${unit}`;
}

/** 45.2 of 120.0 MB */
export function formatPart(part: number, all: number): string {
  const [unit, size] = unitOf(all) ?? ["B", 1];
  const digits = size === 1 ? 0 : 1;
  return `${(Math.min(part, all) / size).toFixed(digits)} of ${(all / size).toFixed(digits)} ${unit}`;
}

export function formatTime(milliseconds: number): string {
  const seconds = Math.round(milliseconds / 1000);
  if (milliseconds < 59_950) {
    return `${(milliseconds / 1000).toFixed(1)} s`;
  }
  return `${Math.floor(seconds / 60)} min ${seconds % 60} s`;
}
