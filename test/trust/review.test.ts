/** The difference between two versions of a file. test/e2e/federate-action.test.ts has the whole story. */
import { describe, expect, test } from "vitest";
import * as yaml from "yaml";
import { isDifferent } from "../../src/trust/plan.ts";
import { compareTrusts } from "../../src/trust/review.ts";
import { parseTrustFile } from "../../src/trust/trust-file.ts";

const parse = (text: string) =>
  parseTrustFile(yaml, text, "quay-trust.yaml", {
    ...{ registry: undefined, prune: true, createRobots: false, createRepositories: false },
  });
const ci = (rest: string) => `organization: acme\nrobots: { ci: ${rest} }\n`;
const binding = (more = "") => `{ issuer: "https://ci.example.com", subject: main${more} }`;

const changes = (before: string | undefined, after: string) => {
  const { robots, warnings, repositories } = compareTrusts(
    before === undefined ? undefined : parse(before),
    parse(after),
  );
  expect(repositories).toEqual([]);
  const entries = robots.flatMap(({ name, change, permissions, bindings }) => [
    `${change} ${name}`,
    ...permissions.map((each) => `${each.change} ${each.repository} ${each.role}`),
    ...bindings.map((each) => `${each.change} ${each.subject} ${each.audiences}`),
  ]);
  return { entries, warnings };
};

describe("compares", () => {
  test("a file with none", () => {
    const text = ci(`{ permissions: { app: write }, bindings: [${binding()}] }`);
    expect(changes(undefined, text)).toEqual({
      entries: ["added acme+ci", "added acme/app write", "added main quay"],
      warnings: [],
    });
  });

  test("permissions and bindings, also of a list that the file no longer has", () => {
    const before = ci(`{ permissions: { app: write, old: read }, bindings: [${binding()}] }`);
    expect(changes(before, ci("{ permissions: { app: read } }")).entries).toEqual([
      "unchanged acme+ci",
      "changed acme/app read",
      "removed acme/old read",
      "removed main quay",
    ]);
  });

  test("audiences", () => {
    const before = ci(`{ bindings: [${binding()}] }`);
    expect(changes(before, ci(`{ bindings: [${binding(", audience: [a, b]")}] }`)).entries).toEqual([
      "unchanged acme+ci",
      "changed main a,b",
    ]);
  });

  test("the same in another form as the same", () => {
    const before = ci("{ bindings: [{ github: acme/app, branch: main }] }");
    const after = ci(
      '{ bindings: [{ issuer: "https://token.actions.githubusercontent.com", subject: "repo:acme/app:ref:refs/heads/main" }] }',
    );
    expect(isDifferent(compareTrusts(parse(before), parse(after)))).toBe(false);
  });
});

describe("warns of what a federation does not do", () => {
  test("a robot that is no longer in the file stays", () => {
    const before = "organization: acme\nrobots: { ci: {}, old: {}, older: {} }\n";
    expect(changes(before, ci("{}")).warnings).toEqual([
      "No longer in the file: acme+old, acme+older. Robots stay in Quay, with their bindings and permissions.",
    ]);
  });

  test("another organization or registry: nothing of the old one changes", () => {
    const before = ci("{ permissions: { app: write } }");
    for (const after of [before.replace("acme", "umbrella"), `registry: quay.example.com\n${before}`]) {
      const { entries, warnings } = changes(before, after);
      expect(entries[0]).toMatch(/^added /);
      expect(warnings).toEqual([expect.stringMatching(/^The file was about acme on quay\.io, and is about .*new\.$/)]);
    }
  });
});
