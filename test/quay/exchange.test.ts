/** The exchange over real TLS with the stand-in: what is retried, what is not, and each failure's code. */
import { createServer } from "node:https";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import type { Identity } from "../../src/identity/token.ts";
import type { ErrorCode } from "../../src/platform/errors.ts";
import { connect, exchange } from "../../src/quay/exchange.ts";
import { failure, failureText, fakeClock, readIdentity, type TestPlatform, testPlatform } from "../fixtures.ts";
import { listen } from "../quay-stand-in/listen.ts";
import { type Peers, RELEASE_SUBJECT, startPeers } from "../quay-stand-in/peers.ts";
import {
  GATEWAY_TIMEOUT,
  INTERNAL_ERROR,
  LOADING,
  type Reply,
  TOO_MANY_REQUESTS,
} from "../quay-stand-in/quay/pages.ts";
import { startQuay, tokenText, tokenWith } from "../quay-stand-in/quay/server.ts";
import { addRobot } from "../quay-stand-in/quay/store.ts";
import { answer, cut, hang, huge, notJson, pass, redirect, reset, slow } from "../quay-stand-in/scripted.ts";

let peers: Peers;
beforeAll(async () => {
  peers = await startPeers({ registry: false });
});
afterAll(() => peers.close());
afterEach(() => {
  peers.quay.exchangeScript.clear();
  peers.quay.requests.length = 0;
  peers.issuer.requests.length = 0;
  peers.issuer.behave({});
});

const page = ({ status, body }: Reply) => answer(status, body);

const identity = async (claims = {}, options = {}): Promise<Identity> =>
  readIdentity(await peers.issuer.sign(claims, options));

async function run(
  current: Identity | (() => Promise<Identity>),
  { robot = "acme+ci", platform = local(), registry = peers.registryHost } = {},
) {
  const currentIdentity = typeof current === "function" ? current : async () => current;
  return exchange({ registry, robot, currentIdentity, opened: connect(registry, platform) }, platform);
}

const local = (options: { timeoutMs?: number; signal?: AbortSignal } = {}): TestPlatform & { waits: number[] } => {
  const clock = fakeClock();
  return { ...testPlatform({ roots: peers.authority.ca, clock, ...options }), waits: clock.waits };
};

const exchanges = () => peers.quay.requests.filter(({ path }) => path === "/oauth2/federation/robot/token").length;

test("exchanges an identity token for a robot token, and masks both", async () => {
  const platform = local();
  const current = await identity();
  const got = await run(current, { platform });
  expect(got.robot).toBe("acme+ci");
  expect(Math.abs(got.expiresAt - Date.now() / 1000 - 3600)).toBeLessThan(5);
  const basic = Buffer.from(`acme+ci:${current.token}`).toString("base64");
  expect(platform.reporter.secrets).toEqual([basic, got.token]);
  expect(platform.reporter.debugs).toEqual([
    expect.stringMatching(/^GET localhost:\d+\/oauth2\/federation\/robot\/token: 200, \d+ ms$/),
  ]);
  expect(peers.quay.seen(current.token)).toHaveLength(1);
});

test("exchanges the same identity token again", async () => {
  const current = await identity();
  await run(current);
  await run(current, { robot: "acme+noperm" });
  expect(peers.quay.seen(current.token)).toHaveLength(2);
});

