/** 500, 502, 504: answers of Quay without a reason. The Action looks at the issuer itself and names the reason. */
import { afterAll, describe, test } from "vitest";
import { type Issuer, SUBJECT, startIssuer } from "../quay-stand-in/issuer.ts";
import { INTERNAL_ERROR, LOADING } from "../quay-stand-in/quay/pages.ts";
import { answer } from "../quay-stand-in/scripted.ts";
import { runAction } from "../support/action.ts";
import { asking, failure, newRobot, of, usePeers } from "./world.ts";

const peers = usePeers({ registry: false, quay: { issuerTimeoutMs: 400, gatewayTimeoutMs: 800 } });
const closers: { close(): Promise<unknown> }[] = [];
afterAll(async () => {
  await Promise.all(closers.map((each) => each.close()));
});

/** A login whose identity comes from `issuer`. */
async function logIn(issuer: Pick<Issuer, "url" | "sign">, token?: string, inputs: Record<string, string> = {}) {
  const { quay, github } = peers();
  const robot = newRobot(peers(), [{ issuer: issuer.url, subject: SUBJECT }]);
  const value = token ?? (await issuer.sign());
  github.issued.push(value);
  github.script.always(answer(200, { value }), asking(robot));
  const main = await runAction({ peers: peers(), inputs: { robot: robot.name, audience: robot.audience, ...inputs } });
  const attempts = quay.requests.filter(({ user, path }) => user === robot.name && path.startsWith("/oauth2")).length;
  return { main, attempts };
}

/** A passing failure is retried until the timeout. */
const short = { timeout: "4" };

const faults: [string, Parameters<Issuer["behave"]>[0], RegExp][] = [
  ["discovery is not there", { discovery: "404" }, /openid-configuration answers 404/],
  ["discovery fails", { discovery: "500" }, /openid-configuration answers 500/],
  ["discovery is not JSON", { discovery: "not-json" }, /openid-configuration is not JSON/],
  ["discovery names no keys", { discovery: "no-jwks-uri" }, /names no https address for its keys \(jwks_uri\)/],
  ["the keys are not there", { keys: "404" }, /jwks answers 404/],
  ["the keys fail", { keys: "500" }, /jwks answers 500/],
  ["the keys are not JSON", { keys: "not-json" }, /jwks is not JSON/],
  ["there are no keys", { keys: "empty" }, /jwks contains no keys/],
];

describe.concurrent("the issuer is broken:", () => {
  test.for(faults.map((fault, index) => [...fault, `broken${index}`] as const))(
    "%s",
    async ([, behaviour, says, name], { expect }) => {
      const issuer = peers().issuer.at(name);
      issuer.behave(behaviour);
      const { main, attempts } = await logIn(issuer);
      const message = failure(expect, main, "issuer-broken");
      expect(message).toMatch(
        /^Quay at localhost:\d+ answered 500: the issuer of this job's identity gives an invalid answer/,
      );
      expect(message).toMatch(says);
      expect(message).toContain("Quay itself must reach the issuer; this check ran from here.");
      // It mostly lasts: two quick retries.
      expect(attempts).toBe(3);
      expect(main.milliseconds).toBeLessThan(6_000);
    },
  );
});

describe.concurrent("the issuer can't be reached:", () => {
  const from = (url: string) => ({ url, sign: (claims = {}) => peers().issuer.sign({ iss: url, ...claims }) });

  test("no process listens", async ({ expect }) => {
    const { main, attempts } = await logIn(from("https://localhost:1/main"), undefined, short);
    const message = failure(expect, main, "issuer-unreachable");
    expect(message).toMatch(
      /answered 502: the issuer of this job's identity cannot be reached[\s\S]*localhost:1 refuses the connection/,
    );
    expect(message).toContain("Make https://localhost:1/main reachable by https from Quay");
    // It may be up again in a moment.
    expect(attempts).toBeGreaterThan(3);
  });

  test("its certificate is not trusted", async ({ expect }) => {
    const { authority } = peers();
    const stranger = await startIssuer(authority, { certificate: await authority.issueFlawed("other-root") });
    closers.push(stranger);
    const { main } = await logIn(stranger, undefined, short);
    expect(failure(expect, main, "issuer-unreachable")).toMatch(
      /502[\s\S]*cannot be trusted[\s\S]*certificate that Quay trusts/,
    );
  });
});

describe.concurrent("otherwise", () => {
  test.for([
    ["of another time", { kid: "rsa0" }, /kid is rsa0; the issuer publishes rsa1\.[\s\S]*key rotation/],
    ["that is not an RSA key", { kid: "ec1" }, /kid is ec1/],
  ] as const)("the token was signed with a key %s", async ([, how, says], { expect }) => {
    const { main } = await logIn(peers().issuer, await peers().issuer.sign({}, how));
    const message = failure(expect, main, "key-not-published");
    expect(message).toMatch(
      /answered 500: the key that signed this job's identity token is not among its issuer's RSA keys/,
    );
    expect(message).toMatch(says);
  });

  test.for([
    [500, INTERNAL_ERROR, /looks right from here[\s\S]*Quay has a fault or is overloaded/],
    [
      502,
      LOADING,
      /looks right from here[\s\S]*Either Quay is starting, or it cannot reach https:\/\/localhost:\d+\/main/,
    ],
  ] as const)("the issuer is sound, and Quay answers %i", async ([status, page, says], { expect }) => {
    const { quay, github, issuer } = peers();
    const robot = newRobot(peers());
    quay.exchangeScript.always(answer(status, page.body), of(robot));
    const main = await runAction({ peers: peers(), inputs: { robot: robot.name, ...short } });
    expect(github.issued.length).toBeGreaterThan(0);
    expect(issuer.requests.length).toBeGreaterThan(0);
    expect(failure(expect, main, "quay-unavailable")).toMatch(says);
  });

  test("the issuer is too slow for Quay, but not for us", async ({ expect }) => {
    const issuer = peers().issuer.at("slow");
    issuer.behave({ discoverySlow: 600 });
    // Three attempts and a look of our own fit in, on a busy machine.
    const { main } = await logIn(issuer, undefined, { timeout: "8" });
    expect(failure(expect, main, "quay-unavailable")).toMatch(
      /502, and the issuer looks right from here[\s\S]*cannot reach https:\/\/localhost:\d+\/slow/,
    );
  });

  test("the issuer's keys are too slow for the gateway", async ({ expect }) => {
    const issuer = peers().issuer.at("slow-keys");
    issuer.behave({ keysSlow: 3_000 });
    const { main } = await logIn(issuer, undefined, { timeout: "3" });
    // Either the last answer, or the one before the timeout.
    expect(main.shown).toContain("is not available at the moment: it answered 504");
    expect(main).toMatchObject({ code: 1 });
  });

  test("Quay does not exist", async ({ expect }) => {
    const inputs = { registry: "localhost:1", robot: "acme+ci", timeout: "2" };
    const main = await runAction({ peers: peers(), inputs });
    expect(failure(expect, main, "quay-unreachable")).toMatch(/localhost:1 refuses the connection[\s\S]*HTTPS_PROXY/);
  });

  test("Quay speaks no TLS there", async ({ expect }) => {
    const registry = new URL(peers().quay.httpUrl).host;
    const main = await runAction({ peers: peers(), inputs: { registry, robot: "acme+ci", timeout: "2" } });
    expect(failure(expect, main, "quay-answer-unusable")).toContain("answers without TLS");
  });
});
