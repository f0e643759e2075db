/** `action.yml` and the README say what the table of options says, no more and no less. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { parse } from "yaml";
import { type Face, type Option, options, optionsOf, outputs } from "../src/options.ts";
import { parseRequest } from "../src/request.ts";

const root = join(import.meta.dirname, "..");
const read = (file: string) => readFileSync(join(root, file), "utf8");
const all: readonly Option[] = options;
const ofTheAction = optionsOf("action");

describe("action.yml", () => {
  const action = parse(read("action.yml"));

  test("its inputs are the options that the Action has", () => {
    const inputs = ofTheAction.map((option) => [
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

  const rowOf = (option: Option, prefix = "") => [
    `\`${prefix}${option.name}\``,
    option.required ? "**required**" : option.default === undefined ? "" : `\`${option.default}\``,
    option.description,
  ];

  test("its table of options: those of the Action", () => {
    const people = ofTheAction.filter(({ internal }) => !internal);
    expect(tableUnder("| option | default | meaning |")).toEqual(people.map((option) => rowOf(option)));
  });

  test("its table of flags: what only the command line has", () => {
    const others = all.filter(({ faces }) => !faces.includes("action"));
    expect(tableUnder("| flag | default | meaning |")).toEqual(others.map((option) => rowOf(option, "--")));
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

describe("the table itself", () => {
  test("names are unique; every option has a face, and on the command line a word for its value", () => {
    expect(new Set(all.map(({ name }) => name)).size).toBe(all.length);
    for (const { name, faces, takes, value } of all) {
      expect(faces.length, name).toBeGreaterThan(0);
      expect(new Set(faces).size, name).toBe(faces.length);
      const typed = faces.some((face) => face !== "action");
      expect(value === undefined, name).toBe(!typed || takes === "flag");
    }
  });

  test("a flag is off by itself; what takes several has no default", () => {
    for (const { name, takes, default: preset } of all) {
      expect(takes === "flag" ? preset : "false", name).toBe("false");
      expect(takes === "list" ? preset : undefined, name).toBeUndefined();
    }
  });

  const namesOf = (face: Face): string[] => optionsOf(face).map(({ name }) => name);
  const everywhere = ["output", "verbose"];

  test.each<[Face, string[]]>([
    ["logout", ["registry", "auth-file", "session", "scope", ...everywhere]],
    ["status", ["registry", "auth-file", "scope", "for", ...everywhere]],
    [
      "identity",
      [
        ...["identity", "audience", "token-file", "token-env", "spiffe-socket", "spiffe-id"],
        ...["ca-file", "timeout", ...everywhere],
      ],
    ],
  ])("%s has just these", (face, names) => {
    expect(namesOf(face)).toEqual(names);
  });

  test("login has those of the Action, but for what only a job on GitHub needs, and some of its own", () => {
    const github = ["refresh", "logout", "without-identity", "workflow-ref"];
    const shared = namesOf("action").filter((name) => !github.includes(name));
    expect(namesOf("action")).toEqual(expect.arrayContaining(github));
    expect(namesOf("login")).toEqual([
      ...shared,
      "session",
      "watch",
      "on-lapse",
      "logout-on-exit",
      "result",
      ...everywhere,
    ]);
  });
});

test("every default is one that the parsing accepts, and the same as leaving the option out", () => {
  const people = all.filter(({ internal, default: value }) => !internal && value !== undefined);
  const defaults = Object.fromEntries(people.map(({ name, default: value }) => [name, value]));
  expect(parseRequest({ ...defaults, robot: "acme+ci" })).toEqual(parseRequest({ robot: "acme+ci" }));
});