describe("retries temporary failures", () => {
  test.each<[string, Reply]>([
    ["500", INTERNAL_ERROR],
    ["502", LOADING],
  ])("%s: twice", async (_, reply) => {
    peers.quay.exchangeScript.next(page(reply), page(reply));
    const platform = local();
    await run(await identity(), { platform });
    expect(exchanges()).toBe(3);
    expect(platform.waits).toHaveLength(2);
  });

  test.each<[string, Parameters<typeof peers.quay.exchangeScript.next>]>([
    ["429", [page(TOO_MANY_REQUESTS), page(TOO_MANY_REQUESTS), page(TOO_MANY_REQUESTS), page(TOO_MANY_REQUESTS)]],
    ["408", [answer(408, ""), answer(408, ""), answer(408, ""), answer(408, "")]],
    ["520", [answer(520, ""), answer(520, ""), answer(520, ""), answer(520, "")]],
    ["503", [answer(503, "<h1>503</h1>"), answer(503, ""), answer(503, ""), answer(503, "")]],
    ["504", [page(GATEWAY_TIMEOUT), page(GATEWAY_TIMEOUT), page(GATEWAY_TIMEOUT), page(GATEWAY_TIMEOUT)]],
    ["a connection that breaks off", [reset(), reset(), reset(), reset()]],
  ])("%s: until the timeout", async (_, answers) => {
    peers.quay.exchangeScript.next(...answers);
    const platform = local();
    await run(await identity(), { platform });
    expect(exchanges()).toBe(5);
    expect(platform.waits).toHaveLength(4);
  });

  test("waits as long as Retry-After asks for", async () => {
    peers.quay.exchangeScript.next(answer(429, "", { "retry-after": "17" }));
    const platform = local();
    await run(await identity(), { platform });
    expect(platform.waits).toEqual([17_000]);
  });

  test("a name that can't be resolved: retries twice, then fails", async () => {
    const platform = local();
    const text = await failureText("quay-unreachable", run(await identity(), { platform, registry: "quay.invalid" }));
    expect(text).toContain("the name quay.invalid cannot be resolved");
    expect(platform.waits).toHaveLength(2);
  });

  test("a refused connection: until the timeout", async () => {
    const platform = local({ timeoutMs: 20_000 });
    const text = await failureText("quay-unreachable", run(await identity(), { platform, registry: "127.0.0.1:1" }));
    expect(text).toContain("127.0.0.1:1 refuses the connection");
    expect(platform.waits.length).toBeGreaterThan(3);
    expect(platform.reporter.infos.at(-1)).toContain("Not retrying the exchange for acme+ci");
  });
});

describe("never retries a refusal", () => {
  const cases: [string, ErrorCode, () => Promise<Identity>, robot?: string, expected?: RegExp][] = [
    ["another subject", "subject-not-bound", () => identity(), "acme+release", /subject {3}repo:acme\/app:ref/],
    ["no binding", "robot-not-federated", () => identity(), "acme+bare", /audience {2}quay/],
    ["no such robot", "robot-not-found", () => identity(), "acme+ghost"],
    [
      "another issuer",
      "issuer-not-bound",
      async () => readIdentity(await peers.issuer.at("other").sign(), "a test"),
      "acme+ci",
      /issuer {4}https:\/\/localhost:\d+\/other\n/,
    ],
    ["a spoiled signature", "signature-refused", () => identity({}, { spoiled: true })],
    ["an old token", "token-expired", () => identity({ exp: Math.floor(Date.now() / 1000) - 600 })],
    [
      "a token of tomorrow",
      "token-from-the-future",
      () => identity({ iat: Math.floor(Date.now() / 1000) + 86_400, exp: Math.floor(Date.now() / 1000) + 90_000 }),
    ],
  ];
  test.each(cases)("%s: %s", async (_, code, current, robot = "acme+ci", expected = /./) => {
    const platform = local();
    const text = await failureText(code, run(await current(), { robot, platform }));
    expect(text).toMatch(expected);
    expect(exchanges()).toBe(1);
    expect(platform.waits).toEqual([]);
  });

  test("a discovery document of another issuer", async () => {
    peers.issuer.behave({ discovery: "other-issuer" });
    await failureText("issuer-mismatch", run(await identity()));
    expect(exchanges()).toBe(1);
  });

  test.each<[ErrorCode, Partial<Peers["quay"]["settings"]>, number]>([
    ["quay-without-federation", { release: "without-federation" }, 1],
    ["quay-read-only", { readOnly: true }, 1],
  ])("%s", async (code, change, times) => {
    const before = { ...peers.quay.settings };
    Object.assign(peers.quay.settings, change);
    await failureText(code, run(await identity())).finally(() => Object.assign(peers.quay.settings, before));
    expect(peers.quay.requests).toHaveLength(times);
  });

  test("an audience or a binding that a newer Quay refuses", async () => {
    const { settings, store } = peers.quay;
    const binding = { issuer: peers.issuer.url, subject: RELEASE_SUBJECT };
    addRobot(store, "acme+strict", [{ ...binding, audiences: ["quay"] }]);
    addRobot(store, "acme+twice", [binding, binding]);
    settings.release = "newer";
    const current = await identity({ sub: RELEASE_SUBJECT, aud: "other" });
    await failureText("audience-refused", run(current, { robot: "acme+strict" }));
    await failureText("binding-ambiguous", run(current, { robot: "acme+twice" }));
    settings.release = "main";
  });

  test("a token over Quay's limit", async () => {
    await failureText("token-too-big", run(await identity({ groups: "g".repeat(6_000) })));
  });
});

