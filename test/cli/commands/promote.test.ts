/** The command as a process, without a registry; what it does with one is in test/e2e/promote. */
import { spawn } from "node:child_process";
import { readdir } from "node:fs/promises";
import { join, resolve } from "node:path";
import { describe, expect, test } from "vitest";
import { makeFolder } from "../../fixtures.ts";
import { createScreen } from "../screen.ts";

const source = resolve(import.meta.dirname, "../../../src");

interface Ran {
  code: number | null;
  stdout: string;
  stderr: string;
}

function run(command: readonly string[], env: Record<string, string> = {}): Promise<Ran> {
  const [file = "", ...args] = command;
  const child = spawn(file, args, {
    env: { PATH: process.env.PATH ?? "", LANG: "C.UTF-8", ...env },
    stdio: ["ignore", "pipe", "pipe"],
  });
  const ran: Ran = { code: null, stdout: "", stderr: "" };
  for (const stream of ["stdout", "stderr"] as const) {
    child[stream].setEncoding("utf8").on("data", (text: string) => {
      ran[stream] += text;
    });
  }
  return new Promise((resolve) => child.on("close", (code) => resolve({ ...ran, code })));
}

const promote = (args: readonly string[], env?: Record<string, string>) =>
  run([process.execPath, join(source, "cli/promotion.ts"), "promote", ...args], env);

const usual = ["--source", "acme/app:nightly", "--destination", "acme/released", "--tag", "1.4.2"];
const robot = ["--destination-robot", "acme+release"];

describe.concurrent("quay-keyless-login promote", () => {
  test.for([
    [usual, /"--destination-robot"/, /--destination-robot /],
    [[...usual, ...robot, "--parallel", "0"], /"--parallel" is "0"/, /--parallel 4/],
    [
      [...usual, ...robot, "--result", "digest=/nowhere/digest"],
      /is in a folder that does not exist/,
      /--result image=/,
    ],
    [
      [...usual, ...robot, "--result", "token=x"],
      /image, repository, digest, tags, changed, results/,
      /--result image=/,
    ],
    [[...usual, ...robot, "--ca-file", "/nowhere"], /"--ca-file"/, /--ca-file /],
    [[...usual, ...robot, "latest", "1.4.2"], /"--tag" is "1\.4\.2": it is given twice/, /--tag /],
    [[...usual, ...robot, "--robot", "acme+x"], /no option --robot/, /login/],
  ] as const)("refuses bad input before anything else: %#", async ([args, what, advice], { expect }) => {
    const { code, stdout, stderr } = await promote(args);
    expect({ code, stdout }).toEqual({ code: 2, stdout: "" });
    expect(stderr).toMatch(what);
    expect(stderr).toMatch(advice);
    expect(stderr).not.toMatch(/unforeseen|\n {4}at /);
  });

  test("without an identity says so in text and JSON, leaves nothing, and advises only what it has", async ({
    expect,
  }) => {
    const folder = await makeFolder();
    for (const more of [[], ["--output", "json"]]) {
      const { code, stdout, stderr } = await promote([...usual, ...robot, ...more], { TMPDIR: folder });
      expect(code).toBe(1);
      expect(stderr).toMatch(/identity|skopeo/);
      expect(stdout === "" || JSON.parse(stdout).error.code).toBeTruthy();
      expect(stderr).not.toMatch(/--auth-file|--docker-config|without-identity/);
    }
    expect(await readdir(folder)).toEqual([]);
  });
});

describe.concurrent("on a terminal", () => {
  /** What a real terminal is given by a program that reports three promotions for a second, with words in between. */
  async function watched(env: Record<string, string>, size = "stty rows 8 cols 60"): Promise<string> {
    const script = `
      import { createTerminal } from ${JSON.stringify(join(source, "cli/terminal.ts"))};
      import { createLiveProgress } from ${JSON.stringify(join(source, "cli/live-progress.ts"))};
      const terminal = createTerminal(false);
      terminal.secret("c2VjcmV0LW9mLXVz");
      if (!terminal.isWatched) { terminal.info("not watched"); terminal.live(["nothing"]); process.exit(); }
      const progress = createLiveProgress(["acme/app", "acme/c2VjcmV0LW9mLXVz", "acme/web"], terminal.live, { elapsed: () => performance.now() });
      for (let step = 0; step <= 20; step++) {
        for (const index of [0, 1, 2]) {
          progress.show(index, { phase: "copying", blobs: { begun: step, all: 20 }, bytes: { sent: step * 1e6, all: 20e6 } });
        }
        if (step % 5 === 0) terminal.info("word " + step);
        if (step === 7) terminal.print("result on standard output");
        if (step === 8) terminal.warning("careful");
        await new Promise((resolve) => setTimeout(resolve, 40));
      }
      progress.end();
      terminal.print("the end");
      progress.show(0, { phase: "done" });`;
    const quoted = (word: string) => `'${word.replaceAll("'", "'\\''")}'`;
    const program = [process.execPath, "--input-type=module", "--eval", script].map(quoted).join(" ");
    const { code, stdout } = await run(
      ["/usr/bin/script", "--quiet", "--return", "--command", `${size}; ${program}`, "/dev/null"],
      { TERM: "xterm-256color", NO_COLOR: "1", ...env },
    );
    expect(code).toBe(0);
    return stdout;
  }

  const words = ["word 0", "word 5", "result on standard output", "Warning: careful", "word 10", "word 15", "word 20"];

  test("lines change in place: at the end there is what was said, whole and in order", async ({ expect }) => {
    const given = await watched({});
    const screen = createScreen(60, 8);
    screen.write(given);
    expect(screen.all()).toEqual([...words, "the end"]);
    expect(given).toMatch(/acme\/app +copying +blobs 7\/20 {2}7\.0 of 20\.0 MB|blobs \d+\/20/);
    expect(given).toContain("0 of 3 done");
    expect(given).not.toContain("c2VjcmV0LW9mLXVz");
  });

  test("no colour where none is wanted, and some where it is", async ({ expect }) => {
    const colour = "\u001b[33mWarning:";
    expect(await watched({})).not.toContain("\u001b[3");
    expect(await watched({ NO_COLOR: "" })).toContain(colour);
  });

  test.for([
    ["a low and narrow one", "stty rows 3 cols 20", 20, 3],
    ["one without a size", "stty rows 0 cols 0", 80, 24],
  ] as const)("of any size: %s", async ([, size, columns, rows], { expect }) => {
    const screen = createScreen(columns, rows);
    screen.write(await watched({}, size));
    expect(screen.all().join("")).toBe([...words, "the end"].join(""));
  });

  test.for([{ CI: "true" }, { TERM: "dumb" }])("none of it with %o", async (env, { expect }) => {
    const given = await watched(env);
    expect(given).toBe("not watched\r\n");
  });
});
