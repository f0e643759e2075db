/** Wrong use: a clear error, before anything is changed and before anybody is asked; as text and as JSON. */
import { describe, test } from "vitest";
import { createMachine } from "../../support/command.ts";
import { differences } from "../../support/leaks.ts";
import { cases } from "./input-cases.ts";
import { failed, useWorld } from "./world.ts";

const peers = useWorld({ registry: false });

describe.concurrent("wrong use:", () => {
  test.for(Object.entries(cases))("%s", async ([, each], { expect }) => {
    const { args, says, code = "invalid-input", exit = 2, options } = each;
    const machine = await createMachine(options);
    const given = typeof args === "function" ? await args(machine) : args;
    const before = await machine.snapshot();
    const ran = await machine.run(given);
    const told = failed(expect, ran, exit, code);
    for (const text of says) expect(told).toMatch(typeof text === "string" ? literally(text) : text);
    expect(ran.stdout.startsWith("{") || ran.stdout === "").toBe(true);
    expect(ran.children).toEqual([]);
    expect(differences(before, await machine.snapshot())).toEqual([]);

    if (given.some((arg) => arg.startsWith("--output"))) return;
    const json = await machine.run([...given, "--output=json"]);
    // A value that was forgotten at the end, or a command: the JSON is there all the same.
    if (given.at(-1) !== "--registry") expect(json.stdout).toMatch(/^\{/);
    failed(expect, json, exit, code);
  });

  test("is told before a request is made, and before the session of an earlier login is touched", async ({
    expect,
  }) => {
    const machine = await createMachine({ peers: peers() });
    const token = await machine.write(`${machine.home}/token`, await peers().issuer.sign());
    const where = ["--registry", peers().registryHost, "--ca-file", peers().caFile, "--token-file", token];
    const login = ["login", ...where, "--robot", "acme+ci", "--session", "../session"];
    expect(await machine.run(login)).toMatchObject({ code: 0 });
    const standing = await machine.snapshot();
    const asked = peers().quay.requests.length;
    failed(expect, await machine.run([...login, "--access", "nonsense"]), 2, "invalid-input");
    failed(expect, await machine.run([...login, "--result", "robot=/nowhere/x"]), 2, "invalid-input");
    expect(peers().quay.requests.length).toBe(asked);
    expect(differences(standing, await machine.snapshot())).toEqual([]);
    expect(await machine.run(["logout", "--session", "../session"])).toMatchObject({ code: 0 });
  });
});

const literally = (text: string): RegExp => new RegExp(text.replaceAll(/[.*+?^${}()|[\]\\]/g, "\\$&"));
