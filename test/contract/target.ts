/**
 * The Quay under test: the stand-in, or the real one that the environment names (README.md). The suite sets up what it needs
 * through the management API, identically on both.
 */
import { randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import { expect } from "vitest";
import { type IssuerServer, SUBJECT, startIssuer } from "../quay-stand-in/issuer.ts";
import { type Peers, startPeers } from "../quay-stand-in/peers.ts";
import { createAuthority } from "../quay-stand-in/tls.ts";
import { type Answer, ask, basic, type Question } from "./ask.ts";

export interface Target {
  /** `host:port`, Quay's SERVER_HOSTNAME. */
  host: string;
  org: string;
  issuer: IssuerServer;
  oauthToken: string;
  ask(question: Question): Promise<Answer>;
  /** With the OAuth token. A body makes it JSON. */
  manage(method: string, path: string, body?: unknown): Promise<Answer>;
  /** Discovery this late is too late; keys this late are not. Milliseconds. */
  lateMs: number;
  /** Set if it is the stand-in. */
  peers: Peers | undefined;
  close(): Promise<void>;
}

const { env } = process;
/** The environment names a real Quay. */
export const foreign = env.QUAY_URL !== undefined;

export async function connect(): Promise<Target> {
  return foreign ? connectToForeign() : connectToStandIn();
}

async function connectToStandIn(): Promise<Target> {
  const lateMs = 500;
  const peers = await startPeers({ quay: { issuerTimeoutMs: 250 } });
  const { quay, issuer, authority, oauthToken, close } = peers;
  return { org: "acme", issuer, lateMs, peers, close, ...speak(quay.url, authority.ca, oauthToken) };
}

async function connectToForeign(): Promise<Target> {
  const need = (name: string): string => {
    const value = env[name];
    if (!value) throw new Error(`${name} is not set: see test/contract/README.md`);
    return value;
  };
  const authority = await createAuthority();
  const certificate = {
    key: readFileSync(need("QUAY_ISSUER_KEY_FILE"), "utf8"),
    cert: readFileSync(need("QUAY_ISSUER_CERT_FILE"), "utf8"),
  };
  const { port } = new URL(need("QUAY_ISSUER_URL"));
  const issuer = await startIssuer(authority, {
    certificate,
    host: env.QUAY_ISSUER_HOST ?? "0.0.0.0",
    port: Number(env.QUAY_ISSUER_PORT ?? (port || 443)),
    publicUrl: need("QUAY_ISSUER_URL").replace(/\/$/, ""),
  });
  const ca = env.QUAY_CA_FILE === undefined ? undefined : readFileSync(env.QUAY_CA_FILE, "utf8");
  const url = need("QUAY_URL").replace(/\/$/, "");
  return {
    org: need("QUAY_ORG"),
    issuer,
    lateMs: 8000,
    peers: undefined,
    close: async () => void (await Promise.all([issuer.close(), authority.close()])),
    ...speak(url, ca, need("QUAY_OAUTH_TOKEN")),
  };
}

function speak(
  url: string,
  ca: string | undefined,
  oauthToken: string,
): Pick<Target, "host" | "oauthToken" | "ask" | "manage"> {
  const toQuay: Target["ask"] = (question) => ask(url, ca, question);
  const manage: Target["manage"] = (method, path, body) => {
    const headers = { authorization: `Bearer ${oauthToken}`, "content-type": "application/json" };
    const content = body === undefined ? {} : { body: JSON.stringify(body) };
    return toQuay({ method, path: `/api/v1/${path}`, headers, ...content });
  };
  return { host: new URL(url).host, oauthToken, ask: toQuay, manage };
}

/** The objects that the suite's tables use. All names are new in each run. */
export interface World extends Target {
  /** Bound to the issuer with two subjects, write to `app`. */
  robot: string;
  /** Its static token. */
  staticToken: string;
  /** Bound like it, without permissions. */
  other: string;
  /** Never had a binding. */
  bare: string;
  /** Its binding was deleted. */
  cleared: string;
  /** Bound to issuers that give invalid answers. */
  misled: string;
  /** Repositories of the organization. */
  app: string;
  secret: string;
  /** The beginning of the robots' short names. */
  prefix: string;
  /** The Authorization of an exchange for `robot` with a valid identity token, except for these claims. */
  identity(claims?: Record<string, unknown>): Promise<string>;
  exchange(authorization?: string): Promise<Answer>;
  /** A robot token. */
  robotToken(robot?: string): Promise<string>;
  /** A bearer of the registry. */
  bearer(...scopes: string[]): Promise<string>;
}

/** The issuers of the robot `misled`, by name on the issuer's server. */
const MISLEADING = [
  ...["discovery-404", "discovery-500", "discovery-text", "no-jwks-uri", "redirect", "mismatch", "slash", "late"],
  ...["keys-404", "keys-500", "keys-empty", "keys-late"],
] as const;

export async function furnish(target: Target): Promise<World> {
  const { org, issuer } = target;
  const prefix = `ct${randomBytes(4).toString("hex")}`;
  const robots = `organization/${org}/robots`;
  const [robot, other, bare, cleared, misled] = ["ci", "other", "bare", "cleared", "misled"].map(
    (name) => `${org}+${prefix}${name}`,
  ) as [string, string, string, string, string];
  const [app, secret] = [`${org}/${prefix}app`, `${org}/${prefix}secret`] as const;
  const short = (name: string) => name.slice(org.length + 1);

  const succeed = async (answer: Promise<Answer>): Promise<Answer> => {
    const { status, body } = await answer;
    expect(status, body).toBeLessThan(300);
    return answer;
  };
  const bind = (name: string, bindings: object[]) =>
    succeed(target.manage("POST", `${robots}/${short(name)}/federation`, bindings));
  const tokens = await Promise.all(
    [robot, other, bare, cleared, misled].map(async (name) => {
      const { body } = await succeed(target.manage("PUT", `${robots}/${short(name)}`, { description: "contract" }));
      return JSON.parse(body).token as string;
    }),
  );
  const bound = { issuer: issuer.url, subject: SUBJECT };
  await Promise.all([
    bind(robot, [
      bound,
      { issuer: issuer.url, subject: "second" },
      { issuer: "https://nothing.invalid/x", subject: SUBJECT },
    ]),
    bind(other, [bound]),
    bind(cleared, [bound]),
    bind(misled, [
      ...MISLEADING.map((name) => ({ issuer: issuer.at(name).url, subject: SUBJECT })),
      { issuer: `${issuer.at("bound-slash").url}/`, subject: SUBJECT },
      { issuer: issuer.url.replace("https:", "http:"), subject: SUBJECT },
      { issuer: "https://localhost:1/closed", subject: SUBJECT },
    ]),
    ...[app, secret].map((name) =>
      succeed(
        target.manage("POST", "repository", {
          ...{ namespace: org, repository: short(name), visibility: "private", description: "contract" },
          repo_kind: "image",
        }),
      ),
    ),
  ]);
  await succeed(target.manage("DELETE", `${robots}/${short(cleared)}/federation`));
  await succeed(target.manage("PUT", `repository/${app}/permissions/user/${robot}`, { role: "write" }));
  misbehave(target);

  const exchange: World["exchange"] = (authorization) => {
    const headers = authorization === undefined ? {} : { authorization };
    return target.ask({ path: "/oauth2/federation/robot/token", headers });
  };
  const robotToken: World["robotToken"] = async (name = robot) => {
    const { body } = await succeed(exchange(basic(name, await issuer.sign())));
    return JSON.parse(body).token;
  };
  return {
    ...target,
    ...{ robot, other, bare, cleared, misled, app, secret, prefix },
    staticToken: tokens[0] ?? "",
    identity: async (claims) => basic(robot, await issuer.sign(claims)),
    exchange,
    robotToken,
    async bearer(...scopes) {
      const query = new URLSearchParams({ service: target.host });
      for (const scope of scopes) query.append("scope", scope);
      const headers = { authorization: basic(robot, await robotToken()) };
      const { body } = await succeed(target.ask({ path: `/v2/auth?${query}`, headers }));
      return JSON.parse(body).token;
    },
    async close() {
      for (const name of [robot, other, bare, cleared, misled])
        await target.manage("DELETE", `${robots}/${short(name)}`);
      for (const name of [app, secret]) await target.manage("DELETE", `repository/${name}`);
      await target.close();
    },
  };
}

function misbehave({ issuer, lateMs }: Target): void {
  issuer.at("discovery-404").behave({ discovery: "404" });
  issuer.at("discovery-500").behave({ discovery: "500" });
  issuer.at("discovery-text").behave({ discovery: "not-json" });
  issuer.at("no-jwks-uri").behave({ discovery: "no-jwks-uri" });
  issuer.at("redirect").behave({ discovery: "redirect" });
  issuer.at("mismatch").behave({ discovery: "other-issuer" });
  issuer.at("slash").behave({ discovery: "trailing-slash" });
  issuer.at("late").behave({ discoverySlow: lateMs });
  issuer.at("keys-404").behave({ keys: "404" });
  issuer.at("keys-500").behave({ keys: "500" });
  issuer.at("keys-empty").behave({ keys: "empty" });
  issuer.at("keys-late").behave({ keysSlow: lateMs });
}
