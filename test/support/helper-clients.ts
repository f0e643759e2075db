/**
 * Machines on which tools have nothing but the credential helper: `credHelpers` names it in the files that they read, the
 * variables configure it, and no file has a login.
 */
import { readFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import type { ExpectStatic } from "vitest";
import { exchangesOf, type HelperMachine, helperMachine } from "../e2e/helper/world.ts";
import type { Peers } from "../quay-stand-in/peers.ts";
import { addRepository } from "../quay-stand-in/quay/store.ts";
import { knownSecrets } from "./guard.ts";
import { type Entry, findLeaks, watch } from "./leaks.ts";
import { type Finished, findTool, readChildren } from "./runner.ts";

export interface Clients {
  readonly machine: HelperMachine;
  /** `host/acme/repoN`, to which its robot may write. */
  readonly path: string;
  readonly files: { readonly docker: string; readonly containers: string };
  /** Runs a client. */
  run(program: string, args: readonly string[], env?: Record<string, string>): Promise<Finished>;
  /** The same; it must succeed. @returns what it prints */
  works(program: string, ...args: string[]): Promise<string>;
  /** How often the robot's identity was exchanged. */
  exchanges(): number;
  /** Expects that no secret is in what the clients have shown, left or given to others, but the robot token in the cache. */
  walk(): Promise<void>;
}

let count = 0;

/** @param entered what `credHelpers` has beside ours */
export async function clientsWithHelper(
  expect: ExpectStatic,
  peers: Peers,
  { variables = {}, entered = {} }: { variables?: Record<string, string>; entered?: Record<string, string> } = {},
): Promise<Clients> {
  const { registryHost: host, certDir, quay } = peers;
  const machine = await helperMachine(peers, { peers, helper: true });
  const repository = `acme/clients${++count}`;
  addRepository(quay.store, repository, { [machine.robot.name]: "write" });
  const named = { [host]: "quay-keyless", ...entered };
  const files = { docker: join(machine.home, ".docker/config.json"), containers: machine.usualFile };
  for (const file of Object.values(files)) await machine.write(file, JSON.stringify({ credHelpers: named }));
  const robotsBefore = watch(peers).robot.length;
  const before = await machine.snapshot();
  const shown: Finished[] = [];

  const run: Clients["run"] = async (program, args, env = {}) => {
    const ran = await machine.other(program, args, {
      env: {
        ...machine.variables,
        PATH: machine.path,
        SSL_CERT_DIR: certDir,
        HELM_CACHE_HOME: machine.scratch,
        HELM_CONFIG_HOME: machine.scratch,
        ...variables,
        ...env,
      },
    });
    shown.push(ran);
    return ran;
  };
  return {
    machine,
    path: `${host}/${repository}`,
    files,
    run,
    async works(program, ...args) {
      const { code, stdout, stderr } = await run(program, args);
      expect([program, args, code, stdout, stderr]).toEqual([program, args, 0, expect.anything(), expect.anything()]);
      return stdout;
    },
    exchanges: () => exchangesOf(peers, machine.robot.name),
    async walk() {
      const after = await machine.snapshot();
      const traces = {
        log: shown.map(({ stdout }) => stdout).join("\n"),
        stderr: shown.map(({ stderr }) => stderr).join("\n"),
        ...{ outputs: {}, state: "", env: "", summary: "", before, after },
        children: await readChildren(join(machine.scratch, "children")),
      };
      const allowed = {
        tokenOutput: false,
        files: (file: string) => new Set(file === machine.cache ? (["robot"] as const) : []),
        mode: () => 0o600,
      };
      expect(findLeaks(traces, knownSecrets({ peers }, robotsBefore, before), allowed)).toEqual([]);
      for (const file of Object.values(files)) {
        const { auths = {}, credHelpers } = JSON.parse(await readFile(file, "utf8"));
        expect([credHelpers, auths]).toEqual([named, {}]);
      }
      expectPrivate(expect, after, machine.cache);
    },
  };
}

function expectPrivate(expect: ExpectStatic, after: Map<string, Entry>, cache: string): void {
  const [file, folder] = [after.get(cache), after.get(dirname(cache))];
  if (file) expect([file.mode, folder?.mode]).toEqual([0o600, 0o700]);
}

export const isHere = (name: string): boolean => findTool(name) !== undefined;
