/** token-command as users run it: in each command, in the Action, and at each renewal. Every run passes through the leak harness. */
import { randomUUID } from "node:crypto";
import { mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, type ExpectStatic, test } from "vitest";
import type { Issuer } from "../quay-stand-in/issuer.ts";
import { addApiToken } from "../quay-stand-in/quay/store.ts";
import { createJob } from "../support/action.ts";
import { createMachine } from "../support/command.ts";
import { failed, quayOf, resultsOf, useWorld } from "./cli/world.ts";
import { helperMachine } from "./helper/world.ts";
import { failure, newRobot } from "./world.ts";

/** Seconds. */
const life = 6;
const peers = useWorld({ quay: { robotTokenLife: life, leeway: 0 } });

interface Program {
  /** Its path. */
  readonly path: string;
  /** In the order in which it prints them, one at each run. */
  readonly tokens: readonly string[];
  /** What each of its runs had as environment, by NAME. */
  environments(): Promise<readonly (readonly string[])[]>;
}

/** A platform's program in a folder where no test looks for leaks: it prints another token at each run. */
async function writeProgram(scratch: string, issuer: Issuer, aud = "quay", mode = 0o755): Promise<Program> {
  const folder = join(scratch, "platform");
  await mkdir(folder);
  const tokens = await Promise.all([1, 2, 3, 4].map(() => issuer.sign({ jti: randomUUID(), aud })));
  for (const [index, token] of tokens.entries()) await writeFile(join(folder, `token.${index + 1}`), `\n${token}\n`);
  const path = join(folder, "print-token");
  const script = `cd '${folder}'
n=$(($(ls env.* 2>/dev/null | wc -l) + 1))
env -0 >env.$n
[ "$1 $2" = '--audience a b' ] || { echo "wrong arguments: $*" >&2; exit 3; }
echo "note $n" >&2
cat token.$n`;
  await writeFile(path, `#!/bin/sh\n${script}\n`, { mode });
  return {
    path,
    tokens,
    async environments() {
      const names = (await readdir(folder)).filter((name) => name.startsWith("env.")).toSorted();
      const texts = await Promise.all(names.map((name) => readFile(join(folder, name), "utf8")));
      return texts.map((text) => text.split("\0").map((line) => line.replace(/=.*/s, "")));
    },
  };
}

const ours = /^(?:ACTIONS_|INPUT_|QUAY_)/;

async function expectWithoutOurs(expect: ExpectStatic, program: Program, runs: number): Promise<void> {
  const environments = await program.environments();
  expect(environments.length).toBeGreaterThanOrEqual(runs);
  for (const names of environments) {
    expect(names.filter((name) => ours.test(name))).toEqual([]);
    expect(names).toEqual(expect.arrayContaining(["HOME", "PATH", "PLATFORM_SECRET"]));
  }
}

const soon = { timeout: 30_000, interval: 50 };

const env = {
  PLATFORM_SECRET: "what the platform's program needs",
  QUAY_ID_TOKEN: "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJhbm90aGVyIn0.c2lnbmF0dXJl",
  QUAY_KEYLESS_ROBOT: "acme+other",
};

