/** The completion scripts, in the shells themselves: what each offers for a line, and in bash what it types. */
import { execFile, spawn } from "node:child_process";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { parseArguments, shells, verbs } from "../../src/cli/arguments.ts";
import { completionScript } from "../../src/cli/completion/script.ts";
import { commands, optionsOf, toolNames } from "../../src/options/table.ts";
import { errorCodes } from "../../src/platform/errors.ts";
import { failure } from "../fixtures.ts";
import { findTool, finish } from "../support/runner.ts";

type Shell = (typeof shells)[number];

const installed = { bash: "quay-keyless-login", zsh: "_quay-keyless-login", fish: "quay-keyless-login.fish" } as const;

/** A home with the script, and with a file and a folder to complete. */
let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "quay-keyless-completion-"));
  await mkdir(join(folder, "roots"));
  await writeFile(join(folder, "root one.pem"), "");
  await mkdir(join(folder, "scripts"));
  for (const shell of shells) await writeFile(join(folder, "scripts", installed[shell]), completionScript(shell));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

/** What bash's completion function leaves for words that are split as bash splits them; without the file names that bash adds. */
const inBash = `
  source "$1/scripts/quay-keyless-login"; shift
  compopt() { :; }
  COMP_WORDS=("$@") COMP_CWORD=$(($# - 1)); _quay_keyless_login
  [[ \${#COMPREPLY[@]} -eq 0 ]] || printf '%s\\n' "\${COMPREPLY[@]}"`;

/** @returns what the shell offers at the end of a line, sorted */
async function offered(shell: Shell, line: string): Promise<string[]> {
  const typed = `quay-keyless-login ${line}`;
  const call = {
    bash: ["bash", "-c", inBash, "bash", folder, ...typed.split(/ |(?==)|(?<==)(?=.)/)],
    zsh: ["zsh", join(import.meta.dirname, "completions.zsh"), join(folder, "scripts"), typed],
    fish: ["fish", "--no-config", "-c", `source scripts/quay-keyless-login.fish; complete -C '${typed}'`],
  }[shell];
  const env = { PATH: process.env.PATH, HOME: folder, QKL_VARIABLE: "x", TERM: "dumb" };
  const { stdout } = await promisify(execFile)(call[0] ?? "", call.slice(1), { cwd: folder, env, timeout: 20_000 });
  // zsh and fish say the whole word, bash what follows "=".
  const words = stdout.split("\n").map((each) => each.replace(/^<(.*)>$/, "$1").replace(/\t.*/, ""));
  return [...new Set(words.filter(Boolean).map((word) => word.replace(/^--[a-z-]+=(?=.)/, "")))].sort();
}

const has = (shell: Shell) => findTool(shell) !== undefined;

for (const shell of shells)
  describe.skipIf(!has(shell))(shell, () => {
    test.each([
      ["commands", "", [...verbs]],
      ["commands that begin so", "lo", ["login", "logout"]],
      ["options of the command", "logout --s", ["--scope", "--session"]],
      ["no options of others", "logout --wat", []],
      ["a tool", "login --tool ", ["auto", ...toolNames]],
      ["a value behind =", "login --tool=s", ["skopeo"]],
      ["sources of an identity", "identity --identity s", ["spiffe"]],
      ["output formats that the command has", "audit --output ", ["json", "markdown", "text"]],
      ["output formats that the command has, not others", "login --output ", ["json", "text"]],
      ["findings", "audit --fail-on st", ["static-token"]],
      ["what to do at a lapse, after other options", "login --robot acme+ci --watch --on-lapse r", ["retry"]],
      ["error codes", "explain tag", Object.keys(errorCodes).filter((code) => code.startsWith("tag"))],
      ["commands for help", "help re", ["retire-static-token"]],
      ["shells", "completion ", [...shells]],
      ["variables", "login --token-env QKL_", ["QKL_VARIABLE"]],
      ["results of a login", "login --result exp", ["expires-at="]],
      ["results of a promotion", "promote --result dig", ["digest="]],
      ["an option that may come again", "login --access acme/app:pull --acc", ["--access"]],
      ["nothing where any value may be", "login --robot lo", []],
    ])("offers %s", async (_, line, expected) => {
      const options = (await offered(shell, line)).filter((word) => line !== "" || !word.startsWith("-"));
      expect(options).toEqual([...expected].sort());
    });

    test.each(commands)("offers each option of %s", async (command) => {
      expect(await offered(shell, `${command} --`)).toEqual(
        expect.arrayContaining([...optionsOf(command).map(({ name }) => `--${name}`), "--help"]),
      );
    });
  });

for (const shell of ["zsh", "fish"] as const)
  describe.skipIf(!has(shell))(`${shell} itself`, () => {
    test.each([
      ["files for a file", "login --ca-file ro", /^root\\? one\.pem$/],
      ["folders for a folder", "login --session ro", /^roots\/?$/],
      ["a file behind a result's name", "login --result token=root", /^token=root\\? one\.pem$/],
      ["files to migrate", "migrate ro", /^root\\? one\.pem$/],
    ])("offers %s", async (_, line, expected) => {
      expect(await offered(shell, line)).toContainEqual(expect.stringMatching(expected));
    });
  });

test("bash types what is left, with files and folders of its own", async () => {
  await writeFile(
    join(folder, "rc"),
    `quay-keyless-login() { printf '<%s>' "$@"; echo; }
    source scripts/quay-keyless-login; PS1=; bind 'set bell-style none'; bind 'set enable-bracketed-paste off'`,
  );
  const lines = [
    ["logi --out js --tool=no", "<login><--output><json><--tool=none>"],
    ["login --ca-file root\\ o", "<login><--ca-file><root one.pem>"],
    ["login --ca-file=root\\ o", "<login><--ca-file=root one.pem>"],
    ["login --sess roots", "<login><--session><roots/>"],
    ["login --session ~/roots", `<login><--session><${folder}/roots/>`],
    ["login --res exproot\\ o", "<login><--result><expires-at=root one.pem>"],
    ["login --robot roots", "<login><--robot><roots>"],
  ] as const;
  // A tabulator after each word; the shell has to be there before the first.
  const typed = lines.map(
    ([line]) => `quay-keyless-login ${line.replaceAll(/(?<!\\) |$|(?<=exp)/g, (end) => `\t${end && ""}`)}\r`,
  );
  const child = spawn("script", ["-qec", "bash --noprofile --rcfile rc -i", "/dev/null"], {
    cwd: folder,
    env: { PATH: process.env.PATH, HOME: folder, TERM: "dumb" },
    stdio: ["pipe", "pipe", "pipe"],
  });
  child.stdin.end(`${typed.join("")}exit\r`);
  const { stdout } = await finish(child);
  const ran = stdout.split(/\r?\n/).filter((line) => line.startsWith("<"));
  expect(ran).toEqual(lines.map(([, expected]) => expected));
});

test.each([
  [["completion"], "completion needs a shell, bash, zsh, fish, and got none."],
  [["completion", "tcsh"], 'completion needs a shell, bash, zsh, fish, and got "tcsh".'],
  [["completion", "bash", "zsh"], 'completion takes one shell, and got "zsh" too.'],
  [["completion", "bash", "--quiet"], "completion has no option --quiet."],
])("rejects %j", async (args, says) => {
  const error = await failure(() => parseArguments(args));
  expect([error.code, error.message]).toEqual(["invalid-input", says]);
});
