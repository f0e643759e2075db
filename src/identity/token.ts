/** Reads an identity token without trusting it, and checks what Quay would refuse with a vague answer. Pure. */
import { decodeProtectedHeader } from "jose/decode/protected_header";
import { decodeJwt } from "jose/jwt/decode";
import { type Binding, ExplainedError } from "../platform/errors.ts";
import { isJwt, isTime } from "../platform/jwt.ts";
import { asGiven, oneLine } from "../platform/text.ts";
import { text, type Words } from "../platform/wording.ts";
import { audienceAdvice, freshTokenAdvice } from "./advice.ts";
import type { IdentitySource } from "./source.ts";

/** The source and purpose of a token. */
export interface Provenance {
  readonly source: Exclude<IdentitySource["source"], "auto">;
  /** Its name in messages: `GitHub's token endpoint`, `the file /…`. */
  readonly origin: string;
  /** The option audience: GitHub and SPIFFE are asked for it; other sources should have it. */
  readonly wantedAudience: string;
}

/** A token's claims, whether or not Quay could accept it. */
export interface TokenFacts extends Provenance {
  /** The JWT itself: a secret. */
  readonly token: string;
  readonly issuer: string | undefined;
  readonly subject: string | undefined;
  readonly audience: readonly string[];
  readonly algorithm: string;
  readonly keyId: string | undefined;
  /** Seconds since 1970, as in the token. */
  readonly issuedAt: number | undefined;
  readonly expiresAt: number | undefined;
}

/** A token with everything that Quay requires. */
export type Identity = { readonly [Name in keyof TokenFacts]: NonNullable<TokenFacts[Name]> };

/** Seconds of clock difference that Quay tolerates (docs/quay.md). */
const leewaySeconds = 30;

/** gunicorn's limit on the value of a header, measured on a running Quay: 8170 passes, 8174 is a 431. */
const maxAuthorization = 8170;

/**
 * Decodes `token`.
 * @throws ExplainedError `token-not-a-jwt`
 */
export function readToken(token: string, provenance: Provenance): TokenFacts {
  const { header, claims } = decode(token, provenance.origin);
  const text = (value: unknown) => (typeof value === "string" && value !== "" ? value : undefined);
  const time = (value: unknown) => (Number.isInteger(value) && isTime(value) ? value : undefined);
  return {
    token,
    issuer: text(claims.iss),
    subject: text(claims.sub),
    // One or several (RFC 7519, 4.1.3). An object is not one, and String() may throw on it.
    audience: [claims.aud ?? []].flat().filter(isPlain).map(String),
    algorithm: isPlain(header.alg) ? String(header.alg) : "no algorithm by name",
    keyId: text(header.kid),
    issuedAt: time(claims.iat),
    expiresAt: time(claims.exp),
    ...provenance,
  };
}

const isPlain = (value: unknown): boolean => typeof value !== "object";

/**
 * Checks that Quay could accept the token at all.
 * @throws ExplainedError `token-algorithm`, `token-incomplete`, `issuer-cluster-internal`, `issuer-not-https`
 */
export function asIdentity(facts: TokenFacts): Identity {
  const { algorithm, origin } = facts;
  if (algorithm !== "RS256" && algorithm !== "RS384") {
    throw new ExplainedError(
      "token-algorithm",
      `The identity token from ${origin} is signed with ${oneLine(algorithm, 50)}, which Quay refuses.`,
      {
        remedy: [
          "Quay takes RS256 and RS384 only. Have the issuer sign with an RSA key.",
          'SPIRE: jwt_key_type = "rsa-2048" in the server\'s configuration. Keycloak: choose RS256 for this client.',
        ],
      },
    );
  }
  const { issuer, subject, keyId, issuedAt, expiresAt } = facts;
  if (
    issuer === undefined ||
    subject === undefined ||
    keyId === undefined ||
    issuedAt === undefined ||
    expiresAt === undefined
  ) {
    const needed = { "kid (in the header)": keyId, iss: issuer, sub: subject, iat: issuedAt, exp: expiresAt };
    const missing = Object.entries(needed).filter(([, value]) => value === undefined);
    throw new ExplainedError(
      "token-incomplete",
      `The identity token from ${origin} lacks ${missing.map(([name]) => name).join(", ")}, which Quay requires.`,
      {
        remedy: [
          "Configure the issuer to put kid, iss, sub, iat and exp into its tokens.",
          'SPIRE without iss: set jwt_issuer = "https://…" in the server\'s configuration, the address of its OIDC discovery provider.',
        ],
      },
    );
  }
  const identity: Identity = { ...facts, issuer, subject, keyId, issuedAt, expiresAt };
  assertReachableIssuer(identity);
  return identity;
}

/**
 * Checks what depends on the time and on the robot.
 * @param now milliseconds since 1970
 * @throws ExplainedError `token-expired`, `token-too-big`
 */
