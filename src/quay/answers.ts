/** Classifies Quay's answer to an exchange. Pure: status, headers and body in, one of few results out. */
import type { JWTPayload } from "jose";
import { decodeJwt } from "jose/jwt/decode";
import { isoTime } from "../identity/token.ts";
import type { ErrorCode } from "../platform/errors.ts";
import type { HttpAnswer } from "../platform/http.ts";
import { parseObject } from "../platform/json.ts";
import { isJwt, isTime } from "../platform/jwt.ts";
import { oneLine, reasonIn } from "../platform/text.ts";

/** When a robot token expires, by Quay's clock (seconds since 1970), and its whole lifetime. */
export interface Life {
  readonly expiresAt: number;
  readonly lifeSeconds: number;
}

/** Quay's default, for a token that doesn't state its lifetime. */
const usualLifeSeconds = 3600;

export type ExchangeResult =
  /** `expiresAt` in seconds since 1970, from the robot token itself: the body does not state it. */
  | ({ readonly kind: "token"; readonly token: string } & Life)
  /** Quay itself refused; `reason` is its own text. */
  | { readonly kind: "refused"; readonly code: RefusalCode; readonly reason: string }
  /** 500 and 502 have several causes, most of them at the issuer, which has to be examined. */
  | { readonly kind: "unclear"; readonly status: number }
  /** Temporary. */
  | {
      readonly kind: "busy";
      readonly code: "quay-unavailable" | "rate-limited" | "quay-read-only";
      readonly status: number;
    }
  | { readonly kind: "without-federation" }
  | { readonly kind: "too-big" }
  | { readonly kind: "unusable"; readonly why: string };

export type RefusalCode = Extract<
  ErrorCode,
  | "robot-not-found"
  | "robot-not-federated"
  | "issuer-not-bound"
  | "issuer-mismatch"
  | "subject-not-bound"
  | "audience-refused"
  | "binding-ambiguous"
  | "signature-refused"
  | "token-expired"
  | "token-from-the-future"
  | "token-incomplete"
  | "token-algorithm"
  | "robots-disabled"
  | "quay-refused"
>;

/** Quay's wordings, as recorded on a running Quay (docs/quay.md) and read in its newer source. */
const refusals: readonly (readonly [pattern: RegExp, code: RefusalCode])[] = [
  [/^Could not find robot/, "robot-not-found"],
  [/^Invalid robot$/, "robot-not-found"],
  [/federated login configured/, "robot-not-federated"],
  [/^issuer .* not configured for this robot$/s, "issuer-not-bound"],
  [/^Token does not contain issuer$/, "token-incomplete"],
  [/^Token does not match robot$/, "subject-not-bound"],
  [/^Token audience is not allowed|Audience doesn't match|missing the "aud" claim/, "audience-refused"],
  [/^Ambiguous federation binding/, "binding-ambiguous"],
  [/Signature has expired/, "token-expired"],
  [/cannot be in the future|not yet valid/, "token-from-the-future"],
  [/not in configured issuers|Invalid issuer$/s, "issuer-mismatch"],
  [/Signature verification failed/, "signature-refused"],
  [/alg value is not allowed/, "token-algorithm"],
  [/is missing the|Missing .?kid.? header|must be an integer|must be a string/, "token-incomplete"],
  [/^Robot accounts? have been disabled/, "robots-disabled"],
];

/** @param now milliseconds since 1970, if Quay's answer has no date */
export function readExchangeAnswer(answer: HttpAnswer, robot: string, now: number): ExchangeResult {
  const { status } = answer;
  if (status === 200) {
    const quaysTime = Date.parse(String(answer.headers.date ?? ""));
    return readRobotToken(answer.body, robot, (Number.isNaN(quaysTime) ? now : quaysTime) / 1000);
  }
  if (status === 431 || (status === 400 && /Request Header Or Cookie Too Large/i.test(answer.body))) {
    return { kind: "too-big" };
  }
  if (isRedirect(status)) {
    return readRedirect(answer);
  }
  if (status === 404) {
    return { kind: "without-federation" };
  }
  if (status === 429) {
    return { kind: "busy", code: "rate-limited", status };
  }
  const reason = reasonIn(answer.body);
  if (status === 503) {
    return { kind: "busy", code: /read-only/.test(reason ?? "") ? "quay-read-only" : "quay-unavailable", status };
  }
  if (status === 500 || status === 502) {
    return { kind: "unclear", status };
  }
  if (status > 502 || status === 501 || status === 408 || status === 425) {
    return { kind: "busy", code: "quay-unavailable", status };
  }
  if (status >= 400 && reason !== undefined) {
    return { kind: "refused", code: refusals.find(([pattern]) => pattern.test(reason))?.[1] ?? "quay-refused", reason };
  }
  return { kind: "unusable", why: `status ${status} with a page instead of a reason` };
}

const isRedirect = (status: number): boolean => status >= 300 && status < 400;

/** A Quay without the feature redirects the path to itself with a trailing slash, which is a page of the user interface. */
function readRedirect(answer: HttpAnswer): ExchangeResult {
  const location = String(answer.headers.location ?? "");
  if (/\/oauth2\/federation\/robot\/token\/$/i.test(location)) {
    return { kind: "without-federation" };
  }
  const target = URL.canParse(location) ? new URL(location).host : "another path";
  return {
    kind: "unusable",
    why: `a redirect to ${target}, which is not followed: the identity token would go there`,
  };
}

/** Seconds; 24 times Quay's lifetime. A token that lives for years would not be short-lived. */
const maxLifeSeconds = 86_400;

/** No tool could use a longer one: it goes into the same header as an identity token. */
const maxTokenLength = 6_000;

/** @param now seconds since 1970, by Quay's clock, which need not be ours */
function readRobotToken(body: string, robot: string, now: number): ExchangeResult {
  const unusable = (why: string): ExchangeResult => ({ kind: "unusable", why });
  const token = tokenIn(body);
  if (token === undefined) {
    return unusable("its answer holds no token");
  }
  if (!isJwt(token)) {
    return unusable("its token is not a JWT");
  }
  if (token.length > maxTokenLength) {
    return unusable(`its token has ${token.length} characters, too many for a tool to use it`);
  }
  let claims: JWTPayload;
  try {
    claims = decodeJwt(token);
  } catch {
    return unusable("its token is not a JWT");
  }
  const { sub, exp, iat, nbf } = claims;
  if (sub !== robot) {
    return unusable(`its token is for ${oneLine(JSON.stringify(sub) ?? "no subject", 300)}, not for ${robot}`);
  }
  if (!isTime(exp)) {
    return unusable("its token does not say when it expires");
  }
  const began = iat ?? nbf;
  if (began !== undefined && !isTime(began)) {
    return unusable("its token does not say when it was issued");
  }
  if (exp <= Math.max(now, began ?? 0)) {
    return unusable(`its token had already expired, at ${isoTime(exp)}`);
  }
  const lifeSeconds = began === undefined ? usualLifeSeconds : exp - began;
  if (exp - now > maxLifeSeconds || lifeSeconds > maxLifeSeconds) {
    return unusable(`its token expires only at ${isoTime(exp)}, not after an hour`);
  }
  return { kind: "token", token, expiresAt: exp, lifeSeconds };
}

function tokenIn(body: string): string | undefined {
  const { token } = parseObject(body) ?? {};
  return typeof token === "string" && token !== "" ? token : undefined;
}
