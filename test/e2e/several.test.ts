/** Several logins of one job, or of several jobs with one home: each is renewed while it is needed, and no expired one stays. */
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, type ExpectStatic, test } from "vitest";
import { hang } from "../quay-stand-in/scripted.ts";
import { createJob } from "../support/action.ts";
import type { Job, Main } from "../support/job.ts";
import { differences } from "../support/leaks.ts";
import type { Inputs } from "../support/runner.ts";
import { authsIn, entryOf, newRobot, of, until, usePeers, userOf } from "./world.ts";

/** Seconds. */
const life = 10;
const peers = usePeers({ registry: false, quay: { robotTokenLife: life, leeway: 0 } });
const host = () => peers().registryHost;

/** Seconds until an entry expires; negative: it has expired. */
function livesFor({ auth = "" }: { auth?: string } = {}): number {
  const payload = Buffer.from(auth, "base64").toString().split(".")[1] ?? "";
  return JSON.parse(Buffer.from(payload, "base64url").toString()).exp - Date.now() / 1000;
}

const logIn = async (expect: ExpectStatic, job: Job, inputs: Inputs): Promise<Main> => {
  const main = await job.run({ timeout: "5", ...inputs });
  expect([main.code, main.annotations]).toEqual([0, []]);
  return main;
};

const endsWell = async (expect: ExpectStatic, main: Main) => {
  const post = await main.post();
  expect(post).toMatchObject({ code: 0, annotations: [] });
  return post;
};

