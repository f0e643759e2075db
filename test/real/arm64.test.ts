/** The one file for arm64 under an emulator: the same processor's instructions, in seconds instead of milliseconds. */
import { execFile } from "node:child_process";
import { chmod, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { SUBJECT } from "../quay-stand-in/issuer.ts";

vi.setConfig({ testTimeout: 240_000, hookTimeout: 300_000 });
const project = resolve(import.meta.dirname, "../..");
const run = promisify(execFile);
const folder = await mkdtemp(join(tmpdir(), "quay-keyless-arm64-"));
const file = join(folder, "quay-keyless-login-linux-arm64");
process.env.PROGRAM = join(folder, "program");
// These read PROGRAM.
const { createMachine } = await import("../support/command.ts");
const { failed, machineWithSpiffe, machineWithToken, newRobot, quayOf, resultsOf, useWorld } = await import(
  "../e2e/cli/world.ts"
);
const { helperMachine } = await import("../e2e/helper/world.ts");
const { authsIn } = await import("../e2e/world.ts");

const peers = useWorld({ registry: false });
beforeAll(async () => {
  await chmod(folder, 0o755);
  await run(join(project, "script/executable"), ["--arch", "arm64", file]);
  // The name that the program is called by decides what it is.
  const emulate = `exec qemu-aarch64-static -L /usr/aarch64-linux-gnu -0 "$0" ${file} "$@"`;
  await writeFile(join(folder, "program"), `#!/bin/sh\n${emulate}\n`, { mode: 0o755 });
});
afterAll(() => rm(folder, { recursive: true, force: true }));

/** One more minute than the default 120 s: an emulated program is slow. */
const patience = ["--timeout", "180"];

test("is a program for arm64, and prints its version and its pages", async () => {
  const machine = await createMachine();
  expect((await machine.run(["--version"])).stdout).toMatch(/^quay-keyless-login \d/);
  expect((await machine.run(["explain", "robot-not-found"])).stdout).toContain("Quay has no robot of this name.");
});

test.each(["skopeo", "none"])("logs in with %s over TLS, and out", async (tool) => {
  const robot = newRobot(peers());
  const machine = await machineWithToken(peers());
  const target = [...quayOf(peers()), "--robot", robot.name, "--token-file", machine.tokenFile, "--tool", tool];
  const ran = await machine.run(["login", ...target, "--session", "session", ...patience]);
  expect([ran.stderr, ran.code]).toEqual([expect.anything(), 0]);
  expect(Object.keys(await authsIn(machine.usualFile))).toEqual([peers().registryHost]);
  expect(await machine.run(["logout", "--session", "session"])).toMatchObject({ code: 0 });
});

test("is the credential helper under its name", async () => {
  const machine = await helperMachine(peers());
  const ran = await machine.ask("get", peers().registryHost);
  expect([ran.stderr, ran.code]).toEqual([expect.anything(), 0]);
  expect(JSON.parse(ran.stdout).Username).toBe(machine.robot.name);
});

test("gets its identity from SPIFFE's socket; refuses a server that it does not trust", async () => {
  const { id, api, machine, ...spiffe } = await machineWithSpiffe(peers(), join(folder, "api.sock"));
  try {
    const target = [...spiffe.target, ...patience];
    const ran = await machine.run(["login", ...quayOf(peers()), ...target]);
    expect([ran.stderr, ran.code, resultsOf(ran.stdout).subject]).toEqual([expect.anything(), 0, id]);
    failed(expect, await machine.run(["login", "--registry", peers().registryHost, ...target]), 1, "tls-untrusted");
  } finally {
    await api.close();
  }
});

test("SIGTERM ends --watch and takes the login back", async () => {
  const robot = newRobot(peers());
  const machine = await machineWithToken(peers());
  const target = [...quayOf(peers()), "--robot", robot.name, "--token-file", machine.tokenFile, "--tool", "none"];
  const watch = await machine.start(["login", ...target, "--watch", "--logout-on-exit", ...patience]);
  await vi.waitFor(() => expect(watch.shown.stdout).toContain(SUBJECT), 180_000);
  watch.kill("SIGTERM");
  expect((await watch.done).code).toBe(0);
  expect(await authsIn(machine.usualFile).catch(() => ({}))).toEqual({});
});
