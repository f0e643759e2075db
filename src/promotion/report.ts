/** What became of the promotions, for people and for programs: the entryPoints lay it out. Pure. */

import type { PromotionOutputName } from "../options/table.ts";
import { type ExplainedError, type FailureObject, reworded } from "../platform/errors.ts";
import { text } from "../platform/wording.ts";
import { byDigest, byTag, formatReference, pathOf } from "./reference.ts";
import type { Promotion, PromotionRequest } from "./request.ts";
import type { ArtifactResult, PromotionResult, TagResult } from "./result.ts";

/** One promotion, in words. */
export interface Row {
  /** The destination, with the digest shortened where it is known. */
  readonly image: string;
  readonly tags: readonly { readonly tag: string; readonly state: string }[];
  /** undefined: it went well */
  readonly failure: string | undefined;
  readonly bytes: string;
  readonly time: string;
  /** The whole reference, to copy from, and where it came from. */
  readonly reference: string;
  readonly source: string;
  /** "2 signatures, 1 SBOM: copied", and what of it is not there already, one by one. */
  readonly artifacts: readonly string[];
}

/** What of the request decides how results are told. */
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

/** What was asked for, where a failure came before a look at the tags. */
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

/** @param otherwise what those are that were not copied */
function artifactsOf(artifacts: readonly ArtifactResult[], otherwise: string): readonly string[] {
  return [true, false].flatMap((copied) => {
    const some = artifacts.filter((each) => each.copied === copied);
    const counts = kinds.flatMap(([kind, one, several]) => {
      const count = some.filter((each) => each.kind === kind).length;
      return count === 0 ? [] : [`${count} ${count === 1 ? one : several}`];
    });
    const news = otherwise === "already there" && !copied ? [] : some;
    return counts.length === 0 ? [] : [`${counts.join(", ")}: ${copied ? "copied" : otherwise}`, ...news.map(lineOf)];
  });
}

function lineOf({ kind, digest, subject, tag }: ArtifactResult): string {
  const name = kinds.find(([each]) => each === kind)?.[1] ?? kind;
  const under = tag === undefined ? "" : `, under ${tag.replace(/^(sha[0-9]+-[0-9a-f]{12})[0-9a-f]+/, "$1…")}`;
  return `${name} ${shortDigest(digest)} of ${shortDigest(subject)}${under}`;
}

/** All of them in one line. */
export function conclusion(results: readonly PromotionResult[], { dryRun }: ReportOptions): string {
  const counts = new Map<string, number>();
  for (const result of results) {
    const kind = dryRun ? planned(result) : done(result);
    counts.set(kind, (counts.get(kind) ?? 0) + 1);
  }
  const told = ["promoted", "to promote", "already there", "to be refused", "failed"].flatMap((kind) => {
    const count = counts.get(kind);
    return count === undefined ? [] : [`${count} ${kind}`];
  });
  return `${dryRun ? "Plan, nothing was changed: " : ""}${told.join(", ")}.`;
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
 * @param tell how this entry point words a failure
 */
export function objectOf(result: PromotionResult, tell: (failure: ExplainedError) => FailureObject) {
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
    ...(failure && { error: tell(failure) }),
  };
}

/**
 * By the names of the table of outputs. What failed, or was only planned, stands in `results` alone: whoever signs or deploys
 * what the other outputs name must find it.
 */
export function promotionOutputsOf(
  results: readonly PromotionResult[],
  { dryRun, tell }: { readonly dryRun: boolean; readonly tell: (failure: ExplainedError) => FailureObject },
): Readonly<Record<PromotionOutputName, string>> {
  const done = dryRun ? [] : results.filter(({ failure, digest }) => failure === undefined && digest !== undefined);
  const single = results.length === 1 ? done[0] : undefined;
  return {
    image: done.map(({ promotion, digest = "" }) => byDigest(promotion.destination, digest)).join("\n"),
    repository: single ? pathOf(single.promotion.destination) : "",
    digest: single?.digest ?? "",
    tags: done.flatMap(({ promotion: { destination, tags } }) => tags.map((tag) => byTag(destination, tag))).join("\n"),
    changed: String(results.some(({ changed }) => changed)),
    results: JSON.stringify(results.map((result) => objectOf(result, tell))),
  };
}

/**
 * The failures, each once, with the promotions that it belongs to where there are several.
 * @returns those of the promotions in order
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

/** What a promotion is called in a line about it: its destination, with as much more as tells it from the others. */
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

// From 999,950 on, one digit behind the point would make it 1000.0.
const unitOf = (bytes: number) => units.find(([, size]) => bytes >= size * 0.99995);

/** 12.3 MB: by thousands, as registries and disks count. */
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
