/** The command as a process, without a registry. With one: test/e2e/promote. */
import { spawn } from "node:child_process";
import { readdir } from "node:fs/promises";
import { join, resolve } from "node:path";
import { describe, expect, test } from "vitest";
import { fakeTool, makeFolder } from "../../fixtures.ts";
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
  run([process.execPath, join(source, "cli/all.ts"), "promote", ...args], env);

const usual = ["--source", "acme/app:nightly", "--destination", "acme/released", "--tag", "1.4.2"];
const robot = ["--destination-robot", "acme+release"];

describe.concurrent("quay-keyless-login promote", () => {
  test.for([
    [usual, /Missing required option --destination-robot\./, /--destination-robot /],
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
});

test("promote without an identity says so in text and JSON, leaves nothing, and mentions only options that it has", async () => {
  const [folder, bin] = [await makeFolder(), await fakeTool(await makeFolder(), "skopeo", "exit 1")];
  const env = { TMPDIR: folder, PATH: bin };
  const text = await promote([...usual, ...robot], env);
  const json = await promote([...usual, ...robot, "--output", "json"], env);
  expect(text.stdout).toBe("");
  expect(JSON.parse(json.stdout).error.code).toBe("identity-not-found");
  for (const { code, stderr } of [text, json]) {
    expect(code).toBe(1);
    expect(stderr).toContain("identity-not-found");
    expect(stderr).not.toMatch(/--auth-file|--docker-config|without-identity/);
  }
  expect(await readdir(folder)).toEqual([]);
});

describe.concurrent("on a terminal", () => {
  /** The output to a real terminal of a program that reports three promotions for a second, with messages in between. */
  async function watched(env: Record<string, string>, size = "stty rows 8 cols 60"): Promise<string> {
    const quoted = (word: string) => `'${word.replaceAll("'", "'\\''")}'`;
    const program = [process.execPath, resolve(import.meta.dirname, "../three-promotions.ts")].map(quoted).join(" ");
    const { code, stdout } = await run(
      ["/usr/bin/script", "--quiet", "--return", "--command", `${size}; ${program}`, "/dev/null"],
      { TERM: "xterm-256color", NO_COLOR: "1", ...env },
    );
    expect(code).toBe(0);
    return stdout;
  }

  const words = ["word 0", "word 5", "result on standard output", "Warning: careful", "word 10", "word 15", "word 20"];

  test("changes lines in place, and keeps the messages whole and in order", async ({ expect }) => {
    const given = await watched({});
    const screen = createScreen(60, 8);
    screen.write(given);
    expect(screen.all()).toEqual([...words, "the end"]);
    expect(given).toMatch(/acme\/app +copying +blobs \d+\/20 {2}\d+\.0 of /);
    expect(given).toContain("0 of 3 done");
    expect(given).not.toContain("c2VjcmV0LW9mLXVz");
  });

  test("uses colour only on request", async ({ expect }) => {
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

  test.for([{ CI: "true" }, { TERM: "dumb" }])("changes no lines with %o", async (env, { expect }) => {
    const given = await watched(env);
    expect(given).toBe("not watched\r\n");
  });
});
