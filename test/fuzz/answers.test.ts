/** Answers and documents from outside, over real TLS: with any type in any place, the result is a value or an explained error. */

import { writeFile } from "node:fs/promises";
import { createServer } from "node:https";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, beforeAll, expect, test } from "vitest";
import { mergeEntries } from "../../src/authfile/change.ts";
import { readEntry } from "../../src/authfile/entry.ts";
import { removeEntries } from "../../src/authfile/restore.ts";
import { fetchGitHubToken, missingGitHubEndpoint } from "../../src/identity/github.ts";
import { fetchFacts } from "../../src/identity/index.ts";
import { examineIssuer } from "../../src/identity/issuer.ts";
import { asIdentity, audienceWarning, bindingOf, readToken } from "../../src/identity/token.ts";
import { parseRequest } from "../../src/login/request.ts";
import { readStatus } from "../../src/login/status.ts";
import { ExplainedError } from "../../src/platform/errors.ts";
import { connect, exchange } from "../../src/quay/exchange.ts";
import { assertAccess } from "../../src/registry/access.ts";
import { createClient } from "../../src/registry/client.ts";
import { listReferrers } from "../../src/registry/referrers.ts";
import { assertMayPush } from "../../src/registry/rights.ts";
import { createTransport } from "../../src/registry/transport.ts";
import {
  claims,
  entryOf,
  everyOption,
  fakeClock,
  makeFolder,
  robotToken,
  testIdentity,
  testPlatform,
} from "../fixtures.ts";
import { listen } from "../quay-stand-in/listen.ts";
import { type Authority, createAuthority } from "../quay-stand-in/tls.ts";
import { forAllAsync, outcome, outcomeAsync } from "./property.ts";
import { hostile } from "./values.ts";

/** Unexpected values: each type, one that String() throws on, and one nested too deep for recursion. */
const deep = "too deep to be gone through";
const written = (content: unknown): string =>
  JSON.stringify(content).replaceAll(JSON.stringify(deep), `${"[".repeat(20_000)}${"]".repeat(20_000)}`);
const jwt = (claims: unknown, header: unknown = { alg: "RS256", kid: "rsa1" }): string =>
  [written(header), written(claims), "x"].map((part) => Buffer.from(part).toString("base64url")).join(".");
const odd: readonly unknown[] = [
  ...[null, true, 0, -1, 1e300, 2 ** 53, "", "x", "\u0000\n\u001b", "https://%zz@x/", "https://a ", [], {}, deep],
  ...[[null], [[]], ["x", 1], { toString: 1, valueOf: 1 }, [{ toString: null }], { length: 1e9 }, { kid: null }],
];

const value: fc.Arbitrary<unknown> = fc.oneof(fc.constantFrom(...odd), hostile, fc.jsonValue({ maxDepth: 3 }));
/** An object with these keys and any values; sometimes another value. */
const like = (...keys: string[]): fc.Arbitrary<unknown> =>
  fc.oneof(
    { weight: 9, arbitrary: fc.record(Object.fromEntries(keys.map((key) => [key, value])), { requiredKeys: [] }) },
    { weight: 1, arbitrary: value },
  );

let authority: Authority;
let host: string;
let close: () => Promise<void>;
/** The answers to all requests, in this order; the last one repeats. */
let replies: { readonly body: string; readonly status?: number; readonly headers?: Record<string, string> }[] = [];
beforeAll(async () => {
  authority = await createAuthority();
  const server = createServer(await authority.issue(), (_, response) => {
    const { body, status = 200, headers = {} } = (replies.length > 1 ? replies.shift() : replies[0]) ?? { body: "" };
    response.writeHead(status, headers).end(body);
  });
  const listening = await listen(server);
  host = `localhost:${listening.port}`;
  close = listening.close;
});
afterAll(() => Promise.all([close(), authority.close()]));

const platform = (env = {}) => ({
  ...testPlatform({ roots: authority.ca, clock: fakeClock(), env, timeoutMs: 5_000 }),
  reporter: {
    info: () => {},
    warning: () => {},
    debug: () => {},
    secret: () => {},
    holdsSecret: () => false,
    moreOn: () => "",
    hide: String,
    syntax: everyOption,
  },
});
const provenance = { source: "file", origin: "a test", wantedAudience: "quay" } as const;
const json = (content: unknown) => ({ body: written(content) });

