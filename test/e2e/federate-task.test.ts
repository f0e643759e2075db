/** The step of the Task quay-federate, started as Tekton does: its arguments and exit codes, with the real program. */
import { readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { describe, test } from "vitest";
import { addOrganization, addRepository, addRobot } from "../quay-stand-in/quay/store.ts";
import { createMachine } from "../support/command.ts";
import { type Resource, resources } from "../tekton/resources.ts";
import { stepOf } from "../tekton/step.ts";
import { failed, useWorld } from "./cli/world.ts";

const [task] = resources("tekton/task/quay-federate/*/*.yaml") as [Resource];
const peers = useWorld({ registry: false });
let count = 100;

/** The parts of a pod: the workspaces trust (its folder), api-token and ca. */
async function newPod() {
  const { quay, issuer, registryHost, caFile, oauthToken } = peers();
  const organization = `task${++count}`;
  addOrganization(quay.store, organization, ["admin"]);
  addRobot(quay.store, `${organization}+ci`);
  addRepository(quay.store, `${organization}/app`);
  const machine = await createMachine({ peers: peers() });
  const binding = `{ issuer: "${issuer.url}", subject: "system:serviceaccount:build:ci" }`;
  const file = join(machine.work, "quay-trust.yaml");
  await machine.write(
    file,
    `organization: ${organization}\nrobots:\n  ci:\n    permissions: { app: write }\n    bindings: [${binding}]\n`,
  );
  await machine.write(join(machine.scratch, "token"), oauthToken);
  await machine.write(join(machine.scratch, "ca.crt"), await readFile(caFile, "utf8"));
  const workspaces = { trust: machine.work, "api-token": machine.scratch, ca: machine.scratch };
  const required = { file: "quay-trust.yaml", "api-token-file": "token", "ca-file": "ca.crt", registry: registryHost };
  return {
    machine,
    file,
    run: (more: Record<string, string> = {}) =>
      machine.run(stepOf(task, { params: { ...required, ...more }, workspaces }).args),
    bindings: () => quay.store.robots.get(`${organization}+ci`)?.bindings ?? [],
  };
}

describe.concurrent("the Task's step", () => {
  test("fails with 3 if Quay differs, applies, and then finds no difference", async ({ expect }) => {
    const { run, bindings } = await newPod();
    const drift = await run({ check: "true" });
    failed(expect, drift, 3, "trust-drift");
    expect(drift.stdout).toContain("system:serviceaccount:build:ci");
    expect(bindings()).toEqual([]);
    const applied = await run();
    expect([applied.code, bindings()], applied.stderr).toEqual([
      0,
      [expect.objectContaining({ subject: "system:serviceaccount:build:ci" })],
    ]);
    expect((await run({ check: "true" })).code).toBe(0);
  });

  test("names the file as the parameter does, and the missing token", async ({ expect }) => {
    const { machine, run, file } = await newPod();
    await rm(join(machine.scratch, "token"));
    expect(failed(expect, await run(), 1, "api-token-unusable")).toContain("/token");
    await machine.write(file, "organization: acme\nrobots: []\n");
    expect(failed(expect, await run(), 2, "invalid-input")).toMatch(/quay-trust\.yaml:2: /);
  });
});
