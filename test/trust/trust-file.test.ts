/** quay-trust.yaml: what is read, and each error with file, line and key. */
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import * as yaml from "yaml";
import { parseTrustFile, readTrustFile, type TrustFileWanted } from "../../src/trust/trust-file.ts";
import { failure, makeFolder } from "../fixtures.ts";
import { badFiles, goodBindings, goodFiles } from "./cases.ts";

const wanted: TrustFileWanted = { registry: undefined, prune: true, createRobots: false, createRepositories: false };
const parse = (text: string, change: Partial<TrustFileWanted> = {}) =>
  parseTrustFile(yaml, text, "quay-trust.yaml", { ...wanted, ...change });

const whole = `# yaml-language-server: $schema=x
registry: Quay.example.com
organization: acme
robots:
  ci:                        # acme+ci
    description: Builds of acme/app
    create: true
    promotes: false
    permissions:
      app: write             # acme/app
      other: { role: read, create: true }
      acme/third: admin
    bindings:
      - github: acme/app
        environment: release
      - service-account: team/deployer
        issuer: https://oidc.example.com/cluster
        audience: [quay, other]
  bare: {}
`;

test("reads robots with permissions and bindings, each with its line", () => {
  const at = (line: number) => `quay-trust.yaml:${line}`;
  expect(parse(whole)).toEqual({
    registry: "quay.example.com",
    organization: "acme",
    robots: [
      {
        name: "acme+ci",
        description: "Builds of acme/app",
        create: true,
        promotes: false,
        permissions: [
          { repository: "acme/app", role: "write", create: false, from: at(10) },
          { repository: "acme/other", role: "read", create: true, from: at(11) },
          { repository: "acme/third", role: "admin", create: false, from: at(12) },
        ],
        bindings: [
          {
            issuer: "https://token.actions.githubusercontent.com",
            subject: "repo:acme/app:environment:release",
            audiences: [],
            from: at(14),
          },
          {
            issuer: "https://oidc.example.com/cluster",
            subject: "system:serviceaccount:team:deployer",
            audiences: ["quay", "other"],
            from: at(16),
          },
        ],
        from: at(5),
      },
      {
        ...{ name: "acme+bare", create: false, promotes: false, permissions: [], bindings: [] },
        unlisted: ["bindings", "permissions"],
        from: at(19),
      },
    ],
  });
});

test.each(goodBindings)("the binding $entry", ({ entry, issuer, subject }) => {
  const { robots } = parse(`organization: acme\nrobots: { ci: { bindings: [${entry}] } }\n`);
  expect(robots[0]?.bindings).toEqual([{ issuer, subject, audiences: [], from: "quay-trust.yaml:2" }]);
});

test.each(goodFiles)("reads %j", (text) => {
  expect(parse(text).organization).toMatch(/^acme/);
});

test("the options create-robot and create-repository count for all", () => {
  const { robots } = parse(whole, { createRobots: true, createRepositories: true });
  expect(robots.map(({ create }) => create)).toEqual([true, true]);
  expect(robots[0]?.permissions.map(({ create }) => create)).toEqual([true, true, true]);
});

describe("the registry", () => {
  test("is the file's, the option's, or the option's default", () => {
    const without = whole.replace("registry: Quay.example.com\n", "");
    expect(parse(without).registry).toBe("quay.io");
    expect(parse(without, { registry: "other.example" }).registry).toBe("other.example");
    expect(parse(whole, { registry: "quay.example.com" }).registry).toBe("quay.example.com");
  });

  test("can't be another one than the option's", async () => {
    const error = await failure(() => parse(whole, { registry: "quay.io" }));
    expect(error.message).toBe(
      'quay-trust.yaml:2: registry is "Quay.example.com", but registry: quay.io is another host.',
    );
  });
});

