/** Whether the registry accepts a robot token, by the answer of its realm. With the stand-in, over real TLS. */
import { createServer } from "node:net";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { verifyRobotToken } from "../../src/registry/verify.ts";
import { expectNoSecret, failure, fakeClock, testPlatform } from "../fixtures.ts";
import { listen } from "../quay-stand-in/listen.ts";
import { type Peers, startPeers } from "../quay-stand-in/peers.ts";
import { answer, cut, hang, huge, redirect, reset, type Scripted } from "../quay-stand-in/scripted.ts";
import { tokenOf } from "./world.ts";

let peers: Peers;
beforeAll(async () => {
  peers = await startPeers({ registry: false });
});
afterAll(() => peers.close());
afterEach(() => {
  peers.quay.settings.robotsDisallowed = false;
  peers.quay.authScript.clear();
  peers.quay.requests.length = 0;
});

interface Setup {
  robot?: string;
  /** Where the registry sends its clients; default: to itself. */
  realm?: string;
  trusted?: boolean;
  signal?: AbortSignal;
}

async function verify({ robot = "acme+ci", realm, trusted = true, signal }: Setup = {}) {
  const clock = fakeClock();
  const roots = trusted ? peers.authority.ca : undefined;
  const platform = testPlatform({ roots, clock, timeoutMs: 10_000, ...(signal && { signal }) });
  const token = await tokenOf(peers, robot);
  const url = new URL(realm ?? `https://${peers.registryHost}/v2/auth`);
  const verified = verifyRobotToken(
    { registry: peers.registryHost, token, realm: { url, service: peers.registryHost } },
    platform,
  );
  return { verified, token, platform, waits: clock.waits };
}

/** A check that fails. Neither error nor log may hold the robot token. */
async function refused(setup: Setup = {}) {
  const { verified, token, platform, waits } = await verify(setup);
  const error = await failure(verified);
  const basic = Buffer.from(`${token.robot}:${token.token}`).toString("base64");
  expectNoSecret([error.message, error.stack, ...error.remedy, platform.reporter.text()].join("\n"), [
    ...[token.token, basic, ...token.token.split(".")],
  ]);
  return { error, waits };
}

test("asks the realm once, for no repository, and masks what it sends", async () => {
  const { verified, token, platform, waits } = await verify();
  await verified;
  expect(peers.quay.requests).toEqual([{ method: "GET", path: "/v2/auth", scheme: "basic", user: "acme+ci" }]);
  expect(platform.reporter.secrets).toEqual([Buffer.from(`acme+ci:${token.token}`).toString("base64")]);
  expect(waits).toEqual([]);
});

describe("a refusal is not retried", () => {
  test("robots are turned off: Quay's reason", async () => {
    peers.quay.settings.robotsDisallowed = true;
    const { error, waits } = await refused();
    expect(error.code).toBe("robots-disabled");
    expect(error.message).toContain("Robot account have been disabled");
    expect(error.remedy.join()).toContain("ROBOTS_DISALLOW");
    expect(waits).toEqual([]);
  });

  test("another robot's token: Quay's reason", async () => {
    peers.quay.authScript.next(answer(401, { errors: [{ code: "UNAUTHORIZED", message: "Could not find robot" }] }));
    const { error, waits } = await refused();
    expect(error.code).toBe("login-refused");
    expect(error.message).toBe('Quay issued a robot token but does not accept it: "Could not find robot"');
    expect(waits).toEqual([]);
  });

  test.each([
    [401, { message: "Robot token has expired" }],
    [403, { error: "Robot token has expired" }],
  ])("%d with a reason in Quay's own form: %j", async (status, body) => {
    peers.quay.authScript.next(answer(status, body));
    const { error } = await refused();
    expect(error.code).toBe("login-refused");
    expect(error.message).toBe('Quay issued a robot token but does not accept it: "Robot token has expired"');
  });

  test.each([401, 403])("%d without a reason", async (status) => {
    peers.quay.authScript.next(answer(status, "no"));
    const { error, waits } = await refused();
    expect(error.code).toBe("login-refused");
    expect(error.message).toBe(
      `${peers.registryHost} does not accept the robot token that Quay has just given: it answered ${status}.`,
    );
    expect(error.remedy).toEqual([
      `Check that acme+ci still exists and that ${peers.registryHost} is one Quay, not two behind one name.`,
    ]);
    expect(waits).toEqual([]);
  });
});

