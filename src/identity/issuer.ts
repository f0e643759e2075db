/** Looks at an issuer as Quay does, when Quay's answer leaves open whether the issuer is at fault. */
import { type HttpAnswer, HttpFailure } from "../platform/http.ts";
import type { Platform } from "../platform/platform.ts";
import type { Identity } from "./token.ts";

export type IssuerFinding =
  /** Discovery and keys are as Quay needs them, the token's key among them. */
  | { readonly kind: "sound" }
  | { readonly kind: "unreachable"; readonly why: string }
  | { readonly kind: "broken"; readonly why: string }
  | { readonly kind: "key-not-published"; readonly keys: readonly string[] };

const limits = { timeoutMs: 5_000, maxBytes: 1_048_576 };

/** Fetches `<iss>/.well-known/openid-configuration` and its `jwks_uri` (OpenID Connect Discovery 1.0, 4), without any secret. */
export async function examineIssuer(identity: Identity, platform: Platform): Promise<IssuerFinding> {
  const address = `${identity.issuer.replace(/\/$/, "")}/.well-known/openid-configuration`;
  const discovery = await fetchObject(address, platform);
  if (discovery.kind !== "object") {
    return discovery;
  }
  const { issuer, jwks_uri: keysAddress } = discovery.object;
  if (typeof issuer === "string" && issuer.replace(/\/$/, "") !== identity.issuer.replace(/\/$/, "")) {
    return { kind: "broken", why: `${address} names another issuer, ${issuer}` };
  }
  if (typeof keysAddress !== "string" || !keysAddress.startsWith("https://") || !URL.canParse(keysAddress)) {
    return { kind: "broken", why: `${address} names no https address for its keys (jwks_uri)` };
  }
  const keys = await fetchObject(keysAddress, platform);
  if (keys.kind !== "object") {
    return keys;
  }
  const published = Array.isArray(keys.object.keys) ? keys.object.keys : [];
  if (published.length === 0) {
    return { kind: "broken", why: `${keysAddress} holds no keys` };
  }
  if (!published.some((key) => key?.kid === identity.keyId && key?.kty === "RSA")) {
    const nameOf = (kid: unknown) => (typeof kid === "object" ? "unnamed" : String(kid));
    return { kind: "key-not-published", keys: published.map((key) => nameOf(key?.kid)) };
  }
  return { kind: "sound" };
}

type Fetched =
  | { readonly kind: "object"; readonly object: Record<string, unknown> }
  | Extract<IssuerFinding, { why: string }>;

async function fetchObject(address: string, platform: Platform): Promise<Fetched> {
  if (!URL.canParse(address)) {
    return { kind: "broken", why: `${address} is no address` };
  }
  let answer: HttpAnswer;
  try {
    answer = await platform.http.open(new URL(address), limits).send({ accept: "*/*" });
  } catch (failure) {
    if (!(failure instanceof HttpFailure)) {
      throw failure;
    }
    return { kind: failure.kind === "too-big" ? "broken" : "unreachable", why: `${address}: ${failure.message}` };
  }
  if (answer.status !== 200) {
    // A gateway's words for an issuer behind it that is not up; 500 are the issuer's own.
    const isAway = answer.status === 429 || answer.status > 500;
    return { kind: isAway ? "unreachable" : "broken", why: `${address} answers ${answer.status}` };
  }
  try {
    const object: unknown = JSON.parse(answer.body);
    if (isObject(object)) {
      return { kind: "object", object };
    }
  } catch {
    // said below
  }
  return { kind: "broken", why: `${address} is not JSON` };
}

const isObject = (value: unknown): value is Record<string, unknown> => typeof value === "object" && value !== null;
