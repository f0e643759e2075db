/**
 * The contract: what this project relies on in a Quay, checked against the stand-in or, with `QUAY_URL` and its like set
 * (README.md), a real one. In short: docs/quay.md. What can't be caused on a foreign Quay is in stand-in.test.ts.
 */
import { decodeJwt } from "jose";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { ask, basic, type Question } from "./ask.ts";
import * as exchangeCases from "./exchange-cases.ts";
import { logSuite } from "./log-suite.ts";
import { managementSuite } from "./management-suite.ts";
import { accessCases, loginCases, type RegistryCase, requestCases } from "./registry-cases.ts";
import { connect, foreign, furnish, type World } from "./target.ts";
import * as say from "./wording.ts";

let world: World;
beforeAll(async () => {
  world = await furnish(await connect());
}, 120_000);
afterAll(() => world?.close());

const EXCHANGE = "/oauth2/federation/robot/token";

describe("exchange", () => {
  for (const [title, cases] of [
    ["the header", exchangeCases.headerCases],
    ["the robot", exchangeCases.robotCases],
    ["the password", exchangeCases.passwordCases],
    ["the claims", exchangeCases.claimCases],
    ["audience and nbf", exchangeCases.laxCases],
    ["the algorithm", exchangeCases.algorithmCases],
    ["the issuer", exchangeCases.issuerCases],
  ] as const) {
    test.each(cases)(`${title}: $name`, async ({ authorization, expected }) => {
      const answer = await world.exchange(await authorization(world));
      say.expectAnswer(answer, typeof expected === "function" ? expected(world) : expected);
    });
  }

  test("the robot token's claims", async () => {
    const { iat = 0, exp = 0, ...claims } = decodeJwt(await world.robotToken());
    expect(exp - iat).toBe(3600);
    expect(claims).toEqual({
      iss: "quay",
      aud: world.host,
      nbf: iat,
      sub: world.robot,
      access: {},
      context: {
        version: 2,
        entity_kind: "robot",
        entity_reference: world.robot,
        kind: "user",
        user: world.robot,
        "com.apostille.roots": null,
        "com.apostille.root": "$disabled",
      },
    });
  });

  test("an identity token may be exchanged again", async () => {
    const authorization = await world.identity();
    say.expectAnswer(await world.exchange(authorization), say.token);
    say.expectAnswer(await world.exchange(authorization), say.token);
  });

  test.each<[string, Partial<Question>, say.Expected]>([
    ["POST", { method: "POST" }, say.notAllowed],
    ["PUT", { method: "PUT" }, say.notAllowed],
    ["DELETE", { method: "DELETE" }, say.notAllowed],
    ["HEAD", { method: "HEAD" }, { ...say.token, body: "" }],
    [
      "OPTIONS",
      { method: "OPTIONS" },
      { status: 200, type: "text/html; charset=utf-8", body: "", headers: { allow: "GET, OPTIONS, HEAD" } },
    ],
    ["path with a trailing slash", { path: `${EXCHANGE}/` }, say.uiNotFound],
    ["path with a query", { path: `${EXCHANGE}?x=y` }, say.token],
  ])("%s", async (_, question, expected) => {
    const headers = { authorization: await world.identity() };
    say.expectAnswer(await world.ask({ path: EXCHANGE, headers, ...question }), expected);
  });

  test.each([EXCHANGE.toUpperCase(), "/oauth2/federation/robot/nothing"])(
    "%s: sent to itself with a slash",
    async (path) => {
      say.expectAnswer(await world.ask({ path }), say.slashAdded(`https://${world.host}${path}`));
    },
  );

  test("Accept changes nothing", async () => {
    const as = async (authorization: string, accept: string) =>
      world.ask({ path: EXCHANGE, headers: { authorization, accept } });
    say.expectAnswer(await as(await world.identity(), "text/html"), say.token);
    say.expectAnswer(await as(basic(`${world.robot}x`, "x.y.z"), "text/html"), say.unknownRobot);
    say.expectAnswer(await as(basic(world.robot, "garbage"), "application/json"), say.internalError);
  });

  test.each([
    ["the largest that passes", 8170, say.token],
    ["the smallest that doesn't", 8174, say.headersTooLarge],
    ["20 kB", 26_942, say.cookieTooLarge],
    ["50 kB", 71_978, say.cookieTooLarge],
  ])("size: %s", async (_, length, expected) => {
    say.expectAnswer(await world.exchange(await authorizationOf(length)), expected);
  });

  /** An Authorization of exactly this many bytes. One letter more in a claim makes the JWT one or two longer. */
  async function authorizationOf(length: number): Promise<string> {
    for (let pad = Math.floor((length * 9) / 16) - 700; ; pad++) {
      const authorization = await world.identity({ pad: "x".repeat(pad) });
      if (authorization.length >= length) return authorization;
    }
  }

  test.each<[string, Record<string, unknown>, boolean, string[]]>([
    ["a success", {}, false, ["discovery", "jwks"]],
    ["a bad signature", {}, true, ["discovery", "jwks", "jwks"]],
    ["another subject", { sub: "x" }, false, ["discovery", "jwks"]],
    ["an issuer not bound", { iss: "https://example.org" }, false, []],
  ])("requests to the issuer for %s", async (_, claims, spoiled, expected) => {
    const { issuer, robot } = world;
    const before = issuer.requests.length;
    await world.exchange(basic(robot, await issuer.sign(claims, { spoiled })));
    const names: Record<string, string> = {
      "/main/.well-known/openid-configuration": "discovery",
      "/main/jwks": "jwks",
    };
    expect(issuer.requests.slice(before).map((path) => names[path])).toEqual(expected);
  });

  test("plain http on the https port", async () => {
    const answer = await ask(`http://${world.host}`, undefined, { path: EXCHANGE });
    say.expectAnswer(answer, say.plainHttp);
  });
});

