/** Files of the runner that can't be written: the step says so, whatever else it reports, and leaves no login. */
import { join } from "node:path";
import { describe, type ExpectStatic, test } from "vitest";
import { createJob } from "../support/action.ts";
import type { Job, Step } from "../support/job.ts";
import { authsIn, newRobot, usePeers, userOf } from "./world.ts";

const peers = usePeers({ registry: false });

const fork = {
  idToken: false,
  env: { GITHUB_EVENT_NAME: "pull_request" },
  event: { pull_request: { head: { repo: { full_name: "somebody/app", fork: true } } } },
};

const annotationsOf = ({ annotations }: Step) => annotations.map(({ level, message }) => `${level}: ${message}`);

async function nothingStays(expect: ExpectStatic, job: Job) {
  await expect(authsIn(join(job.home, ".docker/config.json"))).rejects.toThrow("ENOENT");
}

describe.concurrent("the job's summary", () => {
  const warning = /^warning: This step has no page in the summary\. .*GITHUB_STEP_SUMMARY/;

  test("a login works, with a warning", async ({ expect }) => {
    const job = await createJob({ peers: peers(), unwritable: ["STEP_SUMMARY"] });
    const robot = newRobot(peers()).name;
    const main = await job.run({ robot });
    expect([main.code, annotationsOf(main)]).toEqual([0, [expect.stringMatching(warning)]]);
    expect(userOf((await authsIn(main.exported.REGISTRY_AUTH_FILE ?? ""))[peers().registryHost])).toBe(robot);
  });

  test("a failure is reported, and after it the warning", async ({ expect }) => {
    const job = await createJob({ peers: peers(), unwritable: ["STEP_SUMMARY"] });
    const main = await job.run({ robot: "acme+nobody" });
    const error = expect.stringMatching(/^error: [\s\S]*#robot-not-found$/);
    expect([main.code, annotationsOf(main)]).toEqual([1, [error, expect.stringMatching(warning)]]);
    expect(main.raw.stderr).toBe("");
  });

  test("a login works if it is not set", async ({ expect }) => {
    const job = await createJob({ peers: peers(), unnamed: ["STEP_SUMMARY"] });
    const main = await job.run({ robot: newRobot(peers()).name });
    expect([main.code, annotationsOf(main), main.summary]).toEqual([0, [], ""]);
  });

  test("a job that continues without a login does so, with a warning", async ({ expect }) => {
    const job = await createJob({ peers: peers(), ...fork, unwritable: ["STEP_SUMMARY"] });
    const main = await job.run({ robot: "acme+ci", "without-identity": "skip" });
    expect([main.code, annotationsOf(main)]).toEqual([0, [expect.stringMatching(warning)]]);
  });
});

describe.concurrent.for(["ENV", "OUTPUT", "STATE"] as const)("GITHUB_%s", (name) => {
  test("a login is an error that names it, and nothing stays", async ({ expect }) => {
    const job = await createJob({ peers: peers(), unwritable: [name] });
    const main = await job.run({ robot: newRobot(peers()).name });
    expect([main.code, annotationsOf(main)]).toEqual([1, [expect.stringMatching(`^error: .*GITHUB_${name}`)]]);
    expect(main.raw.stderr).toBe("");
    await nothingStays(expect, job);
  });

  // @actions/core would print what it can't write, the robot token too.
  test("if it is not set, a login is an error that names it, and nothing is printed or stays", async ({ expect }) => {
    const job = await createJob({ peers: peers(), unnamed: [name] });
    const main = await job.run({ robot: newRobot(peers()).name, "export-token": "true" });
    expect([main.code, annotationsOf(main)]).toEqual([
      1,
      [expect.stringMatching(`^error: .*GITHUB_${name}" is "": .*not set`)],
    ]);
    expect([main.raw.stderr, main.outputs.token]).toEqual(["", undefined]);
    await nothingStays(expect, job);
  });
});

test("GITHUB_OUTPUT: a job that would continue without a login gets an error that names it", async ({ expect }) => {
  const job = await createJob({ peers: peers(), ...fork, unwritable: ["OUTPUT"] });
  const main = await job.run({ robot: "acme+ci", "without-identity": "skip" });
  expect([main.code, annotationsOf(main), main.raw.stderr]).toEqual([
    1,
    [expect.stringMatching("^error: .*GITHUB_OUTPUT")],
    "",
  ]);
});

test("GITHUB_ENV, in the post step: the login is removed, and the error names it", async ({ expect }) => {
  const unwritable: "ENV"[] = [];
  const job = await createJob({ peers: peers(), unwritable });
  const main = await job.run({ robot: newRobot(peers()).name });
  unwritable.push("ENV");
  const post = await main.post();
  expect([post.code, annotationsOf(post), post.raw.stderr]).toEqual([
    1,
    [expect.stringMatching("^error: .*GITHUB_ENV")],
    "",
  ]);
  expect(post.shown).toContain("Logged out of");
  await nothingStays(expect, job);
});
