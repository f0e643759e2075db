/** The one file without Node: how it is made, and that the main things work with no Node on PATH. */
import { execFile } from "node:child_process";
import { cp, mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, test } from "vitest";
import { SUBJECT } from "../quay-stand-in/issuer.ts";
import { makeTwoPlatforms } from "../support/images.ts";
import { startProxy } from "../support/proxy.ts";

const project = resolve(import.meta.dirname, "../..");
const run = promisify(execFile);
const folder = await mkdtemp(join(tmpdir(), "quay-keyless-file-"));
const [x64, arm64] = [join(folder, "quay-keyless-login-linux-x64"), join(folder, "quay-keyless-login-linux-arm64")];
const env = { ...process.env, BOOTSTRAPPED: "1" };
await run(join(project, "script/executable"), [x64], { env });
process.env.PROGRAM = x64;
// These read PROGRAM.
const { createMachine } = await import("../support/command.ts");
const { failed, machineWithSpiffe, machineWithToken, newRobot, quayOf, resultsOf, useWorld } = await import(
  "./cli/world.ts"
);
const { helperMachine, notFound } = await import("./helper/world.ts");
const { arrived, newScenario, succeeded, usePromotionWorld } = await import("./promote/world.ts");
const { authsIn, until } = await import("./world.ts");

afterAll(() => rm(folder, { recursive: true, force: true }));
const peers = useWorld();

describe("how it is made", { timeout: 240_000 }, () => {
  beforeAll(() => run(join(project, "script/executable"), ["--arch", "arm64", arm64], { env }), 240_000);

  /** What an ELF file says of itself (man 5 elf): its kind of processor, and its sections, which symbols would be in. */
  const elf = (file: Buffer) => ({
    magic: file.toString("latin1", 0, 4),
    machine: file.readUInt16LE(18),
    sections: file.readUInt16LE(60),
  });

  /** Node's src/node_sea.cc writes the script's name, then its length in 8 bytes, then the script. */
  function sourceIn(file: Buffer): Buffer {
    const name = "quay-keyless-login.cjs";
    const at = file.indexOf(name) + name.length;
    return file.subarray(at + 8, at + 8 + Number(file.readBigUInt64LE(at)));
  }

  test("both are programs for Linux without symbols, with the same source and texts inside", async ({ expect }) => {
    const [ofX64, ofArm64] = [await readFile(x64), await readFile(arm64)];
    expect(elf(ofX64)).toEqual({ magic: "\x7fELF", machine: 62, sections: 0 });
    expect(elf(ofArm64)).toEqual({ magic: "\x7fELF", machine: 183, sections: 0 });
    const source = sourceIn(ofX64);
    expect(source.includes("docker-credential-quay-keyless")).toBe(true);
    expect(sourceIn(ofArm64).equals(source)).toBe(true);
    const page = await readFile(join(project, "docs/troubleshooting.md"));
    expect([ofX64.includes(page), ofArm64.includes(page)]).toEqual([true, true]);
    expect(ofX64.includes(project)).toBe(false);
  });

  test("another folder, another umask and no cache give the same bytes", async ({ expect }) => {
    const copy = await mkdtemp(join(project, ".cache/executable-copy-"));
    try {
      for (const name of ["src", "script", "docs", "LICENSE", "package.json", "package-lock.json", "tsconfig.json"]) {
        await cp(join(project, name), join(copy, name), { recursive: true });
      }
      // Links, where this user may make them.
      await run("sh", ["-c", 'cp -al "$0" "$1" 2>/dev/null || cp -a "$0" "$1"', join(project, "node_modules"), copy]);
      const again = join(copy, "again");
      await run("sh", ["-c", 'umask 077; exec "$0" "$1"', join(copy, "script/executable"), again], { env });
      expect((await readFile(again)).equals(await readFile(x64))).toBe(true);
      await run(again, ["--version"]);
    } finally {
      await rm(copy, { recursive: true, force: true });
    }
  });

  test.for([
    [["--arch", "riscv", "file"], '--arch is "riscv"'],
    [["--arch"], '--arch is ""'],
    [[], "needs the file to write"],
    [["a", "b"], "needs the file to write"],
  ] as const)("rejects %j", async ([args, said], { expect }) => {
    const ran = await run(join(project, "script/executable"), args, { env }).catch((error) => error);
    expect([ran.code, ran.stderr]).toEqual([2, expect.stringContaining(said)]);
  });
});

