/** Output of the command line: help, version, colours, signals. Its harness notices a leak. */
import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { describe, test } from "vitest";
import { commands, optionsOf } from "../../../src/options/table.ts";
import { errorCodes } from "../../../src/platform/errors.ts";
import { createScreen } from "../../cli/screen.ts";
import { answer, hang } from "../../quay-stand-in/scripted.ts";
import { createMachine } from "../../support/command.ts";
import { differences } from "../../support/leaks.ts";
import { authsIn, of, once, until, userOf } from "../world.ts";
import { failed, machineWithToken, newRobot, quayOf, resultsOf, useWorld } from "./world.ts";

const peers = useWorld({ registry: false });
const escaped = (text: string): string => text.replaceAll(/[.*+?^${}()|[\]\\]/g, "\\$&");

describe.concurrent("help", () => {
  test.for(commands)("of %s names all its options, and no others", async (command, { expect }) => {
    const machine = await createMachine();
    const asked = await machine.run([command, "--help"]);
    expect(asked).toMatchObject({ code: 0, stderr: "" });
    const named = [...asked.stdout.matchAll(/^ {2}(?:-q, )?--([a-z-]+)/gm)].map(([, name]) => name);
    expect(named.toSorted()).toEqual(
      optionsOf(command)
        .map(({ name }) => name)
        .toSorted(),
    );
    for (const line of asked.stdout.split("\n")) expect(line.length).toBeLessThanOrEqual(80);
    // Also beside other arguments, right or wrong.
    expect((await machine.run([command, "--nonsense", "--help"])).stdout).toBe(asked.stdout);
    expect((await machine.run(["help", command])).stdout).toBe(asked.stdout);
  });

  test("names every command", async ({ expect }) => {
    const machine = await createMachine();
    const asked = await machine.run(["--help"]);
    expect(asked).toMatchObject({ code: 0, stderr: "" });
    for (const command of commands) expect(asked.stdout).toMatch(new RegExp(`^ +${command} `, "m"));
    expect(asked.stdout).toMatch(/75/);
    expect((await machine.run(["-h"])).stdout).toBe(asked.stdout);
  });

  test("is as wide as the terminal, up to 100 columns", async ({ expect }) => {
    const machine = await createMachine();
    const widest = async (columns: number) => {
      const { stdout } = await machine.other("script", [
        ...["--quiet", "--return", "--command"],
        `stty cols ${columns}; PATH=${join(machine.scratch, "tools")}:$PATH quay-keyless-login login --help`,
        "/dev/null",
      ]);
      return Math.max(...stdout.split(/\r?\n/).map((line) => line.length));
    };
    const [narrow, wide, wider] = await Promise.all([90, 100, 200].map(widest));
    expect(narrow).toBeGreaterThan(80);
    expect(narrow).toBeLessThanOrEqual(90);
    expect(wide).toBeGreaterThan(90);
    expect(wide).toBeLessThanOrEqual(100);
    expect(wider).toBe(wide);
  });

  test.for(["--version", "-V", "version"])("%s names the program, and is the package's", async (word, { expect }) => {
    const { version } = JSON.parse(await readFile(resolve(import.meta.dirname, "../../../package.json"), "utf8"));
    const machine = await createMachine();
    const stdout = `quay-keyless-login ${version}\n`;
    expect(await machine.run([word])).toMatchObject({ code: 0, stdout, stderr: "" });
  });
});

test("licenses prints those of the bundled packages", async ({ expect }) => {
  const machine = await createMachine();
  const ran = await machine.run(["licenses"]);
  expect([ran.code, ran.stderr]).toEqual([0, ""]);
  for (const name of ["jose", "yaml"]) {
    expect(ran.stdout).toMatch(new RegExp(`^${name} \\d+\\.\\d+\\.\\d+ \\(\\w+\\)$`, "m"));
  }
});

describe.concurrent("explain", () => {
  test("prints the page of every error from dist", async ({ expect }) => {
    const machine = await createMachine();
    const list = await machine.run(["explain"]);
    expect(list).toMatchObject({ code: 0, stderr: "" });
    const listed = [...list.stdout.matchAll(/^ {2}([a-z-]+) {2,}\S/gm)].map(([, code]) => code);
    expect(listed).toEqual(Object.keys(errorCodes));
    const page = await machine.run(["explain", "subject-not-bound"]);
    expect(page).toMatchObject({ code: 0, stderr: "", stdout: expect.stringMatching(/^subject-not-bound\n\n/) });
    expect(page.stdout.replaceAll("\n", " ")).toContain("The robot trusts the issuer, but another subject.");
  });

  test("suggests a code for one that does not exist", async ({ expect }) => {
    const machine = await createMachine();
    const stderr = failed(expect, await machine.run(["explain", "subject-not-bond"]), 2, "invalid-input");
    expect(stderr).toContain("Did you mean: quay-keyless-login explain subject-not-bound");
    // Also in the larger bundle.
    failed(expect, await machine.run(["explain", "promote"]), 2, "invalid-input");
  });
});

