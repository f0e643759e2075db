import { describe, expect, test } from "vitest";
import { parseArguments } from "../../src/cli/arguments.ts";
import { help } from "../../src/cli/help.ts";
import { describe as describeOption } from "../../src/options/descriptions.ts";
import { type Command, optionsOf } from "../../src/options/table.ts";

const commandNames: readonly Command[] = ["login", "logout", "status", "identity", "promote"];
const topics = [...commandNames, "explain"] as const;

/** The lines after a title, up to the next blank one. */
const below = (text: string, title: string): string =>
  new RegExp(`^${title}:\\n((?:.+\\n?)*)`, "m").exec(text)?.[1] ?? "";

/** Examples as a shell reads them, without the program's name. */
const examplesIn = (text: string): string[] =>
  below(text, "Examples")
    .replaceAll(/ \\\n */g, " ")
    .trimEnd()
    .split("\n")
    .map((line) => line.replace(/^ {2}quay-keyless-login /, ""));

describe("without a command", () => {
  const text = help(undefined, 80);

  test("names every command, the version, and the exit codes", () => {
    expect(text).toMatch(/^Usage: quay-keyless-login COMMAND \[OPTIONS\]\n/);
    for (const topic of topics) {
      expect(text).toMatch(new RegExp(`^  ${topic} +[a-z]`, "m"));
    }
    expect(text).toMatch(/0 done.* 1 .* 2 wrong use.* 75 /);
    expect(text).toMatch(/^ {2}-V, --version/m);
  });
});

describe.each(commandNames)("%s", (command) => {
  const text = help(command, 80);

  test("shows each of its options once, in a group, with value, default and how often", () => {
    const expected = optionsOf(command).map((option) => {
      const head = `--${option.name}${option.takes === "flag" ? "" : ` ${option.value}`}`;
      const notes = [
        option.required && "required",
        option.default !== undefined && option.takes !== "flag" && `default ${option.default}`,
        option.takes === "list" && "may be given several times",
      ].filter(Boolean);
      return `${head} ${describeOption(option.name, command)}${notes.length > 0 ? ` (${notes.join("; ")})` : ""}`;
    });
    // Each option's lines, joined into one.
    const shown = text
      .split(/\n\n/)
      .flatMap((block) => block.split(/\n(?= {2}-)/).slice(1))
      .map((lines) => lines.trim().replace(/^-q, /, "").replaceAll(/\s+/g, " "));
    expect(shown.toSorted()).toEqual(expected.toSorted());
  });

  test("keeps options of a group together, in the table's order", () => {
    const groups = [...new Set(optionsOf(command).map(({ group }) => group))];
    const titles = text.split(/\n\n/).filter((block) => /^.*:\n {2}-/.test(block));
    expect(titles.length).toBe(groups.length);
    for (const group of groups) {
      const names = optionsOf(command).flatMap((option) => (option.group === group ? [option.name] : []));
      const blocks = titles.map((block) => [...block.matchAll(/^ {2}(?:-q, )?--([a-z-]+)/gm)].map(([, name]) => name));
      expect(blocks).toContainEqual(names);
    }
  });

  test("says what the command does, with two examples that parse", () => {
    const [usage = ""] = text.split("\n\n");
    expect(usage.replaceAll(/\s+/g, " ")).toMatch(new RegExp(`^Usage: quay-keyless-login ${command} .*\\[OPTIONS\\]$`));
    const examples = examplesIn(text);
    expect(examples.length).toBe(2);
    for (const example of examples) {
      expect(parseArguments(example.split(" "))).toMatchObject({ kind: "run", command });
    }
  });
});

test("the examples of explain parse", () => {
  for (const example of examplesIn(help("explain", 80))) {
    expect(parseArguments(example.split(" "))).toMatchObject({ kind: "explain" });
  }
});

describe.each([60, 80, 100])("%i columns", (width) => {
  test.each([undefined, ...topics])("fit %s, without markup or trailing blanks", (topic) => {
    const text = help(topic, width);
    for (const line of text.split("\n")) {
      // An example is pasted unchanged, and a word is never broken.
      if (width >= 80 || !/quay-keyless-login|^ {4}--/.test(line)) {
        expect(line.length, line).toBeLessThanOrEqual(width);
      }
      expect(line).not.toMatch(/\s$|\t|`|undefined/);
    }
    // It says nothing about what only the Actions have.
    expect(text).not.toMatch(/\b(?:Action|workflow|step|runner|job)s?\b/i);
  });
});
