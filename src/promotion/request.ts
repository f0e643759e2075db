/** Reads the options and the file of promotions into one plain value, validated before anything is changed. */

import { type IdentityRequest, parseIdentityRequest } from "../identity/source.ts";
import { type OptionReader, parseTimeout, readOptions, requireOptions } from "../options/reader.ts";
import type { OptionValues } from "../options/table.ts";
import { invalidInput, oneOfTheTwo } from "../platform/errors.ts";
import { asGiven } from "../platform/text.ts";
import { mention, text } from "../platform/wording.ts";
import { parseOptionalHost, parseRegistry, parseRobot } from "../quay/scope.ts";
import { type Promotion, parsePromotion } from "./promotion.ts";
import { readPromotionFile } from "./promotion-file.ts";
import { shownOf } from "./reference.ts";

export type { Promotion } from "./promotion.ts";

/** What happens to a tag that exists: it stays, it is moved, or it is an error. */
export type ExistingTags = "stay" | "move" | "forbidden";

export interface PromotionRequest {
  readonly identity: IdentityRequest;
  /** At least one. All destinations are on one registry; so are all sources if `sourceRobot` is set. */
  readonly promotions: readonly Promotion[];
  /** Without this and `sourceAuthFile`, the source is public. */
  readonly sourceRobot: string | undefined;
  readonly sourceAuthFile: string | undefined;
  readonly destinationRobot: string;
  /** host or host:port, the second host to which a registry may send logins */
  readonly sourceTokenHost: string | undefined;
  readonly destinationTokenHost: string | undefined;
  readonly existingTags: ExistingTags;
  readonly allowExpiring: boolean;
  /** os/architecture or os/architecture/variant */
  readonly platforms: readonly string[];
  readonly withSignatures: boolean;
  readonly verifyCommand: string | undefined;
  readonly dryRun: boolean;
  readonly parallel: number;
  readonly caFile: string | undefined;
  /** For each login and each request to a registry, retries included. */
  readonly timeoutSeconds: number;
}

/** The options that are required without a file of promotions, with examples. */
const unlessFile = { source: "quay.io/acme/staging:1.0", destination: "quay.io/acme/app", tag: "1.0" } as const;

/**
 * Reads the file of the option file, and changes nothing.
 * @throws ExplainedError `invalid-input`, naming the option or the file's entry, the value and an example that works
 */
export async function readPromotionRequest(values: OptionValues): Promise<PromotionRequest> {
  const reader = readOptions(values);
  const { text, optional, boolean, list } = reader;
  requireOptions(reader, {
    ...(optional("file") === undefined && unlessFile),
    "destination-robot": "acme+release",
  });
  const registry = parseRegistry(text("registry"));
  const sourceRobot = optional("source-robot");
  const request: Omit<PromotionRequest, "promotions"> = {
    identity: parseIdentityRequest(reader),
    sourceRobot: sourceRobot && parseRobot(sourceRobot, "source-robot"),
    sourceAuthFile: parseSourceAuthFile(reader),
    destinationRobot: parseRobot(text("destination-robot"), "destination-robot"),
    sourceTokenHost: parseSourceTokenHost(reader),
    destinationTokenHost: parseOptionalHost(reader, "destination-token-host"),
    existingTags: parseExistingTags(reader),
    allowExpiring: boolean("allow-expiring"),
    platforms: parsePlatforms(list("platform")),
    withSignatures: boolean("with-signatures"),
    verifyCommand: optional("verify-command"),
    dryRun: boolean("dry-run"),
    parallel: parseParallel(text("parallel")),
    caFile: optional("ca-file"),
    timeoutSeconds: parseTimeout(reader),
  };
  const path = optional("file");
  const promotions =
    path === undefined
      ? [parseSingle(reader, registry)]
      : await readPromotionFile(
          { path: withoutOthers(path, reader), registry, hasSourceRobot: sourceRobot !== undefined },
          AbortSignal.timeout(request.timeoutSeconds * 1000),
        );
  return { ...request, promotions };
}