describe.concurrent("standard output that", () => {
  test.for(["login --help", "--version", "status --output json"])(
    "is closed early ends `%s` quietly",
    async (command, { expect }) => {
      const machine = await createMachine();
      const program = join(machine.scratch, "tools/quay-keyless-login");
      const line = `PATH=${join(machine.scratch, "tools")}:$PATH; ${program} ${command} | true`;
      const { stderr } = await machine.other("bash", ["-c", line]);
      expect(stderr.replace(/^Error: .* holds no login[\s\S]*$/, "")).toBe("");
    },
  );

  test("has no room is reported in one line", async ({ expect }) => {
    const machine = await createMachine();
    const path = join(machine.scratch, "tools");
    const ran = await machine.other("bash", ["-c", `PATH=${path}:$PATH; quay-keyless-login --version >/dev/full`]);
    expect(ran.code).toBe(1);
    expect(ran.stderr.split("\n").length).toBeLessThan(6);
    expect(ran.stderr).toContain("ENOSPC");
  });
});

describe.concurrent("colour", () => {
  const painted = "\u001b[";
  const wrong = ["login", "--robot", "acme"];

  test("is used on a terminal", async ({ expect }) => {
    const machine = await createMachine({ env: { TERM: "xterm-256color" } });
    const ran = await machine.run(wrong, { terminal: true });
    expect(ran.code).toBe(2);
    expect(ran.stdout).toContain(painted);
  });

  test("is not used if standard error is no terminal", async ({ expect }) => {
    const machine = await createMachine({ env: { TERM: "xterm-256color" } });
    expect((await machine.run(wrong)).stderr).not.toContain(painted);
  });

  test.for<Record<string, string>>([{ NO_COLOR: "1" }, { TERM: "dumb" }])(
    "not on a terminal with %j",
    async (env, { expect }) => {
      const machine = await createMachine({ env: { TERM: "xterm-256color", ...env } });
      const ran = await machine.run(wrong, { terminal: true });
      expect(ran.stdout).toContain("Error:");
      expect(ran.stdout).not.toContain(painted);
    },
  );

  test("is used with FORCE_COLOR", async ({ expect }) => {
    const machine = await createMachine({ env: { FORCE_COLOR: "1" } });
    expect((await machine.run(wrong)).stderr).toContain(painted);
  });

  test("is never in results", async ({ expect }) => {
    const machine = await createMachine({ env: { FORCE_COLOR: "1" } });
    const ran = await machine.run(["status", "--output=json"]);
    expect(ran.code).toBe(1);
    expect(ran.stdout).not.toContain(painted);
  });
});

describe.concurrent("text from outside", () => {
  test("can't move the cursor or add lines", async ({ expect }) => {
    const subject = "repo:acme/app\u001b[2J\u001b]0;title\u0007\rrobot  acme+other\n\u009b31m";
    const robot = newRobot(peers(), [{ issuer: peers().issuer.url, subject }]);
    const machine = await machineWithToken(peers(), {}, { sub: subject });
    const target = [...quayOf(peers()), "--robot", robot.name, "--token-file", machine.tokenFile, "--verbose"];
    const ran = await machine.run(["login", ...target]);
    expect(ran).toMatchObject({ code: 0 });
    // biome-ignore lint/suspicious/noControlCharactersInRegex: the test looks for them
    expect(ran.stdout + ran.stderr).not.toMatch(/[\u0000-\u0009\u000b-\u001f\u007f-\u009f]/);
    expect(ran.stdout).not.toMatch(/^robot {2}acme\+other/m);
    const json = await machine.run(["login", ...target, "--output", "json"]);
    expect(JSON.parse(json.stdout).subject).toBe(subject);
  });

  test("is longer with --verbose, without a secret", async ({ expect }) => {
    const robot = newRobot(peers());
    const machine = await machineWithToken(peers());
    const target = [...quayOf(peers()), "--robot", robot.name, "--token-file", machine.tokenFile];
    const quiet = await machine.run(["login", ...target]);
    const verbose = await machine.run(["login", ...target, "--verbose"]);
    expect(verbose).toMatchObject({ code: 0 });
    expect(verbose.stderr.split("\n").length).toBeGreaterThan(quiet.stderr.split("\n").length);
    // The time of each step, and the status of each request.
    expect(verbose.stderr).toMatch(/^GET localhost:\d+\/oauth2\/federation\/robot\/token: 200, \d+ ms$/m);
    for (const phase of ["identity token", `exchange for ${robot.name}`, "skopeo login", "auth file"]) {
      const line = verbose.stderr.split("\n").find((each) => each.startsWith(phase));
      expect(line, phase).toMatch(/: \d+ ms$/);
    }
  });
});

