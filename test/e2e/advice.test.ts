/** The remedies of errors about auth files: the test follows each line, and then the login works. */
import { chmod, mkdir, readFile, rm, stat, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, type ExpectStatic, test } from "vitest";
import { createJob } from "../support/action.ts";
import { createMachine, removeMachines } from "../support/command.ts";
import type { Job } from "../support/job.ts";
import { isRoot, needsRoot } from "../support/root.ts";
import { findTool, type Inputs } from "../support/runner.ts";
import { authsIn, newRobot, usePeers, userOf } from "./world.ts";

const peers = usePeers({ registry: false });

/** What can be wrong with an auth file. @returns its path */
const troubles: Record<string, (path: string, host: string, job: Job) => Promise<unknown>> = {
  "a credsStore": (path, _, job) => job.write(path, '{"credsStore":"secretservice","auths":{}}'),
  "a helper for this host": (path, host, job) =>
    job.write(path, JSON.stringify({ credHelpers: { [host]: "ecr-login" } })),
  "a read-only file": (path, _, job) => job.write(path, "{}", 0o444),
  "an empty file": (path, _, job) => job.write(path, ""),
  "half of a file": (path, _, job) => job.write(path, '{"auths": {'),
  "another kind of JSON": (path, _, job) => job.write(path, "[]"),
  "auths that are a list": (path, _, job) => job.write(path, '{"auths":[]}'),
  "a key that occurs twice": (path, _, job) => job.write(path, '{"auths":{},"auths":{}}'),
  "a folder": (path) => mkdir(path, { recursive: true }),
  "a link to nothing": async (path) => {
    await mkdir(join(path, ".."), { recursive: true });
    await symlink("/nowhere/config.json", path);
  },
  "a file where its folder belongs": (path, _, job) => job.write(join(path, ".."), "no folder"),
};

interface World {
  readonly job: Job;
  readonly env: Record<string, string | undefined>;
  inputs: Inputs;
  readonly path: string;
}

/** The leak harness rejects changed file modes, and the remedies change them; every other test looks for secrets. */
const changed = { tolerateLeaks: true };