function parseSourceTokenHost(reader: OptionReader): string | undefined {
  const host = parseOptionalHost(reader, "source-token-host");
  if (host !== undefined && reader.optional("source-robot") === undefined) {
    const problem = text`it belongs to ${mention("source-robot")}, which is not set`;
    throw invalidInput("source-token-host", host, problem, mention("source-robot", "acme+reader"));
  }
  return host;
}

function parseSingle(reader: OptionReader, registry: string): Promotion {
  return parsePromotion({
    source: reader.text("source"),
    destination: reader.text("destination"),
    tags: reader.list("tag"),
    registry,
    tagsGoInto: text`the option ${mention("tag")}`,
    refuse: (field) => (shown, problem, example) => {
      const option = field === "tags" ? "tag" : field;
      return invalidInput(option, shown, problem, mention(option, example));
    },
  });
}

function withoutOthers(path: string, { optional }: OptionReader): string {
  for (const name of ["source", "destination", "tag"] as const) {
    const value = optional(name);
    if (value !== undefined) {
      const shown = JSON.stringify(asGiven(shownOf(value)));
      throw invalidInput("file", path, text`${mention(name)} is set too (${shown})`, oneOfTheTwo);
    }
  }
  return path;
}

function parseSourceAuthFile({ optional }: OptionReader): string | undefined {
  const [file, robot] = [optional("source-auth-file"), optional("source-robot")];
  if (file !== undefined && robot !== undefined) {
    throw invalidInput(
      "source-auth-file",
      file,
      text`${mention("source-robot")} is set too, and the source has one login`,
      oneOfTheTwo,
    );
  }
  return file;
}

function parseExistingTags({ boolean }: OptionReader): ExistingTags {
  const [move, createOnly] = [boolean("move-tags"), boolean("create-only")];
  if (move && createOnly) {
    throw invalidInput(
      "create-only",
      "true",
      text`${mention("move-tags")} is true too, and only an existing tag can move`,
      oneOfTheTwo,
    );
  }
  return move ? "move" : createOnly ? "forbidden" : "stay";
}

/** Other names of architectures, as uname prints them. */
const architectures = new Map([
  ["x86_64", "amd64"],
  ["x86-64", "amd64"],
  ["aarch64", "arm64"],
]);

function parsePlatforms(entries: readonly string[]): readonly string[] {
  for (const entry of entries) {
    const fail = (problem: string, example = "linux/amd64") =>
      invalidInput("platform", entry, problem, mention("platform", example));
    if (/[\s,;]/.test(entry)) {
      throw fail("a platform has no blank, comma or semicolon; write one per line");
    }
    const lower = entry.toLowerCase();
    const [os = "", architecture, ...rest] = lower.split("/");
    const isPlatform = /^[a-z0-9]+(?:\/[a-z0-9._-]+){1,2}$/.test(lower);
    if (!isPlatform) {
      const alone = architecture === undefined && /^(?:amd64|arm64|arm|386|ppc64le|s390x|riscv64)$/.test(os);
      throw fail(
        "it is os/architecture or os/architecture/variant",
        `linux/${alone ? os : (architectures.get(os) ?? "amd64")}`,
      );
    }
    const usual = architectures.get(architecture ?? "");
    if (usual !== undefined) {
      throw fail(`images call this architecture ${usual}`, [os, usual, ...rest].join("/"));
    }
    if (entry !== lower) {
      throw fail("platform names are lower case", lower);
    }
  }
  return [...new Set(entries)];
}

function parseParallel(value: string): number {
  const number = Number(value);
  if (!/^[0-9]+$/.test(value) || number < 1 || number > 32) {
    throw invalidInput("parallel", value, "it is a whole number, 1 to 32", mention("parallel", "4"));
  }
  return number;
}
