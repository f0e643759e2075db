/** Logins for docker's builder, which has a file for each repository and action; test/real/buildx.test.ts has buildx read them. */
import { existsSync } from "node:fs";
import { mkdir, readFile, stat, symlink, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { describe, test } from "vitest";
import { createJob } from "../support/action.ts";
import { differences } from "../support/leaks.ts";
import { findTool } from "../support/runner.ts";
import { machineWithToken, quayOf, resultsOf, useWorld } from "./cli/world.ts";
import { authsIn, entryOf, failure, newRobot, userOf } from "./world.ts";

const peers = useWorld({ registry: false });

/** Two robots, one of which pushes to a repository, and where their logins go. */
function twoRobots(folder: string) {
  const { registryHost: host } = peers();
  const [reader, writer] = [newRobot(peers()), newRobot(peers())];
  const scopes = [`${host}/${reader.repository}`, `${host}/${writer.repository}@push`] as const;
  const [reading, writing] = scopes.map((scope) => join(folder, "config", scope, "config.json")) as [string, string];
  const robots = [`${scopes[0]}=${reader.name}`, `${scopes[1]}=${writer.name}`];
  return { host, reader: reader.name, writer: writer.name, scopes, reading, writing, robots };
}

describe.skipIf(!findTool("docker"))("the command line", { concurrent: true }, () => {
  /** A machine on which another program's login for pushes is there already. */
  async function prepared() {
    const machine = await machineWithToken(peers());
    const two = twoRobots(join(machine.home, ".docker/buildx"));
    const common = ["--token-file", machine.tokenFile, ...quayOf(peers()), "--tool", "docker"];
    return { machine, ...two, login: ["login", ...common, ...two.robots.flatMap((robot) => ["--robot", robot])] };
  }

  test("writes a file for each, and logout brings back what was there", async ({ expect }) => {
    const { machine, host, login, reading, writing, reader, writer, scopes } = await prepared();
    const theirs = `{ "auths": ${JSON.stringify({ [host]: entryOf("other", "a-password") })} }\n`;
    await machine.write(writing, theirs);
    const before = await machine.snapshot();
    const session = ["--session", join(machine.home, "session")];
    const ran = await machine.run([...login, ...session, "--output", "json"]);
    expect([ran.code, ran.leaks]).toEqual([0, []]);
    expect(ran.stderr).toContain(`docker uses the logins for ${scopes.join(", ")} in its builder alone: docker build`);
    expect(JSON.parse(ran.stdout)).toMatchObject({ "auth-file": reading, files: [reading, writing] });
    expect(userOf((await authsIn(reading))[host])).toBe(reader);
    expect(userOf((await authsIn(writing))[host])).toBe(writer);
    expect([(await stat(reading)).mode & 0o777, (await stat(dirname(reading))).mode & 0o777]).toEqual([0o600, 0o700]);
    expect(existsSync(join(machine.home, ".docker/config.json"))).toBe(false);

    expect(await machine.run(["logout", ...session])).toMatchObject({ code: 0 });
    expect(differences(before, await machine.snapshot())).toEqual([]);
    expect(await readFile(writing, "utf8")).toBe(theirs);
  });

  test("shows them and logs out of them without a session, as the login says", async ({ expect }) => {
    const { machine, login, reading, writing, reader, writer, scopes } = await prepared();
    const before = await machine.snapshot();
    const ran = await machine.run(login, { terminal: true });
    expect(ran.stdout).toContain(`Logged in to ${scopes[0]} as ${reader}, ${scopes[1]} as ${writer} until `);
    expect(ran.stdout).toContain(`Auth files: ${reading}, ${writing}`);
    const [, command = ""] = /To log out: quay-keyless-login (.*)/.exec(ran.stdout) ?? [];
    const status = await machine.run(["status", "--registry", peers().registryHost]);
    expect([status.code, resultsOf(status.stdout)]).toEqual([
      0,
      expect.objectContaining({ "auth-file": join(machine.home, ".docker/buildx/config") }),
    ]);
    for (const scope of scopes) expect(status.stdout).toContain(scope);
    const one = await machine.run(["status", "--scope", scopes[1], "--for", "10m", "--output", "json"]);
    expect(JSON.parse(one.stdout).logins).toMatchObject([{ scope: scopes[1], robot: writer }]);

    expect(await machine.run(command.trim().split(" "))).toMatchObject({ code: 0 });
    // A file without a login would keep the builder from those of docker's configuration.
    expect([existsSync(reading), existsSync(writing)]).toEqual([false, false]);
    const left = differences(before, await machine.snapshot());
    expect(left.filter((line) => !/\.docker(?:\/buildx)? is new$/.test(line))).toEqual([]);
    expect((await machine.run(["status", "--scope", scopes[1]])).code).toBe(1);
  });

  test("a login for all and one for pushes, as typed: both are shown, and the way to log out of each", async ({
    expect,
  }) => {
    const { machine, host, reader, robots, scopes, writing } = await prepared();
    const common = ["--token-file", machine.tokenFile, ...quayOf(peers()), "--tool", "docker"];
    expect((await machine.run(["login", ...common, "--robot", reader, "--robot", robots[1] ?? ""])).code).toBe(0);
    const shown = await machine.run(["status", "--registry", host, "--output", "json"]);
    expect(JSON.parse(shown.stdout).logins).toMatchObject([
      { scope: host, robot: reader, "auth-file": join(machine.home, ".docker/config.json") },
      { scope: scopes[1], "auth-file": writing },
    ]);
    const first = await machine.run(["logout", "--registry", host]);
    const [, command = ""] = /To log out: quay-keyless-login (.*)/.exec(first.stderr) ?? [];
    expect([first.code, command]).toEqual([0, `logout --scope ${scopes[1]}`]);
    expect(await machine.run(command.split(" "))).toMatchObject({ code: 0 });
    expect((await machine.run(["status", "--registry", host])).code).toBe(1);
  });

  test("a logout takes the builder's copy of another tool's login too", async ({ expect }) => {
    const { machine, scopes, robots, reading } = await prepared();
    const common = ["--token-file", machine.tokenFile, ...quayOf(peers()), "--tool", "none"];
    expect((await machine.run(["login", ...common, "--robot", robots[0] ?? ""])).code).toBe(0);
    expect(Object.keys(await authsIn(machine.usualFile))).toEqual([scopes[0]]);
    expect(existsSync(reading)).toBe(true);
    expect(await machine.run(["logout", "--scope", scopes[0]])).toMatchObject({ code: 0 });
    expect(existsSync(reading)).toBe(false);
    expect((await machine.run(["status", "--registry", peers().registryHost])).code).toBe(1);
  });

  test("a folder that can't be written is docker's: the error names no other file", async ({ expect }) => {
    const { machine, login } = await prepared();
    await mkdir(join(machine.home, ".docker/buildx"), { recursive: true });
    await symlink(join(machine.home, "nothing"), join(machine.home, ".docker/buildx/config"));
    const ran = await machine.run(login);
    expect([ran.code, ran.stderr]).toEqual([1, expect.stringContaining("DOCKER_CONFIG=/path/docker")]);
    expect(ran.stderr).not.toContain("--auth-file");
  });

  test("renews them in place", async ({ expect }) => {
    const { machine, host, login, writing, writer } = await prepared();
    const session = ["--session", join(machine.home, "session")];
    const running = await machine.start([...login, ...session, "--watch"]);
    const entry = async () => (await authsIn(writing).catch(() => ({}) as Record<string, never>))[host];
    await expect.poll(entry, { timeout: 20_000 }).toBeDefined();
    await writeFile(writing, '{"auths":{}}'); // which makes a renewal due
    await expect.poll(async () => userOf(await entry()), { timeout: 20_000 }).toBe(writer);
    running.kill("SIGTERM");
    await running.done;
    expect(await machine.run(["logout", ...session])).toMatchObject({ code: 0 });
  });

  test("refuses an action for another tool, and an organization for docker", async ({ expect }) => {
    const { machine, robots, host } = await prepared();
    const run = (tool: string, robot: string) =>
      machine.run(["login", ...quayOf(peers()), "--tool", tool, "--robot", robot]);
    const action = await run("skopeo", robots[1] ?? "");
    expect([action.code, action.stderr]).toEqual([2, expect.stringContaining("one that docker's builder alone reads")]);
    const organization = await run("docker", `${host}/acme=acme+ci`);
    expect([organization.code, organization.stderr]).toEqual([2, expect.stringContaining("none for an organization")]);
  });
});

describe.skipIf(!findTool("docker"))("the Action", { concurrent: true }, () => {
  test("logs docker's builder in, and its post step takes the logins and folders away", async ({ expect }) => {
    const job = await createJob({ peers: peers() });
    const { host, writer, writing, reading, scopes, robots } = twoRobots(join(job.home, ".docker/buildx"));
    const before = await job.snapshot();
    const main = await job.run({ robot: robots.join("\n") });
    expect([main.code, main.shown]).toEqual([
      0,
      expect.stringContaining(`Logged in to ${scopes[1]} as ${writer} with docker`),
    ]);
    expect([userOf((await authsIn(writing))[host]), existsSync(reading)]).toEqual([writer, true]);
    // What only docker's builder reads is no login of the file for the other tools.
    expect(Object.keys(await authsIn(main.outputs["auth-file"] ?? ""))).toEqual([scopes[0]]);
    expect(await main.post()).toMatchObject({ code: 0 });
    expect(differences(before, await job.snapshot())).toEqual([]);
  });

  test("without any tool, logs docker's builder in for pushes alone, and names no file to other tools", async ({
    expect,
  }) => {
    const job = await createJob({ peers: peers(), tools: [] });
    const { host, writer, writing, scopes } = twoRobots(join(job.home, ".docker/buildx"));
    const before = await job.snapshot();
    const main = await job.run({ robot: `${scopes[1]}=${writer}` });
    expect([main.code, main.shown]).toEqual([0, expect.stringContaining(`The login is in ${writing}.`)]);
    expect([main.outputs["auth-file"], main.exported]).toEqual([writing, {}]);
    expect(main.summary).toContain(`| Login file | ${writing.replaceAll(":", "&#58;").replaceAll("@", "&#64;")} |`);
    expect(userOf((await authsIn(writing))[host])).toBe(writer);
    expect(await main.post()).toMatchObject({ code: 0 });
    expect(differences(before, await job.snapshot())).toEqual([]);
  });

  test("gives docker's builder the logins of repositories on a hosted runner, whatever tool logs in", async ({
    expect,
  }) => {
    const job = await createJob({ peers: peers() });
    const { host, reader, reading, scopes } = twoRobots(join(job.home, ".docker/buildx"));
    const main = await job.run({ robot: `${scopes[0]}=${reader}` });
    expect([main.code, main.annotations]).toEqual([0, []]);
    expect(userOf((await authsIn(reading))[host])).toBe(reader);
    expect(await main.post()).toMatchObject({ code: 0 });
    expect(existsSync(reading)).toBe(false);
  });

  test("fails where another program's login would be used, and changes nothing", async ({ expect }) => {
    const job = await createJob({ peers: peers() });
    const { host, writer, scopes } = twoRobots("");
    const path = join(job.home, ".docker/buildx/config", scopes[1].replace("@push", "@push,pull"), "config.json");
    await mkdir(dirname(path), { recursive: true });
    await job.write(path, JSON.stringify({ auths: { [host]: entryOf("other", "a-password") } }));
    const before = await job.snapshot();
    expect(failure(expect, await job.run({ robot: `${scopes[1]}=${writer}` }), "login-hidden")).toContain(`rm ${path}`);
    expect(differences(before, await job.snapshot())).toEqual([]);
  });
});