describe("unusable answers", () => {
  test.each<[string, Parameters<typeof peers.quay.exchangeScript.next>, RegExp, number]>([
    ["not JSON", [notJson()], /its answer holds no token/, 1],
    ["another robot's token", [tokenWith({ sub: "acme+other" })], /for "acme\+other", not for acme\+ci/, 1],
    ["a token without exp", [tokenWith({ exp: undefined })], /does not say when it expires/, 1],
    ["a token that is not a JWT", [tokenText("ABCDEF")], /not a JWT/, 1],
    ["10 MB", [huge()], /larger than 65536 bytes/, 1],
    ["cut in the middle, three times", [cut(), cut(), cut()], /the answer broke off/, 3],
  ])("%s", async (_, answers, expected, times) => {
    peers.quay.exchangeScript.next(...answers);
    expect(await failureText("quay-answer-unusable", run(await identity()))).toMatch(expected);
    expect(exchanges()).toBe(times);
  });

  test("retries an answer that was cut once", async () => {
    peers.quay.exchangeScript.next(cut());
    expect((await run(await identity())).robot).toBe("acme+ci");
  });

  test.each([301, 302, 307, 308])("does not send the identity token to the target of a %i", async (status) => {
    const other = await startQuay(peers.authority);
    peers.quay.exchangeScript.next(redirect(`${other.url}/oauth2/federation/robot/other`, status));
    const text = await failureText("quay-answer-unusable", run(await identity()));
    expect(text).toContain(`a redirect to ${other.host}`);
    expect(other.requests).toEqual([]);
    await other.close();
  });
});

