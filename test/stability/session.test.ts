/**
 * What an older version has written, today's reads: a runner updates the Action between a login and its logout, and a volume keeps the
 * session. The files of session-v1 are those of 1.0.0, with WORK and HOME for the folders; they are never changed, only added to.
 */
import { readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { createMachine, removeMachines } from "../support/command.ts";

afterAll(removeMachines);
const fixture = (name: string) => readFile(join(import.meta.dirname, "session-v1", name), "utf8");

test("logout undoes a login of 1.0.0", async () => {
  const machine = await createMachine();
  const session = join(machine.work, "session");
  const record = (await fixture("session.json")).replaceAll("WORK", machine.work).replaceAll("HOME", machine.home);
  await machine.write(join(session, "session.json"), record);
  const file = await machine.write(join(machine.work, "auth.json"), await fixture("auth.json"));
  const folder = join(machine.home, ".config/containers/certs.d/quay.example.com");
  await machine.write(join(folder, "quay-keyless-login-efaa8c2165b0.crt"), "roots\n");
  const ran = await machine.run(["logout", "--session", session, "--output", "json"]);
  expect([ran.code, JSON.parse(ran.stdout)]).toEqual([0, { "logged-out": ["quay.example.com"] }]);
  expect(await readFile(file, "utf8")).toBe('{ "auths": { "registry.example.com": { "auth": "YTpi" } } }\n');
  await expect(stat(folder)).rejects.toThrow("ENOENT");
  await expect(stat(join(session, "session.json"))).rejects.toThrow("ENOENT");
});

test("the credential helper reads the file that configure of 1.0.0 has written", async () => {
  const machine = await createMachine({ helper: true });
  const options = { robot: "acme+ci", audience: "quay", "token-file": "/run/token", timeout: "60" };
  const file = { version: 1, registries: { "quay.example.com": options } };
  await machine.write(join(machine.home, ".config/quay-keyless/config.json"), JSON.stringify(file));
  const ran = await machine.run(["list"], { program: "docker-credential-quay-keyless" });
  expect([ran.code, JSON.parse(ran.stdout)]).toEqual([0, { "https://quay.example.com": "acme+ci" }]);
});
