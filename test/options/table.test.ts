/** `action.yml` of both Actions, the README and docs/promotion.md say what the table of options says, no more and no less. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { parse } from "yaml";
import { parseRequest } from "../../src/login/request.ts";
import {
  type EntryPoint,
  type Option,
  type OptionValues,
  options,
  optionsOf,
  outputs,
  promotionOutputs,
} from "../../src/options/table.ts";
import { readPromotionRequest } from "../../src/promotion/request.ts";

const root = join(import.meta.dirname, "../..");
const read = (file: string) => readFileSync(join(root, file), "utf8");
const all: readonly Option[] = options;
const ofTheAction = optionsOf("action");

const actionFiles = [
  { file: "action.yml", entryPoint: "action", has: outputs },
  { file: "promote/action.yml", entryPoint: "promote-action", has: promotionOutputs },
] as const;

describe.each(actionFiles)("$file", ({ file, entryPoint, has }) => {
  test("its inputs are the options that the Action has", () => {
    const inputs = optionsOf(entryPoint).map((option) => [
      option.name,
      {
        description: option.description,
        required: option.required ?? false,
        ...(option.default !== undefined && { default: option.default }),
      },
    ]);
    expect(Object.entries(parse(read(file)).inputs)).toEqual(inputs);
  });

  test("its outputs are the outputs", () => {
    const expected = has.map(({ name, description }) => [name, { description }]);
    expect(Object.entries(parse(read(file)).outputs)).toEqual(expected);
  });
});

describe("action.yml", () => {
  const action = parse(read("action.yml"));

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
    const texts = [...all, ...outputs, ...promotionOutputs].map(({ description }) => description);
    for (const text of [...texts, ...all.flatMap(({ inPromotions }) => inPromotions ?? [])]) {
      expect(text).toMatch(/^[A-Zt].*\.$/);
      expect(text).not.toMatch(/\n/);
    }
  });
});

const rowOf = (option: Option, prefix = "") => [
  `\`${prefix}${option.name}\``,
  option.required ? "**required**" : option.default === undefined ? "" : `\`${option.default}\``,
  option.description,
];

/** The rows of the table with this head, which is the only one. */
function tableIn(text: string, head: string): string[][] {
  const [before, after, ...more] = text.split(`\n${head}\n`);
  expect(before, `there is no table "${head}"`).not.toBe(text);
  expect(more, `there are several tables "${head}"`).toEqual([]);
  const rows = (after ?? "").split("\n").slice(1);
  const end = rows.findIndex((line) => !line.startsWith("|"));
  return rows.slice(0, end).map((row) =>
    row
      .split("|")
      .slice(1, -1)
      .map((cell) => cell.trim()),
  );
}

describe("README.md", () => {
  const readme = read("README.md");

  test("its table of options: those of the Action", () => {
    const people = ofTheAction.filter(({ internal }) => !internal);
    expect(tableIn(readme, "| option | default | meaning |")).toEqual(people.map((option) => rowOf(option)));
  });

  test("its table of flags: what only the command line has", () => {
    const login: readonly EntryPoint[] = ["login", "logout", "status", "identity"];
    const others = all.filter(
      ({ entryPoints }) =>
        !entryPoints.includes("action") && entryPoints.some((entryPoint) => login.includes(entryPoint)),
    );
    expect(tableIn(readme, "| flag | default | meaning |")).toEqual(others.map((option) => rowOf(option, "--")));
  });

  test("its table of outputs", () => {
    expect(tableIn(readme, "| output | meaning |")).toEqual(
      outputs.map(({ name, description }) => [`\`${name}\``, description]),
    );
  });
});

