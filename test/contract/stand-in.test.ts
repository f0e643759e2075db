/**
 * What can't be caused on a foreign Quay: other releases and settings, audiences in the database, forged robot
 * tokens, time, and what was only read in newer source (docs/quay.md). For the stand-in only.
 */
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { type IssuerServer, SUBJECT, startIssuer } from "../quay-stand-in/issuer.ts";
import { type Peers, startPeers } from "../quay-stand-in/peers.ts";
import { TOO_MANY_REQUESTS } from "../quay-stand-in/quay/pages.ts";
import { DEFAULTS, type Settings } from "../quay-stand-in/quay/settings.ts";
import { addApiToken, addOrganization, addRobot, type Binding } from "../quay-stand-in/quay/store.ts";
import { page } from "../quay-stand-in/scripted.ts";
import { type Answer, ask, basic, type Question } from "./ask.ts";
import { foreign } from "./target.ts";
import * as say from "./wording.ts";

describe.skipIf(foreign)("the stand-in only", () => {
  let peers: Peers;
  beforeAll(async () => {
    peers = await startPeers();
  });
  afterAll(() => peers.close());
  afterEach(() => {
    const { host, ca } = peers.quay.settings;
    Object.assign(peers.quay.settings, DEFAULTS, { host, ca });
    bind("acme+ci", { issuer: peers.issuer.url, subject: SUBJECT });
  });

  const toQuay = (question: Question): Promise<Answer> => ask(peers.quay.url, peers.authority.ca, question);
  const set = (settings: Partial<Settings>) => Object.assign(peers.quay.settings, settings);
  const bind = (robot: string, ...bindings: Binding[]) => {
    const known = peers.quay.store.robots.get(robot) ?? addRobot(peers.quay.store, robot);
    known.bindings = bindings;
  };
  const exchangeAs = (robot: string, token: string): Promise<Answer> =>
    toQuay({ path: "/oauth2/federation/robot/token", headers: { authorization: basic(robot, token) } });
  const exchange = async (claims: Record<string, unknown> = {}, issuer = peers.issuer.at("main")): Promise<Answer> =>
    exchangeAs("acme+ci", await issuer.sign(claims));
  const login = (user: string, password: string): Promise<Answer> =>
    toQuay({ path: `/v2/auth?service=${peers.quay.host}`, headers: { authorization: basic(user, password) } });
  const manage = (method: string, path: string, body?: unknown, token = peers.oauthToken): Promise<Answer> =>
    toQuay({
      ...{ method, path: `/api/v1/${path}` },
      headers: { authorization: `Bearer ${token}`, "content-type": "application/json" },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
  const now = () => Math.floor(Date.now() / 1000);

  describe("audiences in the database", () => {
    const wrong = say.message("Invalid token: Audience doesn't match");
    const missing = say.message('Invalid token: Token is missing the "aud" claim');
    const quay = { subject: SUBJECT, audiences: ["quay"] };
    const two = [
      { subject: SUBJECT, audiences: ["one"] },
      { subject: "second", audiences: ["two"] },
    ];
    const cases: [string, Pick<Binding, "subject" | "audiences">[], unknown, say.Expected][] = [
      ["right", [quay], "quay", say.token],
      ["right in a list of two", [quay], ["other", "quay"], say.token],
      ["wrong", [quay], "other", wrong],
      ["none", [quay], undefined, missing],
      ["with a slash", [quay], "quay/", wrong],
      ["of the first of two bindings", two, "one", wrong],
      ["of the second of two bindings", two, "two", say.token],
      ["a string in the database", [{ subject: SUBJECT, audiences: "quay" }], "quay", say.internalError],
    ];
    test.each(cases)("main: %s", async (_, bindings, aud, expected) => {
      bind("acme+ci", ...bindings.map((each) => ({ issuer: peers.issuer.url, ...each })));
      say.expectAnswer(await exchange({ aud }), expected);
    });
    test.each(cases)("3.17 doesn't look: %s", async (_, bindings, aud) => {
      set({ release: "3.17" });
      bind("acme+ci", ...bindings.map((each) => ({ issuer: peers.issuer.url, ...each })));
      say.expectAnswer(await exchange({ aud }), say.token);
    });
  });

  describe("3.17", () => {
    const invalid = say.message("Invalid token: Invalid issuer");
    test.each(["redirect", "other-issuer", "trailing-slash"] as const)("discovery: %s", async (discovery) => {
      set({ release: "3.17" });
      const issuer = peers.issuer.at(`old-${discovery}`);
      issuer.behave({ discovery });
      bind("acme+ci", { issuer: issuer.url, subject: SUBJECT });
      say.expectAnswer(await exchange({}, issuer), invalid);
    });
    test("binding and token with a slash, discovery without", async () => {
      set({ release: "3.17" });
      bind("acme+ci", { issuer: `${peers.issuer.url}/`, subject: SUBJECT });
      say.expectAnswer(await exchange({ iss: `${peers.issuer.url}/` }), invalid);
    });
    test("otherwise the same", async () => {
      set({ release: "3.17" });
      say.expectAnswer(await exchange(), say.token);
    });
  });

  describe("newer source", () => {
    const entry = () => ({ issuer: peers.issuer.url, subject: SUBJECT });
    const path = "organization/acme/robots/ci/federation";
    test("bindings get an audience by default, and a permanent id", async () => {
      set({ release: "newer" });
      const [first] = JSON.parse((await manage("POST", path, [entry()])).body);
      expect(first).toMatchObject({ ...entry(), audiences: ["quay"], version: 1 });
      const [second] = JSON.parse((await manage("POST", path, [{ ...first, audiences: ["other"] }])).body);
      expect(second).toMatchObject({ id: first.id, audiences: ["other"], version: 2 });
      const refused = say.message("Token audience is not allowed for this robot");
      say.expectAnswer(await exchange({ aud: "quay" }), refused);
      say.expectAnswer(await exchange({ aud: undefined }), refused);
      say.expectAnswer(await exchange({ aud: ["x", "other"] }), say.token);
    });
    test("each binding has its own audiences", async () => {
      set({ release: "newer" });
      bind("acme+ci", { ...entry(), audiences: ["one"] }, { ...entry(), subject: "second", audiences: ["two"] });
      say.expectAnswer(await exchange({ aud: "one" }), say.token);
      const refused = say.message("Token audience is not allowed for this robot");
      say.expectAnswer(await exchange({ aud: "one", sub: "second" }), refused);
      say.expectAnswer(await exchange({ aud: "one", sub: "third" }), say.message("Token does not match robot"));
    });
    test("ambiguous", async () => {
      set({ release: "newer" });
      bind("acme+ci", entry(), entry());
      say.expectAnswer(await exchange(), say.message("Ambiguous federation binding for this robot"));
    });
  });

  test("without the feature: redirects to the path with a slash, which does not exist", async () => {
    set({ release: "without-federation" });
    say.expectAnswer(await exchange(), say.slashAdded(`${peers.quay.url}/oauth2/federation/robot/token`));
    say.expectAnswer(await toQuay({ path: "/oauth2/federation/robot/token/" }), say.uiNotFound);
  });

  test("ROBOTS_DISALLOW: the exchange works, the login doesn't", async () => {
    set({ robotsDisallowed: true });
    const answer = await exchange();
    say.expectAnswer(answer, say.token);
    const text = "Robot account have been disabled. Please contact your administrator.";
    const { host } = peers.quay;
    say.expectAnswer(await login("acme+ci", JSON.parse(answer.body).token), say.unauthorized(host, text));
    const disabled = "Robot accounts have been disabled. Please contact your administrator.";
    const expected = say.apiError(host, 400, "invalid_request", disabled);
    say.expectAnswer(await manage("PUT", "organization/acme/robots/new", {}), expected);
  });

  test("read-only", async () => {
    set({ readOnly: true });
    const { status, type, body } = await exchange();
    expect({ status, type, body: JSON.parse(body) }).toEqual({
      ...{ status: 503, type: "application/json" },
      body: { message: expect.stringMatching(/^System is currently read-only\./), is_readonly: true },
    });
  });

  test("keys later than the gateway waits", async () => {
    const issuer = peers.issuer.at("very-late");
    issuer.behave({ keysSlow: 1000 });
    set({ gatewayTimeoutMs: 200 });
    bind("acme+ci", { issuer: issuer.url, subject: SUBJECT });
    say.expectAnswer(await exchange({}, issuer), say.gatewayTimeout);
  });

  test("keys at an http address", async () => {
    const issuer = peers.issuer.at("plain-keys");
    issuer.behave({ discovery: "http-jwks" });
    bind("acme+ci", { issuer: issuer.url, subject: SUBJECT });
    say.expectAnswer(await exchange({}, issuer), say.token);
  });

  test("plain http port", async () => {
    const answer = await ask(peers.quay.httpUrl, undefined, { path: "/oauth2/federation/robot/token" });
    expect(answer.status).toBe(301);
    expect(answer.headers.location).toBe("https://localhost/oauth2/federation/robot/token");
  });

  test.each(["expired", "other-name", "other-root"] as const)("issuer with a certificate of %s", async (flaw) => {
    const { authority } = peers;
    const issuer: IssuerServer = await startIssuer(authority, { certificate: await authority.issueFlawed(flaw) });
    bind("acme+ci", { issuer: issuer.url, subject: SUBJECT });
    say.expectAnswer(await exchange({}, issuer), say.loading);
    await issuer.close();
  });

  test("Quay's clock is an hour behind", async () => {
    set({ clockOffset: -3600 });
    say.expectAnswer(await exchange(), say.message("Invalid token: Issued At claim (iat) cannot be in the future."));
  });

  describe("forged robot tokens at /v2/auth", () => {
    const granted = { ...say.token, headers: { "cache-control": "no-cache, no-store, must-revalidate" } };
    const at = (seconds: number) => ({ iat: now() - 3600 + seconds, exp: now() + seconds });
    test.each<[string, () => Record<string, unknown>, say.Expected, Record<string, unknown>?]>([
      ["expired an hour ago", () => at(-3600), say.internalError],
      ["expired 40 s ago", () => at(-40), say.internalError],
      ["expired 5 s ago", () => at(-5), granted],
      ["with 30 s left", () => at(30), granted],
      ["valid for two hours", () => ({ exp: now() + 7200 }), say.internalError],
      ["for another server", () => ({ aud: "quay.io" }), say.internalError],
      ["unknown kid", () => ({}), say.internalError, { kid: "unknown" }],
    ])("%s", async (_, claims, expected, header) => {
      const token = await peers.quay.tokens.robotToken("acme+ci", claims(), header);
      say.expectAnswer(await login("acme+ci", token), expected);
    });
    test("sub of another robot", async () => {
      const token = await peers.quay.tokens.robotToken("acme+ci", { sub: "acme+release" });
      say.expectAnswer(await login("acme+ci", token), say.unauthorized(peers.quay.host, "Token does not match robot"));
    });
    test("an expired bearer", async () => {
      const token = await peers.quay.tokens.robotToken("acme+ci", { ...at(-40), access: [] });
      const answer = await toQuay({ path: "/v2/acme/app/tags/list", headers: { authorization: `Bearer ${token}` } });
      const expected = say.bearerRefused(peers.quay.host, "Signature has expired", "repository:acme/app:pull");
      say.expectAnswer(answer, expected);
    });
  });

  test("a robot token has the lifetime of the setting", async () => {
    set({ robotTokenLife: 1, leeway: 0 });
    const { token } = JSON.parse((await exchange()).body);
    expect((await login("acme+ci", token)).status).toBe(200);
    await new Promise((resolve) => setTimeout(resolve, 1600));
    say.expectAnswer(await login("acme+ci", token), say.internalError);
  });

  test("users", async () => {
    const { host } = peers.quay;
    expect((await login("admin", "password")).status).toBe(200);
    expect((await login("$oauthtoken", peers.oauthToken)).status).toBe(200);
    say.expectAnswer(await login("admin", "wrong"), say.unauthorized(host, "Invalid Username or Password"));
    say.expectAnswer(await login("admin", "wrong"), {
      status: 429,
      type: "text/html; charset=utf-8",
      body: "Too many login attempts. \nPlease reset your Quay password and try again.",
      headers: { "retry-after": "1" },
    });
    const robot = await Promise.all(Array.from({ length: 40 }, () => login("acme+ci", "WRONG")));
    expect(new Set(robot.map(({ status }) => status))).toEqual(new Set([401]));
  });

  test("nginx's rate limit, where it is on: no Retry-After", async () => {
    const { exchangeScript, authScript, registryScript } = peers.quay;
    for (const script of [exchangeScript, authScript, registryScript]) script.next(page(TOO_MANY_REQUESTS));
    for (const path of ["/oauth2/federation/robot/token", "/v2/auth", "/v2/"]) {
      const answer = await toQuay({ path });
      say.expectAnswer(answer, say.tooManyRequests);
      expect(answer.headers).not.toHaveProperty("retry-after");
    }
  });

  test("too small a scope, another's organization", async () => {
    const { store, host } = peers.quay;
    store.users.set("stranger", "password");
    addOrganization(store, "elsewhere", ["stranger"]);
    const tokens = [
      addApiToken(store, { user: "admin", scopes: ["repo:read"] }),
      addApiToken(store, { user: "stranger", scopes: ["org:admin"] }),
    ];
    const forbidden = say.apiError(host, 403, "insufficient_scope", "Unauthorized");
    const path = "organization/acme/robots/ci";
    for (const token of tokens) {
      const body = [{ issuer: peers.issuer.url, subject: SUBJECT }];
      say.expectAnswer(await manage("GET", `${path}/federation`, undefined, token), forbidden);
      say.expectAnswer(await manage("POST", `${path}/federation`, body, token), forbidden);
      say.expectAnswer(await manage("DELETE", `${path}/federation`, undefined, token), forbidden);
      say.expectAnswer(await manage("PUT", path, {}, token), forbidden);
    }
  });

  test("a user's robot", async () => {
    expect((await manage("PUT", "user/robots/mine", { description: "d" })).status).toBe(201);
    const entry = [{ issuer: peers.issuer.url, subject: SUBJECT }];
    expect((await manage("POST", "user/robots/mine/federation", entry)).status).toBe(200);
    say.expectAnswer(await exchangeAs("admin+mine", await peers.issuer.sign()), say.token);
  });

  test("the right to create: the repository exists after the request", async () => {
    const { store, tokens, host } = peers.quay;
    store.organizations.get("acme")?.creators.add("acme+noperm");
    const authorization = basic("acme+noperm", await tokens.robotToken("acme+noperm"));
    const path = `/v2/auth?service=${host}&scope=repository:acme/brandnew:pull,push`;
    const { body } = await toQuay({ path, headers: { authorization } });
    const claims = JSON.parse(Buffer.from(JSON.parse(body).token.split(".")[1], "base64url").toString());
    expect(claims.access).toEqual([{ type: "repository", name: "acme/brandnew", actions: ["push", "pull"] }]);
    expect(store.repositories.has("acme/brandnew")).toBe(true);
    say.expectAnswer(await toQuay({ path: "/v2/acme/brandnew/tags/list" }), {
      ...say.unauthorized(host, say.notAuthorized, "repository:acme/brandnew:pull"),
    });
  });
});