test("claims and headers of an identity token", () => {
  for (const each of odd) {
    for (const name of ["iss", "sub", "aud", "iat", "exp", "nbf"]) {
      const token = jwt({ ...claims, [name]: each });
      outcome(() => {
        const facts = readToken(token, provenance);
        audienceWarning(facts);
        return bindingOf(asIdentity(facts));
      });
    }
    for (const name of ["alg", "kid", "typ", "crit", "b64"]) {
      const token = jwt(claims, { alg: "RS256", kid: "rsa1", [name]: each });
      outcome(() => asIdentity(readToken(token, provenance)));
    }
  }
  const audience = (aud: unknown) => readToken(jwt({ ...claims, aud }), provenance).audience;
  expect([audience("quay"), audience(["a", 7, "b"]), audience({ toString: 1 }), audience(null)]).toEqual([
    ["quay"],
    ["a", "7", "b"],
    [],
    [],
  ]);
});

test("an issuer's documents", async () => {
  const kinds = new Set<string>();
  const address = fc.oneof(
    value,
    fc.constant(undefined).map(() => `https://${host}/keys`),
  );
  const discovery = fc.record({ issuer: value, jwks_uri: address }, { requiredKeys: ["jwks_uri"] });
  const keys = fc.record({ keys: fc.oneof(value, fc.array(like("kid", "kty", "use"), { maxLength: 3 })) });
  await forAllAsync(fc.tuple(fc.oneof(discovery, value), fc.oneof(keys, value)), async ([first, second]) => {
    replies = [json(first), json(second)];
    const finding = await examineIssuer(testIdentity({ issuer: `https://${host}` }), platform());
    kinds.add(finding.kind);
  });
  expect(kinds).toContain("broken");
  for (const issuer of [
    "https://a ",
    "https://a\t",
    "https://%zz@localhost:1",
    "https://a:0",
    "https://a#b",
    "https://a?b",
  ]) {
    replies = [json({})];
    await outcomeAsync(async () => examineIssuer(testIdentity({ issuer }), platform()));
  }
});

test("GitHub's endpoint, and the event of a run", async () => {
  const env = {
    ACTIONS_ID_TOKEN_REQUEST_URL: `https://${host}/?a=b`,
    ACTIONS_ID_TOKEN_REQUEST_TOKEN: "secret-of-the-job",
  };
  const token = like("alg").map((head) => jwt(claims, head));
  await forAllAsync(
    fc.oneof(
      like("value"),
      token.map((made) => ({ value: made })),
    ),
    async (answer) => {
      replies = [json(answer)];
      const choice = { source: "github", why: "a test" } as const;
      await outcomeAsync(() => fetchFacts(choice, "quay", platform(env)));
    },
  );
  const event = join(await makeFolder(), "event.json");
  const head = fc.oneof(
    value,
    like("repo", "sha"),
    like("full_name").map((repo) => ({ repo })),
  );
  await forAllAsync(
    fc.oneof(
      value,
      head.map((each) => ({ pull_request: { head: each } })),
    ),
    async (payload) => {
      await writeFile(event, written(payload));
      const run = { GITHUB_ACTIONS: "true", GITHUB_EVENT_NAME: "pull_request", GITHUB_EVENT_PATH: event };
      expect(await missingGitHubEndpoint(undefined, platform(run))).toBeInstanceOf(ExplainedError);
    },
  );
  for (const address of ["x", "ftp://x/", "https://%zz@localhost:1/", ""]) {
    const at = platform({ ...env, ACTIONS_ID_TOKEN_REQUEST_URL: address });
    await outcomeAsync(async () => fetchGitHubToken("quay", at));
  }
});

test("Quay's exchange", async () => {
  const identity = testIdentity({ issuer: `https://${host}` });
  const token = like("sub", "exp", "iat", "nbf").map((claims) => ({ token: jwt(claims) }));
  const answer = fc.oneof(like("token", "message", "error", "detail"), token);
  await forAllAsync(fc.tuple(answer, fc.constantFrom(200, 400, 401, 404, 500)), async ([content, status]) => {
    replies = [{ ...json(content), status }];
    const at = platform();
    await outcomeAsync(() =>
      exchange(
        { registry: host, robot: "acme+ci", currentIdentity: async () => identity, opened: connect(host, at) },
        at,
      ),
    );
  });
});

