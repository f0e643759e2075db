/** A login without a tool (`tool: none`): every real tool of a later step uses it as if it were its own. */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, type ExpectStatic, test } from "vitest";
import { createJob } from "../support/action.ts";
import { writeImage } from "../support/image.ts";
import type { Job } from "../support/job.ts";
import { findTool } from "../support/runner.ts";
import { authsIn, newRobot, usePeers, userOf } from "./world.ts";

const peers = usePeers();

/** A job that is logged in, and an image in its robot's repository. */
async function loggedIn(expect: ExpectStatic) {
  const robot = newRobot(peers());
  const job = await createJob({ peers: peers() });
  const main = await job.run({ robot: robot.name, tool: "none", audience: robot.audience });
  expect([main.code, main.annotations, main.children]).toEqual([0, [], []]);
  const { reference } = await writeImage(join(job.scratch, "image"));
  const path = `${peers().registryHost}/${robot.repository}`;
  expect(await works(expect, job, "skopeo", "copy", reference, `docker://${path}:1`)).toBe("");
  return { job, main, robot, path };
}

/** Runs a command that must succeed, as a later step. @returns its standard error */
async function works(expect: ExpectStatic, job: Job, program: string, ...args: string[]): Promise<string> {
  const { code, stderr } = await job.later(program, args);
  expect([program, args, code, stderr]).toEqual([program, args, 0, expect.anything()]);
  return stderr;
}

describe.concurrent("after a login without a tool", { timeout: 60_000 }, () => {
  test.skipIf(findTool("buildah") === undefined)("buildah builds on it, and pushes", async ({ expect }) => {
    const { job, main, path } = await loggedIn(expect);
    await job.write(join(job.workspace, "Containerfile"), `FROM ${path}:1\nLABEL built=yes\n`, 0o644);
    await works(expect, job, "buildah", "bud", "--isolation", "chroot", "--tag", `${path}:built`, ".");
    await works(expect, job, "buildah", "push", `${path}:built`);
    await works(expect, job, "skopeo", "inspect", `docker://${path}:built`);
    expect(await main.post()).toMatchObject({ code: 0 });
  });

  test.skipIf(findTool("podman") === undefined)("podman pulls and pushes", async ({ expect }) => {
    const { job, main, path } = await loggedIn(expect);
    await works(expect, job, "podman", "pull", `${path}:1`);
    await works(expect, job, "podman", "push", `${path}:1`, `${path}:again`);
    await works(expect, job, "skopeo", "inspect", `docker://${path}:again`);
    expect(await main.post()).toMatchObject({ code: 0 });
  });

  test.skipIf(findTool("docker") === undefined)("docker reads the image's manifest", async ({ expect }) => {
    const { job, main, path, robot } = await loggedIn(expect);
    const config = join(job.home, ".docker/config.json");
    expect(userOf((await authsIn(config))[peers().registryHost])).toBe(robot.name);
    // docker's own client of the registry: it needs no daemon.
    await works(expect, job, "docker", "manifest", "inspect", "--insecure", `${path}:1`);
    expect(await main.post()).toMatchObject({ code: 0 });
    await expect(readFile(config)).rejects.toThrow("ENOENT");
  });
});

test("a job without any tool logs in, and the registry has seen the robot token", async ({ expect }) => {
  const robot = newRobot(peers());
  const job = await createJob({ peers: peers(), tools: [] });
  const main = await job.run({ robot: robot.name, audience: robot.audience });
  expect([main.code, main.annotations]).toEqual([0, []]);
  expect(main.shown).toContain(`as ${robot.name} without a tool, until`);
  const asked = peers().quay.requests.filter(({ user }) => user === robot.name);
  expect(asked.map(({ path }) => path)).toEqual(["/oauth2/federation/robot/token", "/v2/auth"]);
  expect(await main.post()).toMatchObject({ code: 0, annotations: [] });
});

test("several robots: each tool takes the login of the longest scope", async ({ expect }) => {
  const [first, second] = [newRobot(peers()), newRobot(peers())];
  const job = await createJob({ peers: peers() });
  const host = peers().registryHost;
  const scoped = [first, second].map(({ name, repository }) => `${host}/${repository}=${name}`);
  const main = await job.run({ robot: scoped.join("\n"), tool: "none", audience: first.audience });
  expect([main.code, main.annotations]).toEqual([0, []]);
  const { reference } = await writeImage(join(job.scratch, "image"));
  for (const { repository } of [first, second]) {
    await works(expect, job, "skopeo", "copy", reference, `docker://${host}/${repository}:1`);
  }
  expect(await main.post()).toMatchObject({ code: 0 });
});
