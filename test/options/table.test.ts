/** The table of options is consistent, each description is for its readers, and each default is accepted. */
import { describe, expect, test } from "vitest";
import { parseRequest } from "../../src/login/request.ts";
import { descriptionFor, descriptions, describe as explain } from "../../src/options/descriptions.ts";
import {
  commands,
  type EntryPoint,
  federationOutputs,
  type Option,
  type OptionName,
  type OptionValues,
  options,
  optionsOf,
  outputs,
  promotionOutputs,
} from "../../src/options/table.ts";
import { readPromotionRequest } from "../../src/promotion/request.ts";

const all: readonly (Option & { readonly name: OptionName })[] = options;
const textsOf = (description: (typeof descriptions)[OptionName]): string[] =>
  typeof description === "string" ? [description] : Object.values(description);
const actions: readonly EntryPoint[] = ["action", "promote-action", "federate-action"];
const tekton: readonly EntryPoint[] = ["login-task", "login-step", "promote-task", "federate-task"];

test("names are unique; every option has an entry point, and on the command line a word for its value", () => {
  expect(new Set(all.map(({ name }) => name)).size).toBe(all.length);
  for (const { name, entryPoints, takes, value } of all) {
    expect(entryPoints.length, name).toBeGreaterThan(0);
    expect(new Set(entryPoints).size, name).toBe(entryPoints.length);
    const isFlag = entryPoints.some((entryPoint) => commands.some((command) => command === entryPoint));
    expect(value === undefined, name).toBe(!isFlag || takes === "flag");
  }
});

test("a flag is off by default; a list has no default; an array is a list", () => {
  for (const { name, takes, array, default: preset } of all) {
    expect(takes === "flag" ? preset : "false", name).toBe("false");
    expect(takes === "list" ? preset : undefined, name).toBeUndefined();
    expect(array === undefined || takes === "list", name).toBe(true);
  }
});

describe("descriptions", () => {
  test("are sentences on one line", () => {
    const texts = Object.values(descriptions).flatMap(textsOf);
    for (const text of [
      ...texts,
      ...[...outputs, ...promotionOutputs, ...federationOutputs].map(({ description }) => description),
    ]) {
      expect(text).toMatch(/^[A-Zt][^\n|]*\.$/);
    }
  });

  test.each([
    { readers: "an Action", entryPoints: actions, foreign: /command line|\bflag|Tekton|\bTask|workspace/ },
    {
      readers: "the command line",
      // What `migrate` changes are workflows.
      entryPoints: commands.filter((command) => command !== "migrate"),
      foreign: /\bsteps?\b|\bActions?\b|workflow|\bjob\b|runner|\bTask/,
    },
    {
      readers: "Tekton",
      entryPoints: tekton,
      foreign: /\bActions?\b|workflow|\bjob\b|runner|GitHub|command line|\bflag/,
    },
  ])("for users of $readers mention nothing else", ({ entryPoints, foreign }) => {
    for (const entryPoint of entryPoints) {
      for (const { name } of optionsOf(entryPoint)) {
        expect(explain(name, entryPoint), name).not.toMatch(foreign);
      }
    }
  });

  test("each is used somewhere", () => {
    for (const option of all) {
      const read = new Set(option.entryPoints.map((entryPoint) => explain(option.name, entryPoint)));
      expect(read, option.name).toEqual(new Set(textsOf(descriptions[option.name])));
    }
  });

  test("the entry point's own comes first, then its readers', then that for all", () => {
    const own = { all: "All.", promotions: "Promotions.", tekton: "Tekton.", "login-step": "Step." };
    const entryPoints = ["action", "promote", "promote-task", "login-step"] as const;
    expect(entryPoints.map((entryPoint) => descriptionFor(own, entryPoint))).toEqual([
      "All.",
      "Promotions.",
      "Tekton.",
      "Step.",
    ]);
  });
});

describe("each entry point has its options", () => {
  const namesOf = (entryPoint: EntryPoint): string[] => optionsOf(entryPoint).map(({ name }) => name);
  const everywhere = ["output", "verbose", "quiet"];
  const source = ["identity", "token-file", "token-env", "token-command", "spiffe-socket", "spiffe-id"];
  const shared = ["registry", "robot", "audience", "auth-file-mode", "ca-file", "token-host", "access", "timeout"];

  test.each<[EntryPoint, string[]]>([
    ["logout", ["registry", "auth-file", "session", "scope", ...everywhere]],
    ["status", ["registry", "auth-file", "scope", "for", ...everywhere]],
    [
      "identity",
      [
        ...["identity", "audience", "token-file", "token-env", "token-command", "spiffe-socket", "spiffe-id"],
        ...["ca-file", "timeout", ...everywhere],
      ],
    ],
    ["login-task", shared],
    ["login-step", shared],
  ])("%s has exactly these", (entryPoint, names) => {
    expect(namesOf(entryPoint)).toEqual(names);
  });

  test("promote has those of its Action and of the command line; the exchange has those of login", () => {
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

  test("the Action and the Task that federate have the same, those of federate about a file", () => {
    const names = [
      ...["registry", "ca-file", "timeout", "file", "create-robot", "create-repository"],
      ...["prune", "check", "strict", "offline", "api-token-env", "api-token-file"],
    ];
    expect(namesOf("federate-action")).toEqual(names);
    expect(namesOf("federate-task")).toEqual(names.filter((name) => name !== "api-token-env"));
    expect(namesOf("federate")).toEqual(expect.arrayContaining(names));
    // The file may name the registry: a default would contradict it.
    for (const entryPoint of ["federate", "federate-action", "federate-task"] as const) {
      expect(optionsOf(entryPoint)[0]).not.toHaveProperty("default");
    }
    expect(optionsOf("login")[0]).toHaveProperty("default", "quay.io");
  });

  test("the promotion Tasks have those of promote, except the identity's source and output", () => {
    const fixed = [...source, "result", ...everywhere];
    expect(namesOf("promote-task")).toEqual(namesOf("promote").filter((name) => !fixed.includes(name)));
  });

  test("login has those of the Action except GitHub's own, and some of its own", () => {
    const github = ["credential-helper", "refresh", "logout", "without-identity", "workflow-ref"];
    const common = namesOf("action").filter((name) => !github.includes(name));
    expect(namesOf("action")).toEqual(expect.arrayContaining(github));
    expect(namesOf("login")).toEqual([
      ...common,
      "session",
      "watch",
      "on-lapse",
      "logout-on-exit",
      "result",
      ...everywhere,
    ]);
  });
});

test("every default is accepted, and means the same as leaving the option out", async () => {
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
