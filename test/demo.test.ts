/** script/demo is the first that newcomers see: it must go well for each of them, and it checks by itself all that it tells. */
import { execFile, spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import { promisify } from "node:util";
import { describe, expect, test } from "vitest";
import { makeFolder } from "./fixtures.ts";
import { finish } from "./support/runner.ts";

const script = resolve(import.meta.dirname, "../script");
const timeout = 120_000;

describe("the demo goes as it tells, without colours where nobody looks", () => {
  const users: [string, string[]][] = [["whoever runs the tests", [`${script}/demo`]]];
  // Otherwise that is who runs the tests.
  if (process.getuid?.() === 0) users.push(["a user without rights", [`${script}/as-user`, "demo"]]);

  test.each(users)("for %s", { timeout }, async (_user, [program = "", ...args]) => {
    const { stdout, stderr } = await promisify(execFile)(program, args);
    expect(stderr).toBe("");
    expect(stdout).toContain("Nothing to change: Quay has all of it.");
    expect(stdout).toMatch(/ 1 promoted\.\n[\s\S]*\| Error: .* points to\n/);
    expect(stdout).toContain("No secret has been printed");
    expect(stdout).not.toContain("\u001b");
  });
});

test("a recording is the same each time, but for the clock, ports and folders that it replaces", {
  timeout,
}, async () => {
  const file = join(await makeFolder(), "demo.cast");
  await promisify(execFile)(`${script}/demo`, ["--record", file]);
  const stored = await readFile(resolve(script, "../docs/pictures/demo.cast"), "utf8");
  expect(await readFile(file, "utf8"), "type: script/demo --record && script/pictures").toBe(stored);
});

test("--stay: the commands that it prints work in a shell of their own, and Ctrl-C removes everything", {
  timeout,
}, async () => {
  const demo = spawn(`${script}/demo`, ["--stay"], { stdio: ["ignore", "pipe", "pipe"], detached: true });
  const ended = finish(demo);
  const told = await new Promise<string>((done, fail) => {
    let text = "";
    demo.on("exit", () => fail(new Error(`it ended: ${text}`)));
    demo.stdout.on("data", (piece) => {
      text += piece;
      if (text.includes("Ctrl-C ends the servers")) done(text.slice(text.indexOf("The servers stay up")));
    });
  });
  const [shell = "", ...commands] = told.match(/^ {2}.*$/gm) ?? [];
  const [, file = ""] = /--rcfile (\S+)/.exec(shell) ?? [];
  const opened = spawn("bash", ["--rcfile", file, "-i"], { stdio: ["pipe", "pipe", "pipe"] });
  opened.stdin.end(["set -e", ...commands, ""].join("\n"));
  const played = await finish(opened);
  process.kill(-(demo.pid ?? 0), "SIGINT"); // as a terminal does: to all of them
  expect(played, played.stderr).toMatchObject({ code: 0 });
  expect(commands.join("\n")).toMatch(/ login .*\n.* copy .*\n.* promote [\s\S]* federate /);
  expect(played.stdout).toMatch(/1 promoted\.[\s\S]*1 added[\s\S]*Nothing to change/);
  expect(await ended).toMatchObject({ code: 0, stderr: "" });
  expect(existsSync(dirname(file))).toBe(false);
});

test.each(["--fast", "--record a b", "--stay now"])("rejects %s, and says what it takes", async (wrong) => {
  const { code, stderr } = await finish(
    spawn(`${script}/demo`, wrong.split(" "), { stdio: ["ignore", "pipe", "pipe"] }),
  );
  expect([code, stderr]).toEqual([1, expect.stringMatching(/takes (one file|--stay, --record \[FILE\] or nothing)/)]);
});
