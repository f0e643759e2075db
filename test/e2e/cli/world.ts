/** Shared by the scenarios of the command line. */
import { rename, symlink } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, type ExpectStatic } from "vitest";
import type { Peers, PeersOptions } from "../../quay-stand-in/peers.ts";
import { createMachine, type Machine, type MachineOptions, type Ran, removeMachines } from "../../support/command.ts";
import { startWorkloadApi, type WorkloadApi } from "../../support/workload-api.ts";
import { newRobot, usePeers } from "../world.ts";

export { newRobot } from "../world.ts";

/** Peers for all tests of a file; its machines are removed at the end. */
export function useWorld(options: PeersOptions = {}): () => Peers {
  afterAll(removeMachines);
  return usePeers(options);
}

/** The options that name Quay. */
export const quayOf = ({ registryHost, caFile }: Peers): string[] => ["--registry", registryHost, "--ca-file", caFile];

/** A machine with an identity token of the peers' issuer in a file; its path is in `tokenFile`. */
export async function machineWithToken(
  peers: Peers,
  options: MachineOptions = {},
  claims: Record<string, unknown> = {},
): Promise<Machine & { tokenFile: string }> {
  const machine = await createMachine({ peers, ...options });
  const token = await peers.issuer.sign(claims);
  return { ...machine, tokenFile: await machine.write(join(machine.home, "token"), `${token}\n`) };
}

/** A machine beside a Workload API, and the options that log a robot in with its identity. */
export async function machineWithSpiffe(
  peers: Peers,
  socket: string,
): Promise<{ id: string; api: WorkloadApi; machine: Machine; target: string[] }> {
  const id = "spiffe://example.org/ci";
  const token = await peers.issuer.sign({ sub: id, aud: ["quay"] });
  peers.github.issued.push(token);
  const robot = newRobot(peers, [{ issuer: peers.issuer.url, subject: id }]);
  const machine = await createMachine({ peers });
  const api = await startWorkloadApi(socket, { svids: [{ id, token }] });
  return { id, api, machine, target: ["--robot", robot.name, "--spiffe-socket", `unix://${socket}`, "--tool", "none"] };
}

/** Text results: a name, two blanks or more, a value. A name can be on several lines. */
export function resultsOf(stdout: string): Record<string, string> {
  const results: Record<string, string> = {};
  for (const line of stdout.trimEnd().split("\n")) {
    const [, name = "", value = ""] = /^([a-z-]+) {2,}(.*)$/.exec(line) ?? [];
    results[name] = name in results ? `${results[name]}\n${value}` : value;
  }
  return results;
}

/** Expects a failure with this code, in text and in JSON. @returns standard error */
export function failed(expect: ExpectStatic, ran: Ran, exitCode: number, code: string): string {
  expect([ran.stderr, ran.code]).toEqual([
    expect.stringContaining(`More: quay-keyless-login explain ${code}`),
    exitCode,
  ]);
  if (ran.stdout.startsWith("{")) {
    expect(JSON.parse(ran.stdout).error).toMatchObject({
      code,
      message: expect.any(String),
      remedy: expect.any(Array),
    });
  }
  return ran.stderr;
}

/** A volume as the kubelet mounts it: token -> ..data/token, ..data -> ..<timestamp>; a rotation turns ..data. */
export async function project(machine: Machine, token: string, timestamp: string): Promise<string> {
  const volume = join(machine.home, "tokens");
  await machine.write(join(volume, timestamp, "quay-token"), token, 0o644);
  await symlink(timestamp, join(volume, "..data_tmp"));
  await rename(join(volume, "..data_tmp"), join(volume, "..data"));
  const path = join(volume, "quay-token");
  await symlink("..data/quay-token", path).catch(() => {});
  return path;
}
