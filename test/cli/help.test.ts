import { describe, expect, test } from "vitest";
import { parseArguments } from "../../src/cli/arguments.ts";
import { help } from "../../src/cli/help.ts";
import { type Command, type Option, optionsOf } from "../../src/options/table.ts";

const commandNames: readonly Command[] = ["login", "logout", "status", "identity", "promote"];

describe("without a command", () => {
  const text = help(undefined);

  test("names every command, and the exit codes", () => {
    expect(text).toMatch(/^Usage: quay-keyless-login COMMAND \[OPTIONS\]\n/);
    for (const command of commandNames) {
      expect(text).toMatch(new RegExp(`^  ${command} +[a-z]`, "m"));
    }
    expect(text).toMatch(/0 done.* 1 .* 2 wrong use.* 75 /);
    expect(text).toContain("--version");
  });
});

describe.each(commandNames)("%s", (command) => {
  const text = help(command);
  const [before = "", after = ""] = text.split("\nOptions:\n");
  /** Each option's lines as one line of text, without the line breaks that make them fit. */
  const told = after
    .trimEnd()
    .split(/\n(?= {2}--)/)
    .map((lines) => lines.trim().replaceAll(/\s+/g, " "));

  test("tells every option of its own with value, default and how often, in the table's order, and no other", () => {
    const expected = optionsOf(command).map((option: Option) => {
      const head = `--${option.name}${option.takes === "flag" ? "" : ` ${option.value}`}`;
      const notes = [
        option.required && "required",
        option.default !== undefined && option.takes !== "flag" && `default ${option.default}`,
        option.takes === "list" && "may be given several times",
      ].filter(Boolean);
      return `${head} ${option.description}${notes.length > 0 ? ` (${notes.join("; ")})` : ""}`;
    });
    expect(told).toEqual(expected);
  });

  test("says what the command does, with examples that parse", () => {
    expect(before.split("\n")[0]).toMatch(new RegExp(`^Usage: quay-keyless-login ${command} .*\\[OPTIONS\\]$`));
    const examples = [...before.matchAll(/^ {2}quay-keyless-login (.*)$/gm)].map(([, line = ""]) => line);
    expect(examples.length).toBeGreaterThan(0);
    for (const example of examples) {
      expect(parseArguments(example.split(" "))).toMatchObject({ kind: "run", command });
    }
  });
});

test.each([undefined, ...commandNames])(
  "%s: fits a terminal, without a trace of markup or blanks at ends",
  (command) => {
    const text = help(command);
    for (const line of text.split("\n")) {
      expect(line.length, line).toBeLessThanOrEqual(command === undefined ? 100 : 130);
      expect(line).not.toMatch(/\s$|\t|`|undefined/);
    }
    // What is wrapped fits 110.
    for (const line of text.split("\nOptions:\n")[1]?.split("\n") ?? []) {
      expect(line.length, line).toBeLessThanOrEqual(110);
    }
    expect(text).toMatch(/[^\n]\n$/);
  },
);
