/** Tokens of a registry: for a robot, without a login, and for a stored password. */
import { describe, expect, test } from "vitest";
import { granted } from "../../src/registry/transport.ts";
import { failure, unsignedJwt } from "../fixtures.ts";
import { INTERNAL_ERROR } from "../quay-stand-in/quay/pages.ts";
import { answer, huge, notJson, redirect, reset } from "../quay-stand-in/scripted.ts";
import { auths, client, denial, digestOf, peers, push, script, startOther, tokenOf, useRegistries } from "./world.ts";

useRegistries("2.8.2");

describe("tokens", () => {
  test("replaces an expired one, once", async () => {
    const { image } = await push(peers, "acme/app");
    const one = await client();
    await one.digestOf(image.digest);
    peers.quay.requests.length = 0;
    script(denial());
    expect(await one.digestOf(image.digest)).toBe(image.digest);
    expect(auths()).toBe(1);
    // Only once, not in a loop.
    peers.quay.requests.length = 0;
    peers.quay.registryScript.always(denial());
    expect((await failure(one.digestOf(image.digest))).code).toBe("copy-failed");
    expect(auths()).toBe(1);
  });

  test("replaces an expired one once for all concurrent requests", async () => {
    const one = await client();
    await one.digestOf("none");
    const ended = one.reporter.secrets.at(-1);
    peers.quay.requests.length = 0;
    peers.quay.registryScript.always(denial(), ({ headers }) => headers.authorization === `Bearer ${ended}`);
    // Tokens of the same second are identical.
    await new Promise((resolve) => setTimeout(resolve, 1_000));
    const references = ["a", "b", "c", "d"];
    const found = await Promise.all(references.map((reference) => one.digestOf(reference)));
    expect(found).toEqual(references.map(() => undefined));
    expect(auths()).toBe(1);
  });

  test("are requested again after a renewal of the login", async () => {
    const tokens = [await tokenOf(peers, "acme+ci"), { ...(await tokenOf(peers, "acme+ci")), token: "renewed" }];
    const one = await client({ credential: () => tokens[0] });
    await one.digestOf("v1");
    expect(auths()).toBe(1);
    tokens.shift();
    expect((await failure(one.digestOf("v1"))).code).toBe("login-refused");
    expect(auths()).toBe(2);
  });

  test("reports an expired login, not a failure of Quay", async () => {
    const token = await tokenOf(peers, "acme+ci", 1_700_000_000);
    const one = await client({ credential: () => token });
    peers.quay.authScript.always(answer(500, INTERNAL_ERROR.body));
    const error = await failure(one.digestOf("v1"));
    expect([error.code, error.message]).toEqual([
      "login-lapsed",
      `The login of acme+ci to ${peers.registryHost}, the source, expired at 2023-11-14T22:13:20Z.`,
    ]);
  });

  test("retries the same answer to a valid login a few times", async () => {
    const one = await client();
    peers.quay.authScript.next(answer(500, INTERNAL_ERROR.body));
    expect(await one.digestOf("none")).toBeUndefined();
    peers.quay.authScript.always(answer(500, INTERNAL_ERROR.body));
    const other = await client();
    const error = await failure(other.digestOf("none"));
    expect(error.code).toBe("registry-unavailable");
    expect(error.message).toContain("it answered 500");
    expect(other.clock.waits).toHaveLength(2);
  });

  test.each([
    ["turned off", answer(401, { errors: [{ message: "Robot account have been disabled." }] }), "robots-disabled"],
    ["refused", answer(401, { errors: [{ message: "Token does not match robot" }] }), "login-refused"],
    ["refused without a reason", answer(403, ""), "login-refused"],
    ["not there", answer(404, ""), "quay-answer-unusable"],
    ["a page", notJson(), "quay-answer-unusable"],
    ["no token", answer(200, {}), "quay-answer-unusable"],
    ["an empty token", answer(200, { token: "" }), "quay-answer-unusable"],
    ["too much", huge(), "quay-answer-unusable"],
  ])("%s: %s", async (_, scripted, code) => {
    peers.quay.authScript.next(scripted);
    const one = await client();
    expect((await failure(one.digestOf("v1"))).code).toBe(code);
    expect(one.clock.waits).toEqual([]);
    // A failure is not cached.
    expect(await one.digestOf("none")).toBeUndefined();
  });

  test("retries 503, a reset and a rate limit", async () => {
    peers.quay.authScript.next(answer(503), reset(), answer(429, "", { "retry-after": "7" }));
    const one = await client();
    expect(await one.digestOf("none")).toBeUndefined();
    // The connection was open already: the reset alone costs no wait.
    expect(one.clock.waits).toHaveLength(2);
    expect(one.clock.waits[1]).toBe(7_000);
  });
});