describe("without Node on PATH", () => {
  test("there is none", async ({ expect }) => {
    const machine = await createMachine();
    const ran = await machine.other("sh", ["-c", "command -v node || quay-keyless-login --version"], {
      env: { PATH: join(machine.scratch, "tools") },
    });
    expect([ran.code, ran.stdout]).toEqual([0, expect.stringMatching(/^quay-keyless-login \d+\.\d+\.\d+\n$/)]);
  });

  test.for(["skopeo", "none"])("logs in with %s, and out", async (tool, { expect }) => {
    const robot = newRobot(peers());
    const machine = await machineWithToken(peers());
    const before = await machine.snapshot();
    const target = [...quayOf(peers()), "--robot", robot.name, "--token-file", machine.tokenFile, "--tool", tool];
    const ran = await machine.run(["login", ...target, "--session", "session"]);
    expect(ran).toMatchObject({ code: 0 });
    expect(resultsOf(ran.stdout).subject).toBe(SUBJECT);
    expect(Object.keys(await authsIn(machine.usualFile))).toEqual([peers().registryHost]);
    expect(await machine.run(["logout", "--session", "session"])).toMatchObject({ code: 0 });
    expect(await machine.snapshot()).toEqual(before);
  });

  test("is the credential helper under its name, which answers at once for another registry", async ({ expect }) => {
    const machine = await helperMachine(peers());
    const ran = await machine.ask("get", peers().registryHost);
    expect([ran.code, JSON.parse(ran.stdout).Username]).toEqual([0, machine.robot.name]);
    const other = await machine.ask("get", "registry.example.com");
    expect([other.code, other.stdout]).toEqual([1, notFound]);
  });

  test("names itself where the helper is missing from PATH", async ({ expect }) => {
    const machine = await createMachine();
    const ran = await machine.run(["configure", "--robot", "acme+ci"]);
    expect(failed(expect, ran, 1, "helper-not-found")).toContain(
      `sudo ln -s ${x64} /usr/local/bin/docker-credential-quay-keyless`,
    );
  });

  test("prints the pages of errors and the licenses", async ({ expect }) => {
    const machine = await createMachine();
    expect((await machine.run(["explain", "robot-not-found"])).stdout).toContain("Quay has no robot of this name.");
    const { stdout } = await machine.run(["licenses"]);
    for (const name of ["Apache License", "yaml 2", "jose 6", "Node.js is licensed", "OpenSSL", "ICU"]) {
      expect(stdout).toContain(name);
    }
  });

  test("shows an identity; exit codes are 2 for wrong use, 1 for a refusal, 75 for an outage", async ({ expect }) => {
    const robot = newRobot(peers(), []);
    const machine = await machineWithToken(peers());
    const target = ["--robot", robot.name, "--token-file", machine.tokenFile];
    const identity = await machine.run(["identity", "--token-file", machine.tokenFile, "--ca-file", peers().caFile]);
    expect([identity.code, identity.stdout]).toEqual([0, expect.stringContaining(SUBJECT)]);
    failed(expect, await machine.run(["login", "--robot", "acme"]), 2, "invalid-input");
    expect((await machine.run(["login", ...quayOf(peers()), ...target])).code).toBe(1);
    const away = ["--registry", "127.0.0.1:1", "--timeout", "2"];
    failed(expect, await machine.run(["login", ...away, ...target]), 75, "quay-unreachable");
  });

  test("trusts a private authority by Node's variables of trust, and nothing without them", async ({ expect }) => {
    const robot = newRobot(peers());
    const machine = await machineWithToken(peers());
    const target = ["--registry", peers().registryHost, "--robot", robot.name, "--token-file", machine.tokenFile];
    const args = ["login", ...target, "--tool", "none"];
    failed(expect, await machine.run(args, { env: { NODE_TLS_REJECT_UNAUTHORIZED: "0" } }), 1, "tls-untrusted");
    const { caFile } = peers();
    for (const trust of [{ NODE_EXTRA_CA_CERTS: caFile }, { NODE_USE_SYSTEM_CA: "1", SSL_CERT_FILE: caFile }]) {
      expect(await machine.run(args, { env: trust })).toMatchObject({ code: 0 });
    }
  });

  test("asks a proxy with a user and a password", async ({ expect }) => {
    const proxy = await startProxy({ credentials: { user: "me", password: "a-proxy-password" } });
    try {
      const robot = newRobot(peers());
      const machine = await machineWithToken(peers(), { env: { HTTPS_PROXY: proxy.url } });
      const target = [...quayOf(peers()), "--robot", robot.name, "--token-file", machine.tokenFile];
      expect(await machine.run(["login", ...target, "--tool", "none"])).toMatchObject({ code: 0 });
      expect(proxy.targets).toContain(peers().registryHost);
    } finally {
      await proxy.close();
    }
  });

  test("gets its identity from SPIFFE's socket", async ({ expect }) => {
    const { id, api, machine, target } = await machineWithSpiffe(peers(), join(folder, "api.sock"));
    try {
      const ran = await machine.run(["login", ...quayOf(peers()), ...target]);
      expect([ran.stderr, ran.code, resultsOf(ran.stdout).subject]).toEqual([expect.anything(), 0, id]);
    } finally {
      await api.close();
    }
  });

  test("--watch ends with SIGTERM, within a second, and leaves nothing behind", async ({ expect }) => {
    const robot = newRobot(peers());
    const machine = await machineWithToken(peers());
    const target = [...quayOf(peers()), "--robot", robot.name, "--token-file", machine.tokenFile];
    const watch = await machine.start(["login", ...target, "--watch", "--logout-on-exit"]);
    await until(async () => watch.shown.stdout.includes(robot.name), "the login");
    const asked = performance.now();
    watch.kill("SIGTERM");
    expect((await watch.done).code).toBe(0);
    expect(performance.now() - asked).toBeLessThan(2_000);
    expect(Object.keys(await authsIn(machine.usualFile).catch(() => ({})))).toEqual([]);
  });

  test("no variable puts code into it", async ({ expect }) => {
    const machine = await createMachine();
    const loaded = await machine.write(join(machine.work, "loaded.cjs"), "process.stdout.write('LOADED');\n");
    const variables = { NODE_OPTIONS: `--require=${loaded}`, NODE_PATH: machine.work };
    const ran = await machine.run(["--version"], { env: variables });
    expect([ran.code, ran.stdout, ran.stderr]).toEqual([0, expect.stringMatching(/^quay-keyless-login [\d.]+\n$/), ""]);
    const asNode = await machine.run([loaded]);
    expect([asNode.code, asNode.stdout]).toEqual([2, ""]);
  });
});

describe("a promotion", () => {
  const world = usePromotionWorld();

  test("copies an image and sets its tag", async ({ expect }) => {
    const made = makeTwoPlatforms("one file");
    const scenario = await newScenario(world());
    await scenario.from.side.push(scenario.from.repository, made);
    succeeded(expect, await scenario.promote(scenario.args(made, "1.0")));
    await arrived(expect, scenario.to, made, "1.0");
  });
});