/** Each entry is its robot's, and valid, for longer than a token lives. On a busy machine a renewal may be a moment late. */
async function stayAlive(expect: ExpectStatic, file: string, scopes: Readonly<Record<string, string>>): Promise<void> {
  for (const end = performance.now() + life * 1_600; performance.now() < end; ) {
    const auths = await authsIn(file);
    for (const [scope, robot] of Object.entries(scopes)) {
      expect(userOf(auths[scope])).toBe(robot);
    }
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  const ends = async () => Math.min(...Object.values(await authsIn(file)).map(livesFor));
  await expect.poll(ends, { timeout: 5_000 }).toBeGreaterThan(0);
}

describe.concurrent("two steps of one job", () => {
  test("with refresh: renews both logins in the one file that later steps read", async ({ expect }) => {
    const job = await createJob({ peers: peers(), tolerateLeaks: true });
    const before = await job.snapshot();
    const [one, two] = [newRobot(peers()), newRobot(peers())];
    const scopes = { [`${host()}/${one.repository}`]: one.name, [`${host()}/${two.repository}`]: two.name };
    const [first, second] = Object.entries(scopes).map(([scope, robot]) => ({ robot: `${scope}=${robot}` }));
    const outer = await logIn(expect, job, { ...first, refresh: "true" });
    const file = job.exported.REGISTRY_AUTH_FILE ?? "";
    const inner = await logIn(expect, job, { ...second, refresh: "true" });
    expect(job.exported.REGISTRY_AUTH_FILE).toBe(file);
    await stayAlive(expect, file, scopes);
    await endsWell(expect, inner);
    expect(job.exported.REGISTRY_AUTH_FILE).toBe(file);
    expect(Object.keys(await authsIn(file))).toEqual([Object.keys(scopes)[0]]);
    await endsWell(expect, outer);
    expect(job.exported.REGISTRY_AUTH_FILE).toBe("");
    expect(differences(before, await job.snapshot())).toEqual([]);
  });

  test.for([
    ["the same permissions: one file", "0644", true],
    ["other permissions: a file of its own, and a warning", "", false],
  ] as const)("the first with a file for other users, the second with %s", async ([, mode, shares], { expect }) => {
    const job = await createJob({ peers: peers(), tolerateLeaks: true });
    const [one, two] = [newRobot(peers()), newRobot(peers())];
    const outer = await logIn(expect, job, { robot: one.name, "auth-file-mode": "0644", refresh: "true" });
    const file = job.exported.REGISTRY_AUTH_FILE;
    const robot = `${host()}/${two.repository}=${two.name}`;
    const inner = await job.run({ robot, "auth-file-mode": mode, timeout: "5" });
    expect(inner.annotations.map(({ message }) => message)).toEqual(
      shares ? [] : [expect.stringContaining("give both steps the same auth-file-mode")],
    );
    expect(job.exported.REGISTRY_AUTH_FILE === file).toBe(shares);
    await endsWell(expect, inner);
    await endsWell(expect, outer);
  });

  test.for([
    ["docker's config.json", {}],
    ["one auth-file", { "auth-file": "shared.json" }],
  ] as const)(
    "for one host in %s: keeps the second's login, whatever the first renews",
    async ([, files], { expect }) => {
      const job = await createJob({ peers: peers(), tolerateLeaks: true });
      const named = "auth-file" in files ? { "auth-file": join(job.temp, files["auth-file"]) } : {};
      const file = named["auth-file"] ?? join(job.home, ".docker/config.json");
      const original = JSON.stringify({ auths: { [host()]: entryOf("person", "a-password") } });
      await job.write(file, original);
      const [one, two] = [newRobot(peers()), newRobot(peers())];
      const outer = await logIn(expect, job, { robot: one.name, refresh: "true", ...named });
      const inner = await logIn(expect, job, { robot: two.name, refresh: "true", ...named });
      await stayAlive(expect, file, { [host()]: two.name });
      await endsWell(expect, inner);
      const post = await endsWell(expect, outer);
      expect(post.shown).toContain(
        `Another process has logged in for ${host()} in ${file} since; that login was left in place.`,
      );
      expect(JSON.parse(await readFile(file, "utf8"))).toEqual(JSON.parse(original));
    },
  );

  test("leave nothing of the first if the runner gives both post steps the state of the second", async ({ expect }) => {
    const job = await createJob({ peers: peers(), tolerateLeaks: true });
    const before = await job.snapshot();
    const [one, two] = [newRobot(peers()), newRobot(peers())];
    const file = join(job.home, "auth.json");
    const [first, second] = [one, two].map((robot) => ({ robot: `${host()}/${robot.repository}=${robot.name}` }));
    const outer = await logIn(expect, job, { ...first, "auth-file": file, refresh: "true" });
    const inner = await logIn(expect, job, { ...second, "auth-file": file, refresh: "true" });
    await endsWell(expect, inner);
    expect(Object.keys(await authsIn(file))).toEqual([`${host()}/${one.repository}`]);
    const post = await endsWell(expect, inner);
    expect(post.shown).toContain(`Logged out of ${host()}/${one.repository}.`);
    expect(post.exported).toEqual({ REGISTRY_AUTH_FILE: "" });
    expect(await job.background(outer.state.session)).toBeUndefined();
    expect(differences(before, await job.snapshot())).toEqual([]);
  });

  test.for([
    ["was refused", (job: Job) => job.run({ robot: "acme+nobody" })],
    [
      "was killed",
      async (job: Job) => {
        const robot = newRobot(peers());
        peers().quay.exchangeScript.always(hang(), of(robot));
        const running = await job.start({ robot: robot.name });
        await until(() => peers().quay.requests.some(({ user }) => user === robot.name), "the exchange");
        running.kill("SIGKILL");
        return running.done;
      },
    ],
  ] as const)("the post step of one that %s keeps the login of the other", async ([, fail], { expect }) => {
    const job = await createJob({ peers: peers(), tolerateLeaks: true });
    const before = await job.snapshot();
    const one = newRobot(peers());
    const outer = await logIn(expect, job, { robot: one.name });
    const file = job.exported.REGISTRY_AUTH_FILE ?? "";
    const inner = await fail(job);
    expect(inner.code).not.toBe(0);
    await endsWell(expect, inner);
    expect(userOf((await authsIn(file))[host()])).toBe(one.name);
    expect(job.exported.REGISTRY_AUTH_FILE).toBe(file);
    // The second post step of a composite action that was used twice gets the same state.
    expect((await endsWell(expect, inner)).shown).toContain("Removing a login of this job");
    await endsWell(expect, outer);
    expect(differences(before, await job.snapshot())).toEqual([]);
  });

  test("a post step that has removed its own login keeps the others, and one that is to stay", async ({ expect }) => {
    const job = await createJob({ peers: peers(), tolerateLeaks: true });
    const [one, two, three] = [newRobot(peers()), newRobot(peers()), newRobot(peers())];
    const scope = (robot: typeof one) => `${host()}/${robot.repository}`;
    await logIn(expect, job, { robot: `${scope(one)}=${one.name}`, logout: "false" });
    const file = job.exported.REGISTRY_AUTH_FILE ?? "";
    await logIn(expect, job, { robot: `${scope(two)}=${two.name}` });
    const last = await logIn(expect, job, { robot: `${scope(three)}=${three.name}` });
    await endsWell(expect, last);
    expect(Object.keys(await authsIn(file))).toEqual([scope(one), scope(two)]);
    // A second time, as after a composite action that was used twice.
    await endsWell(expect, last);
    expect(Object.keys(await authsIn(file))).toEqual([scope(one)]);
  });
});

describe.concurrent("two jobs with one home", () => {
  test.for([
    ["the first to log in is the first to log out", [0, 1]],
    ["the last to log in is the first to log out", [1, 0]],
  ] as const)("for one host: %s", async ([, order], { expect }) => {
    const home = await createJob({ peers: peers(), tolerateLeaks: true });
    const before = await home.snapshot();
    const jobs = await Promise.all(
      [0, 1].map(() => createJob({ peers: peers(), tolerateLeaks: true, env: { HOME: home.home } })),
    );
    const robots = [newRobot(peers()), newRobot(peers())];
    const mains: Main[] = [];
    for (const [index, job] of jobs.entries()) {
      mains.push(await logIn(expect, job, { robot: robots[index]?.name ?? "" }));
    }
    const file = join(home.home, ".docker/config.json");
    const [first, last] = order;
    await endsWell(expect, mains[first] as Main);
    expect(userOf((await authsIn(file))[host()])).toBe(robots[last]?.name);
    await endsWell(expect, mains[last] as Main);
    // Its folders too, and those of the roots, whichever job made them.
    expect(differences(before, await home.snapshot())).toEqual([]);
  });

  test("do not restore a token that has expired meanwhile, and do not copy it", async ({ expect }) => {
    const home = await createJob({ peers: peers(), tolerateLeaks: true });
    const file = await home.write(join(home.home, ".docker/config.json"), '{"auths":{}}');
    const job = () => createJob({ peers: peers(), tolerateLeaks: true, env: { HOME: home.home } });
    // It never logs out: its machine is gone.
    await logIn(expect, await job(), { robot: newRobot(peers()).name });
    await expect.poll(async () => livesFor((await authsIn(file))[host()]), { timeout: 10_000 }).toBeLessThan(0);
    const scope = `${host()}/acme`;
    const other = await job();
    const login = await logIn(expect, other, { robot: `${scope}=${newRobot(peers()).name}`, "docker-config": "false" });
    expect(Object.keys(await authsIn(other.exported.REGISTRY_AUTH_FILE ?? ""))).toEqual([scope]);
    await endsWell(expect, login);
    await endsWell(expect, await logIn(expect, await job(), { robot: newRobot(peers()).name }));
    expect(await authsIn(file)).toEqual({});
    expect(await readdir(join(home.home, ".docker"))).toEqual(["config.json"]);
  });
});
