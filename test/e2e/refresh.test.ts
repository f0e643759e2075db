/** `refresh: true`: a login that outlives its token while the job's later steps run, and what post does with it. */
import { execFile, spawn } from "node:child_process";
import { readdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { promisify } from "node:util";
import { describe, type ExpectStatic, test } from "vitest";
import { makeFolder } from "../fixtures.ts";
import { READ_ONLY } from "../quay-stand-in/quay/pages.ts";
import { answer, hang, page } from "../quay-stand-in/scripted.ts";
import { createJob } from "../support/action.ts";
import { writeImage } from "../support/image.ts";
import type { Background, Job, JobOptions, Main } from "../support/job.ts";
import { differences, type Entry } from "../support/leaks.ts";
import type { Inputs } from "../support/runner.ts";
import { asking, authsIn, entryOf, newRobot, of, once, type Robot, until, usePeers, userOf } from "./world.ts";

/** Seconds. A token's expiry is in whole ones: its life may be up to one second shorter. */
const life = 6;
const peers = usePeers({ quay: { robotTokenLife: life, leeway: 0 } });
const host = () => peers().registryHost;

interface Kept {
  readonly job: Job;
  readonly main: Main;
  readonly robot: Robot;
  readonly session: string;
  readonly path: string;
  readonly background: Background;
  readonly before: Map<string, Entry>;
}

const oddFile = () =>
  `{"auths":\n {  "${host()}":${JSON.stringify(entryOf("old", "an-old-password"))} }, "z": 1, "a": 2}\n\n`;

async function keepAlive(expect: ExpectStatic, inputs: Inputs = {}, options: Partial<JobOptions> = {}): Promise<Kept> {
  const robot = newRobot(peers());
  const job = await createJob({ peers: peers(), ...options });
  const path = await job.write(join(job.temp, "auth.json"), oddFile());
  const before = await job.snapshot();
  const main = await job.run({
    ...{ robot: robot.name, audience: robot.audience, "auth-file": path, refresh: "true", timeout: "5" },
    ...inputs,
  });
  expect([main.code, main.annotations]).toEqual([0, []]);
  const session = main.state.session ?? "";
  const background = (await job.background(session)) ?? expect.unreachable(`nothing runs\n${main.shown}`);
  return { job, main, robot, session, path, background, before };
}

const logOf = ({ session }: Pick<Kept, "session">) => readFile(join(session, "refresh.log"), "utf8").catch(() => "");
const renewals = async (kept: Pick<Kept, "session">) => (await logOf(kept)).split("The login was renewed").length - 1;
const isRunning = async ({ pid }: Background) => {
  const stat = await readFile(`/proc/${pid}/stat`, "utf8").catch(() => "");
  return stat !== "" && !/^\d+ \(.*\) Z/.test(stat);
};

/** Processes of the job. */
async function processesOf(job: Job): Promise<string[]> {
  const ids = (await readdir("/proc")).filter((name) => /^\d+$/.test(name));
  const commands = await Promise.all(ids.map((id) => readFile(`/proc/${id}/cmdline`, "utf8").catch(() => "")));
  return commands.filter((command) => command.includes(job.scratch));
}

/** Expects that post reported the lapse, once everything was removed. */
async function lapsed(expect: ExpectStatic, { job, main, before, background }: Kept, says: string | RegExp) {
  const post = await main.post();
  expect(post).toMatchObject({ code: 1, annotations: [{ level: "error", title: "quay-keyless-login: login-lapsed" }] });
  expect(post.annotations[0]?.message).toMatch(says);
  expect(post.annotations[0]?.message).toContain("docs/troubleshooting.md#login-lapsed");
  expect(post.shown).toContain("Logged out of");
  expect(differences(before, await job.snapshot())).toEqual([]);
  expect(await isRunning(background)).toBe(false);
  return post;
}

async function endsWell(expect: ExpectStatic, { job, main, before, background }: Kept) {
  const post = await main.post();
  expect(post).toMatchObject({ code: 0, annotations: [] });
  expect(differences(before, await job.snapshot())).toEqual([]);
  expect(await isRunning(background)).toBe(false);
  expect(await processesOf(job)).toEqual([]);
  return post;
}

describe.concurrent("refresh: true", () => {
  test("renews in the private file, and in docker's too", async ({ expect }) => {
    const kept = await keepAlive(expect, { "auth-file": "" });
    const files = [join(kept.session, "auth.json"), join(kept.job.home, ".docker/config.json")];
    const tokens = await Promise.all(files.map(async (file) => (await authsIn(file))[host()]?.auth));
    await expect.poll(() => renewals(kept), { timeout: 10_000 }).toBe(1);
    for (const [index, file] of files.entries()) {
      const entry = (await authsIn(file))[host()];
      expect(userOf(entry)).toBe(kept.robot.name);
      expect(entry?.auth).not.toBe(tokens[index]);
    }
    await endsWell(expect, kept);
  });

  test("post does not wait for a log and a record that have become pipes, and removes the login", async ({
    expect,
  }) => {
    const kept = await keepAlive(expect);
    for (const name of ["refresh.log", "refresh.lapsed"]) {
      await rm(join(kept.session, name), { force: true });
      await promisify(execFile)("mkfifo", [join(kept.session, name)]);
    }
    process.kill(kept.background.pid); // no record names it any more
    const post = await kept.main.post();
    expect(post.milliseconds).toBeLessThan(8_000);
    expect(post.annotations).toMatchObject([{ title: "quay-keyless-login: login-lapsed" }]);
    expect(post.shown).toContain("refresh.log is a pipe, a socket or a device, not a file.");
    expect(post.shown).toContain("Logged out of");
    expect(differences(kept.before, await kept.job.snapshot())).toEqual([]);
  });

  test("its process has no secret in argv and environment, outlives main, and ends with the job", async ({
    expect,
  }) => {
    const kept = await keepAlive(expect);
    const { argv, env, stdin, pid } = kept.background;
    expect(argv.some((arg) => arg.endsWith("/dist/refresh/index.js"))).toBe(true);
    // Apart from that, options of Node and the session's path.
    expect(argv.slice(1).filter((arg) => !/^--[a-z-]+$|\/index\.js$/.test(arg) && arg !== kept.session)).toEqual([]);
    const names = env.split("\0").map((line) => line.split("=")[0]);
    expect(names).toEqual(expect.arrayContaining(["HOME", "PATH", "RUNNER_TRACKING_ID"]));
    expect(names.filter((name) => /^(?:ACTIONS_|INPUT_|GITHUB_|STATE_)/.test(name ?? ""))).toEqual([]);
    expect(env).toContain("RUNNER_TRACKING_ID=github_7b4cf03c-3a0e-4d8c-9b0e-2a5f7d1c9e60");
    expect(stdin).toMatch(/^(?:pipe|socket):/);
    // Its parent is gone, and it leads a session: a signal to the step's group does not reach it.
    const [, group, session] =
      (await readFile(`/proc/${pid}/stat`, "utf8")).split(") ")[1]?.split(" ").slice(1, 4) ?? [];
    expect([group, session].map(Number)).toEqual([pid, pid]);
    expect(await readdir(kept.session)).toEqual(expect.arrayContaining(["refresh.log", "session.json"]));
    await endsWell(expect, kept);
  });

  test("trusts what the step trusted, by Node's own variables, and gets no others", async ({ expect }) => {
    const roots = join(await makeFolder(), "roots.pem");
    const both = [peers().caFile, peers().githubEnv.NODE_EXTRA_CA_CERTS ?? ""].map((path) => readFile(path, "utf8"));
    await writeFile(roots, (await Promise.all(both)).join("\n"));
    const env = {
      NODE_EXTRA_CA_CERTS: roots,
      NODE_USE_SYSTEM_CA: "1",
      NODE_OPTIONS: "--no-warnings",
      SSL_CERT_DIR: peers().certDir,
      NPM_TOKEN: "not-to-be-handed-on",
      NODE_AUTH_TOKEN: "not-to-be-handed-on",
    };
    const kept = await keepAlive(expect, { "ca-file": "" }, { env });
    const names = kept.background.env.split("\0").map((line) => line.split("=")[0]);
    expect(names.filter((name) => name && name in env)).toEqual(
      expect.arrayContaining(["NODE_EXTRA_CA_CERTS", "NODE_USE_SYSTEM_CA", "NODE_OPTIONS", "SSL_CERT_DIR"]),
    );
    expect(kept.background.env).not.toContain("not-to-be-handed-on");
    await expect.poll(() => renewals(kept), { timeout: 15_000 }).toBeGreaterThan(0);
    expect((await kept.main.post()).shown).not.toContain("could not be renewed");
  });

  test("runs one process for each session", async ({ expect }) => {
    const kept = await keepAlive(expect);
    const own = async () => (await processesOf(kept.job)).filter((command) => !command.includes("skopeo"));
    const all = await readdir("/proc");
    const children = await Promise.all(all.map((id) => readFile(`/proc/${id}/environ`, "utf8").catch(() => "")));
    expect(
      children.filter((env) => env.includes(`HOME=${kept.job.home}\0`) && env.includes("RUNNER_TRACKING_ID")),
    ).toHaveLength(1);
    await endsWell(expect, kept);
    expect(await own()).toEqual([]);
  });

  test("survives an outage, and logs it in post", async ({ expect }) => {
    const kept = await keepAlive(expect);
    for (let count = 0; count < 2; count++) peers().quay.exchangeScript.always(page(READ_ONLY), once(of(kept.robot)));
    await expect.poll(() => renewals(kept), { timeout: 12_000 }).toBe(1);
    const { shown } = await endsWell(expect, kept);
    expect(shown.match(/The login could not be renewed/g)).toHaveLength(2);
  });

  test("a login that has expired fails post, after everything is removed", async ({ expect }) => {
    const kept = await keepAlive(expect, { timeout: "3" });
    peers().quay.exchangeScript.always(answer(503, "maintenance"), of(kept.robot));
    await until(async () => (await readdir(kept.session)).includes("refresh.lapsed"), "the lapse");
    const { shown } = await lapsed(
      expect,
      kept,
      /not valid during the whole job(?:.|\n)*The login expired at \S+ before/,
    );
    expect(shown).toContain("The login could not be renewed");
  }, 60_000);

  test("one that was renewed later had expired meanwhile", async ({ expect }) => {
    const kept = await keepAlive(expect, { timeout: "3" });
    const end = performance.now() + (life + 1.5) * 1000;
    peers().quay.exchangeScript.always(
      answer(503, "maintenance"),
      (request) => performance.now() < end && of(kept.robot)(request),
    );
    await until(async () => (await readdir(kept.session)).includes("refresh.lapsed"), "the lapse");
    await expect.poll(() => renewals(kept), { timeout: 12_000 }).toBeGreaterThan(0);
    await lapsed(expect, kept, /not valid during the whole job/);
  }, 60_000);

  test("is killed if it hangs", async ({ expect }) => {
    const kept = await keepAlive(expect);
    process.kill(kept.background.pid, "SIGSTOP");
    const post = await endsWell(expect, kept);
    expect(post.milliseconds).toBeGreaterThan(1_900);
    expect(post.milliseconds).toBeLessThan(5_000);
  });

  test("ends at once in the middle of a renewal, its tools too", async ({ expect }) => {
    const kept = await keepAlive(expect);
    let asked = false;
    peers().quay.exchangeScript.always(hang(), (request) => {
      const ours = of(kept.robot)(request);
      asked ||= ours;
      return ours;
    });
    await until(() => asked, "a renewal");
    const post = await endsWell(expect, kept);
    expect(post.milliseconds).toBeLessThan(1_500);
  });

  test("post fails, and says so, if it was killed early", async ({ expect }) => {
    const kept = await keepAlive(expect);
    process.kill(kept.background.pid, "SIGKILL");
    await until(async () => !(await isRunning(kept.background)), "its end");
    await lapsed(expect, kept, /renews the login ended before the job/);
  });

  test("post removes what a renewal has begun that was killed", async ({ expect }) => {
    const kept = await keepAlive(expect);
    let asked = false;
    peers().quay.authScript.always(hang(), (request) => {
      const ours = of(kept.robot)(request);
      asked ||= ours;
      return ours;
    });
    await until(() => asked, "a tool's login");
    process.kill(kept.background.pid, "SIGKILL");
    await until(async () => !(await isRunning(kept.background)), "its end");
    await lapsed(expect, kept, /renews the login ended before the job/);
  });

  test("no file makes post end another process, or keeps it from ending its own", async ({ expect }) => {
    const kept = await keepAlive(expect);
    // One that only differs from ours in its folder, and that a record of an earlier version names.
    const script = kept.background.argv.at(-2) ?? "";
    const lookalike = spawn(
      process.execPath,
      ["-e", "setTimeout(() => {}, 60_000)", script, `${kept.session}-of-another`],
      { stdio: "ignore" },
    );
    await writeFile(join(kept.session, "refresh.json"), JSON.stringify({ pid: lookalike.pid, started: "0" }));
    try {
      expect(await kept.main.post()).toMatchObject({ code: 0, annotations: [] });
      expect(await isRunning(kept.background)).toBe(false);
      expect(lookalike).toMatchObject({ exitCode: null, signalCode: null });
    } finally {
      lookalike.kill("SIGKILL");
    }
  });

  test("is stopped with logout: false, and the login stays", async ({ expect }) => {
    const kept = await keepAlive(expect, { logout: "false" });
    await expect.poll(() => renewals(kept), { timeout: 10_000 }).toBe(1);
    const post = await kept.main.post();
    expect(post).toMatchObject({ code: 0, annotations: [] });
    expect(post.shown).toContain("The login was not removed (logout: false).");
    expect(post.shown).toContain("The login was renewed");
    expect(await isRunning(kept.background)).toBe(false);
    expect(userOf((await authsIn(kept.path))[host()])).toBe(kept.robot.name);
  });

  test("warns of the expiry of an identity that can't be fetched again, and fails only after it", async ({
    expect,
  }) => {
    const token = await peers().issuer.sign({ exp: Math.floor(Date.now() / 1000) + 4 });
    const inputs = { "token-env": "QUAY_ID_TOKEN", audience: "quay" };
    const kept = await keepAlive(expect, inputs, { env: { QUAY_ID_TOKEN: token } });
    await until(async () => (await logOf(kept)).includes("will not be renewed"), "the warning");
    const { shown } = await endsWell(expect, kept);
    expect(shown).toMatch(/The login expires at \S+ and will not be renewed: its identity token expires at /);
    expect(shown).not.toContain("The login was renewed");
  });

  test("the same, if the job lasted longer than the login: post fails", async ({ expect }) => {
    const token = await peers().issuer.sign({ exp: Math.floor(Date.now() / 1000) + 4 });
    const inputs = { "token-env": "QUAY_ID_TOKEN", audience: "quay" };
    const kept = await keepAlive(expect, inputs, { env: { QUAY_ID_TOKEN: token } });
    await until(async () => !(await isRunning(kept.background)), "the lapse");
    await lapsed(expect, kept, /The login expired at \S+ before it could be renewed/);
  });

  test("restores a file that a later step deletes", async ({ expect }) => {
    const kept = await keepAlive(expect);
    await rm(kept.path);
    await until(
      async () => userOf((await authsIn(kept.path).catch(() => ({})))[host() as never]) === kept.robot.name,
      "the file",
    );
    expect(await kept.main.post()).toMatchObject({ code: 0, annotations: [] });
    expect([...(await kept.job.snapshot()).keys()].filter((each) => each.startsWith(kept.path))).toEqual([]);
  });

  test("keeps what later steps write to the file", async ({ expect }) => {
    const kept = await keepAlive(expect, { "docker-config": "false" });
    const args = ["login", "--username", "admin", "--password", "password", `${host()}/other`];
    expect(await kept.job.later("skopeo", args)).toMatchObject({ code: 0 });
    await expect.poll(() => renewals(kept), { timeout: 10_000 }).toBe(1);
    expect(await kept.main.post()).toMatchObject({ code: 0, annotations: [] });
    const users = Object.entries(await authsIn(kept.path)).map(([scope, entry]) => [scope, userOf(entry)]);
    expect(Object.fromEntries(users)).toEqual({ [host()]: "old", [`${host()}/other`]: "admin" });
  });

  test("leaves nothing running after a main that failed", async ({ expect }) => {
    const robot = newRobot(peers());
    const job = await createJob({ peers: peers() });
    peers().github.script.always(answer(403, "no"), asking(robot));
    const before = await job.snapshot();
    const main = await job.run({ robot: robot.name, audience: robot.audience, refresh: "true", timeout: "5" });
    expect(main.code).toBe(1);
    expect(await job.background(main.state.session)).toBeUndefined();
    expect(await main.post()).toMatchObject({ code: 0, annotations: [] });
    expect(differences(before, await job.snapshot())).toEqual([]);
    expect(await processesOf(job)).toEqual([]);
  });

  test("post runs twice, and without the session's folder", async ({ expect }) => {
    const kept = await keepAlive(expect);
    await endsWell(expect, kept);
    expect(await kept.main.post()).toMatchObject({ code: 0, annotations: [] });
    const other = await keepAlive(expect, {}, { tolerateLeaks: true });
    await rm(other.session, { recursive: true });
    const post = await other.main.post();
    expect(post.annotations).toMatchObject([{ title: "quay-keyless-login: logout-incomplete" }]);
    expect(await isRunning(other.background)).toBe(false);
    expect(await authsIn(other.path)).toEqual({});
  });

  test("post names what may be left if the session's folder is gone after a renewal, and deletes nothing that may be another's", async ({
    expect,
  }) => {
    const kept = await keepAlive(expect, {}, { tolerateLeaks: true });
    await expect.poll(() => renewals(kept), { timeout: 10_000 }).toBe(1);
    await rm(kept.session, { recursive: true });
    const post = await kept.main.post();
    expect(post.code).toBe(1);
    expect(post.annotations[0]?.message).toContain(`skopeo logout --authfile ${kept.path} ${host()}`);
    expect(await isRunning(kept.background)).toBe(false);
    expect(userOf((await authsIn(kept.path))[host()])).toBe(kept.robot.name);
  });
});

test("refresh: true keeps later steps logged in for several lives of a token; post shows how, and restores everything", async ({
  expect,
}) => {
  // The renewal has a fifth of it, less the second that the expiry is rounded by, on a machine that may be busy.
  const lasting = 12;
  peers().quay.settings.robotTokenLife = lasting;
  const kept = await keepAlive(expect, { timeout: "120" });
  const { job, robot, path, main } = kept;
  expect(main.shown).toContain("A background process renews the login until the post step");
  const image = await writeImage(join(job.scratch, "image"));
  const there = `docker://${host()}/${robot.repository}:v1`;
  expect(await job.later("skopeo", ["copy", image.reference, there])).toMatchObject({ code: 0, stderr: "" });
  const tokens = new Set<string | undefined>();
  for (const from = performance.now(); performance.now() - from < 3 * lasting * 1000; await sleep(100)) {
    tokens.add((await authsIn(path))[host()]?.auth);
    const pulled = await job.later("skopeo", ["copy", there, `dir:${job.scratch}/pulled`]);
    expect([pulled, await logOf(kept)]).toMatchObject([{ code: 0, stderr: "" }, {}]);
  }
  expect(tokens.size).toBeGreaterThanOrEqual(4);
  const { shown } = await endsWell(expect, kept);
  const [, group = ""] = /Renewals of the login((?:.|\n)*?)(?:::endgroup::|Logged out of)/.exec(shown) ?? [];
  expect(group.match(/The login was renewed/g)?.length).toBeGreaterThanOrEqual(3);
}, 90_000);
