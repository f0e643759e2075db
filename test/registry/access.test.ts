/** A robot's permissions, from the stand-in's `/v2/auth`, which grants as Quay does. */
import { createServer } from "node:https";
import { afterAll, afterEach, beforeAll, describe, expect, onTestFinished, test } from "vitest";
import { type LoginRequest, parseRequest } from "../../src/login/request.ts";
import type { RobotToken } from "../../src/quay/exchange.ts";
import { assertAccess, whyRefused } from "../../src/registry/access.ts";
import type { Realm } from "../../src/registry/realm.ts";
import { failure, failureOf, fakeClock, type Refused, testPlatform, unsignedJwt } from "../fixtures.ts";
import { listen } from "../quay-stand-in/listen.ts";
import { type Peers, startPeers } from "../quay-stand-in/peers.ts";
import { INTERNAL_ERROR } from "../quay-stand-in/quay/pages.ts";
import { addRepository } from "../quay-stand-in/quay/store.ts";
import { answer, huge, notJson, reset } from "../quay-stand-in/scripted.ts";

let peers: Peers;
beforeAll(async () => {
  peers = await startPeers({ registry: false });
  addRepository(peers.quay.store, "acme/base", { "acme+ci": "read" });
});
afterAll(() => peers.close());
afterEach(() => {
  peers.quay.authScript.clear();
  peers.quay.requests.length = 0;
});

function local(signal = new AbortController().signal) {
  const clock = fakeClock();
  return { ...testPlatform({ roots: peers.authority.ca, clock, signal }), waits: clock.waits };
}

const realm = (): Realm => ({ url: new URL(`https://${peers.registryHost}/v2/auth`), service: peers.registryHost });

const tokenOf = async (robot: string): Promise<RobotToken> => ({
  robot,
  token: await peers.quay.tokens.robotToken(robot),
  expiresAt: 0,
  lifeSeconds: 3600,
});

async function check(access: string, { robot = "acme+ci", platform = local() } = {}): Promise<void> {
  const request: LoginRequest = parseRequest({ registry: peers.registryHost, robot, access });
  const tokens = await Promise.all(request.robots.map((login) => tokenOf(login.robot)));
  const { registry, robots } = request;
  await assertAccess({ registry, robots, tokens, realm: realm() }, request.access, platform);
}

const missing = async (access: string, robot?: string): Promise<Refused> => {
  const error = await failure(check(access, robot === undefined ? {} : { robot }));
  expect(error.code).toBe("access-missing");
  return error;
};

const asked = () => peers.quay.requests.filter(({ path }) => path === "/v2/auth");

test("sends no request for no repositories", async () => {
  await check("");
  expect(asked()).toEqual([]);
});

test("accepts granted actions, with one request for pull, one more for push, and the robot's own token", async () => {
  await check("acme/app:pull,push\nacme/base:pull");
  const question = { method: "GET", path: "/v2/auth", scheme: "basic", user: "acme+ci" };
  expect(asked()).toEqual([question, question, question]);
});

describe("does not create a missing repository, even if the robot may", () => {
  test.each(["pull", "push", "pull,push", "push,pull"])("%s", async (actions) => {
    const { store } = peers.quay;
    store.organizations.get("acme")?.creators.add("acme+ci");
    const error = await missing(`acme/typo:${actions}`);
    store.organizations.get("acme")?.creators.delete("acme+ci");
    expect(store.repositories.has("acme/typo")).toBe(false);
    expect(asked()).toHaveLength(1);
    expect(error.message).toContain("acme+ci may not ");
    expect(error.message).toMatch(/, or acme\/typo does not exist\.$/);
    expect(error.remedy.join("\n")).toContain("Quay gives the same answer if the repository does not exist");
  });
});

describe("a robot with Write to whom Quay grants only pull", () => {
  test.each(["READ_ONLY", "MIRROR"] as const)("because the repository is %s", async (state) => {
    addRepository(peers.quay.store, "acme/frozen", { "acme+ci": "write" }).state = state;
    const error = await missing("acme/frozen:pull,push");
    expect(error.message).toMatch(/may not push to acme\/frozen on \S+; it may pull\.$/);
    expect(error.remedy.join("\n")).toMatch(/If it has Write already: .*mirror or read-only.*proxy cache/);
  });
});

