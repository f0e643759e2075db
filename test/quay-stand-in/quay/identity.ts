/**
 * PyJWT's checks of a JWT, in PyJWT's order and wording, as Quay calls it: algorithm, signature, required claims,
 * `iat`, `nbf`, `exp`, `iss`, `aud`, `sub`.
 */
import { createPublicKey, type JsonWebKey, verify } from "node:crypto";

export interface Expectation {
  issuer: unknown;
  /** Not checked if undefined. */
  audiences: string[] | undefined;
  verifyNotBefore: boolean;
  /** Seconds. */
  now: number;
  leeway: number;
}

const DIGESTS: Record<string, string> = { RS256: "sha256", RS384: "sha384" };

/** @returns PyJWT's complaint, or undefined. */
export function verifyIdentity(
  token: string,
  header: Record<string, unknown>,
  claims: Record<string, unknown>,
  key: JsonWebKey,
  expected: Expectation,
): string | undefined {
  const problem = verifySignature(token, String(header.alg), key) ?? verifyClaims(claims, expected);
  // After any failure Quay decodes once more, unverified, for its log. That has one check of its own, whose
  // complaint then hides the first one.
  if (problem !== undefined && isFuture(claims.iat, expected)) return IAT_IN_FUTURE;
  return problem;
}

const IAT_IN_FUTURE = "Issued At claim (iat) cannot be in the future.";

function verifySignature(token: string, alg: string, key: JsonWebKey): string | undefined {
  const digest = DIGESTS[alg];
  if (digest === undefined) return "The specified alg value is not allowed";
  const dot = token.lastIndexOf(".");
  const signature = Buffer.from(token.slice(dot + 1), "base64url");
  const publicKey = createPublicKey({ key, format: "jwk" });
  const good = verify(digest, Buffer.from(token.slice(0, dot)), publicKey, signature);
  return good ? undefined : "Signature verification failed";
}

function verifyClaims(claims: Record<string, unknown>, expected: Expectation): string | undefined {
  const { iat, exp, nbf, iss, aud, sub } = claims;
  if (iat === undefined || iat === null) return 'Token is missing the "iat" claim';
  if (exp === undefined || exp === null) return 'Token is missing the "exp" claim';
  if (!isInteger(iat)) return "Issued At claim (iat) must be an integer.";
  if (isFuture(iat, expected)) return IAT_IN_FUTURE;
  if (expected.verifyNotBefore && isFuture(nbf, expected)) return "The token is not yet valid (nbf)";
  if (!isInteger(exp)) return "Expiration Time claim (exp) must be an integer.";
  if (Number(exp) <= expected.now - expected.leeway) return "Signature has expired";
  if (iss !== expected.issuer) return "Invalid issuer";
  if (expected.audiences !== undefined) {
    if (aud === undefined || aud === null || aud === "") return 'Token is missing the "aud" claim';
    const given = Array.isArray(aud) ? aud : [aud];
    if (given.some((each) => typeof each !== "string")) return "Invalid claim format in token";
    if (!given.some((each) => expected.audiences?.includes(each))) return "Audience doesn't match";
  }
  if (sub !== undefined && typeof sub !== "string") return "Subject must be a string";
  return undefined;
}

/** Python's `int(x)`, which takes numbers and strings of digits. */
function isInteger(value: unknown): boolean {
  return typeof value === "number" || (typeof value === "string" && /^\s*[-+]?\d+\s*$/.test(value));
}

function isFuture(time: unknown, { now, leeway }: Expectation): boolean {
  return isInteger(time) && Number(time) > now + leeway;
}
