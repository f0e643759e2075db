/** `status`: the logins of an auth file for Quay, and when they expire. */
import { join } from "node:path";
import { describe, test } from "vitest";
import { createMachine, type Machine } from "../../support/command.ts";
import { entryOf } from "../world.ts";
import { failed, machineWithToken, newRobot, quayOf, useWorld } from "./world.ts";

const peers = useWorld({ registry: false });
const now = () => Math.floor(Date.now() / 1000);

/** A file with entries whose robot tokens expire in this many seconds; undefined is a stored password. */
async function fileWith(machine: Machine, entries: Record<string, number | undefined>): Promise<string> {
  const auths: Record<string, object> = { "registry.example.com": entryOf("somebody", "a-foreign-password") };
  for (const [scope, left] of Object.entries(entries)) {
    const token = left === undefined ? "THESTATICPASSWORDOFAROBOT" : await peers().issuer.sign({ exp: now() + left });
    auths[scope] = entryOf("acme+ci", token);
  }
  return machine.write(join(machine.home, "auth.json"), JSON.stringify({ auths }));
}

describe.concurrent("status", () => {
  test("of a login", async ({ expect }) => {
    const robot = newRobot(peers());
    const machine = await machineWithToken(peers());
    const target = [...quayOf(peers()), "--robot", robot.name, "--token-file", machine.tokenFile];
    const login = await machine.run(["login", ...target, "--output=json"]);
    const end = JSON.parse(login.stdout)["expires-at"];
    const where = ["--registry", peers().registryHost];
    const text = await machine.run(["status", ...where, "--for", "59m"]);
    expect(text).toMatchObject({ code: 0, stderr: "" });
    for (const fact of [machine.usualFile, peers().registryHost, robot.name, end]) expect(text.stdout).toContain(fact);
    const json = await machine.run(["status", ...where, "--output", "json"]);
    const result = JSON.parse(json.stdout);
    expect([json.code, result]).toEqual([
      0,
      {
        "auth-file": machine.usualFile,
        logins: [
          {
            scope: peers().registryHost,
            robot: robot.name,
            "auth-file": machine.usualFile,
            "expires-at": end,
            "seconds-left": expect.any(Number),
          },
        ],
      },
    ]);
    expect(Math.abs(result.logins[0]["seconds-left"] - 3600)).toBeLessThan(60);
  });

  test.for([
    ["599", 0],
    ["590s", 0],
    ["9m", 0],
    ["700s", 1],
    ["11m", 1],
    ["1h", 1],
    ["0", 0],
  ] as const)("--for %s of a login with ten minutes left exits with %i", async ([duration, code], { expect }) => {
    const machine = await createMachine();
    const file = await fileWith(machine, { "quay.io": 605 });
    const ran = await machine.run(["status", "--auth-file", file, "--for", duration, "--output", "json"]);
    if (code === 0) expect(ran).toMatchObject({ code, stderr: "" });
    else failed(expect, ran, code, "login-ends-soon");
    expect(JSON.parse(ran.stdout).logins).toMatchObject([{ scope: "quay.io", robot: "acme+ci" }]);
  });

  test("of an expired login", async ({ expect }) => {
    const machine = await createMachine();
    const file = await fileWith(machine, { "quay.io": -60 });
    const ran = await machine.run(["status", "--auth-file", file, "--output=json"]);
    failed(expect, ran, 1, "login-ends-soon");
    expect(JSON.parse(ran.stdout)).toMatchObject({ logins: [{ "seconds-left": 0 }] });
  });

  test("of a file with logins for other hosts only", async ({ expect }) => {
    const machine = await createMachine();
    const file = await fileWith(machine, { "quay.example.com": 600, "quay.io.example.com": 600 });
    const ran = await machine.run(["status", "--auth-file", file, "--output=json"]);
    expect(failed(expect, ran, 1, "not-logged-in")).toContain(file);
    expect(JSON.parse(ran.stdout)).toMatchObject({ "auth-file": file, logins: [] });
  });

  test("of a file that does not exist", async ({ expect }) => {
    const machine = await createMachine();
    const file = join(machine.home, "typo.json");
    const ran = await machine.run(["status", "--auth-file", file, "--output=json"]);
    expect(failed(expect, ran, 1, "not-logged-in")).toContain(`${file} does not exist.`);
    expect(JSON.parse(ran.stdout)).toMatchObject({ "auth-file": file, logins: [] });
  });

  test("without any file", async ({ expect }) => {
    const machine = await createMachine();
    expect(failed(expect, await machine.run(["status"]), 1, "not-logged-in")).toContain(machine.usualFile);
  });

  test("of a stored password, which does not expire", async ({ expect }) => {
    const machine = await createMachine();
    const file = await fileWith(machine, { "quay.io": undefined });
    const ran = await machine.run(["status", "--auth-file", file, "--for", "24h", "--output=json"]);
    expect([ran.code, JSON.parse(ran.stdout).logins]).toEqual([
      0,
      [{ scope: "quay.io", robot: "acme+ci", "auth-file": file, "expires-at": null, "seconds-left": null }],
    ]);
  });

  test("of parts of the registry: all scopes, or the given ones", async ({ expect }) => {
    const machine = await createMachine();
    const file = await fileWith(machine, { "quay.io/acme": 60, "quay.io/acme/app": 600 });
    const where = ["status", "--auth-file", file, "--output=json"];
    const scopesIn = (text: string) => JSON.parse(text).logins.map(({ scope }: { scope: string }) => scope);
    expect(scopesIn((await machine.run(where)).stdout)).toEqual(["quay.io/acme", "quay.io/acme/app"]);
    const one = await machine.run([...where, "--scope", "quay.io/acme/app", "--for", "5m"]);
    expect([one.code, scopesIn(one.stdout)]).toEqual([0, ["quay.io/acme/app"]]);
    failed(expect, await machine.run([...where, "--for", "5m"]), 1, "login-ends-soon");
    const missing = await machine.run([...where, "--scope", "quay.io/acme/app", "--scope", "quay.io"]);
    failed(expect, missing, 1, "not-logged-in");
  });

  test.for(["", "{", "[]", '{"auths": 1}', "password=a-foreign-password"])(
    "of a file with %j",
    async (content, { expect }) => {
      const machine = await createMachine({ secrets: [{ kind: "foreign", value: "a-foreign-password" }] });
      const file = await machine.write(join(machine.home, "auth.json"), content);
      const ran = await machine.run(["status", "--auth-file", file, "--output", "json"]);
      expect(failed(expect, ran, 1, "auth-file-unusable")).toContain(file);
    },
  );

  test("of a file that can't be read", async ({ expect }) => {
    const machine = await createMachine({ uid: 1234 });
    const ran = await machine.run(["status", "--auth-file", "/etc/shadow"]);
    const stderr = failed(expect, ran, 1, "auth-file-unusable");
    expect(stderr).toMatch(/\/etc\/shadow is not readable by this user/);
  });
});
