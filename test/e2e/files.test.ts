/** Where the login goes: a private file that starts with the existing logins, a file of the user's, docker's. */
import { chmod, lstat, readFile, stat, symlink } from "node:fs/promises";
import { join } from "node:path";
import { describe, test } from "vitest";
import { createJob } from "../support/action.ts";
import { writeImage } from "../support/image.ts";
import type { Job } from "../support/job.ts";
import { differences } from "../support/leaks.ts";
import { isRoot, needsRoot } from "../support/root.ts";
import { type Auths, authsIn, entryOf, newRobot, usePeers, userOf } from "./world.ts";

const peers = usePeers();
const file = (content: object) => JSON.stringify(content, null, "\t");
const foreign = (user: string) => ({ "registry.example.com": entryOf(user, "a-foreign-password") });
const users = (auths: Auths) =>
  Object.fromEntries(Object.entries(auths).map(([scope, entry]) => [scope, userOf(entry)]));
const modeOf = async (path: string) => ((await stat(path)).mode & 0o777).toString(8);

describe.concurrent("the private file", () => {
  const places: Record<
    string,
    { path: (job: Job) => string; env?: (job: Job) => Record<string, string>; legacy?: true }
  > = {
    XDG_RUNTIME_DIR: { path: (job) => join(job.scratch, "run/containers/auth.json") },
    "~/.config/containers/auth.json": { path: (job) => join(job.home, ".config/containers/auth.json") },
    "~/.docker/config.json": { path: (job) => join(job.home, ".docker/config.json") },
    "~/.dockercfg": { path: (job) => join(job.home, ".dockercfg"), legacy: true },
  };

  test.for(Object.entries(places))("starts with the logins of %s", async ([, { path, legacy }], { expect }) => {
    const robot = newRobot(peers());
    const job = await createJob({ peers: peers() });
    const auths = foreign("somebody");
    await job.write(path(job), file(legacy ? auths : { auths }));
    const before = await job.snapshot();
    const main = await job.run({ robot: robot.name, "docker-config": "false" });
    expect(main).toMatchObject({ code: 0, annotations: [] });
    const expected = { "registry.example.com": "somebody", [peers().registryHost]: robot.name };
    expect(users(await authsIn(main.outputs["auth-file"] ?? ""))).toEqual(expected);
    expect(await main.post()).toMatchObject({ code: 0 });
    expect(differences(before, await job.snapshot())).toEqual([]);
  });

  test.for(["REGISTRY_AUTH_FILE", "DOCKER_CONFIG"])("%s hides all other files", async (variable, { expect }) => {
    const robot = newRobot(peers());
    const env: Record<string, string> = {};
    const job = await createJob({ peers: peers(), env });
    const elsewhere = join(job.temp, "elsewhere/config.json");
    env[variable] = variable === "DOCKER_CONFIG" ? join(job.temp, "elsewhere") : elsewhere;
    await job.write(elsewhere, file({ auths: foreign("this-one") }));
    await job.write(
      join(job.home, ".docker/config.json"),
      file({ auths: { "other.example.com": entryOf("x", "hidden-password") } }),
    );
    const main = await job.run({ robot: robot.name, "docker-config": "false" });
    const expected = { "registry.example.com": "this-one", [peers().registryHost]: robot.name };
    expect(users(await authsIn(main.outputs["auth-file"] ?? ""))).toEqual(expected);
    await main.post();
  });

  test("the first file wins, helpers are kept, the login for this host is ours", async ({ expect }) => {
    const robot = newRobot(peers());
    const host = peers().registryHost;
    const job = await createJob({ peers: peers() });
    const helpers = { "gcr.io": "gcloud", [host]: "secretservice" };
    const runtime = { auths: { ...foreign("first"), [host]: entryOf("old", "an-old-password") }, credHelpers: helpers };
    await job.write(join(job.scratch, "run/containers/auth.json"), file(runtime));
    await job.write(
      join(job.home, ".dockercfg"),
      file({ ...foreign("last"), "more.example.com": entryOf("more", "another-password") }),
    );
    const main = await job.run({ robot: robot.name, "docker-config": "false" });
    const content = JSON.parse(await readFile(main.outputs["auth-file"] ?? "", "utf8"));
    expect(users(content.auths)).toEqual({
      "registry.example.com": "first",
      "more.example.com": "more",
      [host]: robot.name,
    });
    expect(content.credHelpers).toEqual({ "gcr.io": "gcloud" });
    await main.post();
  });

  test("leaves out with a warning what can't be read", async ({ expect }) => {
    const robot = newRobot(peers());
    const job = await createJob({ peers: peers() });
    await job.write(join(job.home, ".docker/config.json"), "{ not JSON");
    const main = await job.run({ robot: robot.name, "docker-config": "false" });
    expect(main).toMatchObject({ code: 0 });
    expect(main.annotations).toMatchObject([
      { level: "warning", message: expect.stringMatching(/\.docker\/config\.json are left out.*not JSON/) },
    ]);
    await main.post();
  });

  for (const tool of ["skopeo", "buildah", "podman"]) {
    test(`works for ${tool} with a helper for this host in docker's configuration`, async ({ expect }) => {
      const robot = newRobot(peers());
      const job = await createJob({ peers: peers() });
      const credHelpers = { [peers().registryHost]: "not-installed" };
      await job.write(join(job.home, ".docker/config.json"), file({ credHelpers }));
      const main = await job.run({ robot: robot.name, tool, "docker-config": "false" });
      expect(main).toMatchObject({ code: 0, annotations: [] });
      const image = await writeImage(join(job.scratch, "image"));
      const there = `docker://${peers().registryHost}/${robot.repository}:v1`;
      expect(await job.later("skopeo", ["copy", image.reference, there])).toMatchObject({ code: 0 });
      await main.post();
    });
  }

  test.skipIf(!isRoot)(`has the requested mode, in a folder that others may enter ${needsRoot}`, async ({ expect }) => {
    const robot = newRobot(peers());
    const job = await createJob({ peers: peers() });
    const main = await job.run({ robot: robot.name, "auth-file-mode": "0644", tool: "skopeo" });
    const path = main.outputs["auth-file"] ?? "";
    expect([await modeOf(path), await modeOf(join(path, ".."))]).toEqual(["644", "711"]);
    // Another user pushes with it, and finds the root certificate.
    const image = await writeImage(join(job.scratch, "image"));
    const args = ["copy", image.reference, `docker://${peers().registryHost}/${robot.repository}:v1`];
    await chmod(join(job.scratch, "run"), 0o777);
    const other = await job.later("setpriv", ["--reuid=1234", "--regid=1234", "--clear-groups", "skopeo", ...args]);
    expect(other).toMatchObject({ code: 0, stderr: "" });
    expect(
      await job.later("setpriv", [
        "--reuid=1234",
        "--regid=1234",
        "--clear-groups",
        "cat",
        join(path, "../session.json"),
      ]),
    ).toMatchObject({ code: 1 });
    await main.post();
  });
});