test("limits concurrent requests, and stops asking a server that is down", async () => {
  let [open, most, count] = [0, 0, 0];
  let status = 200;
  const server = createServer(await peers.authority.issue(), (_, response) => {
    most = Math.max(most, ++open);
    count++;
    setTimeout(() => {
      open--;
      response.writeHead(status).end(JSON.stringify({ token: unsignedJwt({ access: [] }) }));
    }, 5);
  });
  const { port, close } = await listen(server);
  onTestFinished(close);
  const registry = `localhost:${port}`;
  const access = Array.from({ length: 500 }, (_, line) => `acme/r${line}:pull`).join("\n");
  const request: LoginRequest = parseRequest({ registry, robot: "acme+ci", access });
  const tokens = [await tokenOf("acme+ci")];
  const there: Realm = { url: new URL(`https://${registry}/v2/auth`), service: registry };
  const { robots } = request;
  const asking = () => failure(assertAccess({ registry, robots, tokens, realm: there }, request.access, local()));
  const error = await asking();
  expect([error.code, error.also.length, count]).toEqual(["access-missing", 499, 500]);
  expect(most).toBeLessThanOrEqual(20);
  status = 404;
  count = 0;
  expect((await asking()).code).toBe("quay-unavailable");
  expect(count).toBeLessThanOrEqual(20);
});

describe("names the missing permission and where to grant it", () => {
  test("push with only pull granted", async () => {
    const error = await missing("acme/base:pull,push");
    expect(error.message).toBe(`acme+ci may not push to acme/base on ${peers.registryHost}; it may pull.`);
    expect(error.remedy).toEqual([
      "Give it the permission, under Repositories > acme/base > Settings > User and robot permissions: acme+ci, Write.",
      expect.stringContaining("If it has Write already"),
    ]);
  });

  test("push alone: the error still names what is granted", async () => {
    expect((await missing("acme/base:push")).message).toMatch(/may not push to acme\/base on \S+; it may pull\.$/);
  });

  test("everything with nothing granted: the repository may not exist", async () => {
    const error = await missing("acme/new:pull,push");
    expect(error.message).toBe(
      `acme+ci may not pull and push to acme/new on ${peers.registryHost}, or acme/new does not exist.`,
    );
    expect(error.remedy.at(-1)).toContain("If the first push creates acme/new: leave it out of access");
  });

  test("pull", async () => {
    const error = await missing("acme/app:pull", "acme+noperm");
    expect(error.message).toContain("acme+noperm may not pull from acme/app");
    expect(error.remedy).toEqual([
      expect.stringMatching(/: acme\+noperm, Read\.$/),
      expect.stringContaining("check the option access"),
    ]);
  });

  test("several repositories", async () => {
    const error = await missing("acme/app:push\nacme/base:push\nacme/private:pull");
    expect([error, ...error.also].map(({ message }) => /(?:to|from) (\S+) on/.exec(message)?.[1])).toEqual([
      "acme/base",
      "acme/private",
    ]);
  });

  test("asks with the robot whose login serves the repository", async () => {
    const robots = `${peers.registryHost}/acme/private=acme+noperm\nacme+ci`;
    const error = await missing("acme/app:push\nacme/private:pull", robots);
    expect(error.message).toContain("acme+noperm may not pull from acme/private");
    expect(error.also).toEqual([]);
  });
});

test("ignores a repository that no robot of this login serves", async () => {
  await assertAccess(
    {
      registry: peers.registryHost,
      robots: [{ robot: "acme+ci", scope: `${peers.registryHost}/acme` }],
      tokens: [],
      realm: realm(),
    },
    [
      { repository: "acme/app", actions: ["pull"] },
      { repository: "other/app", actions: ["pull"] },
    ],
    local(),
  );
  expect(asked()).toEqual([]);
});