describe("registry", () => {
  const run = async ({ question, expected }: RegistryCase) => {
    say.expectAnswer(await world.ask(await question(world)), expected(world));
  };
  test.each(loginCases)("login: $name", run);
  test.each(requestCases)("$name", run);

  test.each(accessCases)("access: $name", async ({ scope, actions }) => {
    const wanted = scope(world);
    const claims = decodeJwt(await world.bearer(wanted));
    const [, name] = wanted.split(":");
    expect(claims.access).toEqual([{ type: "repository", name, actions }]);
  });

  test("the bearer's claims after a login", async () => {
    const { iat = 0, exp = 0, ...claims } = decodeJwt(await world.bearer());
    expect(exp - iat).toBe(3600);
    expect(claims).toMatchObject({ iss: "quay", aud: world.host, sub: world.robot, access: [] });
  });

  test("a robot token outlives its binding, and its robot if the name exists again", async () => {
    const name = `${world.prefix}short`;
    const robot = `${world.org}+${name}`;
    const path = `organization/${world.org}/robots/${name}`;
    const bindings = [{ issuer: world.issuer.url, subject: "repo:acme/app:ref:refs/heads/main" }];
    await world.manage("PUT", path, {});
    await world.manage("POST", `${path}/federation`, bindings);
    const authorization = basic(robot, await world.robotToken(robot));
    const status = async () =>
      (await world.ask({ path: `/v2/auth?service=${world.host}`, headers: { authorization } })).status;

    await world.manage("DELETE", `${path}/federation`);
    expect(await status()).toBe(200);
    await world.manage("DELETE", path);
    expect(await status()).toBe(401);
    await world.manage("PUT", path, {});
    expect(await status()).toBe(200);
    await world.manage("DELETE", path);
  });
});

describe("management", () => managementSuite(() => world));
describe("the usage log", () => logSuite(() => world));

test("this ran against the configured Quay", () => {
  expect(world.peers === undefined).toBe(foreign);
});
