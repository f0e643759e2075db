/** Logins of other steps before and after ours, as each generation of the tools sees them: what the README promises. */
import { chmod } from "node:fs/promises";
import { join } from "node:path";
import { describe, type ExpectStatic, test } from "vitest";
import { createJob } from "../support/action.ts";
import type { Job } from "../support/job.ts";
import { findTool, systemPath, todaysSkopeo } from "../support/runner.ts";
import { authsIn, entryOf, newRobot, usePeers, userOf } from "./world.ts";

const peers = usePeers({ registry: false });
const other = "registry.example.com";
const somebody = JSON.stringify({ auths: { [other]: entryOf("somebody", "a-foreign-password") } });

const generations = [
  { name: "skopeo of 2022", skopeo: () => findTool("skopeo") ?? "", fallsBack: true },
  { name: "today's skopeo", skopeo: todaysSkopeo, fallsBack: false },
] as const;

type Generation = (typeof generations)[number];

/** The users logged in to both hosts, as a later step sees it; undefined: none. */
async function seen(
  job: Job,
  { skopeo }: Generation,
  env: Record<string, string> = {},
): Promise<(string | undefined)[]> {
  const who = async (host: string) => {
    const { code, stdout } = await job.later(skopeo(), ["login", "--get-login", host], env);
    return code === 0 ? stdout.trim() : undefined;
  };
  return [await who(other), await who(peers().registryHost)];
}

async function loggedIn(expect: ExpectStatic, before: (job: Job) => Promise<unknown>, inputs = {}) {
  const robot = newRobot(peers());
  const job = await createJob({ peers: peers() });
  await before(job);
  const main = await job.run({ robot: robot.name, ...inputs });
  expect([main.code, main.shown]).toEqual([0, expect.anything()]);
  return { job, main, robot };
}

const nothing = async () => {};
const dockers = (job: Job) => join(job.home, ".docker/config.json");
const podmans = (job: Job) => join(job.scratch, "run/containers/auth.json");

describe.concurrent.for(generations)("$name", (generation) => {
  test.for([
    ["docker", dockers],
    ["podman", podmans],
  ] as const)("finds a login by %s before ours, and ours", async ([, file], { expect }) => {
    const { job, robot } = await loggedIn(expect, (each) => each.write(file(each), somebody));
    expect(await seen(job, generation)).toEqual(["somebody", robot.name]);
  });

  test("finds a login by docker after ours if nothing hides docker's file: with docker-config alone", async ({
    expect,
  }) => {
    const { job, robot } = await loggedIn(expect, nothing);
    const content = { auths: { ...(await authsIn(dockers(job))), ...JSON.parse(somebody).auths } };
    await job.write(dockers(job), JSON.stringify(content));
    // REGISTRY_AUTH_FILE names our file, which older tools treat as the first of several.
    expect(await seen(job, generation)).toEqual([generation.fallsBack ? "somebody" : undefined, robot.name]);
    expect(await seen(job, generation, { REGISTRY_AUTH_FILE: "" })).toEqual(["somebody", robot.name]);
  });

  test("finds a login by podman or skopeo after ours, in the same file, and ours", async ({ expect }) => {
    const { job, main, robot } = await loggedIn(expect, nothing);
    const file = main.exported.REGISTRY_AUTH_FILE ?? "";
    const { auths, ...rest } = { auths: await authsIn(file) };
    await job.write(file, JSON.stringify({ ...rest, auths: { ...auths, ...JSON.parse(somebody).auths } }));
    expect(await seen(job, generation)).toEqual(["somebody", robot.name]);
  });

  test("a step after ours that names podman's default file has our login if auth-file names it too", async ({
    expect,
  }) => {
    const hidden = await loggedIn(expect, nothing);
    const usual = { REGISTRY_AUTH_FILE: podmans(hidden.job) };
    expect((await seen(hidden.job, generation, usual))[1]).toBe(generation.fallsBack ? hidden.robot.name : undefined);

    const robot = newRobot(peers());
    const job = await createJob({ peers: peers() });
    const main = await job.run({ robot: robot.name, "auth-file": podmans(job) });
    expect(main.code).toBe(0);
    expect(await seen(job, generation, { REGISTRY_AUTH_FILE: podmans(job) })).toEqual([undefined, robot.name]);
  });

  test("sudo drops the variable: there is no login, unless the variable is kept", async ({ expect }) => {
    const { job, main, robot } = await loggedIn(expect, nothing, { "docker-config": "false" });
    const asRoot = async (...kept: string[]) => {
      const own = [`PATH=${systemPath}`, `HOME=${job.scratch}`, `XDG_RUNTIME_DIR=${job.scratch}`, ...kept];
      const args = ["-i", ...own, generation.skopeo(), "login", "--get-login", peers().registryHost];
      const { code, stdout } = await job.later("env", args);
      return code === 0 ? stdout.trim() : undefined;
    };
    expect(await asRoot()).toBeUndefined();
    expect(await asRoot(`REGISTRY_AUTH_FILE=${main.exported.REGISTRY_AUTH_FILE}`)).toBe(robot.name);
  });
});

test.skipIf(findTool("podman") === undefined)(
  "podman login after ours writes to our file, and post removes only ours from it",
  async ({ expect }) => {
    const { job, main, robot } = await loggedIn(expect, nothing, { "docker-config": "false" });
    const second = newRobot(peers());
    const token = await peers().quay.tokens.robotToken(second.name);
    const file = main.exported.REGISTRY_AUTH_FILE ?? "";
    const args = ["login", "--username", second.name, "--password", token, `${peers().registryHost}/other`];
    const ran = await job.later("podman", args, { SSL_CERT_DIR: peers().certDir });
    expect([ran.code, ran.stderr]).toEqual([0, expect.anything()]);
    const auths = await authsIn(file);
    expect(Object.values(auths).map(userOf).toSorted()).toEqual([robot.name, second.name].toSorted());
    await chmod(file, 0o600);
  },
);