describe("an empty list", () => {
  test.each([
    ["bindings: []", "bindings"],
    ["permissions: {}", "permissions"],
  ])("without prune: %s", async (text, key) => {
    const file = `organization: acme\nrobots: { ci: { ${text} } }\n`;
    const error = await failure(() => parse(file, { prune: false }));
    expect(error.message).toBe(`quay-trust.yaml:2: robots.ci.${key} is empty, and that would remove nothing.`);
    expect(error.remedy).toEqual([
      `To keep what the robot has, leave ${key} out.`,
      "To remove all of them: prune: true",
    ]);
    expect(parse(file).robots[0]?.unlisted).toEqual([key === "bindings" ? "permissions" : "bindings"]);
  });

  test("of robots", async () => {
    const error = await failure(() => parse("organization: acme\nrobots: {}\n", { prune: false }));
    expect(error.message).toBe("quay-trust.yaml:2: robots is empty.");
  });
});

describe("rejects", () => {
  test.each(badFiles)("$at $problem", async ({ file, at, problem, remedy }) => {
    const error = await failure(() => parse(file));
    expect(error.code).toBe("invalid-input");
    expect(error.message).toBe(`quay-trust.yaml:${at} ${problem}.`);
    expect(error.remedy).toEqual([remedy]);
    expect(error.message).not.toContain("secret");
  });

  test.each([
    ["two documents", "organization: a\n---\norganization: b\n", "it has several documents, separated by ---"],
    ["a tab", "organization: acme\nrobots:\n\tci: {}\n", "it is not YAML, line 3, column 1: Tabs"],
    ["an alias of nothing", "organization: *a\n", "it is not YAML, line 1: *a has no anchor before it"],
  ])("%s", async (_, text, problem) => {
    expect((await failure(() => parse(text))).message).toContain(`The option "file" is "quay-trust.yaml": ${problem}`);
  });
});

describe("a hostile file is rejected soon:", () => {
  const bindings = Array.from({ length: 5000 }, (_, index) => `{ github: a/b, branch: b${index} }`);
  const robots = Array.from({ length: 5000 }, (_, index) => `  r${index}: { bindings: *all }`);
  test.each<[string, string, RegExp]>([
    ["nested lists", "- ".repeat(500_000), /nested too deeply/],
    ["many lexemes", `[${",".repeat(1_000_000)}]`, /too many parts/],
    ["an alias of itself", "organization: acme\nrobots: &r { ci: *r }\n", /robots\.ci\.ci is an unknown key/],
    [
      "one list of many robots",
      `organization: acme\nrobots:\n  first: { bindings: &all [${bindings.join(", ")}] }\n${robots.join("\n")}\n`,
      /it has more than 50000 entries/,
    ],
  ])("%s", async (_, text, message) => {
    const started = performance.now();
    const error = await failure(() => parse(text));
    expect(performance.now() - started).toBeLessThan(6000);
    expect(error.message).toMatch(message);
    expect(error.message.length).toBeLessThan(500);
  });
});

describe("the file", () => {
  const read = (file: string) => readTrustFile(file, wanted, AbortSignal.timeout(5_000));

  test("is read, with a byte order mark too", async () => {
    const file = join(await makeFolder(), "quay-trust.yaml");
    await writeFile(file, `\ufeff${whole}`);
    const { robots } = await read(file);
    expect(robots[0]?.from).toBe(`${file}:5`);
  });

  test.each<[string, string, (file: string) => Promise<unknown>]>([
    ["is missing", "it does not exist", async () => {}],
    ["is a folder", "it is a folder", (file) => mkdir(file)],
    ["is not text", "it is not UTF-8 text", (file) => writeFile(file, Buffer.from([0x2d, 0x20, 0xff, 0xfe]))],
    ["is too large", "it is larger than 1 MiB", (file) => writeFile(file, "#".repeat(1024 * 1024 + 1))],
  ])("%s", async (_, problem, make) => {
    const file = join(await makeFolder(), "quay-trust.yaml");
    await make(file);
    const error = await failure(read(file));
    expect(error.message).toBe(`The option "file" is ${JSON.stringify(file)}: ${problem}.`);
    expect(error.remedy[0]).toMatch(/^Write, for example, (?:file: quay-trust\.yaml|a mapping with .*|a file for .*)$/);
  });
});
