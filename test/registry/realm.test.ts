/** Which realm gets a robot token, by the registry's answer. With the stand-in, over real TLS. */
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { findRealm, openRegistry, parseChallenges, type Realm, realmForAnyone } from "../../src/registry/realm.ts";
import { failure, fakeClock, testPlatform } from "../fixtures.ts";
import { type Peers, startPeers } from "../quay-stand-in/peers.ts";
import { LOADING } from "../quay-stand-in/quay/pages.ts";
import { answer, cut, huge, page, redirect, reset, type Scripted, switching } from "../quay-stand-in/scripted.ts";

let peers: Peers;
beforeAll(async () => {
  peers = await startPeers({ registry: false });
});
afterAll(() => peers.close());
afterEach(() => {
  peers.quay.registryScript.clear();
  peers.quay.requests.length = 0;
});

function ask(tokenHost?: string, registry = peers.registryHost) {
  const clock = fakeClock();
  const platform = testPlatform({ roots: peers.authority.ca, clock });
  const realm = findRealm(registry, tokenHost, openRegistry(registry, platform), platform);
  return { realm, waits: clock.waits };
}

/** Answers the next request with these challenges. `HERE` stands for the registry. */
const challenging = (challenge: string | undefined, status = 401): Scripted =>
  answer(status, "", challenge === undefined ? {} : { "www-authenticate": here(challenge) });
const here = (text: string): string => text.replaceAll("HERE", peers.registryHost);

const plain = ({ url, service }: Realm) => [url.href, service];

test("asks Quay once, immediately, without a login", async () => {
  const { realm, waits } = ask();
  await expect.poll(() => peers.quay.requests).toHaveLength(1);
  const [first, second] = await Promise.all([realm(), realm()]);
  expect(plain(first)).toEqual([`${peers.quay.url}/v2/auth`, peers.registryHost]);
  expect(second).toBe(first);
  expect(peers.quay.requests).toEqual([{ method: "GET", path: "/v2/", scheme: undefined, user: undefined }]);
  expect(waits).toEqual([]);
});

describe("accepted realms", () => {
  test.each<[string, string, number?]>([
    [
      "with other parameters, in another order",
      'bearer service="x", realm="https://HERE/v2/auth", scope="y", error="z"',
    ],
    ["without spaces, on another path", 'Bearer realm="https://HERE/token?a=b@c",service=x'],
    ["with status 200", 'Bearer realm="https://HERE/v2/auth",service="x"', 200],
    ["its name in capitals", 'BEARER REALM="HTTPS://LOCALHOST:PORT/v2/auth",SERVICE="x"'],
  ])("%s", async (_, challenge, status) => {
    const port = peers.registryHost.replace(/.*:/, "");
    peers.quay.registryScript.next(challenging(challenge.replace("PORT", port), status));
    expect(await ask().realm()).toMatchObject({ service: "x", url: { host: peers.registryHost } });
  });

  test.each(["auth.example.com", "auth.example.com:443"])(
    "on a host that the user has named: %s",
    async (tokenHost) => {
      peers.quay.registryScript.next(challenging('Bearer realm="https://auth.example.com/v2/auth"'));
      expect(plain(await ask(tokenHost).realm())).toEqual(["https://auth.example.com/v2/auth", undefined]);
    },
  );
});

