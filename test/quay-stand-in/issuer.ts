/**
 * An OpenID Connect issuer over TLS, as far as Quay uses one: a discovery document and a key set. It also signs the
 * identity tokens, valid and invalid ones. One server serves many issuers, distinguished by the first part of the
 * path (https://localhost:9443/main), each with its own misbehaviour.
 */
import { generateKeyPair, type KeyObject, randomBytes, randomUUID } from "node:crypto";
import { createServer as createHttpServer, type IncomingMessage, type ServerResponse } from "node:http";
import { createServer } from "node:https";
import { promisify } from "node:util";
import { CompactSign, exportJWK, type JWK } from "jose";
import { listen } from "./listen.ts";
import type { Authority, Certificate } from "./tls.ts";

const generate = promisify(generateKeyPair);

export type DiscoveryFault =
  | "404"
  | "500"
  | "503"
  | "not-json"
  | "no-jwks-uri"
  /** Names https://…/elsewhere as its issuer. */
  | "other-issuer"
  /** Names itself with a trailing slash. */
  | "trailing-slash"
  /** 302 to the discovery document of the issuer `main`. */
  | "redirect"
  /** Its `jwks_uri` is an http:// address (that works). */
  | "http-jwks";
export type KeysFault = "404" | "500" | "503" | "not-json" | "empty";

/** How an issuer misbehaves. Delays are milliseconds. */
export interface Behaviour {
  discovery?: DiscoveryFault;
  keys?: KeysFault;
  discoverySlow?: number;
  keysSlow?: number;
}

export type Algorithm = "RS256" | "RS384" | "RS512" | "PS256" | "HS256" | "ES256" | "none";

export interface SignOptions {
  alg?: Algorithm;
  /** Default: the key's own (`rsa1`, or `ec1` for ES256); `null` leaves the header out. */
  kid?: string | null;
  /** Default `JWT`; `null` leaves the header out. */
  typ?: string | null;
  /** More header parameters. */
  header?: Record<string, unknown>;
  /** Signs with an unpublished key, under the published key's `kid`. */
  foreign?: boolean;
  /** Changes the signature afterwards. */
  spoiled?: boolean;
}

export interface Issuer {
  /** The `iss` of its tokens. */
  url: string;
  /**
   * An identity token. Defaults: `sub` repo:acme/app:ref:refs/heads/main, `aud` quay, `iat` now, `exp` in 300 s, a `jti`.
   * A claim given as `undefined` is left out; a list in place of the claims becomes the payload as it is.
   */
  sign(claims?: Record<string, unknown> | unknown[], options?: SignOptions): Promise<string>;
  /** Sets the misbehaviour from now on; `{}` ends it. */
  behave(behaviour: Behaviour): void;
}

export interface IssuerServer extends Issuer {
  /** Another issuer on the same server, with the same keys: `at("mismatch")` is https://localhost:PORT/mismatch. */
  at(name: string): Issuer;
  /** Requested paths, in order. */
  requests: string[];
  /** The public RSA key, for checks. */
  publicKey: KeyObject;
  close(): Promise<void>;
}

export interface IssuerOptions {
  certificate?: Certificate;
  /** Where to listen, if the Quay under test has to reach it from elsewhere. */
  host?: string;
  port?: number;
  /** The address by which it is reached, default `https://localhost:<port>`. */
  publicUrl?: string;
}

export const SUBJECT = "repo:acme/app:ref:refs/heads/main";

