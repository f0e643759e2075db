/**
 * Wrong use: an error before any change and any request, as text and as JSON. All cases:
 * test/cli/arguments.test.ts, test/cli/wrong-use.test.ts, test/login/request.test.ts and others.
 */
import { join } from "node:path";
import { describe, test } from "vitest";
import { createMachine, type Machine, type MachineOptions } from "../../support/command.ts";
import { differences } from "../../support/leaks.ts";
import { isRoot } from "../../support/root.ts";
import { failed, useWorld } from "./world.ts";

const peers = useWorld({ registry: false });

interface Case {
  args: readonly string[] | ((machine: Machine) => readonly string[] | Promise<readonly string[]>);
  /** Parts of the message. */
  says: readonly string[];
  /** Default `invalid-input`. */
  code?: string;
  /** Default 2. */
  exit?: number;
  options?: MachineOptions;
}

const token = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJzb21lYm9keSJ9.c2lnbmF0dXJl";
/** A login that would work without what follows. */
const login = (...more: string[]) => ["login", "--robot", "acme+ci", "--token-file", "/nowhere/token", ...more];

const cases: Record<string, Case> = {
  nothing: { args: [], says: ["login, configure, logout, status, identity", "--help"] },
  "a misspelled command": { args: ["logni", "--robot", "acme+ci"], says: ['"logni"', "quay-keyless-login login"] },
  "no robot": {
    args: ["login", "--token-file", "/x"],
    says: ["Missing required option --robot.", "Write, for example, --robot acme+ci"],
  },
  "an unknown form of output": {
    args: ["status", "--output", "yaml"],
    says: ["--output", "yaml", "text, json", "--output text"],
  },
  "the token instead of its variable's name": {
    args: ["login", "acme+ci", "--token-env", token],
    says: ["--token-env", "name of a variable"],
    options: { secrets: [{ kind: "identity", value: token }] },
  },
  "a result in a missing folder": {
    args: login("--result", "robot=/nowhere/robot"),
    says: ["--result", "/nowhere/robot", "is in a folder that does not exist"],
  },
  "invalid roots": {
    args: async (machine) => login("--ca-file", await machine.write(join(machine.home, "ca.pem"), "not PEM")),
    says: ["--ca-file", "no PEM certificate"],
  },
  "a tool that is not installed": {
    args: login("--tool", "buildah"),
    says: ["buildah", "PATH", "--tool none"],
    code: "tool-not-found",
    exit: 1,
    options: { tools: [] },
  },
  "no auth file that the tools read": {
    args: login(),
    says: [`/run/containers/${isRoot ? 1234 : process.getuid?.()}/auth.json`, "--auth-file /path"],
    code: "auth-file-unusable",
    exit: 1,
    options: { uid: 1234, env: { XDG_RUNTIME_DIR: undefined } },
  },
};

describe.concurrent("wrong use:", () => {
  test.for(Object.entries(cases))("%s", async ([, each], { expect }) => {
    const { args, says, code = "invalid-input", exit = 2, options } = each;
    const machine = await createMachine(options);
    const given = typeof args === "function" ? await args(machine) : args;
    const before = await machine.snapshot();
    const ran = await machine.run(given);
    const stderr = failed(expect, ran, exit, code);
    for (const text of says) expect(stderr).toContain(text);
    expect(ran.stdout).toBe("");
    expect(ran.children).toEqual([]);
    expect(differences(before, await machine.snapshot())).toEqual([]);

    if (given.includes("--output")) return;
    const json = await machine.run([...given, "--output=json"]);
    expect(json.stdout).toMatch(/^\{/);
    failed(expect, json, exit, code);
  });

  test("is reported before any request, and before the session of an earlier login is changed", async ({ expect }) => {
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
