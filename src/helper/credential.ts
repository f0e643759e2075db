/** The story of a `get` that finds nothing in the cache: identity -> exchange, one for all that ask at the same time. */
import { hash } from "node:crypto";
import { dirname } from "node:path";
import { withLock } from "../authfile/lock.ts";
import { secretVariable, urlVariable } from "../identity/choice.ts";
import { chooseIdentity, openIdentity } from "../identity/index.ts";
import type { Identity } from "../identity/token.ts";
import { cacheIdentity } from "../login/identity-cache.ts";
import type { Environment } from "../platform/environment.ts";
import { ExplainedError, reworded } from "../platform/errors.ts";
import { makeFolders } from "../platform/fs.ts";
import type { LocalPlatform, Platform } from "../platform/platform.ts";
import { text } from "../platform/wording.ts";
import { connect, exchange, type RobotToken } from "../quay/exchange.ts";
import { findRealm, openRegistry } from "../registry/realm.ts";
import { type CacheKey, findCached, keyOf } from "./cache.ts";
import { keepToken, whyUnusable } from "./cache-write.ts";
import type { HelperRequest } from "./configuration.ts";
import { loginInstead } from "./unusable.ts";

export interface Fetched {
  readonly token: RobotToken;
  readonly identity: Identity;
}

/**
 * Exchanges the identity token for a robot token, and meanwhile asks the registry where it sends logins: the client sends the robot
 * token there.
 * @throws ExplainedError as `chooseIdentity`, `fetchIdentity`, `exchange` and `findRealm` do
 */
export async function fetchCredential(request: HelperRequest, platform: Platform): Promise<Fetched> {
  const { registry, robot, tokenHost } = request;
  const { audience } = request.identity;
  const choice = await chooseIdentity(request.identity, platform);
  const opened = connect(registry, platform);
  const identities = cacheIdentity(
    { choice, audience, opened: openIdentity(choice, audience, platform), robots: [robot] },
    platform,
  );
  let identity: Identity | undefined;
  const currentIdentity = async () => {
    identity = await identities.current();
    return identity;
  };
  const realm = findRealm(registry, tokenHost, openRegistry(registry, platform), platform);
  try {
    const token = await exchange({ registry, robot, currentIdentity, opened }, platform);
    await realm();
    return { token, identity: identity ?? (await identities.first) };
  } finally {
    opened.abandon();
  }
}

/**
 * A token from the cache, or of an exchange, which is then in the cache. Of several processes that need the same token, one exchanges,
 * and the others wait: waiting and an exchange after it take no longer than the timeout. Whatever is wrong with the cache, there is a
 * token.
 * @param cache its path; undefined: there is none
 * @param fetch an exchange
 * @throws ExplainedError as `fetch` does; the signal's reason once it aborts
 */
export async function credentialFor(
  request: HelperRequest,
  cache: string | undefined,
  { env, ...platform }: LocalPlatform & { readonly env: Environment },
  fetch: () => Promise<Fetched>,
): Promise<string> {
  const key = cache === undefined ? undefined : keyOf(request, env);
  if (cache === undefined || key === undefined) {
    return (await fetch()).token.token;
  }
  // A token that was replaced meanwhile may be of another subject.
  const lookUp = () => {
    const now = keyOf(request, env);
    return now && findCached(cache, now, platform.clock.now())?.token;
  };
  let fetching: Promise<Fetched> | undefined;
  const fetchAndKeep = async () => {
    fetching = fetch();
    const { token, identity } = await fetching;
    await keepToken(cache, keyFor(key, identity), token, platform);
    return token.token;
  };
  try {
    await makeFolders(dirname(cache));
    return await withLock(lockName(cache, key), platform, async () => lookUp() ?? (await fetchAndKeep()), {
      waitMs: Number.POSITIVE_INFINITY, // the timeout aborts
      instead: lookUp,
    });
  } catch (error) {
    if (fetching === undefined && platform.signal.aborted) {
      throw whileWaiting(platform.signal.reason, `${lockName(cache, key)}.lock`);
    }
    const { token } = await (fetching ?? fetch());
    platform.reporter.warning(text`The cache ${cache} could not be used. ${whyUnusable(error)}`);
    return token.token;
  }
}

function whileWaiting(reason: unknown, lock: string): unknown {
  return reason instanceof ExplainedError && reason.code === "timeout"
    ? reworded(reason, {
        headline: (words) =>
          text`${words} It was waiting for another process, which gets the same token (lock ${lock}).`,
      })
    : reason;
}

/**
 * The same failure, for what is true in a job alone: the step that has configured the helper is not the one whose tool asks.
 * @param env of the process that asks
 */
export function inJob(error: unknown, { identity }: Pick<HelperRequest, "identity">, env: Environment): unknown {
  const { wanted } = identity;
  const missing = [urlVariable, secretVariable].filter((name) => !env[name]);
  if (wanted.source === "github" && missing.length > 0) {
    return new ExplainedError("identity-not-found", `This process does not have the job's ${missing.join(" and ")}.`, {
      remedy: ["sudo, a container and env -i drop such variables. Run the tool without them.", loginInstead],
    });
  }
  if (!(error instanceof ExplainedError)) {
    return error;
  }
  const where = "for the whole job (env: of the job), not for one step.";
  if (wanted.source === "environment" && !env[wanted.variable]?.trim()) {
    return reworded(error, { remedy: () => [`The credential helper reads it where the tool runs: set it ${where}`] });
  }
  return /^token-command-/.test(error.code)
    ? reworded(error, { remedy: (lines) => [...lines, `It runs where the tool runs: set its variables ${where}`] })
    : error;
}

/** Of each key its own: the exchange with a Quay that does not answer must not keep others waiting. */
const lockName = (cache: string, key: CacheKey): string =>
  `${cache}.${hash("sha256", JSON.stringify(key)).slice(0, 16)}`;

const keyFor = (key: CacheKey, { issuer, subject }: Identity): CacheKey =>
  key.subject === undefined ? key : { ...key, issuer, subject };