test("tokens of a registry, its errors, and its challenge", { timeout: 120_000 }, async () => {
  const access = fc.oneof(value, fc.array(like("type", "name", "actions"), { maxLength: 2 }));
  const bearer = fc.record({ access }).map((claims) => ({ token: jwt(claims) }));
  const reason = fc.oneof(value, fc.array(like("code", "message"), { maxLength: 2 })).map((errors) => ({ errors }));
  const realm = fc.constantFrom("https://%zz@x/", "https://", "x", "https://a b/", `https://HOST/t`, "");
  const request = parseRequest({ registry: "quay.io", robot: "acme+ci", access: "acme/app:pull" });
  const tokens = { url: new URL(`https://${host}/v2/auth`), service: host };
  const credential = { robot: "acme+ci", token: robotToken(undefined), expiresAt: 2e9, lifeSeconds: 3600 };
  await forAllAsync(
    fc.tuple(fc.oneof(like("token", "access_token"), bearer), reason, realm, fc.constantFrom(200, 401, 403, 404)),
    async ([token, errors, address, status]) => {
      replies = [json(token), { ...json(errors), status }];
      await outcomeAsync(() =>
        assertAccess(
          { registry: host, robots: request.robots, tokens: [credential], realm: tokens },
          request.access,
          platform(),
        ),
      );
      for (const robot of [undefined, "acme+ci"]) {
        const headers = { "www-authenticate": `Bearer realm="${address.replace("HOST", host)}"` };
        const refusal = { body: "", status: 401, headers };
        replies = [...(robot ? [] : [refusal]), json(token), { ...json(errors), status, headers }];
        const options = { registry: host, endpoint: "source", robot, timeoutSeconds: 2 } as const;
        const asker = {
          ...options,
          credential: () => (robot ? credential : undefined),
          realm: () => (robot ? tokens : undefined),
        };
        const client = createClient(createTransport(asker, platform()), "acme/app");
        await outcomeAsync(() => assertMayPush(client));
        await outcomeAsync(() => client.manifest("1.0"));
        await outcomeAsync(() => client.digestOf("1.0"));
        await outcomeAsync(() => listReferrers(client, `sha256:${"0".repeat(64)}`));
      }
    },
    15,
  );
});

test("a redirect, a list's next page, a manifest's type: invalid addresses and headers", async () => {
  const options = { registry: host, endpoint: "source", robot: undefined, timeoutSeconds: 2 } as const;
  const asker = { ...options, credential: () => undefined, realm: () => undefined };
  const anonymous = () => createClient(createTransport(asker, platform()), "acme/app");
  const addresses = ["https://%zz@localhost:1/", "https://a b/", "//", "https://[", "http://x/", "x\u00e9", "?%"];
  for (const address of addresses) {
    const client = anonymous();
    replies = [{ body: "", status: 302, headers: { location: address } }];
    await outcomeAsync(() => client.manifest("1.0"));
    replies = [{ body: '{"manifests":[]}', headers: { link: `<${address}>; rel="next"` } }];
    await outcomeAsync(() => listReferrers(client, `sha256:${"0".repeat(64)}`));
  }
  for (const mediaType of ["a/b\n", "a/b\u00e9\u0100", "", "x", 5, null, {}]) {
    const client = anonymous();
    replies = [{ ...json({ mediaType }), headers: { "content-type": "application/json" } }];
    const manifest = await outcomeAsync(() => client.manifest("1.0"));
    if (manifest instanceof ExplainedError || manifest === undefined) throw manifest;
    expect(manifest.mediaType).toBe("application/json");
    await outcomeAsync(() => client.putManifest("1.0", manifest));
  }
});

test("entries of an auth file", async () => {
  const path = join(await makeFolder(), "auth.json");
  const entries = fc.dictionary(fc.constantFrom("quay.io", "quay.io/acme", "x"), fc.oneof(value, like("auth")));
  const file = fc.record(
    { auths: fc.oneof(entries, value), credHelpers: value, credsStore: value },
    { requiredKeys: [] },
  );
  await forAllAsync(fc.oneof({ weight: 9, arbitrary: file }, { weight: 1, arbitrary: value }), async (content) => {
    await writeFile(path, written(content));
    const registry = { registry: "quay.io", scopes: [] };
    await outcomeAsync(() => readStatus(registry, path, {}));
    const change = { path, entries: { "quay.io": entryOf("acme+ci", "x") }, mode: undefined, id: "one" };
    await outcomeAsync(() => mergeEntries(change, platform(), async () => {}));
    const isOurs = (entry: Parameters<typeof readEntry>[0]) => readEntry(entry) !== undefined;
    await outcomeAsync(() => removeEntries({ path, id: "one" }, ["quay.io", "x"], isOurs, platform()));
  });
});
