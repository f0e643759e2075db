/** `login --watch`: a login that outlasts its token, for later commands of the same user and for the operator. */
import { readFile, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { describe, type ExpectStatic, test } from "vitest";
import { READ_ONLY } from "../../quay-stand-in/quay/pages.ts";
import { answer, page } from "../../quay-stand-in/scripted.ts";
import type { Machine, Started } from "../../support/command.ts";
import { writeImage } from "../../support/image.ts";
import { differences } from "../../support/leaks.ts";
import { authsIn, entryOf, of, once, type Robot, userOf } from "../world.ts";
import { failed, machineWithToken, newRobot, project, quayOf, resultsOf, useWorld } from "./world.ts";

/** Seconds. A token expires at a whole second, up to one second earlier. */
const life = 6;
const peers = useWorld({ quay: { robotTokenLife: life, leeway: 0 } });
const host = () => peers().registryHost;

interface Watch extends Started {
  readonly machine: Machine & { readonly tokenFile: string };
  readonly robot: Robot;
}

interface WatchOptions {
  readonly more?: readonly string[];
  /** The file's content before; default: no file. */
  readonly content?: string;
  readonly claims?: Record<string, unknown>;
  readonly robot?: Robot;
}

async function start({ more = [], content, claims, robot = newRobot(peers()) }: WatchOptions = {}) {
  const machine = await machineWithToken(peers(), {}, claims);
  if (content !== undefined) await machine.write(machine.usualFile, content, 0o640);
  const before = await machine.snapshot();
  const target = [...quayOf(peers()), "--robot", robot.name, "--token-file", machine.tokenFile];
  const started = await machine.start(["login", ...target, "--watch", ...more]);
  return { ...started, machine, robot, before };
}

/** The same, after its first login. */
async function watching(options: WatchOptions = {}) {
  const watch = await start(options);
  await printed(watch);
  return watch;
}

async function until<T>(
  what: string | (() => string),
  look: () => T | Promise<T>,
  ms = 12_000,
): Promise<NonNullable<T>> {
  for (const end = performance.now() + ms; performance.now() < end; await sleep(20)) {
    const found = await look();
    if (found) return found;
  }
  throw new Error(`never came: ${typeof what === "string" ? what : what()}`);
}

const seen = (watch: Started, text: string, ms?: number) =>
  until(
    () => `${text}\n${watch.shown.stdout}\n${watch.shown.stderr}`,
    () => {
      const { stdout, stderr } = watch.shown;
      return `${stdout}\n${stderr}`.includes(text);
    },
    ms,
  );
/** Waits for its results. */
const printed = ({ shown }: Started) => until("results", () => /^audience /m.test(shown.stdout));
const renewals = ({ shown }: Started): number => shown.stderr.split("The login was renewed").length - 1;
const tokenIn = async (path: string) => (await authsIn(path).catch(() => undefined))?.[host()]?.auth;
const renewed = (watch: Started, count: number, ms?: number) =>
  until(
    () => `${count} renewals\n${watch.shown.stderr}`,
    () => renewals(watch) >= count,
    ms,
  );

/** Sends SIGTERM, and checks the end. */
async function end(expect: ExpectStatic, watch: Watch, signal: NodeJS.Signals = "SIGTERM") {
  const from = performance.now();
  watch.kill(signal);
  const ran = await watch.done;
  expect(watch.began + ran.milliseconds - from).toBeLessThan(1_000);
  expect([ran.code, ran.signal, ran.stderr]).toEqual([0, null, expect.stringContaining(", stopping.")]);
  return ran;
}

const down = (robot: Robot, forSeconds: number) => {
  const over = performance.now() + forSeconds * 1000;
  peers().quay.exchangeScript.always(
    answer(503, "maintenance"),
    (request) => performance.now() < over && of(robot)(request),
  );
};

describe.concurrent("login --watch", () => {
  test("prints its results once, renews in time, and a tool works all the time", async ({ expect }) => {
    const watch = await watching({ more: ["--result", "expires-at=../end"] });
    const { machine, robot } = watch;
    const tokens = new Set([await tokenIn(machine.usualFile)]);
    const ends = new Set([await readFile(join(machine.scratch, "end"), "utf8")]);
    for (let count = 1; count <= 2; count++) {
      await renewed(watch, count);
      tokens.add(await tokenIn(machine.usualFile));
      ends.add(await readFile(join(machine.scratch, "end"), "utf8"));
      const known = await machine.other("skopeo", ["login", "--get-login", host()]);
      expect(known).toMatchObject({ code: 0, stdout: `${robot.name}\n` });
    }
    expect([tokens.size, ends.size]).toEqual([3, 3]);
    const { stdout } = await end(expect, watch);
    expect(resultsOf(stdout)).toMatchObject({ registry: host(), robot: robot.name, "auth-file": machine.usualFile });
    expect(stdout.match(/^registry /gm)).toHaveLength(1);
    // The login is not removed: it expires.
    expect(userOf((await authsIn(machine.usualFile))[host()])).toBe(robot.name);
  }, 60_000);

  test("as JSON: one object, at once", async ({ expect }) => {
    const watch = await start({ more: ["--output", "json"] });
    await seen(watch, '"logged-in"');
    await until("the whole object", () => watch.shown.stdout.trimEnd().endsWith("}"));
    expect(JSON.parse(watch.shown.stdout)).toMatchObject({ "logged-in": true, registry: host() });
    await renewed(watch, 1);
    const { stdout } = await end(expect, watch);
    expect(JSON.parse(stdout)).toMatchObject({ "logged-in": true });
  });

  test("exits as login does if the first login fails, and leaves nothing", async ({ expect }) => {
    const watch = await start({ robot: { ...newRobot(peers()), name: "acme+nobody" }, more: ["--on-lapse=retry"] });
    failed(expect, await watch.done, 1, "robot-not-found");
    expect(differences(watch.before, await watch.machine.snapshot())).toEqual([]);
  });

  test("exits with 75 on a temporary failure of the first login", async ({ expect }) => {
    const robot = newRobot(peers());
    peers().quay.exchangeScript.always(page(READ_ONLY), of(robot));
    const ran = await (await start({ robot, more: ["--on-lapse=retry", "--output=json"] })).done;
    failed(expect, ran, 75, "quay-read-only");
  });

  test.for(["SIGTERM", "SIGINT", "SIGHUP"] as const)("%s ends it within a second", async (signal, { expect }) => {
    const watch = await watching();
    await end(expect, watch, signal);
    expect(await tokenIn(watch.machine.usualFile)).toBeTruthy();
  });

  test("ends on a signal during a renewal, and keeps the current login whole", async ({ expect }) => {
    const watch = await watching();
    const token = await tokenIn(watch.machine.usualFile);
    let asked = false;
    peers().quay.exchangeScript.always({ kind: "hang" }, (request) => {
      asked ||= of(watch.robot)(request);
      return of(watch.robot)(request);
    });
    await until("a renewal", () => asked);
    await end(expect, watch);
    expect(await tokenIn(watch.machine.usualFile)).toBe(token);
  });

  test.for([undefined, 1])(
    "--logout-on-exit restores the earlier content byte for byte, after %s renewals",
    async (count, { expect }) => {
      const text = () =>
        `{ "auths": {\n "${host()}": ${JSON.stringify(entryOf("old", "an-old-password"))}},  "z": [1]}\n\n`;
      const watch = await watching({ content: text(), more: ["--logout-on-exit", "--docker-config=true"] });
      if (count) await renewed(watch, count);
      expect(userOf((await authsIn(watch.machine.usualFile))[host()])).toBe(watch.robot.name);
      const { stderr } = await end(expect, watch);
      expect(stderr).toContain(`Logged out of ${host()}`);
      expect(differences(watch.before, await watch.machine.snapshot())).toEqual([]);
    },
  );

  test("--logout-on-exit keeps what others have written meanwhile", async ({ expect }) => {
    const watch = await watching({ more: ["--logout-on-exit"] });
    const { machine } = watch;
    await renewed(watch, 1);
    const args = ["login", "--username", "admin", "--password", "password", `${host()}/other`];
    expect(await machine.other("skopeo", args, { env: { SSL_CERT_FILE: peers().caFile } })).toMatchObject({ code: 0 });
    await renewed(watch, 2);
    await end(expect, watch);
    expect(Object.entries(await authsIn(machine.usualFile)).map(([scope, entry]) => [scope, userOf(entry)])).toEqual([
      [`${host()}/other`, "admin"],
    ]);
  });

  test("survives an outage of Quay, with warnings", async ({ expect }) => {
    const watch = await watching();
    const first = await tokenIn(watch.machine.usualFile);
    // Read-only mode is a 503 that a login does not retry.
    for (let count = 0; count < 2; count++) peers().quay.exchangeScript.always(page(READ_ONLY), once(of(watch.robot)));
    await seen(watch, "The login could not be renewed.");
    await renewed(watch, 1);
    expect(await tokenIn(watch.machine.usualFile)).not.toBe(first);
    const { stderr } = await end(expect, watch);
    expect(stderr.match(/could not be renewed/g)).toHaveLength(2);
    // The remedy is printed once; each attempt and each renewal is a line.
    expect(stderr.match(/explain quay-read-only/g)).toHaveLength(1);
    expect(stderr.split("\n").filter((line) => /Identity:|^ {2}issuer|Logged in to/.test(line))).toHaveLength(2);
    expect(stderr).toMatch(/Retrying (?:at once|in \d\.\d s); the login expires at /);
    expect(stderr).not.toContain("login-lapsed");
  });

  test("exits with 75 when the login has lapsed", async ({ expect }) => {
    const watch = await watching({ more: ["--timeout=3"] });
    down(watch.robot, 60);
    const ran = await watch.done;
    const stderr = failed(expect, ran, 75, "login-lapsed");
    expect(stderr).toMatch(/The login expired at \S+ before it could be renewed\.\n(?:.*\n)*.*The last attempt:/);
    expect(ran.milliseconds).toBeLessThan((life + 6) * 1000);
  });

  test("--on-lapse retry keeps trying, with warnings, and recovers", async ({ expect }) => {
    const watch = await watching({ more: ["--timeout=3", "--on-lapse", "retry"] });
    down(watch.robot, life + 3);
    await seen(watch, "login-lapsed");
    await renewed(watch, 1, 20_000);
    await renewed(watch, 2);
    const { stderr } = await end(expect, watch);
    expect(stderr.split("explain login-lapsed")).toHaveLength(2);
  }, 60_000);

  test("writes a deleted auth file and its folder again within 2 s", async ({ expect }) => {
    const watch = await watching({ more: ["--logout-on-exit"] });
    const { machine } = watch;
    for (const path of [machine.usualFile, join(machine.usualFile, "..")]) {
      await rm(path, { recursive: true });
      await until("the file", () => tokenIn(machine.usualFile), 2_000);
      expect((await stat(machine.usualFile)).mode & 0o777).toBe(0o600);
    }
    expect(watch.shown.stderr).toContain("its entry was gone from the auth file");
    await end(expect, watch);
    expect(differences(watch.before, await machine.snapshot())).toEqual([]);
  });

  test("--session: after a kill, logout removes the login, or a new login takes it over", async ({ expect }) => {
    const content = `{"auths": {"${host()}": ${JSON.stringify(entryOf("old", "an-old-password"))}} }\n`;
    const session = ["--session", "../session"];
    const watch = await watching({ content, more: session });
    const { machine, robot, before } = watch;
    await renewed(watch, 1);
    watch.kill("SIGKILL");
    expect(await watch.done).toMatchObject({ signal: "SIGKILL" });
    expect(userOf((await authsIn(machine.usualFile))[host()])).toBe(robot.name);
    const target = [...quayOf(peers()), "--robot", robot.name, "--token-file", machine.tokenFile];
    const next = await machine.start(["login", ...target, "--watch", ...session]);
    await printed(next);
    await renewed(next, 1);
    await end(expect, { ...next, machine, robot });
    // Without --logout-on-exit the session is kept for a logout.
    expect(await machine.run(["logout", ...session])).toMatchObject({ code: 0 });
    expect(differences(before, await machine.snapshot())).toEqual([]);
  });

  test("--session and --logout-on-exit: nothing is left to log out of", async ({ expect }) => {
    const watch = await watching({ more: ["--session", "../session", "--logout-on-exit"] });
    await end(expect, watch);
    expect(await watch.machine.run(["logout", "--session", "../session", "--output=json"])).toMatchObject({ code: 0 });
    expect(differences(watch.before, await watch.machine.snapshot())).toEqual([]);
  });

  test("notices within 2 s that the kubelet has replaced the token file", async ({ expect }) => {
    const machine = await machineWithToken(peers());
    const robot = newRobot(peers());
    const tokenFile = await project(machine, await peers().issuer.sign(), "..2026_01");
    const target = [...quayOf(peers()), "--robot", robot.name, "--token-file", tokenFile];
    const watch = await machine.start(["login", ...target, "--watch"]);
    await printed(watch);
    const first = await tokenIn(machine.usualFile);
    await sleep(1_000); // two robot tokens of one second would be the same
    await project(machine, await peers().issuer.sign(), "..2026_02");
    await seen(watch, "the identity token was replaced", 2_000);
    expect(await tokenIn(machine.usualFile)).not.toBe(first);
    await end(expect, { ...watch, machine, robot });
  });

  test("warns of an identity that can't be fetched again, and ends with the login", async ({ expect }) => {
    const robot = newRobot(peers());
    const ends = Math.floor(Date.now() / 1000) + 4;
    const token = await peers().issuer.sign({ exp: ends });
    const machine = await machineWithToken(peers(), { env: { QUAY_ID_TOKEN: token } });
    const target = [...quayOf(peers()), "--robot", robot.name, "--token-env", "QUAY_ID_TOKEN"];
    const ran = await machine.run(["login", ...target, "--watch", "--on-lapse=retry"]);
    const stderr = failed(expect, ran, 75, "login-lapsed");
    const end = new Date(ends * 1000).toISOString().replace(".000", "");
    expect(stderr).toContain(`will not be renewed: its identity token expires at ${end} and can't be fetched again`);
    expect(renewals({ shown: ran } as unknown as Started)).toBe(0);
  });

  test.for([
    ["--on-lapse", ["--on-lapse=retry"], "--watch --on-lapse retry"],
    ["--logout-on-exit", ["--logout-on-exit"], "--logout-on-exit"],
    ["both", ["--logout-on-exit", "--on-lapse=retry"], "--watch"],
    ["--export-token", ["--watch", "--export-token"], "--export-token"],
    ["an unknown value of --on-lapse", ["--watch", "--on-lapse=ignore"], "exit, retry"],
  ] as const)("wrong use: %s", async ([, more, says], { expect }) => {
    const machine = await machineWithToken(peers());
    const before = await machine.snapshot();
    const target = [...quayOf(peers()), "--robot", "acme+ci", "--token-file", machine.tokenFile];
    expect(failed(expect, await machine.run(["login", ...target, ...more]), 2, "invalid-input")).toContain(says);
    expect(differences(before, await machine.snapshot())).toEqual([]);
  });
});

test("real pulls for five lifetimes, while tokens expire and rotate, and none fails", async ({ expect }) => {
  // A renewal has a fifth of it, less the second of rounding, on a machine that may be busy.
  const lasting = 12;
  peers().quay.settings.robotTokenLife = lasting;
  const robot = newRobot(peers());
  const machine = await machineWithToken(peers());
  let rotations = 1;
  const rotate = async () => project(machine, await peers().issuer.sign(), `..2026_0${rotations++}`);
  const tokenFile = await rotate();
  const image = await writeImage(join(machine.scratch, "image"));
  const there = `docker://${host()}/${robot.repository}:v1`;
  const target = [...quayOf(peers()), "--robot", robot.name, "--token-file", tokenFile];
  const watch = await machine.start(["login", ...target, "--watch"]);
  await printed(watch);
  const env = { SSL_CERT_FILE: peers().caFile };
  expect(await machine.other("skopeo", ["copy", image.reference, there], { env })).toMatchObject({ code: 0 });

  const tokens = new Set<string | undefined>();
  const from = performance.now();
  let pulls = 0;
  for (let lived = 0; lived < 5 * lasting; lived = (performance.now() - from) / 1000) {
    tokens.add(await tokenIn(machine.usualFile));
    const pulled = await machine.other("skopeo", ["copy", there, `dir:${machine.scratch}/pulled`], { env });
    expect([pulled, lived, watch.shown.stderr]).toMatchObject([{ code: 0, stderr: "" }, {}, {}]);
    pulls++;
    // About once per lifetime, at varying moments.
    if (lived / (lasting * 0.9) >= rotations) await rotate();
    await sleep(50);
  }
  expect(tokens.size).toBeGreaterThanOrEqual(6);
  expect(pulls).toBeGreaterThan(2 * tokens.size);
  expect(rotations).toBeGreaterThanOrEqual(5);
  const { stderr } = await end(expect, { ...watch, machine, robot });
  expect(stderr).not.toContain("Warning:");
  expect(stderr).toContain("the identity token was replaced");
}, 120_000);
