/** docs/completion.md: its commands install the built program's scripts, and the shells find them there. */
import { readFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { createMachine, removeMachines } from "../support/command.ts";
import { blocksUnder, documentBlock } from "../support/readme.ts";
import { findTool } from "../support/runner.ts";

const page = "docs/completion.md";
const built = resolve(import.meta.dirname, "../../dist/completions");
const inZsh = resolve(import.meta.dirname, "../cli/completions.zsh");

afterAll(removeMachines);

describe.each([
  {
    shell: "bash",
    heading: "## bash",
    blocks: 2,
    file: ".local/share/bash-completion/completions/quay-keyless-login",
    offers: String.raw`COMP_WORDS=(quay-keyless-login logo) COMP_CWORD=1; _quay_keyless_login; printf '%s\n' $COMPREPLY`,
  },
  // The words that zsh offers are those of the folder: completions.zsh names it in fpath as the page does.
  {
    shell: "zsh",
    heading: "## zsh",
    blocks: 1,
    file: ".zfunc/_quay-keyless-login",
    offers: String.raw`zsh '${inZsh}' ~/.zfunc "quay-keyless-login logo"`,
  },
  {
    shell: "fish",
    heading: "## fish",
    blocks: 1,
    file: ".config/fish/completions/quay-keyless-login.fish",
    offers: String.raw`fish -c "complete -C 'quay-keyless-login logo'"`,
  },
])("$shell", ({ shell, heading, blocks, file, offers }) => {
  test.skipIf(findTool(shell) === undefined)("has the script that the commands install", async () => {
    const machine = await createMachine();
    const commands = blocksUnder(page, heading, "sh", blocks).join("");
    const { code, stdout, stderr } = await machine.other("bash", ["-c", `set -e; ${commands}\n${offers}`], {
      env: { TERM: "dumb", PATH: machine.path },
    });
    expect([code, stdout.replaceAll(/[<>]|\t.*/g, ""), stderr]).toEqual([0, "logout\n", ""]);
    const name = file.split("/").at(-1) ?? "";
    expect(await readFile(join(machine.home, file), "utf8")).toBe(await readFile(join(built, name), "utf8"));
  });
});

test.skipIf(findTool("zsh") === undefined)("zsh's own settings are those of the page", async () => {
  const settings = documentBlock(page, "## zsh", "zsh");
  const machine = await createMachine();
  const checked = await machine.other("zsh", [
    "-f",
    "-c",
    `${settings.replace("compinit\n", "compinit -u\n")}\nprint -l $fpath`,
  ]);
  expect(checked.stdout.split("\n")).toContain(join(machine.home, ".zfunc"));
});