export async function startIssuer(authority: Authority, options: IssuerOptions = {}): Promise<IssuerServer> {
  const [certificate, rsa, ec] = await Promise.all([
    options.certificate ?? authority.issue(),
    generate("rsa", { modulusLength: 2048 }),
    generate("ec", { namedCurve: "P-256" }),
  ]);
  let foreign: Promise<KeyObject> | undefined;
  const keys: JWK[] = [
    { ...(await exportJWK(rsa.publicKey)), kid: "rsa1", use: "sig", alg: "RS256" },
    { ...(await exportJWK(ec.publicKey)), kid: "ec1", use: "sig", alg: "ES256" },
  ];
  const behaviours = new Map<string, Behaviour>();
  const requests: string[] = [];

  const handle = (request: IncomingMessage, response: ServerResponse) => {
    const path = new URL(request.url ?? "/", "https://localhost").pathname;
    requests.push(path);
    const [, name = "", rest = ""] = /^\/([^/]+)\/(.*)$/.exec(path) ?? [];
    const { discovery, keys: keysFault, discoverySlow = 0, keysSlow = 0 } = behaviours.get(name) ?? {};
    // "main//" is what a binding with a trailing slash must not lead to: Quay joins with a single slash.
    if (rest === ".well-known/openid-configuration")
      setTimeout(() => answerDiscovery(response, name, discovery), discoverySlow);
    // Like a Kubernetes API server: keys have their own media type, and a request that accepts only another one is refused.
    else if (rest === "jwks" && !/\*\/\*|application\/jwk-set\+json/.test(request.headers.accept ?? "*/*"))
      respond(response, 406, "only application/jwk-set+json");
    else if (rest === "jwks") setTimeout(() => answerKeys(response, keysFault), keysSlow);
    else respond(response, 404, "not found");
  };
  const server = await listen(createServer(certificate, handle), options.port, options.host);
  const plain = await listen(createHttpServer(handle), 0, options.host);
  const base = options.publicUrl ?? `https://localhost:${server.port}`;

  function answerDiscovery(response: ServerResponse, name: string, fault?: DiscoveryFault): void {
    if (fault === "redirect") {
      response.writeHead(302, { location: `${base}/main/.well-known/openid-configuration` }).end();
    } else if (fault === "404" || fault === "500" || fault === "503") respond(response, Number(fault), "no discovery");
    else if (fault === "not-json") respond(response, 200, "<html>hello</html>");
    else respond(response, 200, { ...describe(name), ...misdescribe(name, fault) });
  }

  function describe(name: string): Record<string, unknown> {
    return {
      issuer: `${base}/${name}`,
      jwks_uri: `${base}/${name}/jwks`,
      response_types_supported: ["id_token"],
      subject_types_supported: ["public"],
      id_token_signing_alg_values_supported: ["RS256"],
    };
  }

  /** What is wrong in the document. */
  function misdescribe(name: string, fault?: "no-jwks-uri" | "other-issuer" | "trailing-slash" | "http-jwks"): object {
    switch (fault) {
      case undefined:
        return {};
      case "no-jwks-uri":
        return { jwks_uri: undefined };
      case "other-issuer":
        return { issuer: `${base}/elsewhere` };
      case "trailing-slash":
        return { issuer: `${base}/${name}/` };
      case "http-jwks":
        return { jwks_uri: `http://localhost:${plain.port}/${name}/jwks` };
      default:
        return fault satisfies never;
    }
  }

  function answerKeys(response: ServerResponse, fault?: KeysFault): void {
    if (fault === "404" || fault === "500" || fault === "503") respond(response, Number(fault), "no keys");
    else if (fault === "not-json") respond(response, 200, "<html>hello</html>");
    else respond(response, 200, { keys: fault === "empty" ? [] : keys });
  }

  async function sign(iss: string, claims: Record<string, unknown> | unknown[], how: SignOptions): Promise<string> {
    const { alg = "RS256", typ = "JWT" } = how;
    const kid = how.kid === undefined ? (alg === "ES256" ? "ec1" : "rsa1") : how.kid;
    const header = { alg, ...(kid === null ? {} : { kid }), ...(typ === null ? {} : { typ }), ...how.header };
    const now = Math.floor(Date.now() / 1000);
    const defaults = { iss, sub: SUBJECT, aud: "quay", iat: now, exp: now + 300, jti: randomUUID() };
    const payload = JSON.stringify(Array.isArray(claims) ? claims : { ...defaults, ...claims });
    if (alg === "none") return `${base64url(JSON.stringify(header))}.${base64url(payload)}.`;
    if (how.foreign) foreign ??= generate("rsa", { modulusLength: 2048 }).then((pair) => pair.privateKey);
    const privateKey = how.foreign ? ((await foreign) as KeyObject) : rsa.privateKey;
    const key = alg === "HS256" ? randomBytes(32) : alg === "ES256" ? ec.privateKey : privateKey;
    const token = await new CompactSign(Buffer.from(payload)).setProtectedHeader(header).sign(key);
    return how.spoiled ? spoil(token) : token;
  }

  const at = (name: string): Issuer => ({
    url: `${base}/${name}`,
    sign: (claims = {}, how = {}) => sign(`${base}/${name}`, claims, how),
    behave: (behaviour) => void behaviours.set(name, behaviour),
  });
  return {
    ...at("main"),
    at,
    requests,
    publicKey: rsa.publicKey,
    close: async () => void (await Promise.all([server.close(), plain.close()])),
  };
}

/** The same token with another signature (its first letter changed: the last one may carry unused bits). */
export function spoil(token: string): string {
  const start = token.lastIndexOf(".") + 1;
  const letter = token[start] === "A" ? "B" : "A";
  return token.slice(0, start) + letter + token.slice(start + 1);
}

function base64url(text: string): string {
  return Buffer.from(text).toString("base64url");
}

function respond(response: ServerResponse, status: number, body: string | object): void {
  const json = typeof body === "object";
  response.writeHead(status, { "content-type": json ? "application/json" : "text/html" });
  response.end(json ? JSON.stringify(body) : body);
}