export function assertUsable(identity: Identity, robots: readonly string[], now: number): void {
  // A token issued a moment ago that looks expired means a wrong clock here: only Quay can judge it.
  if (identity.source !== "github" && identity.expiresAt + leewaySeconds <= now / 1000) {
    throw new ExplainedError(
      "token-expired",
      `The identity token from ${identity.origin} expired at ${isoTime(identity.expiresAt)}; this machine's clock says ${isoTime(now / 1000)}.`,
      {
        remedy: [freshTokenAdvice[identity.source], "If that time is wrong, set this machine's clock."],
      },
    );
  }
  const longest = robots.reduce((a, b) => (b.length > a.length ? b : a), "");
  const authorization = basicAuthorization(longest, identity.token).length;
  if (authorization > maxAuthorization) {
    throw new ExplainedError(
      "token-too-big",
      `The identity token from ${identity.origin} has ${identity.token.length} characters: too many for a header that Quay accepts.`,
      {
        remedy: [
          `Together with the robot's name it makes a header of ${authorization} characters; Quay's limit is ${maxAuthorization} (a token of about 6 kB).`,
          "Have the issuer leave claims out, such as groups and roles.",
        ],
      },
    );
  }
}

/** A warning if the token lacks the expected audience; undefined if it has it. */
export function audienceWarning(identity: TokenFacts): Words | undefined {
  const { audience, wantedAudience, source, origin } = identity;
  if (audience.includes(wantedAudience)) {
    return undefined;
  }
  const has = audience.length === 0 ? "no audience" : `the audience ${oneLine(audience.join(" "))}`;
  return text`The identity token from ${origin} has ${has}, not ${asGiven(wantedAudience)}. Quay may refuse it. ${audienceAdvice(source, asGiven(wantedAudience))}`;
}

/** The audience to enter in Quay: one that the token has. */
export const audienceToEnter = ({ audience, wantedAudience }: TokenFacts): string | undefined =>
  audience.includes(wantedAudience) ? wantedAudience : audience[0];

export function bindingOf(identity: Identity): Binding {
  return { issuer: identity.issuer, subject: identity.subject, audience: audienceToEnter(identity) ?? "(none)" };
}

/** RFC 7617: the Authorization header of the exchange. A secret. */
export function basicAuthorization(user: string, password: string): string {
  return `Basic ${basicCredentials(user, password)}`;
}

export function basicCredentials(user: string, password: string): string {
  return Buffer.from(`${user}:${password}`).toString("base64");
}

/** The latest time that a Date can hold, in seconds (ECMA-262, 21.4.1.1). */
const endOfTime = 8.64e12;

/** Seconds since 1970 as 2026-11-24T07:00:00Z. A time beyond a Date's range becomes its end. */
export function isoTime(seconds: number): string {
  return new Date(Math.floor(Math.min(Math.max(seconds, -endOfTime), endOfTime)) * 1000)
    .toISOString()
    .replace(".000Z", "Z");
}

function decode(token: string, origin: string) {
  try {
    // A token without a signature is decoded: its algorithm, none, then explains the refusal.
    if (!isJwt(token.endsWith(".") ? `${token}none` : token)) {
      throw new Error("not three parts of base64url");
    }
    return { header: decodeProtectedHeader(token), claims: decodeJwt(token) };
  } catch (cause) {
    // jose's messages describe the form only; they never quote the token.
    throw new ExplainedError("token-not-a-jwt", `The identity token from ${origin} is not a JWT.`, {
      remedy: [
        "Provide a signed JWT in compact form: three parts with dots between them. A robot's password is not one.",
      ],
      cause,
    });
  }
}

function assertReachableIssuer({ issuer, origin }: Identity): void {
  if (/^https:\/\/kubernetes\.default\.svc(?:[./:]|$)/.test(issuer)) {
    throw new ExplainedError(
      "issuer-cluster-internal",
      `The identity token from ${origin} has the issuer ${issuer}, which exists only inside its cluster. Quay cannot fetch its keys.`,
      {
        remedy: [
          "Give the cluster an issuer that Quay can reach: on OpenShift an external OIDC issuer (as for AWS STS or Azure",
          "workload identity), elsewhere --service-account-issuer and --service-account-jwks-uri of the API server.",
          "Where that is not possible, use SPIFFE: SPIRE brings an issuer of its own.",
        ],
      },
    );
  }
  if (!URL.canParse(issuer) || !issuer.startsWith("https://")) {
    throw new ExplainedError(
      "issuer-not-https",
      `The identity token from ${origin} has the issuer ${issuer}, which is not an https address.`,
      {
        remedy: ["Quay fetches an issuer's keys over https only. Set the issuer's https address as its name."],
      },
    );
  }
}