describe.concurrent("--quiet", () => {
  test("leaves results on standard output, and nothing on standard error", async ({ expect }) => {
    const robot = newRobot(peers());
    const machine = await machineWithToken(peers());
    const target = [...quayOf(peers()), "--robot", robot.name, "--token-file", machine.tokenFile];
    const ran = await machine.run(["login", ...target, "-q"]);
    expect(ran).toMatchObject({ code: 0, stderr: "" });
    expect(resultsOf(ran.stdout)).toMatchObject({ robot: robot.name, registry: peers().registryHost });
    // On a terminal too.
    const watched = await machine.run(["login", ...target, "--quiet"], { terminal: true });
    expect(resultsOf(watched.stdout.replaceAll("\r", ""))).toMatchObject({ robot: robot.name });
    expect(await machine.run(["logout", "--registry", peers().registryHost, "--quiet"])).toMatchObject({
      code: 0,
      stdout: "",
      stderr: "",
    });
  });

  test("leaves errors", async ({ expect }) => {
    const machine = await createMachine();
    const ran = await machine.run(["status", "--quiet"]);
    expect(failed(expect, ran, 1, "not-logged-in")).toMatch(/^Error: /);
  });

  test("excludes --verbose", async ({ expect }) => {
    const machine = await createMachine();
    const stderr = failed(expect, await machine.run(["status", "--quiet", "--verbose"]), 2, "invalid-input");
    expect(stderr).toContain("Set only one of the two.");
  });
});

describe.concurrent("login on a terminal", () => {
  /** The screen at the end, changing lines included. */
  const shownOn = (output: string): string[] => {
    const screen = createScreen(200, 50);
    screen.write(output);
    return screen.all();
  };

  test("is three lines; the last one says how to log out", async ({ expect }) => {
    const robot = newRobot(peers());
    const machine = await machineWithToken(peers());
    const target = [...quayOf(peers()), "--robot", robot.name, "--token-file", machine.tokenFile];
    const before = await machine.snapshot();
    const session = join(machine.home, "a session");
    const ran = await machine.run(["login", ...target, "--session", session], { terminal: true });
    expect(ran.code).toBe(0);
    const lines = shownOn(ran.stdout);
    expect(lines).toEqual([
      expect.stringMatching(`^Logged in to ${peers().registryHost} as ${escaped(robot.name)} until \\d{4}-\\S+Z\\.$`),
      `Auth file: ${machine.usualFile}`,
      `To log out: quay-keyless-login logout --session '${session}'`,
    ]);
    const wayBack = lines[2]?.replace("To log out: ", "") ?? "";
    const path = `PATH=${join(machine.scratch, "tools")}:$PATH`;
    expect(await machine.other("bash", ["-c", `${path}; ${wayBack}`])).toMatchObject({ code: 0 });
    expect(differences(before, await machine.snapshot())).toEqual([]);
  });

  test("shows what it waits for, in a line that disappears", async ({ expect }) => {
    const { quay } = peers();
    const robot = newRobot(peers());
    const machine = await machineWithToken(peers());
    quay.exchangeScript.always(answer(503), once(of(robot)));
    const target = [...quayOf(peers()), "--robot", robot.name, "--token-file", machine.tokenFile];
    const ran = await machine.run(["login", ...target], { terminal: true });
    expect([ran.code, ran.stdout]).toEqual([0, expect.stringContaining("Retrying")]);
    expect(shownOn(ran.stdout).length).toBe(3);
  });

  test("is not brief with --verbose, and without a terminal", async ({ expect }) => {
    const robot = newRobot(peers());
    const machine = await machineWithToken(peers());
    const target = [...quayOf(peers()), "--robot", robot.name, "--token-file", machine.tokenFile];
    const verbose = await machine.run(["login", ...target, "--verbose"], { terminal: true });
    const unwatched = await machine.run(["login", ...target], { terminal: true, env: { CI: "true" } });
    for (const { stdout } of [verbose, unwatched]) {
      expect(stdout).toMatch(/^Identity: /m);
      expect(stdout).toMatch(/^expires-at {2}/m);
    }
  });

  test("fails with the whole error", async ({ expect }) => {
    const machine = await machineWithToken(peers());
    const target = [...quayOf(peers()), "--robot", "acme+nobody", "--token-file", machine.tokenFile];
    const ran = await machine.run(["login", ...target], { terminal: true, env: { NO_COLOR: "1" } });
    expect(ran.code).toBe(1);
    const lines = shownOn(ran.stdout);
    expect(lines[0]).toMatch(/^Error: /);
    expect(lines.at(-1)).toBe("  More: quay-keyless-login explain robot-not-found");
  });
});

