/** `login`, and later commands of the same user without any flag. */
import { chmod, mkdtemp, readFile, readlink, rm, stat, symlink } from "node:fs/promises";
import { join } from "node:path";
import { describe, test } from "vitest";
import { SUBJECT } from "../../quay-stand-in/issuer.ts";
import { slow } from "../../quay-stand-in/scripted.ts";
import { createMachine } from "../../support/command.ts";
import { writeImage } from "../../support/image.ts";
import { differences } from "../../support/leaks.ts";
import { isRoot, needsRoot } from "../../support/root.ts";
import { findTool, toolNames } from "../../support/runner.ts";
import { authsIn, digestIn, entryOf, of, until, userOf } from "../world.ts";
import { failed, machineWithToken, newRobot, quayOf, resultsOf, useWorld } from "./world.ts";

const peers = useWorld();
const modeOf = async (path: string) => ((await stat(path)).mode & 0o777).toString(8);

describe.concurrent("login", () => {
  for (const tool of [...toolNames, "none"] as const) {
    const isThere = tool === "none" || findTool(tool) !== undefined;
    test.skipIf(!isThere)(`with ${tool}; then skopeo needs no flag`, async ({ expect }) => {
      const robot = newRobot(peers());
      const machine = await machineWithToken(peers());
      const target = [...quayOf(peers()), "--robot", robot.name, "--token-file", machine.tokenFile];
      const ran = await machine.run(["login", ...target, "--tool", tool, "--session", "../session"]);
      expect(ran).toMatchObject({ code: 0 });
      const programs = tool === "none" ? [] : [join(machine.scratch, "tools", tool)];
      expect(ran.children.map(({ argv }) => argv[0])).toEqual(programs);
      const file = tool === "docker" ? join(machine.home, ".docker/config.json") : machine.usualFile;
      expect(resultsOf(ran.stdout)["auth-file"]).toBe(file);
      expect([await modeOf(file), Object.keys(await authsIn(file))]).toEqual(["600", [peers().registryHost]]);

      const image = await writeImage(join(machine.scratch, "image"));
      const there = `docker://${peers().registryHost}/${robot.repository}:v1`;
      expect(await machine.other("skopeo", ["copy", image.reference, there])).toMatchObject({ code: 0, stderr: "" });
      const back = await machine.other("skopeo", ["copy", there, `oci:${machine.scratch}/back:v1`]);
      expect(back).toMatchObject({ code: 0, stderr: "" });
      expect(await digestIn(join(machine.scratch, "back"))).toBe(image.digest);
    });
  }

  test("prints robot, scope and expiry on standard output only", async ({ expect }) => {
    const robot = newRobot(peers());
    const machine = await machineWithToken(peers());
    const target = [...quayOf(peers()), "--robot", robot.name, "--token-file", machine.tokenFile];
    const { code, stdout, stderr } = await machine.run(["login", ...target]);
    expect(code).toBe(0);
    const results = resultsOf(stdout);
    expect(results).toEqual({
      registry: peers().registryHost,
      robot: robot.name,
      "expires-at": expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/),
      "auth-file": machine.usualFile,
      issuer: peers().issuer.url,
      subject: SUBJECT,
      audience: "quay",
    });
    expect(Math.abs(Date.parse(results["expires-at"] ?? "") - Date.now() - 3_600_000)).toBeLessThan(60_000);
    expect(stderr).toContain(machine.tokenFile);
    expect(stderr).toContain(robot.name);
    for (const fact of [peers().issuer.url, SUBJECT, "audience"]) {
      expect(stderr, "printed once, on standard output").not.toContain(fact);
    }
  });

  test("keeps nothing without --session, and keeps other logins", async ({ expect }) => {
    const robot = newRobot(peers());
    const machine = await machineWithToken(peers());
    const foreign = entryOf("somebody", "a-foreign-password");
    await machine.write(machine.usualFile, JSON.stringify({ auths: { "registry.example.com": foreign } }), 0o640);
    const before = await machine.snapshot();
    const target = [...quayOf(peers()), "--robot", robot.name, "--token-file", machine.tokenFile];
    expect(await machine.run(["login", ...target])).toMatchObject({ code: 0 });
    expect(differences(before, await machine.snapshot())).toEqual([`${machine.usualFile} has other content`]);
    const auths = await authsIn(machine.usualFile);
    expect(auths["registry.example.com"]).toEqual(foreign);
    expect(userOf(auths[peers().registryHost])).toBe(robot.name);
  });

  test.for(["REGISTRY_AUTH_FILE", "DOCKER_CONFIG"])("follows %s, as the tools do", async (variable, { expect }) => {
    const robot = newRobot(peers());
    const machine = await machineWithToken(peers());
    const file = join(machine.home, "elsewhere/config.json");
    const env = { [variable]: variable === "DOCKER_CONFIG" ? join(machine.home, "elsewhere") : file };
    const target = [...quayOf(peers()), "--robot", robot.name, "--token-file", machine.tokenFile];
    const ran = await machine.run(["login", ...target], { env });
    expect(ran).toMatchObject({ code: 0 });
    expect(resultsOf(ran.stdout)["auth-file"]).toBe(file);
    const known = await machine.other("skopeo", ["login", "--get-login", peers().registryHost], { env });
    expect(known).toMatchObject({ code: 0, stdout: `${robot.name}\n` });
  });

  test.skipIf(!isRoot)(`--auth-file-mode lets another user pull ${needsRoot}`, async ({ expect }) => {
    const robot = newRobot(peers());
    const machine = await machineWithToken(peers(), { uid: 1234 });
    const ca = await machine.write(join(machine.home, "ca.pem"), peers().authority.ca, 0o644);
    const file = join(machine.home, "shared/auth.json");
    await machine.write(join(machine.home, "shared/note"), "something else", 0o644);
    await chmod(join(machine.home, "shared"), 0o755);
    const target = ["--registry", peers().registryHost, "--ca-file", ca, "--token-file", machine.tokenFile];
    const place = ["--auth-file", file, "--auth-file-mode=0640", "--tool=skopeo"];
    const ran = await machine.run(["login", ...target, ...place, "--robot", robot.name]);
    expect(ran).toMatchObject({ code: 0 });
    expect(await modeOf(file)).toBe("640");
    const env = { SSL_CERT_FILE: ca, REGISTRY_AUTH_FILE: file, HOME: machine.work };
    const image = await writeImage(join(machine.scratch, "image"));
    const there = `docker://${peers().registryHost}/${robot.repository}:v1`;
    const pushed = await machine.other("skopeo", ["copy", image.reference, there], { env });
    expect(pushed).toMatchObject({ code: 0, stderr: "" });
    const inspected = await machine.other("skopeo", ["inspect", there], { env, uid: 4321 });
    expect(inspected).toMatchObject({ code: 0, stderr: "" });
    expect(JSON.parse(inspected.stdout).Digest).toBe(image.digest);
  });

  test("logs in several robots, by --robot and as plain arguments, each with its scope", async ({ expect }) => {
    const [first, second, third] = [newRobot(peers()), newRobot(peers()), newRobot(peers())];
    const machine = await machineWithToken(peers());
    const scope = (robot: { repository: string }) => `${peers().registryHost}/${robot.repository}`;
    const target = [...quayOf(peers()), "--token-file", machine.tokenFile, "--output", "json"];
    const ran = await machine.run([
      ...["login", ...target, "--robot", `${scope(first)}=${first.name}`, `--robot=${scope(second)}=${second.name}`],
      ...["--session", "../session", "--", `${peers().registryHost}=${third.name}`],
    ]);
    expect(ran).toMatchObject({ code: 0 });
    const { robots, "expires-at": end } = JSON.parse(ran.stdout);
    expect(robots).toEqual([
      { robot: first.name, scope: scope(first), "expires-at": expect.any(String) },
      { robot: second.name, scope: scope(second), "expires-at": expect.any(String) },
      { robot: third.name, scope: peers().registryHost, "expires-at": expect.any(String) },
    ]);
    expect(end).toBe(robots.map((each: { "expires-at": string }) => each["expires-at"]).toSorted()[0]);
    for (const robot of [first, second, third]) {
      const image = await writeImage(join(machine.scratch, robot.name));
      const pushed = await machine.other("skopeo", ["copy", image.reference, `docker://${scope(robot)}:v1`]);
      // The third one's login is for the host: the tool would use it for the others if they had none.
      expect(pushed).toMatchObject({ code: 0, stderr: "" });
    }
  });

  test("--export-token prints the token and nothing else", async ({ expect }) => {
    const robot = newRobot(peers());
    const machine = await machineWithToken(peers());
    const target = [...quayOf(peers()), "--robot", robot.name, "--token-file", machine.tokenFile];
    const { code, stdout, stderr } = await machine.run(["login", ...target, "--export-token"]);
    expect(code).toBe(0);
    const token = stdout.trimEnd();
    expect(stdout).toBe(`${token}\n`);
    expect(token).toMatch(/^[\w-]+\.[\w-]+\.[\w-]+$/);
    const { auth = "" } = (await authsIn(machine.usualFile))[peers().registryHost] ?? {};
    expect(Buffer.from(auth, "base64").toString()).toBe(`${robot.name}:${token}`);
    const asked = peers().quay.seen(token);
    expect(asked.map(({ path }) => path)).toContain("/v2/auth");
    expect(stderr).toContain(robot.name);
    expect(stderr).toContain(SUBJECT);
  });

  test("--result writes outputs for Tekton, without a line feed", async ({ expect }) => {
    const robot = newRobot(peers());
    const machine = await machineWithToken(peers());
    const names = ["registry", "robot", "expires-at", "auth-file", "issuer", "subject", "audience", "logged-in"];
    const file = (name: string) => join(machine.scratch, `result-${name}`);
    const target = [...quayOf(peers()), "--robot", robot.name, "--token-file", machine.tokenFile];
    const ran = await machine.run([
      ...["login", ...target],
      ...names.flatMap((name) => ["--result", `${name}=${file(name)}`]),
    ]);
    expect(ran).toMatchObject({ code: 0 });
    const written = await Promise.all(names.map((name) => readFile(file(name), "utf8")));
    const results = resultsOf(ran.stdout);
    expect(written).toEqual([...names.slice(0, -1).map((name) => results[name]), "true"]);
  });

  test("a result that can't be written at the end removes the login", async ({ expect }) => {
    const robot = newRobot(peers());
    const machine = await machineWithToken(peers());
    const before = await machine.snapshot();
    const target = [...quayOf(peers()), "--robot", robot.name, "--token-file", machine.tokenFile];
    peers().quay.exchangeScript.always(slow(500), of(robot));
    const folder = await mkdtemp(join(machine.scratch, "results-"));
    const running = await machine.start(["login", ...target, "--result", `robot=${folder}/robot`]);
    await until(() => peers().quay.requests.some(({ user }) => user === robot.name), "the exchange");
    await rm(folder, { recursive: true });
    const ran = await running.done;
    expect(failed(expect, ran, 2, "invalid-input")).toMatch(
      /--result.*results-.*: the file is in a folder that does not exist/,
    );
    expect(ran.stdout).toBe("");
    expect(differences(before, await machine.snapshot())).toEqual([]);
  });

  test("keeps an auth file a link", async ({ expect }) => {
    const robot = newRobot(peers());
    const machine = await machineWithToken(peers());
    const file = await machine.write(join(machine.home, "real.json"), "{}");
    const link = join(machine.home, "link.json");
    await symlink("real.json", link);
    const target = [...quayOf(peers()), "--robot", robot.name, "--token-file", machine.tokenFile];
    expect(await machine.run(["login", ...target, "--auth-file", link])).toMatchObject({ code: 0 });
    expect(await readlink(link)).toBe("real.json");
    expect(userOf((await authsIn(file))[peers().registryHost])).toBe(robot.name);
  });

  test("treats a blank value as not set", async ({ expect }) => {
    const robot = newRobot(peers());
    const machine = await machineWithToken(peers());
    const ca = await machine.write(join(machine.home, "ca.pem"), peers().authority.ca);
    const blank = ["--auth-file=", "--auth-file-mode=", "--access=", "--session=", "--tool", "", "--audience= "];
    const target = ["--registry", peers().registryHost, `--ca-file=${ca}`, `--token-file=${machine.tokenFile}`];
    const ran = await machine.run(["login", ...target, ...blank, "--spiffe-socket=", "--robot=", robot.name]);
    expect(ran).toMatchObject({ code: 0 });
    expect(resultsOf(ran.stdout)["auth-file"]).toBe(machine.usualFile);
  });

  test("--access checks before the build whether Quay allows the push", async ({ expect }) => {
    const robot = newRobot(peers());
    const machine = await machineWithToken(peers());
    const target = [...quayOf(peers()), "--robot", robot.name, "--token-file", machine.tokenFile];
    const before = await machine.snapshot();
    const refused = await machine.run(["login", ...target, "--access", "acme/private:pull,push"]);
    expect(refused).toMatchObject({ code: 1, stdout: "" });
    expect(refused.stderr).toContain("explain access-missing");
    expect(differences(before, await machine.snapshot())).toEqual([]);
    const granted = await machine.run(["login", ...target, "--access", `${robot.repository}:pull,push`]);
    expect(granted).toMatchObject({ code: 0 });
  });

  test("runs as an ordinary user, without a home to write to", async ({ expect }) => {
    const robot = newRobot(peers());
    const machine = await createMachine({ peers: peers(), uid: 1234, env: { HOME: "/" } });
    const token = await machine.write(join(machine.work, "token"), await peers().issuer.sign());
    const ca = await machine.write(join(machine.work, "ca.pem"), peers().authority.ca);
    const target = ["--registry", peers().registryHost, "--ca-file", ca, "--robot", robot.name, "--token-file", token];
    const ran = await machine.run(["login", ...target, "--auth-file", "auth.json", "--session", "session"]);
    expect(ran).toMatchObject({ code: 0 });
    // There is no folder for the certificate of later commands.
    expect(ran.stderr).toMatch(/Warning:.*ca-file/);
    expect(await machine.run(["logout", "--session", "session"])).toMatchObject({ code: 0 });
  });
});