describe("docs/promotion.md", () => {
  const [, ofOptions = "", ofOutputs = ""] =
    /\n## Options\n([\s\S]*?\n)## Outputs\n([\s\S]*)/.exec(read("docs/promotion.md")) ?? [];

  test("its table of options: those of promote", () => {
    const people = optionsOf("promote").filter(({ internal }) => !internal);
    expect(tableIn(ofOptions, "| option | default | meaning |")).toEqual(people.map((option) => rowOf(option)));
  });

  test("its table of outputs", () => {
    const expected = promotionOutputs.map(({ name, description }) => [`\`${name}\``, description]);
    expect(tableIn(ofOutputs, "| output | meaning |")).toEqual(expected);
  });
});

describe("the table itself", () => {
  test("names are unique; every option has an entry point, and on the command line a word for its value", () => {
    expect(new Set(all.map(({ name }) => name)).size).toBe(all.length);
    for (const { name, entryPoints, takes, value } of all) {
      expect(entryPoints.length, name).toBeGreaterThan(0);
      expect(new Set(entryPoints).size, name).toBe(entryPoints.length);
      const typed = entryPoints.some((entryPoint) => entryPoint !== "action" && entryPoint !== "promote-action");
      expect(value === undefined, name).toBe(!typed || takes === "flag");
    }
  });

  test("a flag is off by itself; what takes several has no default", () => {
    for (const { name, takes, default: preset } of all) {
      expect(takes === "flag" ? preset : "false", name).toBe("false");
      expect(takes === "list" ? preset : undefined, name).toBeUndefined();
    }
  });

  const namesOf = (entryPoint: EntryPoint): string[] => optionsOf(entryPoint).map(({ name }) => name);
  const everywhere = ["output", "verbose"];

  test.each<[EntryPoint, string[]]>([
    ["logout", ["registry", "auth-file", "session", "scope", ...everywhere]],
    ["status", ["registry", "auth-file", "scope", "for", ...everywhere]],
    [
      "identity",
      [
        ...["identity", "audience", "token-file", "token-env", "spiffe-socket", "spiffe-id"],
        ...["ca-file", "timeout", ...everywhere],
      ],
    ],
  ])("%s has just these", (entryPoint, names) => {
    expect(namesOf(entryPoint)).toEqual(names);
  });

  test("promote has those of its Action, and what the command line adds; the exchange is that of login", () => {
    const own = namesOf("promote").filter((name) => !namesOf("login").includes(name));
    const exchange = namesOf("identity").filter((name) => !everywhere.includes(name));
    expect(namesOf("promote")).toEqual(["registry", ...exchange, ...own, "result", ...everywhere]);
    expect(namesOf("promote-action").filter((name) => name !== "workflow-ref")).toEqual([
      "registry",
      ...exchange,
      ...own,
    ]);
    expect(own).toContain("destination-robot");
  });

  test("for promotions, an option that means something else there says so, and nowhere else", () => {
    const described = (entryPoint: EntryPoint) =>
      new Map(optionsOf(entryPoint).map(({ name, description }) => [name, description]));
    const [login, promote, action] = [described("login"), described("promote"), described("promote-action")];
    const others = [...promote.keys()].filter((name) => login.has(name) && login.get(name) !== promote.get(name));
    expect(others).toEqual(["registry", "ca-file", "timeout"]);
    expect(others.map((name) => action.get(name))).toEqual(others.map((name) => promote.get(name)));
    expect(optionsOf("promote").filter((option) => "inPromotions" in option)).toEqual([]);
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

test("every default is one that the parsing accepts, and the same as leaving the option out", async () => {
  const people = all.filter(({ internal, default: value }) => !internal && value !== undefined);
  const defaults = Object.fromEntries(people.map(({ name, default: value }) => [name, value]));
  expect(parseRequest({ ...defaults, robot: "acme+ci" })).toEqual(parseRequest({ robot: "acme+ci" }));
  const one: OptionValues = {
    source: "acme/staging:1",
    destination: "acme/app",
    tag: "1",
    "destination-robot": "acme+ci",
  };
  expect(await readPromotionRequest({ ...defaults, ...one })).toEqual(await readPromotionRequest(one));
});