describe.concurrent("interrupted by", () => {
  test.for(["SIGTERM", "SIGINT", "SIGHUP"] as const)("%s, login leaves nothing", async (signal, { expect }) => {
    const { quay } = peers();
    const robot = newRobot(peers());
    const machine = await machineWithToken(peers());
    const before = await machine.snapshot();
    quay.exchangeScript.always(hang(), of(robot));
    const target = [...quayOf(peers()), "--robot", robot.name, "--token-file", machine.tokenFile];
    const running = await machine.start(["login", ...target, "--session", "../session", "--output", "json"]);
    await until(() => quay.requests.some(({ user }) => user === robot.name), "the exchange has begun");
    running.kill(signal);
    const ran = await running.done;
    expect(ran.signal).toBeNull();
    failed(expect, ran, 75, "cancelled");
    expect(ran.milliseconds).toBeLessThan(10_000);
    expect(differences(before, await machine.snapshot())).toEqual([]);
    expect(await machine.run(["logout", "--session", "../session"])).toMatchObject({ code: 0 });
  });

  test("SIGKILL, logout removes what is left", async ({ expect }) => {
    const { quay } = peers();
    const robot = newRobot(peers());
    const machine = await machineWithToken(peers());
    const before = await machine.snapshot();
    const letGo = quay.exchangeScript.always(hang(), of(robot));
    const target = [...quayOf(peers()), "--robot", robot.name, "--token-file", machine.tokenFile];
    const running = await machine.start(["login", ...target, "--session", "../session"]);
    await until(() => quay.requests.some(({ user }) => user === robot.name), "the exchange has begun");
    running.kill("SIGKILL");
    expect((await running.done).signal).toBe("SIGKILL");
    expect(await machine.run(["logout", "--session", "../session"])).toMatchObject({ code: 0 });
    expect(differences(before, await machine.snapshot())).toEqual([]);
    // The next login works.
    letGo();
    expect(await machine.run(["login", ...target, "--session", "../session"])).toMatchObject({ code: 0 });
    expect(userOf((await authsIn(machine.usualFile))[peers().registryHost])).toBe(robot.name);
  });
});

describe.concurrent("the harness notices a command that", () => {
  const secret = "a-secret-that-must-not-be-seen";
  const encoded = `Buffer.from("x" + "${secret}").toString("base64")`;
  const ways: Record<string, [body: string, where: RegExp]> = {
    "prints it": [`console.log("${secret}")`, /robot in log/],
    "prints it in base64 on standard error": [`console.error(${encoded})`, /robot in stderr/],
    "prints it URL-encoded": [`console.log(encodeURIComponent("${secret}"))`, /robot in log/],
    "gives it to a tool as an argument": [
      `execFileSync("skopeo", ["--version", "${secret}"], { stdio: "ignore" })`,
      /robot in argv of .*skopeo/,
    ],
    "gives it to a tool in a variable": [
      `execFileSync("skopeo", ["--version"], { stdio: "ignore", env: { ...process.env, T: "${secret}" } })`,
      /robot in environment of .*skopeo/,
    ],
    "writes it into a file": [`fs.writeFileSync("note", "${secret}", { mode: 0o600 })`, /robot in .*work\/note/],
    "leaves a file in the temporary folder": [
      `fs.writeFileSync(process.env.TMPDIR + "/x", "nothing")`,
      /Left in the temporary folder:\n.*temp\/x is new/,
    ],
    "opens the auth file to others": [
      `fs.writeFileSync("auth.json", "${secret}", { mode: 0o644 })`,
      /mode 644, not 600 in .*work\/auth\.json/,
    ],
  };

  test.for(Object.entries(ways))("%s", async ([, [body, where]], { expect }) => {
    const command = await mkdtemp(join(tmpdir(), "quay-keyless-leaky-"));
    await mkdir(command, { recursive: true });
    const imports = `import fs from "node:fs";\nimport { execFileSync } from "node:child_process";\n`;
    await writeFile(join(command, "package.json"), '{"type": "module"}');
    await writeFile(join(command, "index.js"), `#!/usr/bin/env node\n${imports}${body};\n`, { mode: 0o755 });
    const machine = await createMachine({ command, secrets: [{ kind: "robot", value: secret }] });
    await expect(machine.run(["login", "--auth-file=auth.json"])).rejects.toThrow(where);
    await rm(command, { recursive: true });
  });
});
