/** `--session` and `logout`, which restores what was there before; and logout without a session. */
import { readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { describe, test } from "vitest";
import { createMachine } from "../../support/command.ts";
import { differences } from "../../support/leaks.ts";
import { authsIn, entryOf, userOf } from "../world.ts";
import { failed, machineWithToken, newRobot, quayOf, useWorld } from "./world.ts";

const peers = useWorld({ registry: false });
const foreign = { "registry.example.com": entryOf("somebody", "a-foreign-password") };

describe.concurrent("logout --session", () => {
  test("restores everything, byte for byte, certificate and folders included", async ({ expect }) => {
    const robot = newRobot(peers());
    const machine = await machineWithToken(peers());
    const own = { ...foreign, [peers().registryHost]: entryOf("old", "an-old-password") };
    await machine.write(machine.usualFile, `{\n\t"auths": ${JSON.stringify(own)} }\n`, 0o640);
    const before = await machine.snapshot();
    const session = ["--session", join(machine.home, "made/for/session")];
    const target = [...quayOf(peers()), "--robot", robot.name, "--token-file", machine.tokenFile];
    const login = await machine.run(["login", ...target, ...session, "--docker-config=true", "--output=json"]);
    expect(login).toMatchObject({ code: 0 });
    const docker = join(machine.home, ".docker/config.json");
    const result = JSON.parse(login.stdout);
    expect(result).toMatchObject({ session: session[1], "auth-file": machine.usualFile });
    expect(result.files).toEqual([machine.usualFile, docker]);
    expect(userOf((await authsIn(docker))[peers().registryHost])).toBe(robot.name);
    expect((await stat(session[1] ?? "")).mode & 0o777).toBe(0o700);
    const logout = await machine.run(["logout", ...session, "--output", "json"]);
    expect(logout).toMatchObject({ code: 0 });
    expect(JSON.parse(logout.stdout)).toEqual({ "logged-out": [peers().registryHost] });
    expect(logout.stderr).toContain(`; it expires at ${result["expires-at"]}`);
    const left = differences(before, await machine.snapshot());
    // The folder that the user chose may stay, empty.
    expect(left.filter((line) => !line.startsWith(join(machine.home, "made")))).toEqual([]);
  });

  test("restores everything if variables have relative paths, from another folder too", async ({ expect }) => {
    const robot = newRobot(peers());
    const machine = await machineWithToken(peers(), { tolerateLeaks: true });
    for (const name of ["home", "docker", "tmp"]) {
      await machine.write(join(machine.work, name, "kept"), "");
    }
    const env = { HOME: "home", DOCKER_CONFIG: "docker", TMPDIR: "tmp" };
    const before = await machine.snapshot();
    const session = join(machine.home, "session");
    const target = [...quayOf(peers()), "--robot", robot.name, "--token-file", machine.tokenFile];
    const login = await machine.run(["login", ...target, "--session", session, "--docker-config=true"], { env });
    expect(login).toMatchObject({ code: 0 });
    expect(userOf((await authsIn(join(machine.work, "docker/config.json")))[peers().registryHost])).toBe(robot.name);
    expect(await machine.run(["logout", "--session", session], { env: { HOME: "/" } })).toMatchObject({ code: 0 });
    expect(differences(before, await machine.snapshot())).toEqual([]);
  });

  test("says the second time that no session is left", async ({ expect }) => {
    const robot = newRobot(peers());
    const machine = await machineWithToken(peers());
    const before = await machine.snapshot();
    const target = [...quayOf(peers()), "--robot", robot.name, "--token-file", machine.tokenFile];
    await machine.run(["login", ...target, "--session", "../session"]);
    expect(await machine.run(["logout", "--session", "../session"])).toMatchObject({ code: 0 });
    const again = await machine.run(["logout", "--session", "../session", "--output=json"]);
    expect(again).toMatchObject({ code: 0 });
    expect(again.stderr).toBe(`There is no session in ${join(machine.scratch, "session")}: no login was removed.\n`);
    expect(JSON.parse(again.stdout)).toEqual({ "logged-out": [] });
    expect(differences(before, await machine.snapshot())).toEqual([]);
  });

  test("removes the login of an existing session before a new login", async ({ expect }) => {
    const [first, second] = [newRobot(peers()), newRobot(peers())];
    const machine = await machineWithToken(peers());
    const before = await machine.snapshot();
    const target = [...quayOf(peers()), "--token-file", machine.tokenFile, "--session", "../session"];
    const scope = `${peers().registryHost}/${first.repository}`;
    expect(await machine.run(["login", ...target, `${scope}=${first.name}`])).toMatchObject({ code: 0 });
    expect(await machine.run(["login", ...target, second.name])).toMatchObject({ code: 0 });
    const auths = await authsIn(machine.usualFile);
    expect(Object.entries(auths).map(([key, entry]) => [key, userOf(entry)])).toEqual([
      [peers().registryHost, second.name],
    ]);
    expect(await machine.run(["logout", "--session", "../session"])).toMatchObject({ code: 0 });
    expect(differences(before, await machine.snapshot())).toEqual([]);
  });

  test("leaves no login if a login over an existing session fails", async ({ expect }) => {
    const robot = newRobot(peers());
    const machine = await machineWithToken(peers());
    const before = await machine.snapshot();
    const target = [...quayOf(peers()), "--token-file", machine.tokenFile, "--session", "../session"];
    expect(await machine.run(["login", ...target, robot.name])).toMatchObject({ code: 0 });
    failed(expect, await machine.run(["login", ...target, "acme+nobody"]), 1, "robot-not-found");
    expect(differences(before, await machine.snapshot())).toEqual([]);
  });

  test.for(["{", "[]", '{"files": [{}], "certificates": [{}], "robots": [{}]}', '{"files": "all"}'])(
    "fails on a damaged record: %s",
    async (content, { expect }) => {
      const machine = await createMachine();
      const record = await machine.write(join(machine.home, "session/session.json"), content);
      const before = await machine.snapshot();
      const ran = await machine.run(["logout", "--session", join(machine.home, "session"), "--output=json"]);
      expect(failed(expect, ran, 1, "logout-incomplete")).toContain(record);
      expect(differences(before, await machine.snapshot())).toEqual([]);
    },
  );

  test("keeps what another program wrote since", async ({ expect }) => {
    const robot = newRobot(peers());
    const machine = await machineWithToken(peers());
    const target = [...quayOf(peers()), "--robot", robot.name, "--token-file", machine.tokenFile];
    await machine.run(["login", ...target, "--session", "../session"]);
    const content = JSON.parse(await readFile(machine.usualFile, "utf8"));
    await machine.write(machine.usualFile, JSON.stringify({ auths: { ...content.auths, ...foreign } }));
    expect(await machine.run(["logout", "--session", "../session"])).toMatchObject({ code: 0 });
    expect(await authsIn(machine.usualFile)).toEqual(foreign);
  });
});

describe.concurrent("logout without a session", () => {
  /** Two robots and another login in one file. */
  async function loggedIn() {
    const [first, second] = [newRobot(peers()), newRobot(peers())];
    const machine = await machineWithToken(peers());
    const file = await machine.write(join(machine.home, "auth.json"), JSON.stringify({ auths: foreign }));
    const host = peers().registryHost;
    const scope = `${host}/${second.repository}`;
    const target = [...quayOf(peers()), "--token-file", machine.tokenFile, "--auth-file", file];
    const login = await machine.run(["login", ...target, `${host}=${first.name}`, `${scope}=${second.name}`]);
    return { machine, file, host, scope, login };
  }

  test("removes the host's login, and no other", async ({ expect }) => {
    const { machine, file, host, scope, login } = await loggedIn();
    expect(login).toMatchObject({ code: 0 });
    const args = ["logout", "--auth-file", file, "--registry", host, "--output", "json"];
    const logout = await machine.run(args);
    expect([logout.code, JSON.parse(logout.stdout)]).toEqual([0, { "logged-out": [host] }]);
    expect(Object.keys(await authsIn(file)).toSorted()).toEqual([scope, ...Object.keys(foreign)].toSorted());
    const again = await machine.run(args);
    expect([again.code, JSON.parse(again.stdout)]).toEqual([0, { "logged-out": [] }]);
  });

  test("removes the named scopes", async ({ expect }) => {
    const { machine, file, host, scope } = await loggedIn();
    const args = ["logout", `--auth-file=${file}`, "--scope", scope, `--scope=${host}`, "--output=json"];
    const logout = await machine.run(args);
    expect([logout.code, JSON.parse(logout.stdout)["logged-out"].toSorted()]).toEqual([0, [host, scope].toSorted()]);
    expect(await authsIn(file)).toEqual(foreign);
  });

  test("finds the file as the tools do", async ({ expect }) => {
    const robot = newRobot(peers());
    const machine = await machineWithToken(peers());
    const target = [...quayOf(peers()), "--robot", robot.name, "--token-file", machine.tokenFile];
    expect(await machine.run(["login", ...target])).toMatchObject({ code: 0 });
    const logout = await machine.run(["logout", "--registry", peers().registryHost]);
    expect(logout).toMatchObject({ code: 0 });
    const known = await machine.other("skopeo", ["login", "--get-login", peers().registryHost]);
    expect(known.code).not.toBe(0);
  });

  test("keeps a password that is not a robot token", async ({ expect }) => {
    const machine = await createMachine();
    const auths = { "quay.io": entryOf("acme+ci", "THESTATICPASSWORDOFAROBOT") };
    await machine.write(machine.usualFile, JSON.stringify({ auths }));
    const before = await machine.snapshot();
    const ran = await machine.run(["logout", "--output=json"]);
    failed(expect, ran, 1, "logout-incomplete");
    expect(differences(before, await machine.snapshot())).toEqual([]);
  });

  test("says that a file does not exist or holds no login", async ({ expect }) => {
    const machine = await createMachine();
    const missing = join(machine.home, "typo.json");
    const file = await machine.write(join(machine.home, "auth.json"), JSON.stringify({ auths: foreign }));
    expect(await machine.run(["logout", "--auth-file", missing])).toMatchObject({
      code: 0,
      stderr: `${missing} does not exist: no login was removed.\n`,
    });
    expect(await machine.run(["logout", "--auth-file", file])).toMatchObject({
      code: 0,
      stderr: `${file} holds no login for quay.io: no login was removed.\n`,
    });
  });

  test("succeeds without any file", async ({ expect }) => {
    const machine = await createMachine();
    expect(await machine.run(["logout"])).toMatchObject({ code: 0, stdout: "" });
  });
});