describe("an answer that says nothing is not retried", () => {
  const cases: [string, Scripted, string][] = [
    ["no token", answer(200, {}), "it gave no bearer token"],
    ["not JSON", answer(200, "<html>"), "it gave no bearer token"],
    ["a token of another form", answer(200, { token: "two words" }), "it gave no bearer token"],
    ["a redirect", redirect("https://localhost:1/v2/auth"), "it answered 302"],
    ["400", answer(400, { errors: [{ code: "X", message: "no such scope" }] }), 'it answered 400, "no such scope"'],
    ["404", answer(404, "<html>"), "it answered 404"],
    ["418", answer(418, { message: "a kettle" }), 'it answered 418, "a kettle"'],
    ["10 MB", huge(), "the answer is larger than 262144 bytes"],
  ];
  test.each(cases)("%s", async (_, scripted, problem) => {
    peers.quay.authScript.next(scripted);
    const { error, waits } = await refused();
    expect(error.code).toBe("quay-answer-unusable");
    expect(error.message).toBe(
      `${peers.registryHost} gave an unusable answer to the check of the robot token: ${problem}.`,
    );
    expect(waits).toEqual([]);
  });
});

describe("what passes is retried", () => {
  const cases: [string, Scripted][] = [
    ...[408, 425, 429, 502, 503, 504, 520].map((status): [string, Scripted] => [String(status), answer(status, "")]),
    ["a reset", reset()],
    ["half an answer", cut()],
  ];
  test.each(cases)("%s: until it works", async (_, scripted) => {
    peers.quay.authScript.next(scripted, scripted, scripted);
    const { verified, waits } = await verify();
    await verified;
    expect(waits).toHaveLength(3);
  });

  test.each(cases)("%s: until the timeout", async (_, scripted) => {
    peers.quay.authScript.always(scripted);
    const { error } = await refused();
    expect(error.code).toBe("registry-unavailable");
    expect(error.message).toContain(
      `The exchange worked, but the registry of ${peers.registryHost} is not available at the moment:`,
    );
    expect(peers.quay.requests.length).toBeGreaterThan(3);
  });

  test("500 twice", async () => {
    peers.quay.authScript.always(answer(500, ""));
    const { error, waits } = await refused();
    expect(error.code).toBe("registry-unavailable");
    expect(waits).toHaveLength(2);
  });

  test("429 after the time that the registry asks for", async () => {
    peers.quay.authScript.next(answer(429, "", { "retry-after": "3" }));
    const { verified, waits } = await verify();
    await verified;
    expect(waits).toEqual([3_000]);
  });

  test.each([
    ["a closed port", "https://localhost:1/v2/auth", "refuses the connection"],
    ["an unknown name", "https://auth.invalid/v2/auth", "auth.invalid"],
  ])("%s", async (_, realm, says) => {
    const { error, waits } = await refused({ realm });
    expect(error.code).toBe("registry-unavailable");
    expect(error.message).toContain(says);
    expect(waits.length).toBeGreaterThan(2);
  });
});

test("an unknown root is told at once, with the way to trust it", async () => {
  const { error, waits } = await refused({ trusted: false });
  expect(error.code).toBe("tls-untrusted");
  expect(error.remedy.join()).toContain("ca-file");
  expect(waits).toEqual([]);
});

test("a port without TLS is told at once", async () => {
  const server = createServer((socket) => socket.once("data", () => socket.end("HTTP/1.1 400 Bad Request\r\n\r\n")));
  const { port, close } = await listen(server);
  const { error, waits } = await refused({ realm: `https://localhost:${port}/v2/auth` });
  await close();
  expect(error.code).toBe("quay-answer-unusable");
  expect(error.message).toContain("without TLS");
  expect(waits).toEqual([]);
});

test("the timeout ends the wait for an answer", async () => {
  const controller = new AbortController();
  peers.quay.authScript.always(hang());
  const { verified } = await verify({ signal: controller.signal });
  await expect.poll(() => peers.quay.requests).toHaveLength(1);
  controller.abort(new Error("over"));
  await expect(verified).rejects.toThrow("over");
});
