/** `action.yml` and the README say what the table of options says, no more and no less. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { parse } from "yaml";
import { type Option, options, outputs } from "../src/options.ts";
import { parseRequest } from "../src/request.ts";

const root = join(import.meta.dirname, "..");
const read = (file: string) => readFileSync(join(root, file), "utf8");
const all: readonly Option[] = options;

describe("action.yml", () => {
  const action = parse(read("action.yml"));

  test("its inputs are the options", () => {
    const inputs = all.map((option) => [
      option.name,
      {
        description: option.description,
        required: option.required ?? false,
        ...(option.default !== undefined && { default: option.default }),
      },
    ]);
    expect(Object.entries(action.inputs)).toEqual(inputs);
  });

  test("its outputs are the outputs", () => {
    const expected = outputs.map(({ name, description }) => [name, { description }]);
    expect(Object.entries(action.outputs)).toEqual(expected);
  });

  test("main and post are there, and post runs after failure and cancellation too", () => {
    expect(action.runs).toEqual({
      using: "node24",
      main: "dist/main/index.js",
      post: "dist/post/index.js",
      "post-if": "always()",
    });
    for (const file of [action.runs.main, action.runs.post]) {
      expect(read(file).length).toBeGreaterThan(1000);
    }
  });

  test("the runner's limits: branding, and descriptions of one line", () => {
    expect(action.branding).toEqual({ icon: expect.stringMatching(/^[a-z-]+$/), color: expect.any(String) });
    for (const { description } of [...all, ...outputs]) {
      expect(description).toMatch(/^[A-Zt].*\.$/);
      expect(description).not.toMatch(/\n/);
    }
  });
});

describe("README.md", () => {
  const readme = read("README.md");

  test("its table of options", () => {
    const people = all.filter(({ internal }) => !internal);
    expect(tableUnder("| option | default | meaning |")).toEqual(
      people.map((option) => [
        `\`${option.name}\``,
        option.required ? "**required**" : option.default === undefined ? "" : `\`${option.default}\``,
        option.description,
      ]),
    );
  });

  test("its table of outputs", () => {
    expect(tableUnder("| output | meaning |")).toEqual(
      outputs.map(({ name, description }) => [`\`${name}\``, description]),
    );
  });

  function tableUnder(head: string): string[][] {
    const lines = readme.split("\n");
    const start = lines.indexOf(head);
    expect(start, `the README has no table "${head}"`).toBeGreaterThan(0);
    const rows = lines.slice(start + 2);
    const end = rows.findIndex((line) => !line.startsWith("|"));
    return rows.slice(0, end).map((row) =>
      row
        .split("|")
        .slice(1, -1)
        .map((cell) => cell.trim()),
    );
  }
});

test("every default is one that the parsing accepts, and the same as leaving the option out", () => {
  const people = all.filter(({ internal, default: value }) => !internal && value !== undefined);
  const defaults = Object.fromEntries(people.map(({ name, default: value }) => [name, value]));
  expect(parseRequest({ ...defaults, robot: "acme+ci" })).toEqual(parseRequest({ robot: "acme+ci" }));
});