describe("without a login", () => {
  const challenge = (realm: string) =>
    answer(401, "", { "www-authenticate": `Basic realm="x", Bearer realm="${realm}",service="there"` });

  test("requests a token from the realm that the registry names, also on another host", async () => {
    const token = unsignedJwt({ access: [{ type: "repository", name: "acme/app", actions: ["pull"] }] });
    const other = await startOther(answer(200, { access_token: token }));
    const one = await client({ robot: undefined });
    script(challenge(`${other.url}/token`), answer(200, "", { "docker-content-digest": digestOf("x") }));
    expect(await one.digestOf("v1")).toBe(digestOf("x"));
    expect(other.requests.map(({ url, headers }) => [url, headers.authorization])).toEqual([
      ["/token?service=there&scope=repository%3Aacme%2Fapp%3Apull", undefined],
    ]);
    expect(peers.quay.seen(token)).toHaveLength(1);
    // Everyone gets it: masking it could damage ordinary words.
    expect(one.reporter.secrets).toEqual([]);
    // The realm is known now.
    script(answer(404));
    expect(await one.in("acme/other").digestOf("v1")).toBeUndefined();
    expect(other.requests).toHaveLength(2);
  });

  test("uses the first refusal for all concurrent requests", async () => {
    const token = unsignedJwt({ access: [] });
    const other = await startOther(answer(200, { token }));
    const one = await client({ robot: undefined });
    const refusal = challenge(`${other.url}/token`);
    peers.quay.registryScript.always(refusal, ({ headers }) => headers.authorization === undefined);
    peers.quay.registryScript.always(answer(404));
    const references = ["a", "b", "c", "d"];
    const found = await Promise.all(references.map((reference) => one.digestOf(reference)));
    expect(found).toEqual(references.map(() => undefined));
    expect(other.requests).toHaveLength(1);
  });

  test("requests no token without TLS", async () => {
    const other = await startOther(answer(200, { token: "x" }), false);
    const one = await client({ robot: undefined });
    peers.quay.registryScript.always(challenge(`${other.url}/token`));
    expect((await failure(one.digestOf("v1"))).code).toBe("access-missing");
    expect(other.requests).toEqual([]);
  });

  test.each([
    ["no challenge", answer(401)],
    ["a password wanted", answer(401, "", { "www-authenticate": 'Basic realm="x"' })],
    ["no address", challenge("nowhere")],
    ["forbidden", answer(403)],
  ])("%s: asks for a robot", async (_, scripted) => {
    const one = await client({ robot: undefined });
    script(scripted);
    const error = await failure(one.digestOf("v1"));
    expect(error.code).toBe("access-missing");
    expect(error.remedy[0]).toContain("source-robot");
    // biome-ignore lint/suspicious/noTemplateCurlyInString: an expression of GitHub Actions, to be typed so
    expect(error.remedy[1]).toContain("source-auth-file: ${{ env.REGISTRY_AUTH_FILE }}");
  });

  test("reports the realm's refusal, and its failure", async () => {
    for (const [reply, code] of [
      [answer(401), "access-missing"],
      [answer(404), "quay-answer-unusable"],
      [answer(503), "registry-unavailable"],
    ] as const) {
      const other = await startOther(reply);
      const one = await client({ robot: undefined, timeoutSeconds: 3 });
      peers.quay.registryScript.clear();
      peers.quay.registryScript.always(challenge(`${other.url}/token`));
      expect((await failure(one.digestOf("v1"))).code).toBe(code);
    }
  });

  test("works with a registry that asks for no token", async () => {
    const one = await client({ robot: undefined });
    script(answer(200, "", { "docker-content-digest": digestOf("x") }), answer(200, "{}"));
    expect(await one.digestOf("v1")).toBe(digestOf("x"));
    expect(await granted(one.transport, "acme/app", ["pull"])).toBeUndefined();
  });
});

describe("with a login other than a robot's", () => {
  const basic = Buffer.from("somebody:their password").toString("base64");
  const withPassword = () => client({ robot: undefined, basic });
  const bearerAt = (realm: string) => `Bearer realm="${realm}",service="there"`;
  const challenge = (value: string) => answer(401, "", { "www-authenticate": value });
  const there = () => answer(200, "", { "docker-content-digest": digestOf("x") });

  test.each([
    ["alone", (url: string) => bearerAt(url)],
    ["behind a challenge for the password", (url: string) => `Basic realm="x", ${bearerAt(url)}`],
  ])("sends it to the realm on any host, and only its token to the registry: %s", async (_, header) => {
    const token = unsignedJwt({ access: [] });
    const other = await startOther(answer(200, { token }));
    const one = await withPassword();
    script(challenge(header(`${other.url}/token`)), there());
    expect(await one.digestOf("v1")).toBe(digestOf("x"));
    expect(other.requests.map(({ headers }) => headers.authorization)).toEqual([`Basic ${basic}`]);
    expect([peers.quay.seen(token), peers.quay.seen(basic)].map(({ length }) => length)).toEqual([1, 0]);
  });

  test("sends the password to a registry that asks for it, and to no redirect's host", async () => {
    const other = await startOther(answer(200, "config"));
    const one = await withPassword();
    script(challenge('Basic realm="x"'), redirect(`${other.url}/blob`, 307));
    expect(await one.blob(digestOf("config"))).toBe("config");
    expect(peers.quay.seen(basic)).toHaveLength(1);
    expect(other.requests.map(({ headers }) => headers.authorization)).toEqual([undefined]);
  });

  test.each([
    [
      "the realm refuses it",
      (url: string) => [challenge(bearerAt(url))],
      "login-refused",
      /source-auth-file: it answered 401/,
    ],
    [
      "the registry refuses it",
      () => [challenge('Basic realm="x"'), challenge('Basic realm="x"')],
      "access-missing",
      /reading acme\/app with the login of the option source-auth-file/,
    ],
    [
      "in the clear, nothing is sent",
      () => [challenge(bearerAt("http://localhost:1/token"))],
      "access-missing",
      /source-auth-file/,
    ],
    ["another kind of challenge", () => [challenge("Negotiate")], "access-missing", /source-auth-file/],
  ])("%s", async (_, answers, code, expected) => {
    const other = await startOther(answer(401));
    const one = await withPassword();
    script(...answers(`${other.url}/token`));
    const error = await failure(one.digestOf("v1"));
    expect(error.code).toBe(code);
    expect(error.message).toMatch(expected);
  });
});
