/** Answers that are no answers: from Quay, from GitHub's endpoint, from the tool's login. */
import { afterAll, describe, test } from "vitest";
import { LOADING, TOO_MANY_REQUESTS } from "../quay-stand-in/quay/pages.ts";
import {
  type BadToken,
  type Quay,
  type QuayOptions,
  startQuay,
  tokenText,
  tokenWith,
} from "../quay-stand-in/quay/server.ts";
import { addRobot } from "../quay-stand-in/quay/store.ts";
import { answer, cut, hang, huge, notJson, redirect, reset, type Scripted } from "../quay-stand-in/scripted.ts";
import { createJob, runAction } from "../support/action.ts";
import { differences } from "../support/leaks.ts";
import { asking, failure, makeHomeFor, newRobot, of, once, usePeers } from "./world.ts";

const peers = usePeers({ registry: false });
const quays: Quay[] = [];
afterAll(async () => {
  await Promise.all(quays.map((quay) => quay.close()));
});

/** A Quay with settings of its own. */
async function another(options: QuayOptions) {
  const quay = await startQuay(peers().authority, options);
  quays.push(quay);
  const robot = addRobot(quay.store, "acme+ci", [
    { issuer: peers().issuer.url, subject: "repo:acme/app:ref:refs/heads/main" },
  ]);
  return { registry: quay.host, robot: robot.name };
}

interface Case {
  given: Scripted | BadToken;
  code: string;
  says: RegExp;
  /** How often Quay is asked. */
  times: number;
}

const unusable = "quay-answer-unusable";
const cases: Record<string, Case> = {
  "not JSON": {
    given: notJson(),
    code: unusable,
    says: /holds no token[\s\S]*option registry names Quay itself/,
    times: 1,
  },
  "JSON without a token": { given: answer(200, { tokens: [] }), code: unusable, says: /holds no token/, times: 1 },
  "10 MB": { given: huge(10 * 1024 * 1024), code: unusable, says: /larger than 65536 bytes/, times: 1 },
  "a token for another robot": {
    given: tokenWith({ sub: "acme+admin" }),
    code: unusable,
    says: /its token is for "acme\+admin", not for acme\+s\d+/,
    times: 1,
  },
  "a token without an end": {
    given: tokenWith({ exp: undefined }),
    code: unusable,
    says: /does not say when it ends/,
    times: 1,
  },
  "a token that is no JWT": { given: tokenText("x".repeat(64)), code: unusable, says: /not a JWT/, times: 1 },
  "a redirect to another host": {
    given: redirect("https://evil.example.com/oauth2/federation/robot/token"),
    code: unusable,
    says: /a redirect to evil\.example\.com, which is not followed/,
    times: 1,
  },
  "a page of a login portal": {
    given: answer(403, "<html>Sign in</html>"),
    code: unusable,
    says: /status 403/,
    times: 1,
  },
  "cut in the middle, three times": { given: cut(), code: unusable, says: /broke off/, times: 3 },
  "a 308 to itself with a slash": {
    given: redirect("https://quay.example.com/oauth2/federation/robot/token/", 308),
    code: "quay-without-federation",
    says: /no robot federation[\s\S]*since 3\.13/,
    times: 1,
  },
};

describe.concurrent("Quay's answer is", () => {
  test.for(Object.entries(cases))("%s", async ([, { given, code, says, times }], { expect }) => {
    const { quay } = peers();
    const robot = newRobot(peers());
    quay.exchangeScript.always(given, of(robot));
    const job = await createJob({ peers: peers() });
    const before = await job.snapshot();
    const main = await job.run({ robot: robot.name, audience: robot.audience });
    expect(failure(expect, main, code)).toMatch(says);
    const requests = quay.requests.filter(({ user, path }) => user === robot.name && path.startsWith("/oauth2"));
    expect(requests).toHaveLength(times);
    expect(differences(before, await job.snapshot())).toEqual([]);
    expect(await main.post()).toMatchObject({ code: 0, annotations: [] });
  });

  test("none: the login ends when its time is over", async ({ expect }) => {
    const robot = newRobot(peers());
    peers().quay.exchangeScript.always(hang(), of(robot));
    const job = await createJob({ peers: peers() });
    const before = await job.snapshot();
    const main = await job.run({ robot: robot.name, timeout: "1" });
    expect(failure(expect, main, "timeout")).toMatch(/within 1 seconds[\s\S]*option timeout/);
    expect(main.milliseconds).toBeGreaterThan(900);
    expect(main.milliseconds).toBeLessThan(3_500);
    expect(differences(before, await job.snapshot())).toEqual([]);
  });

  test("one that gets better: the login works after all", async ({ expect }) => {
    const robot = newRobot(peers());
    const answers = [answer(503, "<html>"), reset(), answer(429, "", { "retry-after": "1" }), cut()];
    for (const each of answers) peers().quay.exchangeScript.always(each, once(of(robot)));
    const main = await runAction({ peers: peers(), inputs: { robot: robot.name } });
    expect(main).toMatchObject({ code: 0, annotations: [] });
    expect(main.shown.match(/Trying again/g)).toHaveLength(answers.length);
    await main.post();
  });

  test("a 308, from a Quay that has no federation", async ({ expect }) => {
    const inputs = await another({ release: "without-federation" });
    const main = await runAction({ peers: peers(), inputs });
    failure(expect, main, "quay-without-federation");
    // Not followed: the token would be sent again.
    expect(quays.flatMap(({ requests }) => requests).filter(({ path }) => path.endsWith("token/"))).toEqual([]);
  });

  test("429 with a wait that the login has no time for", async ({ expect }) => {
    const robot = newRobot(peers());
    const { body } = TOO_MANY_REQUESTS;
    peers().quay.exchangeScript.always(answer(429, body, { "retry-after": "600" }), of(robot));
    const main = await runAction({ peers: peers(), inputs: { robot: robot.name, timeout: "30" } });
    failure(expect, main, "rate-limited");
    expect(main.milliseconds).toBeLessThan(5_000);
  });
});

