/** What can be known of an identity without Quay: real tokens, and issuers over real TLS. */
import { writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from "vitest";
import { type Inspection, inspectIdentity } from "../../src/identity/inspect.ts";
import { parseIdentityRequest } from "../../src/identity/source.ts";
import { readOptions } from "../../src/options/reader.ts";
import type { OptionValues } from "../../src/options/table.ts";
import { ExplainedError, type FailureObject, formatError } from "../../src/platform/errors.ts";
import {
  claims,
  failure,
  failureOf,
  inWorkflow,
  makeFolder,
  now,
  type TestPlatform,
  testPlatform,
  thrown,
  unsignedJwt,
} from "../fixtures.ts";
import { type Behaviour, type Issuer, type IssuerServer, startIssuer } from "../quay-stand-in/issuer.ts";
import { listen } from "../quay-stand-in/listen.ts";
import { type Authority, createAuthority } from "../quay-stand-in/tls.ts";
import { startWorkloadApi } from "../support/workload-api.ts";

let authority: Authority;
let issuer: IssuerServer;
beforeAll(async () => {
  authority = await createAuthority();
  issuer = await startIssuer(authority);
});
afterAll(() => Promise.all([issuer.close(), authority.close()]));

const request = (options: OptionValues) => parseIdentityRequest(readOptions(options));

interface Looked extends Omit<Inspection, "problem" | "warning"> {
  readonly problem: FailureObject | undefined;
  readonly warning: string | undefined;
  readonly platform: TestPlatform;
}

/** The inspection of a token in a variable. */
async function inspect(token: string, { audience = "quay", trusted = true } = {}): Promise<Looked> {
  const platform = testPlatform({ env: { T: token }, roots: trusted ? authority.ca : undefined });
  const found = await inspectIdentity(request({ "token-env": "T", audience }), platform);
  // Masked before anything is reported, and never part of a report.
  expect(platform.reporter.secrets).toEqual([token]);
  const problem = found.problem && failureOf(found.problem);
  expect(problem ? formatError(problem) : "").not.toContain(token);
  return { ...found, problem, warning: found.warning && inWorkflow(found.warning), platform };
}

let count = 0;
/** An issuer of its own for each case. */
function behaving(behaviour: Behaviour): Issuer {
  const one = issuer.at(`inspected${count++}`);
  one.behave(behaviour);
  return one;
}

test("a good token: its claims, its source, and no problem", async () => {
  const token = await issuer.sign({ sub: "system:serviceaccount:ci:builder" });
  const { choice, facts, problem, warning } = await inspect(token);
  expect(choice).toEqual({ source: "environment", variable: "T", why: "the variable T" });
  expect(facts).toMatchObject({
    issuer: issuer.url,
    subject: "system:serviceaccount:ci:builder",
    audience: ["quay"],
    algorithm: "RS256",
    keyId: "rsa1",
    origin: "the variable T",
  });
  expect(problem).toBeUndefined();
  expect(warning).toBeUndefined();
});

test("reads a file and a Workload API", async () => {
  const folder = await makeFolder();
  const token = await issuer.sign();
  await writeFile(join(folder, "token"), token);
  const api = await startWorkloadApi(join(folder, "agent.sock"), { svids: [{ id: "spiffe://example.org/ci", token }] });
  onTestFinished(() => api.close());
  for (const options of [{ "token-file": join(folder, "token") }, { "spiffe-socket": api.address }]) {
    const { facts, problem } = await inspectIdentity(request(options), testPlatform({ roots: authority.ca }));
    expect(facts).toMatchObject({ token, issuer: issuer.url });
    expect(problem).toBeUndefined();
  }
});

test("warns of an unexpected audience: the binding may name it", async () => {
  const { problem, warning } = await inspect(await issuer.sign({ aud: ["sts", "vault"] }));
  expect(problem).toBeUndefined();
  expect(warning).toContain("has the audience sts vault, not quay");
  expect((await inspect(await issuer.sign({ aud: "sts" }), { audience: "sts" })).warning).toBeUndefined();
});

describe("reports what Quay can't accept, with the token's claims, without asking the issuer", () => {
  test.each<[string, Record<string, unknown>, Record<string, unknown>, string, RegExp]>([
    ["ES256, SPIRE's default", {}, { alg: "ES256" }, "token-algorithm", /SPIRE: jwt_key_type = "rsa-2048"/],
    ["no iss, SPIRE's default", { iss: undefined }, {}, "token-incomplete", /lacks iss.*[\s\S]*jwt_issuer/],
    ["no kid", {}, { kid: undefined }, "token-incomplete", /lacks kid/],
    [
      "an API server's default issuer",
      { iss: "https://kubernetes.default.svc.cluster.local" },
      {},
      "issuer-cluster-internal",
      /--service-account-issuer[\s\S]*SPIFFE/,
    ],
    ["an issuer without https", { iss: "http://issuer.example.com" }, {}, "issuer-not-https", /https/],
    ["expired", { iat: now - 700, exp: now - 60 }, {}, "token-expired", /Get a new token right before the login/],
    ["too big", { groups: "g".repeat(7000) }, {}, "token-too-big", /8170/],
  ])("%s", async (_, change, header, code, remedy) => {
    const before = issuer.requests.length;
    const token = unsignedJwt(
      { ...claims, iss: issuer.url, ...change },
      { alg: "RS256", kid: "rsa1", typ: "JWT", ...header },
    );
    const { facts, problem } = await inspect(token);
    expect(problem?.code).toBe(code);
    expect(problem ? formatError(problem) : "").toMatch(remedy);
    expect(facts).toMatchObject({
      issuer: "iss" in change ? change.iss : issuer.url,
      subject: claims.sub,
      audience: ["quay"],
      algorithm: header.alg ?? "RS256",
      keyId: "kid" in header ? undefined : "rsa1",
      expiresAt: change.exp ?? claims.exp,
    });
    expect(issuer.requests).toHaveLength(before);
  });
});

describe("an issuer that Quay could not use", () => {
  test("can't be reached", async () => {
    const server = await listen(createServer());
    await server.close();
    const { problem, facts } = await inspect(await issuer.sign({ iss: `https://localhost:${server.port}` }));
    expect(problem?.code).toBe("issuer-unreachable");
    expect(problem?.message).toMatch(/^The issuer of this job's identity cannot be reached\. https:\/\/localhost:/);
    expect(problem?.remedy.join()).toContain(`Make https://localhost:${server.port} reachable`);
    expect(facts.issuer).toBe(`https://localhost:${server.port}`);
  });

  test("has an untrusted certificate", async () => {
    const { problem } = await inspect(await issuer.sign(), { trusted: false });
    expect(problem?.code).toBe("issuer-unreachable");
    expect(problem?.remedy.join("\n")).toMatch(/For this check: .*ca-file: path/);
  });

  test("names another issuer, as after a change of its address", async () => {
    const { problem } = await inspect(await behaving({ discovery: "other-issuer" }).sign());
    expect(problem?.code).toBe("issuer-mismatch");
    expect(problem?.message).toMatch(/calls itself https:.*elsewhere, but the token names https:.*inspected/);
    expect(problem?.remedy.join("\n")).toMatch(/token may be older than that\. A variable is never renewed/);
  });

  test.each<[Behaviour, RegExp]>([
    [{ discovery: "404" }, /^The issuer of this job's identity gives an invalid answer\. .*answers 404\.$/],
    [{ keys: "not-json" }, /is not JSON/],
    [{ keys: "empty" }, /contains no keys/],
  ])("is broken: %j", async (behaviour, message) => {
    const { problem } = await inspect(await behaving(behaviour).sign());
    expect(problem?.code).toBe("issuer-broken");
    expect(problem?.message).toMatch(message);
  });

  test("does not publish the key", async () => {
    const { problem, facts } = await inspect(await issuer.sign({}, { kid: "rsa9" }));
    expect(problem?.code).toBe("key-not-published");
    expect(problem?.message).toMatch(/^The key that signed this job's identity token is not among/);
    expect(problem?.remedy[0]).toBe("The token's kid is rsa9; the issuer publishes rsa1.");
    expect(facts.keyId).toBe("rsa9");
  });
});

describe("fails if there is no token to inspect", () => {
  test("no identity", async () => {
    expect((await failure(inspectIdentity(request({ identity: "spiffe" }), testPlatform()))).code).toBe(
      "identity-not-found",
    );
  });

  test("no token, or an unreadable one", async () => {
    const platform = testPlatform({ env: { T: "a.b.c" } });
    expect((await failure(inspectIdentity(request({ "token-env": "U" }), platform))).code).toBe(
      "token-variable-unusable",
    );
    expect((await failure(inspectIdentity(request({ "token-env": "T" }), platform))).code).toBe("token-not-a-jwt");
  });
});

test("passes on the timeout, which is no finding about the identity", async () => {
  const { promise: asked, resolve } = Promise.withResolvers<void>();
  const silent = await listen(
    createServer((socket) => void socket.on("error", () => {}).once("data", () => resolve())),
  );
  onTestFinished(() => silent.close());
  const controller = new AbortController();
  const token = await issuer.sign({ iss: `https://localhost:${silent.port}` });
  const platform = testPlatform({ env: { T: token }, roots: authority.ca, signal: controller.signal });
  const looking = inspectIdentity(request({ "token-env": "T" }), platform);
  await asked;
  const reason = new ExplainedError("timeout", "Late.", { remedy: [] });
  controller.abort(reason);
  expect(await thrown(looking)).toBe(reason);
});
