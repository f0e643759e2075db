/** Checks an issuer as Quay does, when Quay's answer does not say whether the issuer is at fault. */
import { type HttpAnswer, HttpFailure } from "../platform/http.ts";
import { parseObject } from "../platform/json.ts";
import type { Platform } from "../platform/platform.ts";
import { oneLine, reasonIn } from "../platform/text.ts";
import type { Identity } from "./token.ts";

export type IssuerFinding =
  /** Discovery document and keys are as Quay needs them, and include the token's key. */
  | { readonly kind: "sound" }
  /** `untrusted`: its certificate is not trusted. */
  | { readonly kind: "unreachable"; readonly why: string; readonly untrusted: boolean }
  | { readonly kind: "broken"; readonly why: string }
  /** The discovery document names another issuer than the token does. */
  | { readonly kind: "other-issuer"; readonly named: string }
  /** `keys`: the RSA keys for signatures that it publishes. */
  | { readonly kind: "key-not-published"; readonly keys: readonly string[] };

const limits = { timeoutMs: 5_000, maxBytes: 1_048_576 };

/** Fetches `<iss>/.well-known/openid-configuration` and its `jwks_uri` (OpenID Connect Discovery 1.0, 4), without any secret. */
export async function examineIssuer(
  identity: Pick<Identity, "issuer" | "keyId">,
  platform: Platform,
): Promise<IssuerFinding> {
  const address = `${identity.issuer.replace(/\/$/, "")}/.well-known/openid-configuration`;
  const discovery = await fetchObject(address, platform);
  if (discovery.kind !== "object") {
    return discovery;
  }
  const { issuer, jwks_uri: keysAddress } = discovery.object;
  if (typeof issuer === "string" && issuer.replace(/\/$/, "") !== identity.issuer.replace(/\/$/, "")) {
    return { kind: "other-issuer", named: oneLine(issuer) };
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
    return { kind: "broken", why: `${keysAddress} contains no keys` };
  }
  // Quay cannot use other keys: elliptic curves, keys for encryption (RFC 7517, 4.1 and 4.2).
  const keyIds = published.filter((key) => key?.kty === "RSA" && (key?.use ?? "sig") === "sig").map((key) => key.kid);
  if (!keyIds.includes(identity.keyId)) {
    const nameOf = (kid: unknown) => (typeof kid === "object" ? "unnamed" : oneLine(String(kid), 100));
    return { kind: "key-not-published", keys: keyIds.map(nameOf) };
  }
  return { kind: "sound" };
}

type Fetched =
  | { readonly kind: "object"; readonly object: Record<string, unknown> }
  | Extract<IssuerFinding, { why: string }>;

async function fetchObject(address: string, platform: Platform): Promise<Fetched> {
  if (!URL.canParse(address)) {
    return { kind: "broken", why: `${address} is not an address` };
  }
  let answer: HttpAnswer;
  try {
    answer = await platform.http.open(new URL(address), limits).send({ accept: "*/*" });
  } catch (failure) {
    if (!(failure instanceof HttpFailure)) {
      throw failure;
    }
    const why = `${address}: ${failure.message}`;
    return failure.kind === "too-big"
      ? { kind: "broken", why }
      : { kind: "unreachable", why, untrusted: failure.kind === "untrusted" };
  }
  if (answer.status !== 200) {
    const words = reasonIn(answer.body);
    const why = `${address} answers ${answer.status}${words ? `: "${words}"` : ""}`;
    // Above 500 a gateway answers for an issuer that is not up; 500 is the issuer's own answer.
    const isAway = answer.status === 429 || answer.status > 500;
    return isAway ? { kind: "unreachable", why, untrusted: false } : { kind: "broken", why };
  }
  const object = parseObject(answer.body);
  return object ? { kind: "object", object } : { kind: "broken", why: `${address} is not JSON` };
}
