/** What Quay's answer to an exchange means. Pure: status, headers and body in, one of few results out. */
import { decodeJwt } from "jose/jwt/decode";
import type { ErrorCode } from "../errors.ts";
import type { HttpAnswer } from "../platform/http.ts";

/** When a robot token ends, by Quay's clock (seconds since 1970), and how long it lives in all. */
export interface Life {
  readonly expiresAt: number;
  readonly lifeSeconds: number;
}

/** Quay's, seconds, for a token that doesn't say. */
const usualLife = 3600;

export type ExchangeResult =
  /** `expiresAt` in seconds since 1970, from the robot token itself: the body says nothing else. */
  | ({ readonly kind: "token"; readonly token: string } & Life)
  /** Quay itself said no; `reason` is its own words. */
  | { readonly kind: "refused"; readonly code: RefusalCode; readonly reason: string }
  /** 500 and 502 have several causes, most of them at the issuer: somebody has to look. */
  | { readonly kind: "unclear"; readonly status: number }
  /** Passes by itself. */
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

export function readExchangeAnswer(answer: HttpAnswer, robot: string): ExchangeResult {
  const { status } = answer;
  if (status === 200) {
    return readRobotToken(answer.body, robot);
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

/** A Quay without the feature sends the path on to itself with a slash at its end, which is a page of the user interface. */
function readRedirect(answer: HttpAnswer): ExchangeResult {
  const location = String(answer.headers.location ?? "");
  if (/\/oauth2\/federation\/robot\/token\/$/i.test(location)) {
    return { kind: "without-federation" };
  }
  const target = URL.canParse(location) ? new URL(location).host : "another path";
  return {
    kind: "unusable",
    why: `a redirect to ${target}, which is not followed since the identity token would go there`,
  };
}

/** Refusals come as `{"message"}` or, from another layer of Quay, `{"error"}` or `{"detail"}`; content types can't be trusted. */
function reasonIn(body: string): string | undefined {
  const parsed = parseObject(body);
  const reason = parsed?.message ?? parsed?.error ?? parsed?.detail;
  return typeof reason === "string" ? reason.slice(0, 500) : undefined;
}

function readRobotToken(body: string, robot: string): ExchangeResult {
  const token = parseObject(body)?.token;
  if (typeof token !== "string" || token === "") {
    return { kind: "unusable", why: "its answer holds no token" };
  }
  try {
    const claims = decodeJwt(token);
    if (claims.sub !== robot) {
      return { kind: "unusable", why: `its token is for ${JSON.stringify(claims.sub)}, not for ${robot}` };
    }
    if (claims.exp === undefined || !Number.isFinite(claims.exp)) {
      return { kind: "unusable", why: "its token does not say when it ends" };
    }
    const began = claims.iat ?? claims.nbf;
    const lifeSeconds = began !== undefined && claims.exp > began ? claims.exp - began : usualLife;
    return { kind: "token", token, expiresAt: claims.exp, lifeSeconds };
  } catch {
    return { kind: "unusable", why: "its token is not a JWT" };
  }
}

function parseObject(body: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(body);
    return typeof value === "object" && value !== null ? (value as Record<string, unknown>) : undefined;
  } catch {
    return undefined;
  }
}