describe("checks the issuer after repeated 500 or 502", () => {
  type Behaviour = Parameters<Peers["issuer"]["behave"]>[0];
  test.each<[string, Behaviour, Reply, ErrorCode, RegExp]>([
    ["discovery answers 404", { discovery: "404" }, INTERNAL_ERROR, "issuer-broken", /answered 500.*answers 404/],
    ["no keys", { keys: "empty" }, INTERNAL_ERROR, "issuer-broken", /contains no keys/],
    ["the issuer is fine", {}, INTERNAL_ERROR, "quay-unavailable", /answered 500, and the issuer looks right/],
  ])("%s: %s", async (_, behaviour, reply, code, expected) => {
    peers.issuer.behave(behaviour);
    peers.quay.exchangeScript.always(page(reply));
    const platform = local();
    expect(await failureText(code, run(await identity(), { platform }))).toMatch(expected);
    expect(exchanges()).toBe(3);
    // One check, without any secret.
    expect(peers.issuer.requests.filter((path) => path.includes("openid-configuration"))).toHaveLength(1);
  });

  test("reports an unpublished key, with the stand-in's real answer", async () => {
    const text = await failureText("key-not-published", run(await identity({}, { kid: "rsa0" })));
    expect(text).toContain("The token's kid is rsa0; the issuer publishes rsa1.");
    expect(exchanges()).toBe(3);
  });

  test("reports an unreachable issuer", async () => {
    const current = readIdentity(await peers.issuer.sign({ iss: "https://127.0.0.1:1/gone" }), "a test");
    addRobot(peers.quay.store, "acme+gone", [{ issuer: current.issuer, subject: current.subject }]);
    const platform = local();
    const text = await failureText("issuer-unreachable", run(current, { robot: "acme+gone", platform }));
    expect(text).toContain("answered 502");
    expect(text).toContain("127.0.0.1:1 refuses the connection");
    // It may restart: some 20 s, with a clock that takes half of each longest wait.
    expect(exchanges()).toBe(14);
    expect(platform.waits.reduce((a, b) => a + b)).toBeGreaterThan(15_000);
    expect(platform.waits.reduce((a, b) => a + b)).toBeLessThan(30_000);
  });

  test.each([502, 503, 504, 429] as const)("retries while the issuer's gateway answers %i", async (status) => {
    const server = await listen(
      createServer(await peers.authority.issue(), (_, response) => response.writeHead(status).end()),
    );
    const issuer = `https://localhost:${server.port}`;
    const current = readIdentity(await peers.issuer.sign({ iss: issuer }));
    peers.quay.exchangeScript.next(...Array(6).fill(page(INTERNAL_ERROR)));
    addRobot(peers.quay.store, "acme+restarts", [{ issuer, subject: current.subject }]);
    const platform = local();
    const text = await failureText("issuer-unreachable", run(current, { robot: "acme+restarts", platform }));
    expect(text).toContain(`openid-configuration answers ${status}`);
    expect(exchanges()).toBeGreaterThan(6);
    await server.close();
  });

  test("retries 502 with a good issuer until the timeout: Quay is starting", async () => {
    peers.quay.exchangeScript.next(...Array(9).fill(page(LOADING)));
    const platform = local();
    await run(await identity(), { platform });
    expect(exchanges()).toBe(10);
    expect(platform.reporter.infos.at(-1)).toMatch(/answered 502, and the issuer looks right from here\. Retrying/);

    peers.quay.exchangeScript.always(page(LOADING));
    const short = local({ timeoutMs: 20_000 });
    const text = await failureText("quay-unavailable", run(await identity(), { platform: short }));
    expect(text).toMatch(/answered 502, and the issuer looks right/);
    expect(short.waits.length).toBeGreaterThan(5);
  });
});

test("each attempt uses the current identity token", async () => {
  const [first, second] = [await identity(), await identity({ jti: "2" })];
  const queue = [first, second];
  peers.quay.exchangeScript.next(answer(503, ""));
  await run(async () => queue.shift() ?? first);
  expect(peers.quay.seen(first.token)).toHaveLength(1);
  expect(peers.quay.seen(second.token)).toHaveLength(1);
});

test("fails without an identity, before anything is sent", async () => {
  const reason = new TypeError("no identity");
  await expect(run(() => Promise.reject(reason))).rejects.toBe(reason);
  expect(peers.quay.requests).toEqual([]);
});

test("stops a hanging exchange at the timeout", async () => {
  peers.quay.exchangeScript.next(hang());
  const controller = new AbortController();
  const running = run(await identity(), { platform: local({ signal: controller.signal }) });
  await expect.poll(exchanges).toBe(1);
  controller.abort(new Error("over"));
  await expect(running).rejects.toThrow("over");
});

test("rejects an untrusted certificate immediately; sends nothing", async () => {
  const flawed = await startQuay(peers.authority, { certificate: await peers.authority.issueFlawed("other-root") });
  const platform = local();
  const error = await failure(run(await identity(), { platform, registry: flawed.host }));
  expect(error.code).toBe("tls-untrusted");
  expect(error.remedy.join()).toContain("ca-file");
  expect(flawed.requests).toEqual([]);
  expect(platform.waits).toEqual([]);
  await flawed.close();
});

test("waits for a slow answer", async () => {
  peers.quay.exchangeScript.next(slow(300), pass());
  expect((await run(await identity())).robot).toBe("acme+ci");
});
