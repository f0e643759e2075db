/** Where the identity token comes from: GitHub, a file as the kubelet makes it, a variable; and what `auto` chooses. */
import { rename, symlink } from "node:fs/promises";
import { join } from "node:path";
import { describe, test } from "vitest";
import { SUBJECT } from "../quay-stand-in/issuer.ts";
import { answer } from "../quay-stand-in/scripted.ts";
import { createJob, runAction } from "../support/action.ts";
import type { Job } from "../support/job.ts";
import { asking, failure, newRobot, once, usePeers } from "./world.ts";

const peers = usePeers({ registry: false });
const cluster = "system:serviceaccount:build:pipeline";

/** A volume as the kubelet mounts it: token -> ..data/token, ..data -> ..<timestamp>; a rotation turns ..data. */
async function project(job: Job, token: string, timestamp: string): Promise<string> {
  const volume = join(job.scratch, "tokens");
  await job.write(join(volume, timestamp, "quay-token"), `${token}\n`, 0o644);
  await symlink(timestamp, join(volume, "..data_tmp"));
  await rename(join(volume, "..data_tmp"), join(volume, "..data"));
  const path = join(volume, "quay-token");
  await symlink("..data/quay-token", path).catch(() => {});
  return path;
}

describe.concurrent("a projected service-account token", () => {
  test("is read through its links, and again after a rotation", async ({ expect }) => {
    const { issuer, quay } = peers();
    const robot = newRobot(peers(), [{ issuer: issuer.url, subject: cluster }]);
    const job = await createJob({ peers: peers(), idToken: false });
    const tokens = [await issuer.sign({ sub: cluster, jti: "1" }), await issuer.sign({ sub: cluster, jti: "2" })];
    for (const [index, token] of tokens.entries()) {
      const path = await project(job, token, `..2026_11_24_0${index}`);
      const main = await job.run({ robot: robot.name, "token-file": path });
      expect(main).toMatchObject({ code: 0, annotations: [], outputs: { subject: cluster } });
      expect(main.shown).toContain(`Identity: the file ${path}.`);
      expect(quay.seen(token).map(({ user }) => user)).toEqual([robot.name]);
      expect(await main.post()).toMatchObject({ code: 0 });
    }
  });

  test("with another audience gives a warning that names both", async ({ expect }) => {
    const robot = newRobot(peers());
    const job = await createJob({ peers: peers(), idToken: false });
    const path = await project(job, await peers().issuer.sign({ aud: ["vault", "sts"] }), "..1");
    const main = await job.run({ robot: robot.name, "token-file": path });
    expect(main).toMatchObject({ code: 0, outputs: { audience: "vault sts" } });
    expect(main.annotations).toMatchObject([
      { level: "warning", message: expect.stringMatching(/vault sts, not quay/) },
    ]);
  });
});

describe.concurrent("identity", () => {
  test("from a variable, as GitLab gives it", async ({ expect }) => {
    const robot = newRobot(peers());
    const token = await peers().issuer.sign();
    const env = { QUAY_ID_TOKEN: token };
    const main = await runAction({ peers: peers(), env, inputs: { robot: robot.name, "token-env": "QUAY_ID_TOKEN" } });
    expect(main).toMatchObject({ code: 0, annotations: [], outputs: { subject: SUBJECT } });
    expect(main.shown).toContain("Identity: the variable QUAY_ID_TOKEN.");
    expect(main.masks).toContain(token);
  });

  test("auto: takes GitHub's if the job may request it, with the requested audience", async ({ expect }) => {
    const robot = newRobot(peers());
    const main = await runAction({ peers: peers(), inputs: { robot: robot.name, audience: robot.audience } });
    expect(main.shown).toContain("Identity: GitHub's token endpoint, which this job may use.");
    expect(main.outputs.audience).toBe(robot.audience);
    const asked = peers().github.requests.filter(({ audience }) => audience === robot.audience);
    expect(asked).toEqual([{ audience: robot.audience, authorized: true }]);
  });

  test("that is about to expire is replaced before it is sent", async ({ expect }) => {
    const { github, issuer, quay } = peers();
    const robot = newRobot(peers());
    const ending = await issuer.sign({ aud: robot.audience, exp: Math.floor(Date.now() / 1000) + 5 });
    github.issued.push(ending);
    github.script.always(answer(200, { value: ending }), once(asking(robot)));
    const main = await runAction({ peers: peers(), inputs: { robot: robot.name, audience: robot.audience } });
    expect(main).toMatchObject({ code: 0, annotations: [] });
    expect(github.requests.filter(({ audience }) => audience === robot.audience)).toHaveLength(2);
    expect(quay.seen(ending)).toEqual([]);
  });

  test("auto: prefers an explicit file to GitHub", async ({ expect }) => {
    const robot = newRobot(peers());
    const job = await createJob({ peers: peers() });
    const path = await job.write(join(job.scratch, "token"), `\n ${await peers().issuer.sign()} \n`);
    const main = await job.run({ robot: robot.name, "token-file": path, audience: robot.audience });
    expect(main.shown).toContain(`Identity: the file ${path}.`);
    expect(peers().github.requests.filter(({ audience }) => audience === robot.audience)).toEqual([]);
  });

  test("none, outside of Actions: names what it looked for", async ({ expect }) => {
    const env = { GITHUB_ACTIONS: undefined };
    const main = await runAction({ peers: peers(), idToken: false, env, inputs: { robot: "acme+ci" } });
    expect(failure(expect, main, "identity-not-found")).toMatch(
      /ACTIONS_ID_TOKEN_REQUEST_URL.*\/var\/run\/secrets\/tokens\/quay-token/,
    );
  });
});

