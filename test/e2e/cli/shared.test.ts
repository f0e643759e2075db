/** Files that several users share: a login does not change who may read and write them. */
import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { chmod, chown, mkdir, readFile, stat } from "node:fs/promises";
import { dirname, join } from "node:path";
import { promisify } from "node:util";
import { afterAll, describe, test } from "vitest";
import { authsIn, entryOf, userOf } from "../world.ts";
import { machineWithToken, newRobot, quayOf, useWorld } from "./world.ts";

const peers = useWorld({ registry: false });
const attacker = join(import.meta.dirname, "attacker.mjs");
const content = JSON.stringify({ auths: { "registry.example.com": entryOf("somebody", "a-foreign-password") } });

const mounts: string[] = [];
afterAll(async () => {
  for (const path of mounts) await promisify(execFile)("umount", ["--lazy", path]);
});

describe.skipIf(process.getuid?.() !== 0)("a shared auth file (needs root)", () => {
  /** A machine whose commands run as user 2002, in group 3000 as well. */
  async function sharing(folderMode: number, [uid, gid]: readonly [number, number]) {
    const robot = newRobot(peers());
    const machine = await machineWithToken(peers(), { uid: 2002 });
    const folder = join(machine.scratch, "shared");
    await mkdir(folder);
    await chown(folder, 2001, 3000);
    await chmod(folder, folderMode);
    const file = join(folder, "auth.json");
    await machine.write(file, content, 0o660);
    await chown(file, uid, gid);
    const roots = await machine.write(join(machine.home, "ca.crt"), await readFile(peers().caFile, "utf8"));
    await chmod(join(machine.scratch, "children"), 0o777);
    const program = join(machine.scratch, "tools/quay-keyless-login");
    const as = async (user: readonly string[], args: readonly string[]) => {
      const PATH = `${dirname(program)}:${process.env.PATH}`;
      return machine.other("setpriv", [...user, program, ...args], { env: { PATH }, uid: 0 });
    };
    const login = ["login", "--registry", peers().registryHost, "--ca-file", roots, "--robot", robot.name];
    return { robot, machine, file, as, login: [...login, "--token-file", machine.tokenFile, "--auth-file", file] };
  }
  const member = ["--reuid=2002", "--regid=2002", "--groups=2002,3000"];
  const root = ["--reuid=0", "--regid=0", "--clear-groups"];

  test.for<[string, number, readonly [number, number], readonly string[]]>([
    ["its group, by its owner", 0o770, [2002, 3000], member],
    ["its group, by another member", 0o770, [2001, 3000], member],
    ["its group, in a setgid folder", 0o2770, [2002, 3000], member],
    ["owner and group, by root", 0o770, [2001, 3000], root],
  ])("keeps %s", async ([, mode, [uid, gid], user], { expect }) => {
    const { robot, machine, file, as, login } = await sharing(mode, [uid, gid]);
    const shared = { uid: user === root ? uid : 2002, gid, mode: 0o100660 }; // only root can change the owner
    const session = ["--session", join(user === root ? machine.scratch : machine.home, "session")];
    const ran = await as(user, [...login, ...session]);
    expect(ran.code, ran.stderr).toBe(0);
    expect(userOf((await authsIn(file))[peers().registryHost])).toBe(robot.name);
    expect(await stat(file)).toMatchObject(shared);
    const out = await as(user, ["logout", ...session]);
    expect(out.code, out.stderr).toBe(0);
    expect(await stat(file)).toMatchObject(shared);
    expect(await readFile(file, "utf8")).toBe(content);
  });

  test("by a user who puts links where root writes never makes root write elsewhere", async ({ expect }) => {
    const { machine, file, as, login } = await sharing(0o770, [2001, 3000]);
    const precious = await machine.write(join(machine.scratch, "precious"), "root's own");
    await chown(precious, 0, 0);
    // Its user can't read this user's home.
    const program = await machine.write(join(machine.scratch, "attacker.mjs"), await readFile(attacker, "utf8"), 0o644);
    const attack = spawn("setpriv", [...member, process.execPath, program, dirname(file), precious]);
    await once(attack.stdout, "data");
    for (let tries = 0; tries < 8; tries++) {
      const ran = await as(root, login);
      if (ran.code !== 0) expect(ran.stderr).toContain("auth-file-unusable");
    }
    attack.kill();
    expect(await stat(precious)).toMatchObject({ uid: 0, gid: 0, mode: 0o100600 });
    expect(await readFile(precious, "utf8")).toBe("root's own");
  });

  test("is left to its owner by a logout without a session", async ({ expect }) => {
    const { file, as, login } = await sharing(0o770, [2002, 3000]);
    expect(await as(member, login)).toMatchObject({ code: 0 });
    await chown(file, 2001, 3000);
    await chmod(file, 0o640); // which its owner could not write if the owner changed
    const before = await readFile(file, "utf8");
    const out = await as(member, ["logout", "--auth-file", file, "--registry", peers().registryHost]);
    expect(out.code, out.stderr).toBe(1);
    expect(out.stderr).toContain(`${file} belongs to user 2001 and group 3000`);
    expect([await readFile(file, "utf8"), (await stat(file)).uid]).toEqual([before, 2001]);
  });

  test("that is mounted alone after the login stays, and logout reports it", async ({ expect }) => {
    const robot = newRobot(peers());
    const machine = await machineWithToken(peers());
    const file = await machine.write(join(machine.home, "auth.json"), content);
    const target = [...quayOf(peers()), "--robot", robot.name, "--token-file", machine.tokenFile];
    const session = ["--session", join(machine.home, "session")];
    expect(await machine.run(["login", ...target, "--auth-file", file, ...session])).toMatchObject({ code: 0 });
    await promisify(execFile)("mount", ["--bind", file, file]);
    mounts.push(file);
    const before = await readFile(file, "utf8");
    const out = await machine.run(["logout", ...session]);
    expect([out.code, out.stderr]).toEqual([1, expect.stringContaining("it is mounted by itself")]);
    expect(await readFile(file, "utf8")).toBe(before);
    await promisify(execFile)("umount", [mounts.pop() ?? ""]);
    expect(await machine.run(["logout", ...session])).toMatchObject({ code: 0 });
    expect(await readFile(file, "utf8")).toBe(content);
  });
});

describe.concurrent("a result", () => {
  test("replaces a file, and never follows a link", async ({ expect }) => {
    const robot = newRobot(peers());
    const machine = await machineWithToken(peers());
    const target = [...quayOf(peers()), "--robot", robot.name, "--token-file", machine.tokenFile];
    const result = await machine.write(join(machine.scratch, "result"), "old", 0o640);
    expect(await machine.run(["login", ...target, "--result", `robot=${result}`])).toMatchObject({ code: 0 });
    expect([await readFile(result, "utf8"), (await stat(result)).mode & 0o777]).toEqual([robot.name, 0o640]);
    const precious = await machine.write(join(machine.scratch, "precious"), "precious");
    await promisify(execFile)("ln", ["-sf", precious, result]);
    const refused = await machine.run(["login", ...target, "--result", `robot=${result}`]);
    expect([refused.code, refused.stderr]).toEqual([
      2,
      expect.stringContaining("is a link, a pipe or a socket, and must be a file"),
    ]);
    expect(await readFile(precious, "utf8")).toBe("precious");
  });
});