describe.concurrent("a private file that other users may read", () => {
  test("starts without the logins that only this user could read, with a warning", async ({ expect }) => {
    const robot = newRobot(peers());
    const job = await createJob({ peers: peers() });
    await job.write(join(job.home, ".docker/config.json"), file({ auths: foreign("kept") }));
    const main = await job.run({ robot: robot.name, "auth-file-mode": "0644", "docker-config": "false" });
    expect(main).toMatchObject({
      code: 0,
      annotations: [{ level: "warning", message: expect.stringMatching(/config\.json are left out.*auth-file-mode/) }],
    });
    expect(users(await authsIn(main.outputs["auth-file"] ?? ""))).toEqual({ [peers().registryHost]: robot.name });
    expect(await main.post()).toMatchObject({ code: 0 });
  });

  test("causes a warning if the user's file becomes readable", async ({ expect }) => {
    const robot = newRobot(peers());
    const job = await createJob({ peers: peers() });
    const path = await job.write(join(job.temp, "own/auth.json"), file({ auths: foreign("kept") }));
    const main = await job.run({ robot: robot.name, "auth-file": path, "auth-file-mode": "0644" });
    expect(main).toMatchObject({
      code: 0,
      annotations: [{ level: "warning", message: expect.stringContaining(`read the other logins in ${path}`) }],
    });
    expect(await main.post()).toMatchObject({ code: 0 });
    expect(await modeOf(path)).toBe("600");
  });
});

