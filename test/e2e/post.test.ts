/** What post leaves: the files as they were, whatever main did, and with what other processes wrote in between. */
import { readdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, test } from "vitest";
import { createJob } from "../support/action.ts";
import type { Job } from "../support/job.ts";
import { differences } from "../support/leaks.ts";
import { isRoot, needsRoot } from "../support/root.ts";
import { authsIn, entryOf, failure, newRobot, usePeers, userOf } from "./world.ts";

const peers = usePeers({ registry: false });
const host = () => peers().registryHost;

/** Written by hand: no tool would format it so, and none would keep these fields. */
const oddFile = () =>
  `{"auths":\n {  "registry.example.com" : ${JSON.stringify(entryOf("kept", "a-kept-password"))},\n   "${host()}":` +
  `${JSON.stringify({ ...entryOf("replaced", "a-replaced-password"), note: "ours" })} }, "z": 1, "a": 2}\n\n`;

async function jobWithFile(options: { tolerateLeaks?: boolean } = {}): Promise<{ job: Job; path: string }> {
  const job = await createJob({ peers: peers(), ...options });
  return { job, path: await job.write(join(job.temp, "auth.json"), oddFile()) };
}

async function change(path: string, work: (auths: Record<string, unknown>) => void): Promise<void> {
  const content = JSON.parse(await readFile(path, "utf8"));
  work(content.auths);
  await writeFile(path, JSON.stringify(content));
}

const emptied = async (folder: string) => {
  for (const name of await readdir(folder)) await rm(join(folder, name), { recursive: true });
};