describe("other answers", () => {
  const grant = (access: unknown) => answer(200, { token: unsignedJwt({ access }) });

  test.each([
    ["no list", undefined],
    ["an empty list", []],
    ["another repository", [{ type: "repository", name: "acme/other", actions: ["push"] }]],
    ["no actions", [{ type: "repository", name: "acme/app" }]],
  ])("%s grants nothing", async (_, access) => {
    peers.quay.authScript.next(grant(access));
    expect((await missing("acme/app:push")).message).toContain("or acme/app does not exist");
  });

  test("lists all granted actions", async () => {
    peers.quay.authScript.always(grant([{ type: "repository", name: "acme/app", actions: ["pull", "delete"] }]));
    expect((await missing("acme/app:push")).message).toContain("it may pull and delete.");
  });

  test("names the robot and a remedy without an answer", async () => {
    peers.quay.authScript.next(answer(404, ""));
    const error = await failure(check("acme/app:push"));
    expect(error.message).toBe(`${peers.registryHost} did not return the permissions of acme+ci: it answered 404.`);
    expect(error.remedy).toEqual(["Run the job again, or leave the option access out: the login itself succeeded."]);
  });

  test("retries 502 and a reset", async () => {
    peers.quay.authScript.next(answer(502, ""), reset(), answer(429, "", { "retry-after": "9" }));
    const platform = local();
    await check("acme/app:push", { platform });
    // The connection was open already: the reset alone costs no wait.
    expect(platform.waits).toHaveLength(2);
    expect(platform.waits[1]).toBe(9_000);
  });

  test.each([
    ["500", () => answer(500, INTERNAL_ERROR.body), "quay-unavailable", /it answered 500/],
    ["404", () => answer(404, ""), "quay-unavailable", /it answered 404/],
    ["a page", notJson, "quay-unavailable", /it answered 200/],
    ["no token", () => answer(200, {}), "quay-unavailable", /it answered 200/],
    ["a strange list", () => grant([null]), "quay-unavailable", /it answered 200/],
    [
      "403, whatever else it holds",
      () => answer(403, { token: unsignedJwt({ access: [{ name: "acme/app", actions: ["push"] }] }) }),
      "quay-unavailable",
      /it answered 403/,
    ],
    [
      "10 MB",
      huge,
      "quay-answer-unusable",
      /^localhost:\d+ gave an unusable answer to the exchange: .* larger than 262144 bytes/,
    ],
  ])("reports %s without a retry", async (_, reply, code, expected) => {
    peers.quay.authScript.next(reply());
    const platform = local();
    const error = await failure(check("acme/app:push", { platform }));
    expect(error.code).toBe(code);
    expect(error.message).toMatch(expected);
    expect(platform.waits).toEqual([]);
  });

  test("stops at the timeout", async () => {
    const platform = local(AbortSignal.abort(new Error("over")));
    await expect(check("acme/app:push", { platform })).rejects.toThrow("over");
  });
});

describe("why a robot token is refused", () => {
  const why = async (robot: string, token?: string) => {
    const credential = {
      robot,
      token: token ?? (await peers.quay.tokens.robotToken(robot)),
      expiresAt: 0,
      lifeSeconds: 3600,
    };
    return whyRefused(peers.registryHost, credential, realm(), local());
  };

  test("robot accounts are turned off", async () => {
    peers.quay.settings.robotsDisallowed = true;
    const error = await why("acme+ci");
    peers.quay.settings.robotsDisallowed = false;
    expect(error?.code).toBe("robots-disabled");
    expect(error?.message).toContain("Robot account have been disabled. Please contact your administrator.");
    expect(error && failureOf(error).remedy.join()).toContain("ROBOTS_DISALLOW");
  });

  test("the robot was deleted, or the token is another robot's", async () => {
    expect(await why("acme+ghost")).toMatchObject({
      code: "login-refused",
      message: expect.stringContaining("Could not find robot with specified username"),
      remedy: [expect.stringContaining("acme+ghost")],
    });
    const other = await peers.quay.tokens.robotToken("acme+release");
    expect((await why("acme+ci", other))?.message).toContain("Token does not match robot");
  });

  test("gives no reason for an accepted token, or without an answer", async () => {
    expect(await why("acme+ci")).toBeUndefined();
    for (const reply of [
      notJson(),
      answer(500, INTERNAL_ERROR.body),
      reset(),
      answer(401, { errors: [] }),
      answer(401, { errors: [{ message: {} }] }),
    ]) {
      peers.quay.authScript.next(reply);
      expect(await why("acme+ci")).toBeUndefined();
    }
  });
});
