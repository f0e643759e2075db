/** A forged record at the path of the user's own, and the user's own record in a volume with a group. */
import { createHash } from "node:crypto";
import { chmod, chown, mkdir, readdir, readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { describe, test } from "vitest";
import { createMachine } from "../../support/command.ts";
import { differences } from "../../support/leaks.ts";
import { authsIn, userOf } from "../world.ts";
import { failed, machineWithToken, newRobot, quayOf, useWorld } from "./world.ts";

const peers = useWorld({ registry: false });
const id = "0123456789ab";
const sha = (text: string) => createHash("sha256").update(text).digest("hex");
const record = (more: object) =>
  JSON.stringify({ version: 1, folder: "/", named: false, id, files: [], certificates: [], robots: [], ...more });

describe.concurrent("a record in the checkout", () => {
  const known = '{"auths": {"ghcr.io": {}}}';
  const evil = Buffer.from('{"auths": {"ghcr.io": {"auth": "ZXZpbDpldmls"}}}').toString("base64");
  const file = (path: string) => ({ path, before: evil, mode: 0o644, folders: [], scopes: {}, after: [sha(known)] });

  test.for<[string, (home: string) => object]>([
    ["deletes a file", (home) => ({ certificates: [{ path: join(home, ".ssh/id"), folders: [], hash: sha(known) }] })],
    ["replaces a file that it knows", (home) => ({ files: [file(join(home, ".ssh/id"))] })],
    ["deletes a file that it knows", (home) => ({ files: [{ ...file(join(home, ".ssh/id")), before: null }] })],
    [
      "puts its own login where there is a placeholder",
      (home) => ({
        files: [
          {
            ...file(join(home, ".ssh/id")),
            scopes: { "ghcr.io": { before: { auth: "ZXZpbDpldmls" }, written: [sha("{}")] } },
          },
        ],
      }),
    ],
    ["deletes what is beside it", () => ({})],
    ["leaves the folder by its id", (home) => ({ id: "/../victim", files: [file(join(home, ".ssh/a"))] })],
  ])("%s: logout and login ignore it", async ([, more], { expect }) => {
    const robot = newRobot(peers());
    const machine = await machineWithToken(peers());
    await machine.write(join(machine.home, ".ssh/id"), known);
    await machine.write(join(machine.home, ".ssh/victim.tmp"), "x");
    const session = join(machine.work, "session");
    await machine.write(join(session, "session.json"), record(more(machine.home)), 0o644);
    await machine.write(join(session, "thesis.txt"), "mine", 0o644);
    await chmod(session, 0o755);
    const target = [...quayOf(peers()), "--robot", robot.name, "--token-file", machine.tokenFile];
    const before = await machine.snapshot();
    await machine.run(["login", ...target, "--auth-file", "./auth.json", "--session", "./session"]);
    await machine.run(["logout", "--session", "./session"]);
    const changed = differences(before, await machine.snapshot());
    // An empty record is a session without logins: only the record is removed.
    expect(changed.filter((line) => !line.startsWith(join(session, "session.json")))).toEqual([]);
  });
});

test("reports one that every user can write to, with a code for programs", async ({ expect }) => {
  const machine = await createMachine();
  const session = join(machine.work, "session");
  await machine.write(join(session, "session.json"), record({}), 0o666);
  const ran = await machine.run(["logout", "--session", session, "--output=json"]);
  expect(failed(expect, ran, 1, "logout-incomplete")).toContain("every user may write to it");
});

/** What the kubelet does for a pod's fsGroup, in every pod that mounts the volume. */
async function mountForGroup(path: string, group: number): Promise<void> {
  const info = await stat(path);
  await chown(path, info.uid, group);
  await chmod(path, (info.mode & 0o7777) | (info.isDirectory() ? 0o2770 : 0o660));
  if (info.isDirectory()) {
    for (const name of await readdir(path)) await mountForGroup(join(path, name), group);
  }
}

describe.skipIf(process.getuid?.() !== 0)("in a volume with a group (needs root)", () => {
  test.for<[string, string, string | undefined]>([
    ["a separate folder", ".quay-keyless-login", undefined],
    ["a separate folder, and a mode for the file", ".quay-keyless-login", "0640"],
    ["a folder that the volume made", "session", undefined],
  ])("login and logout still work: %s", async ([, name, mode], { expect }) => {
    const robot = newRobot(peers());
    const machine = await machineWithToken(peers());
    const volume = join(machine.scratch, "volume");
    await mkdir(join(volume, "session"), { recursive: true });
    const pod = async (...args: string[]) => {
      await mountForGroup(volume, 3000);
      const env = {
        PATH: `${join(machine.scratch, "tools")}:${process.env.PATH}`,
        TMPDIR: join(machine.scratch, "pod"),
      };
      const user = ["--reuid=1001", "--regid=0", "--groups=0,3000", join(machine.scratch, "tools/quay-keyless-login")];
      return machine.other("setpriv", [...user, ...args], { env });
    };
    await mkdir(join(machine.scratch, "pod"));
    await chown(join(machine.scratch, "pod"), 1001, 0);
    await chmod(machine.tokenFile, 0o644);
    await chmod(join(machine.scratch, "children"), 0o777);
    const roots = await machine.write(join(machine.scratch, "ca.crt"), await readFile(peers().caFile, "utf8"), 0o644);
    const file = join(volume, "config.json");
    const quay = ["--registry", peers().registryHost, "--ca-file", roots];
    const target = [...quay, "--robot", robot.name, "--token-file", machine.tokenFile];
    const session = ["--session", join(volume, name)];
    const login = await pod(
      ...["login", ...target, "--auth-file", file, ...session],
      ...(mode ? ["--auth-file-mode", mode] : []),
    );
    expect(login.code, login.stderr).toBe(0);
    expect(userOf((await authsIn(file))[peers().registryHost])).toBe(robot.name);
    const again = await pod("login", ...target, "--auth-file", file, ...session);
    expect(again.code, again.stderr).toBe(0);
    const out = await pod("logout", ...session);
    expect(out.code, out.stderr).toBe(0);
    expect(out.stderr).toContain("Logged out of");
    expect(await readFile(file, "utf8").catch(() => "gone")).toBe("gone");
  });
});