describe.concurrent("the tool's login is refused", () => {
  test("since robots are turned off", async ({ expect }) => {
    const inputs = await another({ robotsDisallowed: true });
    const main = await runAction({ peers: peers(), inputs });
    expect(failure(expect, main, "robots-disabled")).toMatch(/Robot account have been disabled[\s\S]*ROBOTS_DISALLOW/);
  });

  for (const tool of ["skopeo", "buildah", "podman"]) {
    test(`since the robot was deleted meanwhile, with ${tool}`, async ({ expect }) => {
      const robot = newRobot(peers());
      const errors = [{ code: "UNAUTHORIZED", detail: {}, message: "Could not find robot with specified username" }];
      peers().quay.authScript.always(answer(401, { errors }), of(robot));
      const job = await createJob({ peers: peers() });
      await makeHomeFor(tool, job);
      const before = await job.snapshot();
      const main = await job.run({ robot: robot.name, tool });
      expect(failure(expect, main, "login-refused")).toMatch(/Could not find robot[\s\S]*still exists/);
      expect(differences(before, await job.snapshot())).toEqual([]);
    });
  }

  test("by a gateway at first: it is tried again", async ({ expect }) => {
    const robot = newRobot(peers());
    peers().quay.authScript.always(answer(LOADING.status, LOADING.body), once(of(robot)));
    const main = await runAction({ peers: peers(), inputs: { robot: robot.name } });
    expect(main).toMatchObject({ code: 0, annotations: [] });
    expect(main.shown).toContain("Trying again");
    expect(main.children).toHaveLength(2);
    await main.post();
  });

  test("by an error that says nothing", async ({ expect }) => {
    const robot = newRobot(peers());
    peers().quay.authScript.always(answer(500, "<html>"), of(robot));
    const main = await runAction({ peers: peers(), inputs: { robot: robot.name } });
    expect(failure(expect, main, "registry-unavailable")).toMatch(
      /The exchange worked, but the registry of localhost:\d+ is not available[\s\S]*500/,
    );
  });
});

describe.concurrent("GitHub's endpoint answers", () => {
  test.for([
    ["403", answer(403, { message: "no" }), "identity-endpoint-refused", /answered 403[\s\S]*id-token: write/],
    ["500 for good", answer(500, ""), "identity-endpoint-failed", /answered 500[\s\S]*githubstatus\.com/],
    ["no JSON", notJson(), "identity-endpoint-failed", /holds no token/],
    ["no token", answer(200, { count: 0 }), "identity-endpoint-failed", /holds no token/],
    ["an empty token", answer(200, { value: "" }), "identity-endpoint-failed", /holds no token/],
    ["something that is no JWT", answer(200, { value: "secret-words" }), "token-not-a-jwt", /GitHub's token endpoint/],
    ["10 MB", huge(), "identity-endpoint-failed", /larger than 65536 bytes/],
  ] as const)("%s", async ([, given, code, says], { expect }) => {
    const robot = newRobot(peers());
    peers().github.script.always(given, asking(robot));
    const inputs = { robot: robot.name, audience: robot.audience, timeout: "2" };
    const job = await createJob({ peers: peers() });
    const before = await job.snapshot();
    const main = await job.run(inputs);
    expect(failure(expect, main, code)).toMatch(says);
    expect(peers().quay.requests.filter(({ user }) => user === robot.name)).toEqual([]);
    expect(differences(before, await job.snapshot())).toEqual([]);
  });

  test("503 and a broken connection at first: the login works after all", async ({ expect }) => {
    const robot = newRobot(peers());
    for (const each of [answer(503, ""), reset()]) peers().github.script.always(each, once(asking(robot)));
    const inputs = { robot: robot.name, audience: robot.audience };
    const main = await runAction({ peers: peers(), inputs });
    expect(main).toMatchObject({ code: 0, annotations: [] });
    expect(main.shown.match(/Trying again/g)).toHaveLength(2);
    await main.post();
  });
});
