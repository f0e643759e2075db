/** The cache of the credential helper: when a token comes from it, and what it survives. */
import { chmod, chown, mkdir, readdir, readFile, rename, rm, stat, symlink, utimes, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { describe, type ExpectStatic, test } from "vitest";
import { hang, slow } from "../../quay-stand-in/scripted.ts";
import { isRoot, needsRoot } from "../../support/root.ts";
import { of } from "../world.ts";
import { exchangesOf, type HelperMachine, helperMachine, useWorld } from "./world.ts";

const peers = useWorld({ registry: false });

const get = (machine: HelperMachine, env: Record<string, string> = {}) =>
  machine.ask("get", peers().registryHost, { env });

/** Expects a token, and so many exchanges of the machine's robot so far. */
async function expectToken(
  expect: ExpectStatic,
  machine: HelperMachine,
  exchanges: number,
  env: Record<string, string> = {},
) {
  const ran = await get(machine, env);
  expect([ran.code, ran.stderr]).toEqual([0, ""]);
  expect(exchangesOf(peers(), machine.robot.name)).toBe(exchanges);
  return JSON.parse(ran.stdout).Secret as string;
}

async function editEntry(machine: HelperMachine, edit: (entry: Record<string, unknown>) => unknown) {
  const cache = JSON.parse(await readFile(machine.cache, "utf8"));
  cache.entries.forEach(edit);
  await writeFile(machine.cache, JSON.stringify(cache));
}

const inSeconds = (seconds: number) => Math.floor(Date.now() / 1000) + seconds;

describe.concurrent("a token from the cache", () => {
  test("is handed out again, without network", async ({ expect }) => {
    const machine = await helperMachine(peers());
    const token = await expectToken(expect, machine, 1);
    const [file, folder] = await Promise.all([stat(machine.cache), stat(dirname(machine.cache))]);
    expect([file.mode & 0o777, folder.mode & 0o777]).toEqual([0o600, 0o700]);
    expect(await expectToken(expect, machine, 1)).toBe(token);
    expect(await readdir(dirname(machine.cache))).toEqual(["cache.json"]);
  });

  test.for([
    ["more than half of its life is left", 1_850, true],
    ["all of its life is left", 3_595, true],
    ["less than half of its life is left", 1_750, false],
    ["it has expired", -10, false],
    ["the clock was set back since", 3_700, false],
  ] as const)("if %s: %i of 3600 s, %s", async ([, left, isHit], { expect }) => {
    const machine = await helperMachine(peers());
    await expectToken(expect, machine, 1);
    await editEntry(machine, (entry) => {
      entry.expiresAt = inSeconds(left);
    });
    await expectToken(expect, machine, isHit ? 1 : 2);
    await expectToken(expect, machine, isHit ? 1 : 2);
  });

  test("not for another subject, nor without a token", async ({ expect }) => {
    const machine = await helperMachine(peers());
    await expectToken(expect, machine, 1);
    await machine.write(machine.tokenFile, await peers().issuer.sign({ sub: "another" }));
    const refused = await get(machine);
    expect([refused.code, refused.stdout]).toEqual([1, expect.stringContaining("does not match")]);
    await machine.write(machine.tokenFile, "no token");
    expect((await get(machine)).code).toBe(1);
    await rm(machine.tokenFile);
    expect((await get(machine)).stdout).toContain("does not exist");
    await machine.write(machine.tokenFile, await peers().issuer.sign({ jti: "a newer one" }));
    await expectToken(expect, machine, 2); // the refused one was an exchange too
  });

  test("for a token in a variable too", async ({ expect }) => {
    const machine = await helperMachine(peers());
    const env = { QUAY_KEYLESS_TOKEN_FILE: "", QUAY_KEYLESS_TOKEN_ENV: "MY_TOKEN" };
    const MY_TOKEN = await peers().issuer.sign({});
    await expectToken(expect, machine, 1, { ...env, MY_TOKEN });
    await expectToken(expect, machine, 1, { ...env, MY_TOKEN: `${MY_TOKEN}\n` });
    expect((await get(machine, env)).stdout).toContain("MY_TOKEN");
    await expectToken(expect, machine, 2); // in the file it is of another source
  });

  test("not for another robot or audience", async ({ expect }) => {
    const [machine, other] = [await helperMachine(peers()), await helperMachine(peers())];
    await expectToken(expect, machine, 1);
    const ran = await get(machine, { QUAY_KEYLESS_ROBOT: other.robot.name });
    expect(JSON.parse(ran.stdout).Username).toBe(other.robot.name);
    expect(exchangesOf(peers(), other.robot.name)).toBe(1);
    await get(machine, { QUAY_KEYLESS_AUDIENCE: "another" });
    expect(exchangesOf(peers(), machine.robot.name)).toBe(2);
    await expectToken(expect, machine, 2);
    expect(JSON.parse(await readFile(machine.cache, "utf8")).entries).toHaveLength(3);
  });

  test("on GitHub for this job alone", async ({ expect }) => {
    const machine = await helperMachine(peers());
    const job = { ...peers().githubEnv, QUAY_KEYLESS_TOKEN_FILE: "", GITHUB_RUN_ID: "1", GITHUB_JOB: "build" };
    await expectToken(expect, machine, 1, job);
    await expectToken(expect, machine, 1, job);
    await expectToken(expect, machine, 2, { ...job, GITHUB_JOB: "test" });
    await expectToken(expect, machine, 3, { ...job, GITHUB_RUN_ID: "2" });
    const outside = await get(machine, { QUAY_KEYLESS_TOKEN_FILE: "" });
    expect([outside.code, outside.stdout]).toEqual([1, "No identity token was found for this job.\n"]);
  });
});

describe.concurrent("there is no cache", () => {
  test.for([
    ["in a CI job without a folder of its own", { CI: "true" }],
    ["if it is off", { QUAY_KEYLESS_CACHE: "OFF" }],
    ["without a runtime folder", { XDG_RUNTIME_DIR: "" }],
    ["if the runtime folder is a relative path", { XDG_RUNTIME_DIR: "run" }],
    ["if there is no such folder", { XDG_RUNTIME_DIR: "/nowhere" }],
  ] as const)("%s", async ([, env], { expect }) => {
    const machine = await helperMachine(peers());
    await expectToken(expect, machine, 1, env);
    await expectToken(expect, machine, 2, env);
    expect(await readdir(machine.runtime)).toEqual([]);
    expect(await readdir(machine.work)).toEqual([]);
  });

  test("if others may enter the runtime folder", async ({ expect }) => {
    const machine = await helperMachine(peers());
    await chmod(machine.runtime, 0o755);
    await expectToken(expect, machine, 1);
    await expectToken(expect, machine, 2);
  });

  test("but in a CI job beside the configuration that a wrapper names", async ({ expect }) => {
    const machine = await helperMachine(peers());
    const folder = join(machine.home, "session");
    await mkdir(folder, { mode: 0o700 });
    const entry = { robot: machine.robot.name, "token-file": machine.tokenFile, "ca-file": peers().caFile };
    const content = JSON.stringify({ version: 1, registries: { [peers().registryHost]: entry } });
    const file = await machine.write(join(folder, "config.json"), content);
    for (const more of [{}, {}, { QUAY_KEYLESS_CACHE: "off" }]) {
      const ran = await machine.ask(`--configuration ${file} get`, peers().registryHost, {
        env: { CI: "true", ...more },
      });
      expect(ran.code).toBe(0);
    }
    expect(exchangesOf(peers(), machine.robot.name)).toBe(2);
    expect((await readdir(folder)).sort()).toEqual(["cache.json", "config.json"]);
    expect((await stat(join(folder, "cache.json"))).mode & 0o777).toBe(0o600);
  });
});

test.for([{}, { QUAY_KEYLESS_CACHE: "off" }, { QUAY_KEYLESS_CACHE: "junk" }, { CI: "true" }])(
  "erase deletes the token, and what a killed call has left, whatever says that there is no cache: %j",
  async (env, { expect }) => {
    const machine = await helperMachine(peers());
    await expectToken(expect, machine, 1);
    const folder = dirname(machine.cache);
    await machine.write(
      join(folder, ".cache.json.0123456789ab.0123456789ab.tmp"),
      await readFile(machine.cache, "utf8"),
    );
    const old = new Date(Date.now() - 10_000);
    for (const name of ["cache.json.lock", "cache.json.0123456789abcdef.lock"]) {
      await machine.write(join(folder, name), "0b8f0f3e-6b0a-4c54-9d40-1d6b2f7f2f2a");
      await utimes(join(folder, name), old, old);
    }
    const erased = await machine.ask("erase", peers().registryHost, { env });
    expect([erased.code, erased.stderr]).toEqual([0, ""]);
    expect(await readdir(folder)).toEqual([]);
    await machine.write(join(folder, ".cache.json.0123456789ab.0123456789ab.tmp"), "token");
    expect((await machine.ask("erase", peers().registryHost, { env })).code).toBe(0);
    expect(await readdir(folder)).toEqual([]);
  },
);

test("a switch that is neither on nor off means none, and is a warning", async ({ expect }) => {
  const machine = await helperMachine(peers());
  const ran = await get(machine, { QUAY_KEYLESS_CACHE: "never" });
  expect([ran.code, JSON.parse(ran.stdout).Username]).toEqual([0, machine.robot.name]);
  expect(ran.stderr).toBe('Warning: QUAY_KEYLESS_CACHE is "never": it must be on or off. The cache is not used.\n');
  expect(await readdir(machine.runtime)).toEqual([]);
});

describe.concurrent("a cache that can't be trusted is not used, and is replaced:", () => {
  test.for<[string, (machine: HelperMachine) => Promise<unknown>]>([
    ["an empty one", ({ cache }) => writeFile(cache, "")],
    ["a damaged one", ({ cache }) => writeFile(cache, '{"version":1,"entries":[')],
    ["one of another version", ({ cache }) => writeFile(cache, '{"version":2,"entries":[]}')],
    [
      "one with other values",
      (machine) => editEntry(machine, (entry) => Object.assign(entry, { expiresAt: "tomorrow" })),
    ],
    ["one with a life of zero", (machine) => editEntry(machine, (entry) => Object.assign(entry, { lifeSeconds: 0 }))],
    [
      "one with a token that is none",
      (machine) => editEntry(machine, (entry) => Object.assign(entry, { token: "x\ny" })),
    ],
    ["a megabyte", ({ cache }) => writeFile(cache, "x".repeat(2_000_000))],
    ["one that all can write to", ({ cache }) => chmod(cache, 0o666)],
    [
      "a link to another file",
      async ({ cache, home }) => {
        await rename(cache, join(home, "stolen.json"));
        await symlink(join(home, "stolen.json"), cache);
      },
    ],
  ])("%s", async ([, spoil], { expect }) => {
    const machine = await helperMachine(peers(), { tolerateLeaks: true });
    await expectToken(expect, machine, 1);
    await spoil(machine);
    await expectToken(expect, machine, 2);
    await expectToken(expect, machine, 2);
    expect((await stat(machine.cache)).mode & 0o777).toBe(0o600);
  });

  test.skipIf(!isRoot)(`one of another user ${needsRoot}`, async ({ expect }) => {
    const machine = await helperMachine(peers());
    await expectToken(expect, machine, 1);
    await chown(machine.cache, 1000, 1000);
    await expectToken(expect, machine, 2);
    await expectToken(expect, machine, 2);
  });

  test.for<[string, (machine: HelperMachine) => Promise<unknown>]>([
    ["a folder in its place", ({ cache }) => mkdir(cache, { recursive: true })],
    ["a file in its folder's place", ({ runtime }) => writeFile(join(runtime, "quay-keyless"), "")],
    ["another program's lock", ({ write, cache }) => write(`${cache}.lock`, "pid 4711")],
  ])("%s never keeps a token back", async ([, spoil], { expect }) => {
    const machine = await helperMachine(peers());
    await spoil(machine);
    const ran = await get(machine);
    expect([ran.code, JSON.parse(ran.stdout).Username]).toEqual([0, machine.robot.name]);
    expect(ran.stderr).toMatch(/^Warning: The cache .* could not be used\. .*\n$/);
    expect(exchangesOf(peers(), machine.robot.name)).toBe(1);
  });
});

const all = <T>(count: number, work: (index: number) => Promise<T>) =>
  Promise.all(Array.from({ length: count }, (_, index) => work(index)));

describe("at the same time", () => {
  test("twenty calls make one exchange", async ({ expect }) => {
    const machine = await helperMachine(peers());
    const clear = peers().quay.exchangeScript.always(slow(1_000), of(machine.robot));
    const ran = await all(20, () => get(machine));
    clear();
    expect(ran.map(({ code, stderr }) => [code, stderr])).toEqual(ran.map(() => [0, ""]));
    expect(new Set(ran.map(({ stdout }) => stdout)).size).toBe(1);
    expect(exchangesOf(peers(), machine.robot.name)).toBe(1);
    expect(await readdir(dirname(machine.cache))).toEqual(["cache.json"]);
  });

  test("an exchange of six seconds keeps its lock, and the others wait for it", async ({ expect }) => {
    const machine = await helperMachine(peers());
    const clear = peers().quay.exchangeScript.always(slow(6_000), of(machine.robot));
    const ran = await all(3, () => get(machine));
    clear();
    expect(ran.map(({ code }) => code)).toEqual([0, 0, 0]);
    expect(exchangesOf(peers(), machine.robot.name)).toBe(1);
  });

  test("waiting for another call, and an exchange after that, end with the timeout", async ({ expect }) => {
    const machine = await helperMachine(peers());
    const clear = peers().quay.exchangeScript.always(hang(), of(machine.robot));
    const first = get(machine, { QUAY_KEYLESS_TIMEOUT: "4" });
    await expect.poll(() => exchangesOf(peers(), machine.robot.name), { timeout: 5_000 }).toBe(1);
    const timed = async (timeout: string) => {
      const began = performance.now();
      const ran = await get(machine, { QUAY_KEYLESS_TIMEOUT: timeout });
      return { ...ran, seconds: (performance.now() - began) / 1000 };
    };
    const [waited, ...exchanged] = await Promise.all([timed("2"), timed("6"), timed("6")]);
    clear();
    expect(waited.stdout).toBe(
      `The credential helper did not finish within 2 seconds. It was waiting for another process, which gets the same token (lock ${machine.cache}.${waited.stdout.split(".").at(-3)}.lock).\n`,
    );
    expect(waited.seconds).toBeLessThan(5);
    for (const { code, stdout, seconds } of exchanged) {
      expect([code, stdout]).toEqual([1, expect.stringContaining("did not finish within 6 seconds")]);
      expect(seconds).toBeLessThan(9);
    }
    expect([(await first).code, (await first).stderr]).toEqual([1, expect.stringContaining("explain timeout")]);
  });

  /** A call whose exchange is under way. */
  async function holdLock(expect: ExpectStatic) {
    const machine = await helperMachine(peers());
    const clear = peers().quay.exchangeScript.always(slow(20_000), of(machine.robot));
    const how = {
      env: machine.variables,
      input: peers().registryHost,
      program: "docker-credential-quay-keyless",
    } as const;
    const holder = await machine.start(["get"], how);
    await expect.poll(() => exchangesOf(peers(), machine.robot.name), { timeout: 5_000 }).toBe(1);
    return { machine, holder, clear };
  }

  test("a lock that a killed call has left is taken over within five seconds", async ({ expect }) => {
    const { machine, holder, clear } = await holdLock(expect);
    clear();
    holder.kill("SIGKILL");
    await holder.done;
    expect((await readdir(dirname(machine.cache))).filter((name) => name.endsWith(".lock"))).toHaveLength(1);
    const began = performance.now();
    const ran = await get(machine);
    expect([ran.code, ran.stderr]).toEqual([0, ""]);
    expect(performance.now() - began).toBeLessThan(6_000);
    expect(await readdir(dirname(machine.cache))).toEqual(["cache.json"]);
  });

  test("a call that is told to stop leaves no lock, and says so", async ({ expect }) => {
    const { machine, holder, clear } = await holdLock(expect);
    holder.kill("SIGTERM");
    const ran = await holder.done;
    clear();
    expect([ran.code, ran.stdout]).toEqual([1, "Received SIGTERM, stopping.\n"]);
    expect(await readdir(dirname(machine.cache))).toEqual([]);
  });
});