describe.concurrent("docker's file, if it can't be used: following the remedy makes the login work", () => {
  test.for<[string, string, number]>([
    ["a number that would not survive", '{"n": 12345678901234567}', 0o600],
    ["not JSON", "{", 0o600],
    ["read-only", "{}", 0o400],
  ])("%s", async ([, content, mode], { expect }) => {
    const robot = newRobot(peers());
    const job = await createJob({ peers: peers() });
    const path = await job.write(join(job.home, ".docker/config.json"), content, mode);
    const main = await job.run({ robot: robot.name, "docker-config": "true" });
    expect(main).toMatchObject({ code: 1 });
    expect(main.shown).toContain(path);
    expect(main.shown).not.toContain("auth-file: /");
    if (mode !== 0o600 || content !== "{") expect(main.shown).toContain("docker-config: false");
    const again = await job.run({ robot: robot.name, "docker-config": "false" });
    expect(again).toMatchObject({ code: 0 });
    await again.post();
    expect(await readFile(path, "utf8")).toBe(content);
  });
});

describe.concurrent("in the workspace", () => {
  test("a HOME there gets no roots, with a warning", async ({ expect }) => {
    const robot = newRobot(peers());
    const env: Record<string, string> = {};
    const job = await createJob({ peers: peers(), env });
    env.HOME = join(job.workspace, "home");
    const main = await job.run({ robot: robot.name, "docker-config": "false", "ca-file": peers().caFile });
    expect(main).toMatchObject({ code: 0 });
    expect(main.annotations).toMatchObject([
      {
        level: "warning",
        message: expect.stringMatching(/roots of ca-file could not be installed.*is in the workspace/),
      },
    ]);
    expect(await main.post()).toMatchObject({ code: 0 });
  });

  test.for<[string, (job: Job) => Record<string, string>, object, string]>([
    [
      "docker's file",
      (job) => ({ DOCKER_CONFIG: join(job.workspace, "docker") }),
      { "docker-config": "true" },
      "invalid-input",
    ],
    ["the temporary folder", (job) => ({ RUNNER_TEMP: join(job.workspace, "temp") }), {}, "auth-file-unusable"],
    ["the temporary folder by a link", (job) => ({ RUNNER_TEMP: join(job.scratch, "link") }), {}, "auth-file-unusable"],
  ])("%s: rejected before anything is sent", async ([, more, inputs, code], { expect }) => {
    const robot = newRobot(peers());
    const env: Record<string, string> = {};
    const job = await createJob({ peers: peers(), env });
    await symlink(job.workspace, join(job.scratch, "link"));
    Object.assign(env, more(job));
    const before = await job.snapshot();
    const main = await job.run({ robot: robot.name, ...inputs });
    expect(main.code).toBe(1);
    expect(main.annotations).toMatchObject([{ level: "error", message: expect.stringContaining("in the workspace") }]);
    expect(main.shown).toContain(`#${code}`);
    expect(peers().quay.requests.filter(({ user }) => user === robot.name)).toEqual([]);
    expect(differences(before, await job.snapshot())).toEqual([]);
  });
});

