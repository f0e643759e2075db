/** The findings about an issuer, over real TLS, for each way it can be wrong. */

import { createServer } from "node:https";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { examineIssuer, type IssuerFinding } from "../../src/identity/issuer.ts";
import { readIdentity, testIdentity, testPlatform } from "../fixtures.ts";
import { type Behaviour, type IssuerServer, type SignOptions, startIssuer } from "../quay-stand-in/issuer.ts";
import { listen } from "../quay-stand-in/listen.ts";
import { type Authority, createAuthority } from "../quay-stand-in/tls.ts";

let authority: Authority;
let issuer: IssuerServer;
beforeAll(async () => {
  authority = await createAuthority();
  issuer = await startIssuer(authority);
});
afterAll(() => Promise.all([issuer.close(), authority.close()]));

let count = 0;
/** Each case has its own issuer. */
async function examine(behaviour: Behaviour, options: SignOptions = {}, slash = ""): Promise<IssuerFinding> {
  const one = issuer.at(`issuer${count++}`);
  one.behave(behaviour);
  const token = await one.sign(slash ? { iss: `${one.url}${slash}` } : {}, options);
  return examineIssuer(readIdentity(token), testPlatform({ roots: authority.ca }));
}

describe("as Quay sees it", () => {
  test.each<[string, Behaviour, IssuerFinding["kind"], RegExp]>([
    ["a good issuer", {}, "sound", /^$/],
    ["a trailing slash in its name", { discovery: "trailing-slash" }, "sound", /^$/],
    ["discovery 404", { discovery: "404" }, "broken", /openid-configuration answers 404$/],
    ["discovery 500", { discovery: "500" }, "broken", /openid-configuration answers 500$/],
    ["discovery is a page", { discovery: "not-json" }, "broken", /openid-configuration is not JSON$/],
    ["no address for the keys", { discovery: "no-jwks-uri" }, "broken", /no https address for its keys/],
    ["an http address for the keys", { discovery: "http-jwks" }, "broken", /no https address for its keys/],
    ["another issuer's name", { discovery: "other-issuer" }, "other-issuer", /^$/],
    ["keys 404", { keys: "404" }, "broken", /\/jwks answers 404$/],
    ["keys 500", { keys: "500" }, "broken", /\/jwks answers 500$/],
    ["keys are a page", { keys: "not-json" }, "broken", /\/jwks is not JSON$/],
    ["no keys", { keys: "empty" }, "broken", /\/jwks contains no keys$/],
  ])("%s: %s", async (_, behaviour, kind, why) => {
    const finding = await examine(behaviour);
    expect(finding.kind).toBe(kind);
    expect("why" in finding ? finding.why : "").toMatch(why);
  });

  test("a token whose issuer ends in a slash is looked up with one slash", async () => {
    expect(await examine({}, {}, "/")).toEqual({ kind: "sound" });
    expect(issuer.requests.at(-2)).toMatch(/^\/issuer\d+\/\.well-known\/openid-configuration$/);
  });

  test("an unpublished key", async () => {
    expect(await examine({}, { kid: "rsa9" })).toEqual({ kind: "key-not-published", keys: ["rsa1"] });
  });

  test("a key that is published, but not RSA", async () => {
    expect(await examine({}, { kid: "ec1" })).toEqual({ kind: "key-not-published", keys: ["rsa1"] });
  });
});

describe("what else may answer at that address", () => {
  const look = async (documents: Record<string, string>) => {
    const server = createServer(await authority.issue(), (request, response) => {
      const body = documents[request.url ?? ""];
      response.writeHead(body === undefined ? 404 : 200).end(body?.replaceAll("HERE", url()));
    });
    const { port, close } = await listen(server);
    const url = () => `https://localhost:${port}`;
    const identity = testIdentity({ issuer: url() });
    return examineIssuer(identity, testPlatform({ roots: authority.ca })).finally(close);
  };
  const discovery = "/.well-known/openid-configuration";

  test.each<[string, Record<string, string>, RegExp]>([
    ["null", { [discovery]: "null" }, /is not JSON/],
    ["text", { [discovery]: '"hello"' }, /is not JSON/],
    ["an invalid address", { [discovery]: '{"jwks_uri": "https://"}' }, /no https address/],
    ["keys that are not a list", { [discovery]: '{"jwks_uri": "HERE/k"}', "/k": '{"keys": {}}' }, /contains no keys/],
    ["over 1 MiB", { [discovery]: " ".repeat(1_048_577) }, /larger than 1048576 bytes/],
  ])("%s", async (_, documents, why) => {
    const finding = await look(documents);
    expect(finding.kind).toBe("broken");
    expect("why" in finding && finding.why).toMatch(why);
  });

  test("ignores invalid keys, and accepts a discovery document without an issuer", async () => {
    const keys =
      '{"keys": [null, {"kid": "rsa1", "kty": "EC"}, {"kid": 5}, {"kid": "enc", "kty": "RSA", "use": "enc"}, {"kid": 7, "kty": "RSA"}]}';
    expect(await look({ [discovery]: '{"jwks_uri": "HERE/k"}', "/k": keys })).toEqual({
      kind: "key-not-published",
      keys: ["7"],
    });
  });
});

describe("below HTTP", () => {
  test("reports a refused connection", async () => {
    const finding = await examineIssuer(testIdentity({ issuer: "https://127.0.0.1:1" }), testPlatform());
    expect(finding).toEqual({
      kind: "unreachable",
      why: "https://127.0.0.1:1/.well-known/openid-configuration: 127.0.0.1:1 refuses the connection",
      untrusted: false,
    });
  });

  test("reports an untrusted certificate", async () => {
    const finding = await examineIssuer(testIdentity({ issuer: issuer.url }), testPlatform());
    expect(finding).toEqual({
      kind: "unreachable",
      why: expect.stringContaining("cannot be trusted"),
      untrusted: true,
    });
  });

  test("passes on the timeout", async () => {
    const platform = testPlatform({ signal: AbortSignal.abort(new Error("over")) });
    await expect(examineIssuer(testIdentity({ issuer: issuer.url }), platform)).rejects.toThrow("over");
  });
});