describe.concurrent("token-command", { timeout: 60_000 }, () => {
  test("gives login, identity and federate their token; no other child gets a variable of ours", async ({ expect }) => {
    const apiToken = addApiToken(peers().quay.store, { user: "admin", scopes: ["org:admin", "repo:admin"] });
    const machine = await createMachine({ peers: peers(), env: { ...env, ADMIN_TOKEN: apiToken } });
    const program = await writeProgram(machine.scratch, peers().issuer);
    const command = ["--token-command", `${program.path} --audience 'a b'`];
    const robot = newRobot(peers(), []);

    const shown = await machine.run(["identity", ...command, "--ca-file", peers().caFile]);
    expect(shown.code, shown.stderr).toBe(0);
    expect(resultsOf(shown.stdout).source).toBe(`command (the command ${program.path})`);

    const federate = ["federate", ...quayOf(peers()), "--robot", robot.name, "--api-token-env", "ADMIN_TOKEN"];
    expect(await machine.run([...federate, ...command])).toMatchObject({ code: 0 });

    const ran = await machine.run(["login", ...quayOf(peers()), "--robot", robot.name, ...command, "--verbose"]);
    expect(ran.code, ran.stderr).toBe(0);
    expect(ran.stderr).toContain(`Identity: the command ${program.path}.`);
    expect(ran.stderr).toContain("note 3");
    expect(ran.children.map(({ env: its }) => /QUAY_|PLATFORM_SECRET/.test(its))).toEqual([false]);
    expect(program.tokens.map((token) => peers().quay.seen(token).length > 0)).toEqual([false, false, true, false]);
    await expectWithoutOurs(expect, program, 3);
    // An option of federate names it, and no token was known yet.
    const hasAdmin = (await program.environments()).map((names) => names.includes("ADMIN_TOKEN"));
    expect(hasAdmin).toEqual([true, false, true]);
  });

  test("is told what went wrong: exit code and standard error", async ({ expect }) => {
    const machine = await createMachine({ peers: peers(), env });
    const program = await writeProgram(machine.scratch, peers().issuer);
    const target = ["login", ...quayOf(peers()), "--robot", "acme+ci", "--output=json"];
    const ran = await machine.run([...target, "--token-command", `${program.path} --audience a\\ c`]);
    const stderr = failed(expect, ran, 1, "token-command-failed");
    expect(stderr).toContain(`The command ${program.path} exited with 3, so there is no identity token.`);
    expect(stderr).toContain("It says: wrong arguments: --audience a c");
    const piped = await machine.run([...target, "--token-command", `${program.path} | head -1`]);
    expect(failed(expect, piped, 2, "invalid-input")).toContain(
      `--token-command 'sh -c '\\''${program.path} | head -1'\\'''`,
    );
    expect(await program.environments()).toHaveLength(1);
  });

  test("login --watch runs it anew at each renewal", async ({ expect }) => {
    const robot = newRobot(peers());
    const machine = await createMachine({ peers: peers(), env });
    const program = await writeProgram(machine.scratch, peers().issuer);
    const target = [...quayOf(peers()), "--robot", robot.name];
    const watch = await machine.start([
      "login",
      ...target,
      "--watch",
      "--token-command",
      `${program.path} --audience 'a b'`,
    ]);
    await expect.poll(() => watch.shown.stderr.split("The login was renewed").length - 1, soon).toBe(2);
    watch.kill("SIGTERM");
    expect(await watch.done).toMatchObject({ code: 0 });
    expect(program.tokens.slice(0, 3).map((token) => peers().quay.seen(token).length)).toEqual([1, 1, 1]);
    await expectWithoutOurs(expect, program, 3);
  });

  test("the Action takes it, and refresh: true runs it anew", async ({ expect }) => {
    const robot = newRobot(peers());
    const job = await createJob({ peers: peers(), env: { ...env, QUAY_ID_TOKEN: undefined } });
    const program = await writeProgram(job.scratch, peers().issuer, robot.audience);
    const command = `${program.path} --audience 'a b'`;
    const main = await job.run({
      ...{ robot: robot.name, audience: robot.audience, "token-command": command, refresh: "true", timeout: "20" },
    });
    expect([main.code, main.annotations]).toEqual([0, []]);
    const credential = Buffer.from(`${robot.name}:${program.tokens[0]}`).toString("base64");
    expect(main.masks).toEqual(expect.arrayContaining([program.tokens[0], credential]));
    const log = () => readFile(join(main.state.session ?? "", "refresh.log"), "utf8").catch(() => "");
    await expect.poll(log, soon).toContain("The login was renewed");
    expect((await main.post()).code).toBe(0);
    expect(program.tokens.slice(0, 2).map((token) => peers().quay.seen(token).length > 0)).toEqual([true, true]);
    await expectWithoutOurs(expect, program, 2);
  });

  test("the credential helper runs it anew for each exchange", async ({ expect }) => {
    const machine = await helperMachine(peers(), { env });
    const program = await writeProgram(machine.scratch, peers().issuer);
    const command = { QUAY_KEYLESS_TOKEN_FILE: "", QUAY_KEYLESS_TOKEN_COMMAND: `${program.path} --audience 'a b'` };
    for (const _ of ["once", "twice", "three times"]) {
      const ran = await machine.ask("get", peers().registryHost, { env: { ...command, QUAY_KEYLESS_CACHE: "off" } });
      expect([ran.code, JSON.parse(ran.stdout).Username], ran.stderr).toEqual([0, machine.robot.name]);
    }
    expect(program.tokens.map((token) => peers().quay.seen(token).length)).toEqual([1, 1, 1, 0]);
    await expectWithoutOurs(expect, program, 3);
  });

  test("federate's API token reaches it under no name, from standard input too", async ({ expect }) => {
    const apiToken = addApiToken(peers().quay.store, { user: "admin", scopes: ["org:admin", "repo:admin"] });
    const machine = await createMachine({
      peers: peers(),
      env: { ...env, COPY: apiToken, HEADER: `Bearer ${apiToken}` },
    });
    const program = await writeProgram(machine.scratch, peers().issuer);
    const command = ["--token-command", `${program.path} --audience 'a b'`, "--api-token-file", "-"];
    const robot = newRobot(peers(), []);
    const ran = await machine.run(["federate", ...quayOf(peers()), "--robot", robot.name, ...command], {
      input: apiToken,
    });
    expect(ran.code, ran.stderr).toBe(0);
    expect((await program.environments()).map((names) => names.filter((name) => /COPY|HEADER/.test(name)))).toEqual([
      [],
    ]);
  });

  test("one that hangs delays the credential helper until its timeout", async ({ expect }) => {
    const machine = await helperMachine(peers(), { env });
    const command = { QUAY_KEYLESS_TOKEN_FILE: "", QUAY_KEYLESS_TOKEN_COMMAND: "sleep 50", QUAY_KEYLESS_TIMEOUT: "2" };
    const began = performance.now();
    const ran = await machine.ask("get", peers().registryHost, { env: command });
    expect(performance.now() - began).toBeLessThan(20_000);
    expect([ran.code, ran.stdout]).toEqual([1, expect.stringContaining("took longer than 2 s and was killed")]);
  });

  test("the Action's error names the input", async ({ expect }) => {
    const job = await createJob({ peers: peers() });
    const main = await job.run({ robot: "acme+ci", "token-command": "aws sts get-web-identity-token > token" });
    expect(failure(expect, main, "invalid-input")).toMatch(/token-command[\s\S]*token-command: sh -c 'aws sts get-web/);
  });
});

test("QUAY_ID_TOKEN reaches no child, whichever source gives the token", async ({ expect }) => {
  const robot = newRobot(peers());
  const token = await peers().issuer.sign();
  for (const more of [{}, peers().githubEnv]) {
    const machine = await createMachine({ peers: peers(), env: { QUAY_ID_TOKEN: token, ...more } });
    const ran = await machine.run(["login", ...quayOf(peers()), "--robot", robot.name]);
    expect(ran.code, ran.stderr).toBe(0);
    expect(ran.children.map(({ env: its }) => its.includes("QUAY_ID_TOKEN"))).toEqual([false]);
  }
  expect(peers().quay.seen(token)).toHaveLength(1);
});