describe.concurrent("auth-file", () => {
  test("gets the login; everything else in it stays, unknown fields too", async ({ expect }) => {
    const robot = newRobot(peers());
    const job = await createJob({ peers: peers() });
    const content = {
      futureField: { deep: [1, null] },
      auths: { ...foreign("kept"), "x.example.com": { ...entryOf("y", "y-password-y"), extra: true } },
      detachKeys: "ctrl-x",
    };
    const path = await job.write(join(job.temp, "own/auth.json"), file(content), 0o640);
    const before = await job.snapshot();
    const main = await job.run({ robot: robot.name, "auth-file": path, "docker-config": "false" });
    expect(main).toMatchObject({
      code: 0,
      annotations: [],
      outputs: { "auth-file": path },
      exported: { REGISTRY_AUTH_FILE: path },
    });
    const { auths, ...rest } = JSON.parse(await readFile(path, "utf8"));
    const { [peers().registryHost]: ours, ...others } = auths;
    expect({ ...rest, auths: others }).toEqual(content);
    expect(userOf(ours)).toBe(robot.name);
    expect(await modeOf(path)).toBe("640");
    const image = await writeImage(join(job.scratch, "image"));
    const there = `docker://${peers().registryHost}/${robot.repository}:v1`;
    expect(await job.later("skopeo", ["copy", image.reference, there])).toMatchObject({ code: 0 });
    await main.post();
    expect(differences(before, await job.snapshot())).toEqual([]);
  });

  test("that does not exist is made, with its folders, and removed with them", async ({ expect }) => {
    const robot = newRobot(peers());
    const job = await createJob({ peers: peers() });
    await job.write(join(job.home, ".docker/config.json"), file({ auths: foreign("somebody") }));
    const before = await job.snapshot();
    const path = join(job.temp, "a/b/auth.json");
    const main = await job.run({
      robot: robot.name,
      "auth-file": path,
      "auth-file-mode": "0640",
      "docker-config": "false",
    });
    expect(await modeOf(path)).toBe("640");
    expect(users(await authsIn(path))).toEqual({ [peers().registryHost]: robot.name });
    await main.post();
    expect(differences(before, await job.snapshot())).toEqual([]);
  });

  test("reached by a link stays one", async ({ expect }) => {
    const robot = newRobot(peers());
    const job = await createJob({ peers: peers() });
    await job.write(join(job.temp, "real/auth.json"), file({ auths: foreign("somebody") }));
    const link = join(job.temp, "link.json");
    await symlink("real/auth.json", link);
    const before = await job.snapshot();
    const main = await job.run({ robot: robot.name, "auth-file": link, "docker-config": "false" });
    expect((await lstat(link)).isSymbolicLink()).toBe(true);
    expect(users(await authsIn(link))).toMatchObject({
      "registry.example.com": "somebody",
      [peers().registryHost]: robot.name,
    });
    await main.post();
    expect(differences(before, await job.snapshot())).toEqual([]);
  });

  test("may be {} without a login", async ({ expect }) => {
    const robot = newRobot(peers());
    const job = await createJob({ peers: peers() });
    const path = await job.write(join(job.temp, "auth.json"), "{}");
    const main = await job.run({ robot: robot.name, "auth-file": path, "docker-config": "false" });
    expect(main.code).toBe(0);
    await main.post();
    expect(await readFile(path, "utf8")).toBe("{}");
  });
});

describe.concurrent("docker's configuration", () => {
  const config = (job: Job) => join(job.home, ".docker/config.json");

  test.for([
    ["auto", "github-hosted", true],
    ["auto", "self-hosted", false],
    ["auto", undefined, false],
    ["true", "self-hosted", true],
    ["false", "github-hosted", false],
  ] as const)("%s on a runner that is %s: %s", async ([option, environment, expected], { expect }) => {
    const robot = newRobot(peers());
    const job = await createJob({ peers: peers(), env: { RUNNER_ENVIRONMENT: environment } });
    const main = await job.run({ robot: robot.name, "docker-config": option });
    const found = await authsIn(config(job)).then(users, () => ({}));
    expect(found).toEqual(expected ? { [peers().registryHost]: robot.name } : {});
    await main.post();
  });

  test("keeps its other content", async ({ expect }) => {
    const robot = newRobot(peers());
    const job = await createJob({ peers: peers() });
    const content = {
      auths: foreign("kept"),
      HttpHeaders: { "X-Meta": "1" },
      currentContext: "remote",
      credHelpers: { "gcr.io": "gcloud" },
    };
    await job.write(config(job), file(content), 0o644);
    const before = await job.snapshot();
    const main = await job.run({ robot: robot.name });
    const { auths, ...rest } = JSON.parse(await readFile(config(job), "utf8"));
    expect({ ...rest, auths: users(auths) }).toEqual({
      ...content,
      auths: { "registry.example.com": "kept", [peers().registryHost]: robot.name },
    });
    await main.post();
    expect(differences(before, await job.snapshot())).toEqual([]);
  });

  test("is where DOCKER_CONFIG says", async ({ expect }) => {
    const robot = newRobot(peers());
    const env: Record<string, string> = {};
    const job = await createJob({ peers: peers(), env });
    env.DOCKER_CONFIG = join(job.temp, "docker");
    const main = await job.run({ robot: robot.name });
    expect(users(await authsIn(join(job.temp, "docker/config.json")))).toEqual({ [peers().registryHost]: robot.name });
    await main.post();
  });
});
