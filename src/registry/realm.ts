/**
 * The realm: where a registry sends its clients for a bearer token (the distribution project's token specification). A tool sends the
 * robot token to any realm that the registry names. The registry is therefore asked first, without a login.
 */

import { basicAuthorization } from "../identity/token.ts";
import { ExplainedError } from "../platform/errors.ts";
import { type HttpAnswer, HttpFailure, type PendingRequest } from "../platform/http.ts";
import type { Platform } from "../platform/platform.ts";
import { type Attempt, persistenceOf, retry } from "../platform/retry.ts";
import { mention, text, type Words } from "../platform/wording.ts";
import type { RobotToken } from "../quay/exchange.ts";
import { explainFailure, remedies } from "../quay/explain.ts";

/** Where bearer tokens are requested. */
export interface Realm {
  readonly url: URL;
  /** The registry's name for itself: it accepts only tokens for this name. */
  readonly service: string | undefined;
}

/** For an answer with a bearer token. */
const tokenLimits = { timeoutMs: 30_000, maxBytes: 262_144 };
const pingLimits = { timeoutMs: 30_000, maxBytes: 1_048_576 };

/** Opens the connection to ask the registry; nothing is sent yet. */
export const openRegistry = (registry: string, platform: Platform): PendingRequest =>
  platform.http.open(new URL(`https://${registry}/v2/`), pingLimits);

/**
 * Asks the registry now; the returned function checks the answer.
 * @param tokenHost the host besides the registry's own to which it may send its clients
 * @param opened from `openRegistry`
 * @returns a function that gives the realm, always the same; it throws ExplainedError `realm-refused`, `quay-unavailable`, or why Quay
 *   can't be reached
 */
export function findRealm(
  registry: string,
  tokenHost: string | undefined,
  opened: PendingRequest,
  platform: Platform,
): () => Promise<Realm> {
  const first = opened.send();
  first.catch(() => {}); // reported when the realm is wanted
  let asked: Promise<HttpAnswer> | undefined = first;
  let found: Promise<Realm> | undefined;
  const attempt = async (): Promise<Attempt<Realm>> => {
    const answering = asked ?? openRegistry(registry, platform).send();
    asked = undefined;
    try {
      return judge(await answering, registry, tokenHost);
    } catch (failure) {
      if (!(failure instanceof HttpFailure)) {
        throw failure;
      }
      const isOdd = failure.kind === "too-big" || failure.kind === "cut";
      const error = isOdd ? refused(registry, `gives an unusable answer to /v2/: ${failure.message}`) : undefined;
      return { retry: persistenceOf(failure), error: error ?? explainFailure(failure, { registry }) };
    }
  };
  return () => {
    found ??= retry(platform, `the registry of ${registry}`, attempt);
    return found;
  };
}

function judge(answer: HttpAnswer, registry: string, tokenHost: string | undefined): Attempt<Realm> {
  const { status, headers } = answer;
  if (status === 429 || status >= 500) {
    const message =
      status === 429
        ? `The registry of Quay at ${registry} received too many requests from here (429).`
        : `The registry part of Quay at ${registry} is not up: it answered ${status}.`;
    const error = new ExplainedError("quay-unavailable", message, {
      remedy: ["Run the job again. If it keeps failing, check the status page of this Quay."],
    });
    return { retry: "patient", error, answer };
  }
  const fail = (problem: string, ...remedy: Words[]): Attempt<never> => ({
    retry: "no",
    error: refused(registry, problem, ...remedy),
  });
  // The tools follow a redirect and log in at its target.
  if (status !== 200 && status !== 401) {
    return fail(status >= 300 && status < 400 ? `redirects /v2/ (${status})` : `answers /v2/ with status ${status}`);
  }
  const challenges = parseChallenges(headers["www-authenticate"]);
  const [challenge, another] = challenges ?? [];
  if (challenge === undefined) {
    return fail(challenges ? `asks for no login at /v2/ (${status})` : "asks for a login in an invalid form");
  }
  // Each tool takes the first scheme that it knows, and they know different ones.
  if (another !== undefined || challenge.scheme !== "bearer") {
    return fail("asks for a login in another way than Quay does");
  }
  const realm = realmOf(challenge);
  if (realm === undefined) {
    return fail(
      "sends logins to an address that is not https",
      "Ask Quay's administrator to check SERVER_HOSTNAME and PREFERRED_URL_SCHEME in its configuration.",
    );
  }
  const { host } = realm.url;
  if (![registry, tokenHost].some((allowed) => allowed !== undefined && new URL(`https://${allowed}`).host === host)) {
    return fail(
      `sends logins to another host, ${host}`,
      text`If this Quay issues its tokens there: ${mention("token-host", host)}`,
      "Otherwise find out which server answers in its place.",
    );
  }
  return { value: realm };
}

