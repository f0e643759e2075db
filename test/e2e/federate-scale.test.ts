/** What the plan for an organization of 500 robots costs: time behind a proxy of 30 ms, connections, memory. */
import { readFile } from "node:fs/promises";
import type { Socket } from "node:net";
import { join } from "node:path";
import { test } from "vitest";
import { addApiToken, addOrganization, addRepository, addRobot } from "../quay-stand-in/quay/store.ts";
import { pass } from "../quay-stand-in/scripted.ts";
import { createMachine } from "../support/command.ts";
import { quayOf, useWorld } from "./cli/world.ts";

const peers = useWorld({ registry: false, delayMs: 30 });

const robots = 500;
const environments = ["staging", "release", "nightly"];

test("500 robots with three bindings each: 20 s, 8 connections, 150 MB at most", async ({ expect }) => {
  const { store } = peers().quay;
  addOrganization(store, "large", ["admin"]);
  const lines = ["organization: large", "robots:"];
  for (let number = 1; number <= robots; number++) {
    const [name, repository] = [`large+r${number}`, `large/app${number}`];
    const subjects = environments.map((environment) => `repo:${repository}:environment:${environment}`);
    addRobot(
      store,
      name,
      subjects.map((subject) => ({ issuer: "https://token.actions.githubusercontent.com", subject })),
    );
    addRepository(store, repository, { [name]: "write" });
    lines.push(`  r${number}:`, `    permissions: { app${number}: write }`, "    bindings:");
    lines.push(...environments.map((environment) => `      - { github: ${repository}, environment: ${environment} }`));
  }
  const machine = await createMachine({
    peers: peers(),
    env: { QUAY_API_TOKEN: addApiToken(store, { user: "admin", scopes: ["org:admin", "repo:admin"] }) },
  });
  const file = await machine.write(join(machine.work, "quay-trust.yaml"), lines.join("\n"));

  const open = new Set<Socket>();
  let most = 0;
  peers().quay.managementScript.always(pass(), ({ socket }) => {
    if (!open.has(socket)) socket.once("close", () => open.delete(socket));
    open.add(socket);
    most = Math.max(most, open.size);
    return false;
  });
  const started = await machine.start(["federate", ...quayOf(peers()), "--file", file, "--check", "--offline"]);
  let megabytes = 0;
  const watching = setInterval(async () => {
    const status = await readFile(`/proc/${started.pid}/status`, "utf8").catch(() => "");
    megabytes = Math.max(megabytes, Number(/VmHWM:\s+(\d+)/.exec(status)?.[1] ?? 0) / 1024);
  }, 20);
  const ran = await started.done;
  clearInterval(watching);
  process.stdout.write(`${robots} robots: ${ran.milliseconds} ms, ${most} connections, ${Math.round(megabytes)} MB\n`);
  expect([ran.code, ran.stdout]).toEqual([0, expect.stringContaining("  500 robots as wanted\nNothing to change")]);
  expect(most).toBe(8);
  expect(megabytes).toBeGreaterThan(20);
  expect(megabytes).toBeLessThan(150);
  expect(ran.milliseconds).toBeLessThan(20_000);
}, 60_000);
