/**
 * The exchange, `GET /oauth2/federation/robot/token`, with Quay's checks in Quay's order
 * (util/security/federated_robot_auth.py, oauth/oidc.py; answers: quay-answers.md section B, older branch: F).
 */
import { get as httpGet, type IncomingMessage } from "node:http";
import { get as httpsGet } from "node:https";
import type { JWK } from "jose";
import { parseBasic } from "./basic.ts";
import { verifyIdentity } from "./identity.ts";
import { addLogEntry, used } from "./log.ts";
import {
  compactJson,
  GATEWAY_TIMEOUT,
  headerRefused,
  INTERNAL_ERROR,
  LOADING,
  READ_ONLY,
  type Reply,
  ROBOT_UNKNOWN,
  refused,
} from "./pages.ts";
import type { Settings } from "./settings.ts";
import type { Binding, Store } from "./store.ts";
import type { Tokens } from "./tokens.ts";

/** An exception that Quay doesn't catch: gunicorn's page, or a dropped connection. */
class Crash extends Error {
  readonly reply: Reply;
  constructor(reply: Reply) {
    super(`crash with ${reply.status}`);
    this.reply = reply;
  }
}

/** A refusal with its reason: 400. */
class Refusal extends Error {}

export async function exchange(
  header: string | undefined,
  store: Store,
  tokens: Tokens,
  settings: Settings,
): Promise<Reply> {
  // nginx's time limit for the whole request.
  let timer: NodeJS.Timeout | undefined;
  const gateway = new Promise<Reply>((resolve) => {
    timer = setTimeout(resolve, settings.gatewayTimeoutMs, GATEWAY_TIMEOUT);
  });
  try {
    return await Promise.race([gateway, exchangeNow(header, store, tokens, settings)]);
  } catch (error) {
    if (error instanceof Refusal) return refused(error.message);
    return error instanceof Crash ? error.reply : INTERNAL_ERROR;
  } finally {
    clearTimeout(timer);
  }
}

async function exchangeNow(header: string | undefined, store: Store, tokens: Tokens, settings: Settings) {
  if (!header) return headerRefused("No auth header");
  const credentials = parseBasic(header);
  if (!credentials.ok) return headerRefused(credentials.error);
  if (!credentials.user.includes("+")) return headerRefused("Invalid robot");
  const robot = store.robots.get(credentials.user);
  if (robot === undefined) throw new Refusal(ROBOT_UNKNOWN);
  const { iss, sub } = await identify(credentials.password, robot.bindings, settings);
  if (settings.readOnly) return READ_ONLY;
  addLogEntry(store, used.exchange(robot.name, String(iss), String(sub)));
  return compactJson(200, { token: await tokens.robotToken(robot.name) });
}

/** Throws unless a binding matches the identity token, whose claims it returns. */
async function identify(token: string, bindings: Binding[], settings: Settings): Promise<Record<string, unknown>> {
  const { release } = settings;
  const { header, claims } = decodeUnverified(token);
  const { iss } = claims;
  if (!iss) throw new Refusal("Token does not contain issuer");
  if (bindings.length === 0) throw new Refusal("Robot does not have federated login configured");
  const ofIssuer = bindings.filter((binding) => binding.issuer === iss);
  if (typeof iss !== "string" || ofIssuer.length === 0) {
    throw new Refusal(`issuer ${iss} not configured for this robot`);
  }
  // "With two bindings of one issuer the last one's audiences apply to both."
  const audiences = release === "main" ? ofIssuer.findLast((each) => each.audiences)?.audiences : undefined;
  if (typeof audiences === "string") throw new Crash(INTERNAL_ERROR);

  if (header.kid === undefined || header.kid === null) throw new Refusal("Invalid token: Missing `kid` header");
  const discovery = await discover(iss, settings);
  const issuer = discovery.issuer ?? iss;
  if (release !== "3.17" && withoutSlash(String(issuer)) !== withoutSlash(iss)) {
    throw new Refusal(`Invalid token: Issuer '${iss}' not in configured issuers: ['${issuer}']`);
  }
  const key = await fetchKey(discovery.jwks_uri, header.kid, settings);
  const expectation = {
    issuer: release === "3.17" ? issuer : iss,
    audiences,
    verifyNotBefore: release === "newer",
    now: Date.now() / 1000 + settings.clockOffset,
    leeway: settings.leeway,
  };
  let problem = verifyIdentity(token, header, claims, key, expectation);
  if (problem !== undefined) {
    // "Public key may have expired": Quay fetches the keys again and tries once more.
    const fresh = await fetchKey(discovery.jwks_uri, header.kid, settings);
    problem = verifyIdentity(token, header, claims, fresh, expectation);
  }
  if (problem !== undefined) throw new Refusal(`Invalid token: ${problem}`);

  const matching = ofIssuer.filter((binding) => binding.subject === claims.sub);
  if (matching.length === 0) throw new Refusal("Token does not match robot");
  if (release !== "newer") return claims;
  if (matching.length > 1) throw new Refusal("Ambiguous federation binding for this robot");
  const allowed = matching[0]?.audiences ?? [];
  const given = [claims.aud ?? []].flat();
  if (allowed.length > 0 && !given.some((each) => allowed.includes(String(each)))) {
    throw new Refusal("Token audience is not allowed for this robot");
  }
  return claims;
}