function refused(registry: string, problem: string, ...remedy: Words[]): ExplainedError {
  return new ExplainedError("realm-refused", `${registry} ${problem}: the robot token is not sent to it.`, {
    remedy: remedy.length > 0 ? remedy : [remedies.checkRegistry],
  });
}

interface Challenge {
  readonly scheme: string;
  readonly parameters: ReadonlyMap<string, string>;
}

/**
 * RFC 9110, 11.6.1, without token68, and with plain strings only: an ambiguous header is not accepted.
 * @returns undefined if it is not a list of challenges
 */
export function parseChallenges(header: string | string[] | undefined): readonly Challenge[] | undefined {
  const challenges: { scheme: string; parameters: Map<string, string> }[] = [];
  const text = String(header ?? "").trim();
  const part = /([a-z][\w-]*)(?:\s*=\s*(?:"([^"\\]*)"|([^\s",=\\]+)))?\s*(,|\s|$)[\s,]*/iy;
  while (part.lastIndex < text.length) {
    const [whole, name = "", quoted, bare] = part.exec(text) ?? [];
    const last = challenges.at(-1);
    const value = quoted ?? bare;
    if (
      whole === undefined ||
      (value !== undefined && (last === undefined || last.parameters.has(name.toLowerCase())))
    ) {
      return undefined;
    }
    if (value === undefined) {
      challenges.push({ scheme: name.toLowerCase(), parameters: new Map() });
    } else {
      last?.parameters.set(name.toLowerCase(), value);
    }
  }
  return challenges;
}

/** Strict: URL also accepts `https:\host` and `https:host`, which the tools, Go programs, read differently. */
const plainAddress = /^https:\/\/(?:[\w.-]+|\[[\da-f:.]+\])(?::\d+)?(?:[/?][!-[\]-~]*)?$/i;

/** @returns undefined if it names no https address: nothing is fetched without TLS */
function realmOf({ parameters }: Challenge): Realm | undefined {
  const realm = parameters.get("realm") ?? "";
  return plainAddress.test(realm) && URL.canParse(realm)
    ? { url: new URL(realm), service: parameters.get("service") }
    : undefined;
}

/** Without a login any https address is accepted, from any of several challenges. @returns undefined if there is none */
export function realmForAnyone({ headers }: HttpAnswer): Realm | undefined {
  return parseChallenges(headers["www-authenticate"])
    ?.filter(({ scheme }) => scheme === "bearer")
    .map(realmOf)
    .find((realm) => realm !== undefined);
}

/** Whether the registry itself asks for user and password (RFC 7617), and for nothing else. */
export function asksForPassword({ headers }: HttpAnswer): boolean {
  const challenges = parseChallenges(headers["www-authenticate"]) ?? [];
  return challenges.length > 0 && challenges.every(({ scheme }) => scheme === "basic");
}

/** @param credential `basic`: base64(user:password) of a login other than a robot's; undefined: without a login */
export function askRealm(
  { url, service }: Realm,
  credential: RobotToken | { readonly basic: string } | undefined,
  platform: Platform,
  scope?: string,
): Promise<HttpAnswer> {
  const address = new URL(url);
  if (service !== undefined) {
    address.searchParams.set("service", service);
  }
  if (scope !== undefined) {
    address.searchParams.set("scope", scope);
  }
  const request = platform.http.open(address, tokenLimits);
  if (credential === undefined) {
    return request.send();
  }
  if ("basic" in credential) {
    return request.send({ authorization: `Basic ${credential.basic}` });
  }
  const authorization = basicAuthorization(credential.robot, credential.token);
  platform.reporter.secret(authorization.slice("Basic ".length));
  return request.send({ authorization });
}