/** Every line of a remedy, and how to follow it. */
const ways: readonly (readonly [RegExp, (world: World, given: string) => Promise<unknown>])[] = [
  [
    /^Remove (\S+) from it for this job\.$/,
    async ({ path }, key) => {
      const { [key.split(".")[0] ?? ""]: _, ...rest } = JSON.parse(await readFile(path, "utf8"));
      await writeFile(path, JSON.stringify(rest));
    },
  ],
  [/^Make it writable: chmod u\+w (\S+)$/, (_, path) => chmod(path, 0o600)],
  [/^Fix or delete it: .* A file without logins contains (\{\})$/, ({ path }, content) => writeFile(path, content)],
  [/^(Fix the file)\.$/, ({ path }) => writeFile(path, "{}")],
  [/^Put a file there that this user can read, or (nothing)\.$/, ({ path }) => rm(path, { recursive: true })],
  [
    /^Let this user enter its folders\. The path must lead to a file, or to (nothing)\.$/,
    async ({ path }) => {
      const folder = join(path, "..");
      await ((await stat(folder)).isDirectory() ? rm(path) : rm(folder));
    },
  ],
  [/^Free some space, or let this user (write there)\.$/, ({ path }) => rm(join(path, ".."))],
  [
    /^Or give docker another folder, in this step and in later ones: DOCKER_CONFIG=\/path\/(\S+)$/,
    async ({ env, job }, name) => {
      env.DOCKER_CONFIG = join(job.temp, name);
    },
  ],
  [
    /^Set (HOME) to this user's home folder\.$/,
    async ({ env, job }, name) => {
      env[name] = job.home;
    },
  ],
  [
    /^Or name another file: auth-file: \/path\/(\S+)$/,
    async (world, name) => {
      world.inputs = { ...world.inputs, "auth-file": join(world.job.temp, name) };
    },
  ],
  [
    /^(?:Or leave docker's configuration out|Write, for example,):? (docker-config: \S+)$/,
    async (world, input) => {
      const [name = "", value = ""] = input.split(": ");
      world.inputs = { ...world.inputs, [name]: value };
    },
  ],
];

/** The lines of the remedy in an error's text. */
const adviceIn = (message: string): string[] =>
  message
    .split("\n")
    .slice(1)
    .map((line) => line.trim())
    .filter((line) => line !== "" && !line.startsWith("More:"));

type Prepare = () => Promise<World>;

/** Follows each line of the remedy in a new world. */
async function everyLineHelps(expect: ExpectStatic, prepare: Prepare, tool: "docker" | "skopeo"): Promise<void> {
  const robot = newRobot(peers());
  const fail = async () => {
    const world = await prepare();
    const main = await world.job.run({ ...world.inputs, robot: robot.name });
    expect(main.code).toBe(1);
    return { world, advice: adviceIn(main.annotations.find(({ level }) => level === "error")?.message ?? "") };
  };
  const { advice: lines } = await fail();
  expect(lines.length).toBeGreaterThan(0);
  for (const index of lines.keys()) {
    const { world, advice } = await fail();
    const line = advice[index] ?? "";
    const way = ways.find(([pattern]) => pattern.test(line));
    expect(way, line).toBeDefined();
    await way?.[1](world, way[0].exec(line)?.[1] ?? "");
    const main = await world.job.run({ ...world.inputs, robot: robot.name });
    expect([line, main.code, main.shown]).toEqual([line, 0, expect.anything()]);
    const { DOCKER_CONFIG = join(world.job.home, ".docker") } = world.env;
    const file = tool === "docker" ? join(DOCKER_CONFIG, "config.json") : main.exported.REGISTRY_AUTH_FILE;
    expect(userOf((await authsIn(file ?? ""))[peers().registryHost]), line).toBe(robot.name);
    await main.post();
  }
}

const names = Object.keys(troubles);

describe.skipIf(findTool("docker") === undefined)(
  "docker is the tool, and its configuration is",
  { concurrent: true },
  () => {
    const prepare =
      (trouble: string, inputs: Inputs, env: Record<string, string | undefined> = {}) =>
      async () => {
        Object.assign(env, { RUNNER_ENVIRONMENT: "self-hosted" });
        const own = { ...env };
        const job = await createJob({ peers: peers(), tools: ["docker"], env: own, ...changed });
        const path = join(job.home, ".docker/config.json");
        await troubles[trouble]?.(path, peers().registryHost, job);
        return { job, env: own, inputs, path };
      };

    test.for(names)("%s", (name, { expect }) => everyLineHelps(expect, prepare(name, {}), "docker"));

    test("nowhere, without HOME", ({ expect }) =>
      everyLineHelps(expect, prepare("", {}, { HOME: undefined }), "docker"));

    test("not usable, where another file would not help docker", ({ expect }) =>
      everyLineHelps(expect, prepare("", { "docker-config": "false" }), "docker"));
  },
);

describe.concurrent("docker's configuration is requested besides skopeo's, and is", () => {
  test.for(names)("%s", (name, { expect }) => {
    const prepare = async () => {
      const env: Record<string, string | undefined> = {};
      const job = await createJob({ peers: peers(), env, ...changed });
      const path = join(job.home, ".docker/config.json");
      await troubles[name]?.(path, peers().registryHost, job);
      return { job, env, inputs: { "docker-config": "true" }, path };
    };
    return everyLineHelps(expect, prepare, "skopeo");
  });
});

describe.concurrent("the named file is", () => {
  // The containers tools do not ask credsStore.
  test.for(names.filter((name) => name !== "a credsStore"))("%s", (name, { expect }) => {
    const prepare = async () => {
      const job = await createJob({ peers: peers(), ...changed });
      const path = join(job.temp, "logins/named.json");
      await troubles[name]?.(path, peers().registryHost, job);
      return { job, env: {}, inputs: { "auth-file": path, "docker-config": "false" }, path };
    };
    return everyLineHelps(expect, prepare, "skopeo");
  });
});

describe.concurrent("docker's configuration is not requested, on a hosted runner, and is", () => {
  test.for(names)("%s: a warning, and a login", async (name, { expect }) => {
    const robot = newRobot(peers());
    const job = await createJob({ peers: peers() });
    await troubles[name]?.(join(job.home, ".docker/config.json"), peers().registryHost, job);
    const before = await job.snapshot();
    const main = await job.run({ robot: robot.name });
    expect([main.code, main.shown]).toEqual([0, expect.anything()]);
    const warnings = main.annotations.filter(({ message }) =>
      message.startsWith("docker, cosign, crane, oras and helm"),
    );
    expect(warnings).toEqual([
      { level: "warning", title: expect.anything(), message: expect.stringContaining(job.home) },
    ]);
    expect(userOf((await authsIn(main.exported.REGISTRY_AUTH_FILE ?? ""))[peers().registryHost])).toBe(robot.name);
    expect(await main.post()).toMatchObject({ code: 0 });
    expect(await job.snapshot()).toEqual(before);
  });

  test("nowhere, without HOME", async ({ expect }) => {
    const job = await createJob({ peers: peers(), env: { HOME: undefined } });
    const main = await job.run({ robot: newRobot(peers()).name });
    expect(main.code).toBe(0);
    expect(main.shown).toContain("Neither HOME nor DOCKER_CONFIG is set");
  });
});

// buildah finds the home of every user that the system knows, and podman that of root.
test.skipIf(!isRoot)(`podman without a home folder: the remedy helps ${needsRoot}`, async ({ expect }) => {
  const machine = await createMachine({ peers: peers(), env: { HOME: undefined, XDG_DATA_HOME: undefined }, uid: 1 });
  const token = await machine.write(join(machine.work, "token"), await peers().issuer.sign());
  const root = await machine.write(join(machine.work, "root.pem"), peers().authority.ca, 0o644);
  const place = ["--registry", peers().registryHost, "--ca-file", root, "--token-file", token];
  const login = (tool: string, env: Record<string, string> = {}) =>
    machine.run(["login", ...place, "--robot", newRobot(peers()).name, "--tool", tool], { env });
  const ran = await login("podman");
  expect([ran.code, ran.stderr]).toEqual([
    1,
    expect.stringContaining("set HOME to one that exists, or use a tool that needs none, --tool skopeo"),
  ]);
  expect(await login("skopeo")).toMatchObject({ code: 0 });
  expect(await login("podman", { HOME: machine.home })).toMatchObject({ code: 0 });
  await removeMachines();
});