/** An undecodable token is an uncaught exception of PyJWT: 500. */
function decodeUnverified(token: string) {
  const parts = token.split(".");
  try {
    const [header, claims] = parts.slice(0, 2).map((part) => JSON.parse(Buffer.from(part, "base64url").toString()));
    const objects = [header, claims].every((each) => typeof each === "object" && each && !Array.isArray(each));
    if (parts.length === 3 && objects) return { header, claims: claims as Record<string, unknown> };
  } catch {
    // not a JWT
  }
  throw new Crash(INTERNAL_ERROR);
}

/** Fetched again by every exchange; no answer within the time limit, or no connection, is a 502. */
async function discover(iss: string, settings: Settings): Promise<Record<string, unknown>> {
  if (!iss.startsWith("https://")) throw new Crash(INTERNAL_ERROR);
  const url = `${withoutSlash(iss)}/.well-known/openid-configuration`;
  const { status, body } = await fetchText(url, settings.ca, settings.issuerTimeoutMs).catch(() => {
    throw new Crash(LOADING);
  });
  const document: unknown = status >= 200 && status < 300 ? JSON.parse(body) : undefined;
  if (typeof document !== "object" || document === null) throw new Crash(INTERNAL_ERROR);
  return document as Record<string, unknown>;
}

/** No time limit of its own. Every failure is a PublicKeyLoadException: 500. */
async function fetchKey(jwksUri: unknown, kid: unknown, settings: Settings) {
  const { status, body } = await fetchText(String(jwksUri), settings.ca);
  const { keys } = (status === 200 ? JSON.parse(body) : {}) as { keys: JWK[] };
  const jwk = keys.find((each) => each.kid === kid);
  if (jwk?.kty !== "RSA") throw new Crash(INTERNAL_ERROR);
  // Any RSA algorithm will do: the token's is checked against Quay's list, not against the key's.
  return { kty: "RSA", n: jwk.n ?? "", e: jwk.e ?? "" };
}

/** A GET that follows redirects, as Python's `requests` does. */
async function fetchText(url: string, ca: string, timeoutMs?: number): Promise<{ status: number; body: string }> {
  const response = await new Promise<IncomingMessage>((resolve, reject) => {
    const get = url.startsWith("http://") ? httpGet : httpsGet;
    const request = get(url, { ca, agent: false }, resolve);
    const timer = timeoutMs && setTimeout(() => request.destroy(new Error("timeout")), timeoutMs);
    request.on("error", reject).on("response", () => clearTimeout(timer));
  });
  let body = "";
  for await (const chunk of response.setEncoding("utf8")) body += chunk;
  const { location } = response.headers;
  if (location) return fetchText(new URL(location, url).href, ca, timeoutMs);
  return { status: response.statusCode ?? 0, body };
}

function withoutSlash(url: string): string {
  return url.replace(/\/+$/, "");
}
