/** Shared by the scenarios of the credential helper: the built program, with a Quay. */
import { chmod } from "node:fs/promises";
import { join } from "node:path";
import type { Peers } from "../../quay-stand-in/peers.ts";
import type { How, Machine, MachineOptions, Ran } from "../../support/command.ts";
import { machineWithToken, newRobot } from "../cli/world.ts";

export { useWorld } from "../cli/world.ts";

export interface HelperMachine extends Machine {
  readonly tokenFile: string;
  readonly robot: { readonly name: string };
  /** The variables that configure the helper for the peers' Quay, with the token in the file. */
  readonly variables: Record<string, string>;
  readonly cache: string;
  ask(action: string, input: string | Buffer, how?: How): Promise<Ran>;
}

/** A machine whose user has configured the helper by variables, and has a private runtime folder. */
export async function helperMachine(peers: Peers, options: MachineOptions = {}): Promise<HelperMachine> {
  const machine = await machineWithToken(peers, { helper: true, ...options });
  await chmod(machine.runtime, 0o700);
  const robot = newRobot(peers);
  const variables = {
    QUAY_KEYLESS_REGISTRY: peers.registryHost,
    QUAY_KEYLESS_ROBOT: robot.name,
    QUAY_KEYLESS_CA_FILE: peers.caFile,
    QUAY_KEYLESS_TOKEN_FILE: machine.tokenFile,
  };
  return {
    ...machine,
    robot,
    variables,
    cache: join(machine.runtime, "quay-keyless/cache.json"),
    ask: (action, input, { env = {}, ...how } = {}) =>
      machine.run(action.split(" ").filter(Boolean), {
        ...how,
        input,
        env: { ...variables, ...env },
        program: "docker-credential-quay-keyless",
      }),
  };
}

export const notFound = "credentials not found in native keychain\n";

/** How often Quay was asked to exchange a token of this robot. */
export const exchangesOf = ({ quay }: Peers, robot: string): number =>
  quay.requests.filter(
    (request) => request.path?.startsWith("/oauth2/federation/robot/token") && request.user === robot,
  ).length;