describe("rejected realms", () => {
  const elsewhere: [string, string][] = [
    ["another host", "evil.example.com"],
    ["another port", "localhost:1"],
    ["a host that begins like it", "HERE.evil.example.com".replace("HERE", "localhost")],
    ["a subdomain", "sub.localhost"],
  ];
  test.each(elsewhere)("%s: the error prints the line that would allow it", async (_, host) => {
    for (const tokenHost of [undefined, "auth.example.com"]) {
      peers.quay.registryScript.next(challenging(`Bearer realm="https://${host}/v2/auth",service="x"`));
      const error = await failure(ask(tokenHost).realm());
      expect([error.code, error.message]).toEqual([
        "realm-refused",
        `${peers.registryHost} sends logins to another host, ${host}: the robot token is not sent to it.`,
      ]);
      expect(error.remedy[0]).toMatch(new RegExp(`: token-host: ${host}$`));
    }
  });

  test.each<[string, string | undefined, RegExp, number?]>([
    ["plain http", 'Bearer realm="http://HERE/v2/auth"', /not https/],
    ["an address with a user", 'Bearer realm="https://HERE@evil.example.com/"', /not https/],
    ["an address with a backslash", 'Bearer realm="https://HERE\\@evil.example.com/"', /an invalid form/],
    ["an address that browsers correct", 'Bearer realm="https:HERE/v2/auth"', /not https/],
    ["an address with a space", 'Bearer realm="https://HERE/ x"', /not https/],
    ["no address", 'Bearer service="x"', /not https/],
    ["an address given twice", 'Bearer realm="https://HERE/",realm="https://evil.example.com/"', /an invalid form/],
    ["two ways", 'Bearer realm="https://HERE/v2/auth",service="x", Basic realm="x"', /another way/],
    [
      "two ways of the same kind",
      'Bearer realm="https://HERE/a", Bearer realm="https://evil.example.com/"',
      /another way/,
    ],
    ["a password itself", 'Basic realm="HERE"', /another way/],
    ["an invalid list", 'Bearer realm="https://HERE/v2/auth', /an invalid form/],
    ["nothing at all", undefined, /asks for no login at \/v2\/ \(401\)/],
    ["nothing at all, with a page", undefined, /asks for no login at \/v2\/ \(200\)/, 200],
    ["no registry", undefined, /answers \/v2\/ with status 404/, 404],
    ["forbidden", 'Bearer realm="https://HERE/v2/auth"', /answers \/v2\/ with status 403/, 403],
  ])("%s", async (_, challenge, message, status) => {
    peers.quay.registryScript.next(challenging(challenge, status));
    const error = await failure(ask("auth.example.com").realm());
    expect([error.code, error.message]).toEqual(["realm-refused", expect.stringMatching(message)]);
    expect(error.remedy.join()).not.toContain("token-host");
  });

  test.each([301, 302, 303, 307, 308])("a redirect (%i)", async (status) => {
    peers.quay.registryScript.next(redirect("https://evil.example.com/v2/", status));
    const error = await failure(ask().realm());
    expect([error.code, error.message]).toEqual([
      "realm-refused",
      expect.stringContaining(`redirects /v2/ (${status})`),
    ]);
  });

  test("a 101, and an endless page", async () => {
    for (const given of [switching(), huge()]) {
      peers.quay.registryScript.next(given);
      expect((await failure(ask().realm())).code).toBe("realm-refused");
    }
  });
});

describe("retries temporary failures", () => {
  test.each<[string, () => Scripted]>([
    ["502", () => page(LOADING)],
    ["429", () => answer(429)],
    ["500", () => answer(500)],
    ["a reset", reset],
    ["half an answer", cut],
  ])("%s", async (_, given) => {
    peers.quay.registryScript.next(given(), given());
    const { realm, waits } = ask();
    expect(plain(await realm())).toEqual([`${peers.quay.url}/v2/auth`, peers.registryHost]);
    expect(waits).toHaveLength(2);
  });

  test("retries until the timeout, and not before the realm is wanted", async () => {
    peers.quay.registryScript.always(page(LOADING));
    const { realm, waits } = ask();
    await expect.poll(() => peers.quay.requests).toHaveLength(1);
    expect(waits).toEqual([]);
    const error = await failure(realm());
    expect([error.code, error.message]).toEqual(["quay-unavailable", expect.stringContaining("it answered 502")]);
  });

  test("reports an unreachable or untrusted Quay", async () => {
    expect((await failure(ask(undefined, "localhost:1").realm())).code).toBe("quay-unreachable");
    const platform = testPlatform();
    const realm = findRealm(peers.registryHost, undefined, openRegistry(peers.registryHost, platform), platform);
    expect((await failure(realm())).code).toBe("tls-untrusted");
  });
});

test.each<[string, unknown]>([
  ["", []],
  ['Bearer realm="a,b",service="c"', [["bearer", { realm: "a,b", service: "c" }]]],
  [
    'Bearer realm="a" , Basic realm="b"',
    [
      ["bearer", { realm: "a" }],
      ["basic", { realm: "b" }],
    ],
  ],
  [
    "Negotiate, Bearer",
    [
      ["negotiate", {}],
      ["bearer", {}],
    ],
  ],
  ['realm="a"', undefined],
  ['Bearer realm="a"service="b"', undefined],
  ["Negotiate YII=", undefined],
  ['Bearer realm="a\\"b"', undefined],
  ["Bearer =", undefined],
])("challenges of %j", (header, expected) => {
  const found = parseChallenges(header)?.map(({ scheme, parameters }) => [scheme, Object.fromEntries(parameters)]);
  expect(found).toEqual(expected);
});

test("accepts any https address without a login", () => {
  const of = (header?: string) =>
    realmForAnyone({ status: 401, body: "", headers: header === undefined ? {} : { "www-authenticate": header } });
  const found = of('Basic realm="x", Bearer realm="https://auth.docker.io/token",service="registry.docker.io"');
  expect(found && plain(found)).toEqual(["https://auth.docker.io/token", "registry.docker.io"]);
  for (const header of [undefined, "", 'Basic realm="x"', 'Bearer realm="http://auth.docker.io/token"', "Bearer"]) {
    expect(of(header)).toBeUndefined();
  }
});