const fork = {
  event: {
    pull_request: {
      head: { repo: { full_name: "mallory/app", fork: true } },
      base: { repo: { full_name: "acme/app" } },
    },
  },
  env: {
    GITHUB_EVENT_NAME: "pull_request",
    GITHUB_WORKFLOW_REF: "acme/app/.github/workflows/ci.yml@refs/pull/7/merge",
  },
};
const dependabot = { env: { GITHUB_EVENT_NAME: "pull_request", GITHUB_ACTOR: "dependabot[bot]" } };
const reusable = { workflowRef: "acme/workflows/.github/workflows/publish.yml@refs/heads/main" };

describe.concurrent("GitHub gives no identity", () => {
  test.for([
    ["github-fork", fork, /pull request from a fork/],
    [
      "github-permission-missing",
      dependabot,
      /The job publish has no permission[\s\S]*id-token: write[\s\S]*Runs of Dependabot/,
    ],
    [
      "github-reusable-workflow",
      reusable,
      /acme\/workflows\/\.github\/workflows\/publish\.yml.*caller[\s\S]*in acme\/app\/\.github\/workflows\/release\.yml[\s\S]*id-token: write/,
    ],
    ["github-permission-missing", {}, /The job publish has no permission[\s\S]*id-token: write/],
    // A deleted fork has no repository any more.
    ["github-fork", { ...fork, event: { pull_request: { head: { repo: null } } } }, /fork/],
    // pull_request_target runs with the rights of the base repository.
    ["github-permission-missing", { ...fork, env: { GITHUB_EVENT_NAME: "pull_request_target" } }, /publish/],
    // A pull request from a branch of the same repository.
    [
      "github-permission-missing",
      { ...fork, event: { pull_request: { head: { repo: { full_name: "acme/app", fork: false } } } } },
      /publish/,
    ],
    // The workflow's own reference is not a reusable workflow.
    ["github-permission-missing", { workflowRef: "acme/app/.github/workflows/release.yml@refs/heads/main" }, /publish/],
  ] as const)("%s", async ([code, options, message], { expect }) => {
    const job = await createJob({ peers: peers(), idToken: false, ...options });
    const before = await job.snapshot();
    const main = await job.run({ robot: "acme+ci" });
    expect(failure(expect, main, code)).toMatch(message);
    expect(main.children).toEqual([]);
    expect([...(await job.snapshot()).keys()]).toEqual([...before.keys()]);
    expect((await main.post()).shown).toContain("There is no login to remove.");
  });

  test("Dependabot's run whose workflow has the permission", async ({ expect }) => {
    const job = await createJob({ peers: peers(), idToken: false, ...dependabot });
    const workflow = "permissions:\n  id-token: write\n";
    await job.write(join(job.workspace, ".github/workflows/release.yml"), workflow);
    const message = failure(expect, await job.run({ robot: "acme+ci" }), "github-dependabot");
    expect(message).toMatch(/although its workflow has id-token: write[\s\S]*without-identity: skip/);
  });

  test.for([
    ["a fork", fork],
    // What is left of a secret there.
    ["a fork with an empty QUAY_ID_TOKEN", { ...fork, env: { ...fork.env, QUAY_ID_TOKEN: "" } }],
    ["Dependabot", dependabot],
  ] as const)("without-identity: skip continues without a login, for %s", async ([, options], { expect }) => {
    const job = await createJob({ peers: peers(), idToken: false, ...options });
    const main = await job.run({ robot: "acme+ci", "without-identity": "skip" });
    expect(main).toMatchObject({ code: 0, annotations: [], children: [] });
    expect(main.exported).toEqual({});
    expect(main.outputs).toMatchObject({ "logged-in": "false", registry: peers().registryHost, robot: "", token: "" });
    expect(main.summary).toContain("continues without a login");
    expect(await main.post()).toMatchObject({ code: 0, annotations: [] });
  });

  test.for([
    ["a missing permission", {}, "github-permission-missing"],
    ["a reusable workflow", reusable, "github-reusable-workflow"],
  ] as const)("without-identity: skip does not hide %s", async ([, options, code], { expect }) => {
    const job = await createJob({ peers: peers(), idToken: false, ...options });
    const main = await job.run({ robot: "acme+ci", "without-identity": "skip" });
    failure(expect, main, code);
  });

  test("without-identity: skip does not hide a refusal, nor a fork's job that has an identity", async ({ expect }) => {
    const robot = newRobot(peers(), []);
    const main = await runAction({
      peers: peers(),
      ...fork,
      inputs: { robot: robot.name, "without-identity": "skip" },
    });
    failure(expect, main, "robot-not-federated");
  });
});
