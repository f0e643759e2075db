/** What the tests of the matrix share: a login in a world with much to lose, and what every login promises. */
import { createSocket } from "node:dgram";
import { readdir, readFile, readlink, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { type ExpectStatic, type TestContext, test } from "vitest";
import { type ErrorCode, errorCodes } from "../../src/platform/errors.ts";
import { failed, machineWithToken, newRobot } from "../e2e/cli/world.ts";
import { authsIn, entryOf, type Robot, until, userOf } from "../e2e/world.ts";
import type { Peers } from "../quay-stand-in/peers.ts";
import { oneFile } from "../support/built.ts";
import type { Machine, MachineOptions, Ran } from "../support/command.ts";
import { differences, type Entry } from "../support/leaks.ts";
import { faultOf } from "./matrix.ts";
import type { Fault } from "./row.ts";

const exitCodes = { "wrong-use": 2, refused: 1, drift: 3, temporary: 75 } as const;
/** Of the command line. */
export const exitCodeOf = (code: ErrorCode): number => exitCodes[errorCodes[code]];

/** The test of a row. */
export function fault(
  id: string,
  run: (context: Pick<TestContext, "expect" | "skip"> & { row: Fault }) => Promise<void>,
): void {
  const row = faultOf(id);
  test(`${id}: ${row.fault}`, ({ expect, skip }) => run({ expect, skip, row }));
}

export const foreignHost = "registry.example.com";
const foreign = entryOf("somebody", "a-foreign-password");
const foreignFile = JSON.stringify({ auths: { [foreignHost]: foreign }, kept: true });

/** A user with another login, an identity token in a file, and a robot. */
export interface World {
  readonly machine: Machine & { readonly tokenFile: string };
  readonly robot: Robot;
  readonly registry: string;
  readonly before: Map<string, Entry>;
  readonly timeoutSeconds: number;
  /** `stalledMs` when it began. */
  readonly stalledBefore: number;
  readonly args: readonly string[];
}

export interface WorldOptions extends MachineOptions {
  /** Default: the peers'. */
  readonly registry?: string;
  /** Options that name the source of the identity; default: the file. */
  readonly identity?: (robot: Robot) => readonly string[];
  /** Default: a few seconds if the row is about waiting, plenty otherwise. */
  readonly timeoutSeconds?: number;
  readonly row?: Fault;
  readonly more?: readonly string[];
  readonly claims?: Record<string, unknown>;
  readonly robot?: Robot;
}

export async function newWorld(peers: Peers, options: WorldOptions = {}): Promise<World> {
  const { registry = peers.registryHost, identity, row, more = [], claims, robot, ...others } = options;
  const isWaiting = row?.outcome === "timeout" || row?.lasting;
  const { timeoutSeconds = isWaiting ? 4 : 20 } = options;
  const machine = await machineWithToken(peers, others, claims);
  const who = robot ?? newRobot(peers);
  await machine.write(machine.usualFile, foreignFile);
  return {
    machine,
    robot: who,
    registry,
    before: await machine.snapshot(),
    timeoutSeconds,
    stalledBefore: await stalledMs(),
    args: [
      ...["login", "--registry", registry, "--ca-file", peers.caFile, "--robot", who.name],
      ...(identity?.(who) ?? ["--token-file", machine.tokenFile]),
      ...["--timeout", String(timeoutSeconds), "--output", "json", ...more],
    ],
  };
}

/** Runs the login, and checks what the row promises and what is promised of all rows. */
export async function logIn(expect: ExpectStatic, row: Fault, world: World): Promise<Ran> {
  const ran = await world.machine.run(world.args);
  await keepsPromises(expect, row, world, ran);
  return ran;
}

/** The leak harness has checked `ran` already, and that the temporary folder is empty again. */
export async function keepsPromises(expect: ExpectStatic, row: Fault, world: World, ran: Ran): Promise<void> {
  const { machine, before, timeoutSeconds } = world;
  if (row.outcome === "recovered") {
    expect([ran.code, ran.stderr]).toEqual([0, expect.anything()]);
    const auths = await authsIn(machine.usualFile);
    expect([auths[foreignHost], userOf(auths[world.registry])]).toEqual([foreign, world.robot.name]);
    expect(differences(before, await machine.snapshot())).toEqual([`${machine.usualFile} has other content`]);
  } else {
    const code: ErrorCode = JSON.parse(ran.stdout || "{}").error?.code;
    expect([row.outcome, ...(row.lasting ? ["timeout"] : [])], ran.stderr).toContain(code);
    failed(expect, ran, exitCodeOf(code), code);
    expect(differences(before, await machine.snapshot())).toEqual([]);
  }
  // Not all of it: a busy machine must not hide a fault.
  const stalled = Math.min((await stalledMs()) - world.stalledBefore, 4_000);
  expect(ran.milliseconds - stalled).toBeLessThan(timeoutSeconds * 1000 + 1000);
  // A tool that was killed is gone a moment later.
  await expect.poll(() => processesOf(machine.scratch), { timeout: 2_000 }).toEqual([]);
}

/**
 * For how long the machine has been too busy to run everything that could run (Linux's PSI), milliseconds. 0 if the kernel
 * does not count it.
 */
export async function stalledMs(): Promise<number> {
  const pressure = await readFile("/proc/pressure/cpu", "utf8").catch(() => "");
  return Number(/^some .*total=(\d+)/m.exec(pressure)?.[1] ?? 0) / 1000;
}

/** Waits until a login has begun, and has had a moment to reach the peer that it asks first. */
export async function begun({ machine }: Pick<World, "machine">): Promise<void> {
  await until(async () => (await readdir(machine.temp)).length > 0, "the login's private folder");
  await wait(300);
}

/** Makes the machine's commands ask only this name server, in a separate mount namespace. Needs root. */
export async function resolveAt({ scratch }: Machine, nameServer: string): Promise<void> {
  const program = join(scratch, "tools", oneFile ? "quay-keyless-login" : "node");
  const [settings, inside] = [join(scratch, "resolv.conf"), join(scratch, "inside.sh")];
  await writeFile(settings, `nameserver ${nameServer}\n`);
  await writeFile(inside, `mount --bind '${settings}' /etc/resolv.conf && exec '${await readlink(program)}' "$@"\n`);
  await rm(program);
  await writeFile(program, `#!/bin/sh\nexec unshare --mount sh '${inside}' "$@"\n`, { mode: 0o755 });
}

let nameServers = 0;

/** A name server that takes questions and never answers. Needs root. */
export async function unanswering(): Promise<{ address: string; close(): void }> {
  const server = createSocket("udp4");
  const address = `127.${process.pid % 251}.${(process.pid >> 8) % 251}.${10 + nameServers++}`;
  await new Promise<void>((resolve, reject) => server.once("error", reject).bind(53, address, resolve));
  return { address, close: () => void server.close() };
}

/** Processes that use a folder: the command itself, the tools that it has started, and their children. */
export async function processesOf(folder: string): Promise<string[]> {
  const ids = (await readdir("/proc")).filter((name) => /^\d+$/.test(name));
  const read = (id: string, name: string) => readFile(join("/proc", id, name), "utf8").catch(() => "");
  const found = await Promise.all(
    ids.map(async (id) => ({ command: await read(id, "cmdline"), environment: await read(id, "environ") })),
  );
  return found
    .filter(({ command, environment }) => command.includes(folder) || environment.includes(folder))
    .map(({ command }) => command.replaceAll("\0", " "));
}

/** How often the exchange was requested. */
export const exchangesOf = ({ quay }: Peers, { name }: Robot): number =>
  quay.requests.filter(({ user, path }) => user === name && path.startsWith("/oauth2")).length;

export const wait = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
