/**
 * The cache of the credential helper: robot tokens, each with what it was got for. It is read synchronously and without a lock, by
 * each `get`; exchanges write it (cache-write.ts).
 */
import { hash } from "node:crypto";
import { existsSync, statSync } from "node:fs";
import { delimiter, dirname, isAbsolute, join, resolve } from "node:path";
import { findSource, type Source, urlVariable } from "../identity/choice.ts";
import { readTokenText } from "../identity/token-text.ts";
import type { Environment } from "../platform/environment.ts";
import { unreachable } from "../platform/errors.ts";
import { isObject, parseObject } from "../platform/json.ts";
import { isJwt, isTime } from "../platform/jwt.ts";
import { readTextNow, readTrustedFile, whyWayUntrusted } from "../platform/trusted-file.ts";
import type { HelperRequest, Origin } from "./configuration.ts";

/** What a robot token was got for. Only the same again gets it from the cache. */
export interface CacheKey {
  readonly registry: string;
  readonly robot: string;
  readonly audience: string;
  /** SHA-256 of what distinguishes the source of the identity token; issuer and subject are known only once one is fetched. */
  readonly source: string;
  /** Of a token in a file or a variable, which is there to be compared. */
  readonly issuer?: string | undefined;
  readonly subject?: string | undefined;
}

export interface CacheEntry extends CacheKey {
  /** A secret. */
  readonly token: string;
  /** Seconds since 1970, by this machine's clock: Quay's may differ. */
  readonly expiresAt: number;
  readonly lifeSeconds: number;
}

/**
 * Where the cache of a configuration is, whether it may be used or not: what is in it can always be deleted. A job's is beside its
 * configuration, and is deleted with it.
 */
export function cachePlace(origin: Origin, { XDG_RUNTIME_DIR: runtime = "" }: Environment): string | undefined {
  if (origin.kind === "job") {
    return join(dirname(origin.path), "cache.json");
  }
  return isAbsolute(runtime) ? join(runtime, "quay-keyless", "cache.json") : undefined;
}

/**
 * The cache that a `get` may use. A CI job without one of its own has none: a shared folder outlives the job.
 * @returns undefined where there is no private place for it
 */
export function cachePath(origin: Origin, env: Environment): string | undefined {
  const path = cachePlace(origin, env);
  const isUsable = origin.kind === "job" || (!env.CI && path !== undefined && isPrivate(dirname(dirname(path))));
  return isUsable ? path : undefined;
}

function isPrivate(folder: string): boolean {
  const info = statSync(folder, { throwIfNoEntry: false });
  const isOurs = info?.isDirectory() === true && info.uid === process.geteuid?.() && (info.mode & 0o077) === 0;
  return isOurs && whyWayUntrusted(folder) === undefined;
}

/**
 * The key of what is asked for now.
 * @returns undefined if there is no identity in this place: who has none gets no token, whatever is in the cache
 * @throws ExplainedError `invalid-input` if SPIFFE_ENDPOINT_SOCKET is not an address
 */
export function keyOf(
  { registry, robot, identity }: Pick<HelperRequest, "registry" | "robot" | "identity">,
  env: Environment,
): CacheKey | undefined {
  const source = findSource(identity, env)?.source;
  if (source === undefined) {
    return undefined;
  }
  const fingerprint = hash("sha256", JSON.stringify(fingerprintOf(source, env)));
  const key = { registry, robot, audience: identity.audience, source: fingerprint };
  switch (source.source) {
    case "file":
      return withClaims(key, readTextNow(source.path));
    case "environment":
      return withClaims(key, env[source.variable]);
    case "spiffe":
      return source.endpoint.kind === "tcp" || isSocket(source.endpoint.path) ? key : undefined;
    case "command":
      return isProgram(source.words[0], env) ? key : undefined;
    case "github":
      return key;
    default:
      return unreachable(source);
  }
}

const isSocket = (path: string): boolean => statSync(path, { throwIfNoEntry: false })?.isSocket() === true;

const isProgram = (name: string, { PATH = "" }: Environment): boolean =>
  isAbsolute(name)
    ? existsSync(name)
    : PATH.split(delimiter).some((folder) => isAbsolute(folder) && existsSync(join(folder, name)));

/** The key with issuer and subject of a token that is in this place; whether it is still valid matters to an exchange alone. */
function withClaims(key: CacheKey, text = ""): CacheKey | undefined {
  const read = readTokenText(text);
  const payload = read.ok && isJwt(read.token) ? read.token.split(".")[1] : undefined;
  const { iss, sub } = parseObject(Buffer.from(payload ?? "", "base64url").toString()) ?? {};
  return typeof iss === "string" && typeof sub === "string" ? { ...key, issuer: iss, subject: sub } : undefined;
}

/** What tells one source of identity tokens from another. It holds no secret. */
function fingerprintOf(source: Source, env: Environment): readonly (string | undefined)[] {
  switch (source.source) {
    case "github": {
      const { GITHUB_REPOSITORY, GITHUB_RUN_ID, GITHUB_RUN_ATTEMPT, GITHUB_JOB } = env;
      return ["github", env[urlVariable], GITHUB_REPOSITORY, GITHUB_RUN_ID, GITHUB_RUN_ATTEMPT, GITHUB_JOB];
    }
    case "file":
      return ["file", resolve(source.path)];
    case "environment":
      return ["environment", source.variable];
    case "command":
      return ["command", ...source.words];
    case "spiffe":
      return ["spiffe", source.address, source.id];
    default:
      return unreachable(source);
  }
}

/**
 * A token from the cache, while at least half of its life is left: skopeo and buildah never ask again.
 * @param now milliseconds since 1970
 * @returns undefined if there is none; a cache that is damaged, or that others could have written, holds none
 */
export function findCached(path: string, key: CacheKey, now: number): CacheEntry | undefined {
  return readCache(path).find((entry) => isSame(entry, key) && isYoung(entry, now));
}

/** All entries of the cache, each with the form that it should have. */
export function readCache(path: string): readonly CacheEntry[] {
  const file = readTrustedFile(path);
  const content = file.kind === "read" ? parseObject(file.text) : undefined;
  return content?.version === 1 && Array.isArray(content.entries) ? content.entries.filter(isEntry) : [];
}

const parts = ["registry", "robot", "audience", "source", "issuer", "subject"] as const;

export const isSame = (one: CacheKey, other: CacheKey): boolean => parts.every((part) => one[part] === other[part]);

/** After a clock was set back, a token would seem to live longer than any does. */
function isYoung({ expiresAt, lifeSeconds }: CacheEntry, now: number): boolean {
  const left = expiresAt - now / 1000;
  return left >= lifeSeconds / 2 && left <= lifeSeconds;
}

function isEntry(value: unknown): value is CacheEntry {
  if (!isObject(value)) {
    return false;
  }
  const { token, expiresAt, lifeSeconds } = value;
  const isText = (part: (typeof parts)[number]) => typeof value[part] === "string";
  const isKey = parts.every((part) => isText(part) || (value[part] === undefined && /^(?:issuer|subject)$/.test(part)));
  return isKey && typeof token === "string" && isJwt(token) && isTime(expiresAt) && isTime(lifeSeconds);
}