describe.concurrent("post", () => {
  test("restores byte for byte what was there, also the second time", async ({ expect }) => {
    const { job, path } = await jobWithFile();
    await job.write(join(job.home, ".docker/config.json"), oddFile(), 0o644);
    const before = await job.snapshot();
    const main = await job.run({ robot: newRobot(peers()).name, "auth-file": path });
    expect(userOf((await authsIn(path))[host()])).toMatch(/^acme\+s/);
    expect(userOf((await authsIn(join(job.home, ".docker/config.json")))[host()])).toMatch(/^acme\+s/);
    for (const words of ["Logged out of", "There is no login to remove"]) {
      const post = await main.post();
      expect(post).toMatchObject({ code: 0, annotations: [] });
      expect(post.shown).toContain(words);
      expect(differences(before, await job.snapshot())).toEqual([]);
    }
  });

  test.for(["", "{", "null", "[null, {}]", '[{"session"'])(
    "works from the record alone, if its state is %j",
    async (traces, { expect }) => {
      const { job } = await jobWithFile();
      const before = await job.snapshot();
      const main = await job.run({ robot: newRobot(peers()).name });
      main.state.traces = traces;
      const post = await main.post();
      expect([post.code, post.annotations, post.raw.stderr]).toEqual([0, [], ""]);
      expect(differences(before, await job.snapshot())).toEqual([]);
    },
  );

  test("keeps what another real login has added meanwhile", async ({ expect }) => {
    const { job, path } = await jobWithFile();
    const main = await job.run({ robot: newRobot(peers()).name, "auth-file": path, "docker-config": "false" });
    const args = ["login", "--username", "admin", "--password", "password", `${host()}/other`];
    expect(await job.later("skopeo", args)).toMatchObject({ code: 0 });
    expect(await main.post()).toMatchObject({ code: 0, annotations: [] });
    const auths = await authsIn(path);
    expect(Object.fromEntries(Object.entries(auths).map(([scope, entry]) => [scope, userOf(entry)]))).toEqual({
      "registry.example.com": "kept",
      [host()]: "replaced",
      [`${host()}/other`]: "admin",
    });
    expect(auths[host()]).toEqual({ ...entryOf("replaced", "a-replaced-password"), note: "ours" });
  });

  test("of many jobs that share a file each remove their own", async ({ expect }) => {
    const { job: first, path } = await jobWithFile();
    const robots = Array.from({ length: 6 }, () => newRobot(peers()));
    const jobs = await Promise.all(robots.map(() => createJob({ peers: peers() })));
    const mains = await Promise.all(
      robots.map(({ name, repository }, index) =>
        (jobs[index] ?? first).run({ robot: `${host()}/${repository}=${name}`, "auth-file": path }),
      ),
    );
    const auths = await authsIn(path);
    expect(robots.map(({ repository }) => userOf(auths[`${host()}/${repository}`]))).toEqual(
      robots.map(({ name }) => name),
    );
    for (const post of await Promise.all(mains.map((main) => main.post()))) {
      expect(post).toMatchObject({ code: 0, annotations: [] });
    }
    expect(JSON.parse(await readFile(path, "utf8"))).toEqual(JSON.parse(oddFile()));
    expect([...(await first.snapshot()).keys()].filter((each) => each.startsWith(path))).toEqual([path]);
  });

  test("keeps a login that has replaced ours meanwhile", async ({ expect }) => {
    const { job, path } = await jobWithFile();
    const main = await job.run({ robot: newRobot(peers()).name, "auth-file": path, "docker-config": "false" });
    await change(path, (auths) => {
      auths[host()] = entryOf("newer", "a-newer-password");
    });
    const changed = await readFile(path, "utf8");
    expect(await main.post()).toMatchObject({ code: 0, annotations: [] });
    expect(await readFile(path, "utf8")).toBe(changed);
  });

  test("does not restore a login that was removed meanwhile", async ({ expect }) => {
    const { job, path } = await jobWithFile();
    const main = await job.run({ robot: newRobot(peers()).name, "auth-file": path, "docker-config": "false" });
    expect(await job.later("skopeo", ["logout", host()])).toMatchObject({ code: 0 });
    expect(await main.post()).toMatchObject({ code: 0, annotations: [] });
    expect(Object.keys(await authsIn(path))).toEqual(["registry.example.com"]);
  });

  test("has nothing to do if the files are gone", async ({ expect }) => {
    const { job, path } = await jobWithFile();
    const main = await job.run({ robot: newRobot(peers()).name, "auth-file": path });
    await rm(path);
    await rm(join(job.home, ".docker"), { recursive: true });
    await rm(join(job.home, ".config"), { recursive: true });
    expect(await main.post()).toMatchObject({ code: 0, annotations: [] });
    expect([...(await job.snapshot()).keys()].toSorted()).toEqual([job.home, job.temp, job.workspace].toSorted());
  });

  test.for<[string, (session: string, temp: string) => Promise<unknown>]>([
    ["RUNNER_TEMP was emptied", (_, temp) => emptied(temp)],
    ["the session's folder is gone", (session) => rm(session, { recursive: true })],
    ["the session's record is gone", (session) => rm(join(session, "session.json"))],
  ])("removes what is ours if %s", async ([, lose], { expect }) => {
    const job = await createJob({ peers: peers() });
    const before = await job.snapshot();
    const main = await job.run({ robot: newRobot(peers()).name });
    await lose(main.state.session ?? "", job.temp);
    const post = await main.post();
    expect(post).toMatchObject({ code: 0, annotations: [] });
    expect(post.shown).toContain("The record of the login is gone");
    expect(post.shown).toContain(`Logged out of ${host()}.`);
    expect(differences(before, await job.snapshot())).toEqual([]);
    expect((await main.post()).shown).toContain("There is no login to remove any more.");
  });

  test("says that the record is damaged, and removes what is ours", async ({ expect }) => {
    const job = await createJob({ peers: peers() });
    const before = await job.snapshot();
    const main = await job.run({ robot: newRobot(peers()).name });
    await writeFile(join(main.state.session ?? "", "session.json"), "{");
    const post = await main.post();
    expect(post).toMatchObject({ code: 1, annotations: [{ title: "quay-keyless-login: logout-incomplete" }] });
    expect(differences(before, await job.snapshot())).toEqual([]);
  });

  test("fails if another login can't be restored any more, and names it", async ({ expect }) => {
    const job = await createJob({ peers: peers(), tolerateLeaks: true });
    const path = await job.write(join(job.home, ".docker/config.json"), oddFile(), 0o644);
    const main = await job.run({ robot: newRobot(peers()).name });
    await emptied(job.temp);
    const post = await main.post();
    expect(post).toMatchObject({ code: 1, annotations: [{ title: "quay-keyless-login: logout-incomplete" }] });
    expect(post.annotations[0]?.message).toContain(`What ${path} held for ${host()} before the login is lost`);
    expect(post.annotations[0]?.message).toContain(`skopeo login --authfile ${path} ${host()}`);
    expect(Object.keys(await authsIn(path))).toEqual(["registry.example.com"]);
    expect([...(await job.snapshot()).keys()].filter((each) => each.endsWith(".crt"))).toEqual([]);
    const again = await main.post();
    expect(again).toMatchObject({ code: 0, annotations: [] });
    expect(again.shown).toContain("There is no login to remove any more.");
  });

  test.for([
    ["was not set", undefined, ""],
    ["was set", "/somewhere/auth.json", "/somewhere/auth.json"],
  ] as const)("restores REGISTRY_AUTH_FILE: it %s", async ([, value, expected], { expect }) => {
    const job = await createJob({ peers: peers(), env: { REGISTRY_AUTH_FILE: value } });
    const main = await job.run({ robot: newRobot(peers()).name });
    expect(main.exported).toEqual({ REGISTRY_AUTH_FILE: join(main.state.session ?? "", "auth.json") });
    expect((await main.post()).exported).toEqual({ REGISTRY_AUTH_FILE: expected });
  });

  test("keeps REGISTRY_AUTH_FILE if another step has set it since", async ({ expect }) => {
    const { job, path } = await jobWithFile();
    const main = await job.run({ robot: newRobot(peers()).name });
    Object.assign(job.exported, { REGISTRY_AUTH_FILE: path });
    expect((await main.post()).exported).toEqual({});
  });

  test.for(["podman", "buildah", "skopeo"] as const)(
    "lets other steps log out with %s after it",
    async (tool, { expect }) => {
      const job = await createJob({ peers: peers() });
      const usual = join(job.scratch, "run/containers/auth.json");
      const text = JSON.stringify({ auths: { "other.example.com": entryOf("other", "another-password") } });
      await job.write(usual, text);
      const main = await job.run({ robot: newRobot(peers()).name });
      await main.post();
      expect(await job.later(tool, ["logout", "other.example.com"])).toMatchObject({ code: 0 });
      expect(await authsIn(usual)).toEqual({});
    },
  );

  test("fails if it can't remove a login, removes the rest, and can be run again", async ({ expect }) => {
    const { job, path } = await jobWithFile({ tolerateLeaks: true });
    const before = await job.snapshot();
    const robot = newRobot(peers()).name;
    const main = await job.run({ robot, "auth-file": path });
    const held = await readFile(path, "utf8");
    await writeFile(path, "{ broken");
    const post = await main.post();
    expect(post).toMatchObject({ code: 1, annotations: [{ title: "quay-keyless-login: auth-file-unusable" }] });
    const message = post.annotations[0]?.message ?? "";
    expect(message).toContain(`${path} is not JSON`);
    expect(message).not.toContain("name another file");
    const [, until = "", command = ""] = /may still be there until it expires at (\S+): (.*)/.exec(message) ?? [];
    expect(Date.parse(until)).toBeGreaterThan(Date.now());
    expect(message).toContain(`The login of ${robot} may still be there`);
    expect(command).toBe(`skopeo logout --authfile ${path} ${peers().registryHost}`);
    expect([...(await job.snapshot()).keys()].filter((each) => each.startsWith(job.home))).toEqual([job.home]);
    await writeFile(path, held);
    expect(await main.post()).toMatchObject({ code: 0, annotations: [] });
    expect(differences(before, await job.snapshot())).toEqual([]);
  });

  test.skipIf(!isRoot)(`undoes a main that failed between one file and the next ${needsRoot}`, async ({ expect }) => {
    const env: Record<string, string> = {};
    const job = await createJob({ peers: peers(), env });
    const path = await job.write(join(job.temp, "auth.json"), oddFile());
    const before = await job.snapshot();
    // No user can make folders here, not even root. The explicit file has the login by then.
    env.DOCKER_CONFIG = "/sys/docker";
    const main = await job.run({ robot: newRobot(peers()).name, "auth-file": path, "docker-config": "true" });
    expect(failure(expect, main, "auth-file-unusable")).toContain("/sys/docker/config.json cannot be written");
    expect(main.shown).toContain("Logged out of");
    expect(differences(before, await job.snapshot())).toEqual([]);
    expect((await main.post()).shown).toContain("There is no login to remove");
  });
});
