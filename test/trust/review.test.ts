/** The difference between two versions of a file. test/e2e/federate-action.test.ts has the Action. */
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import * as yaml from "yaml";
import { ExplainedError } from "../../src/platform/errors.ts";
import { isDifferent } from "../../src/trust/plan.ts";
import { reportOf } from "../../src/trust/report.ts";
import { isOfFile, parseFederateRequest } from "../../src/trust/request.ts";
import { compareTrusts, review } from "../../src/trust/review.ts";
import { parseTrustFile } from "../../src/trust/trust-file.ts";
import { failureText, inWorkflow, makeFolder, testPlatform } from "../fixtures.ts";

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

describe("a review, which asks Quay nothing", () => {
  async function reviewed(before: string | undefined, after: string) {
    const file = join(await makeFolder(), "quay-trust.yaml");
    await writeFile(file, after);
    const request = parseFederateRequest({ file, offline: "true" });
    if (!isOfFile(request)) throw new Error("not of a file");
    const platform = testPlatform();
    const found = await review(request, async () => before, platform);
    return { found, warnings: platform.reporter.warnings, lines: reportOf(found, inWorkflow) };
  }
  const trusting = (issuer: string) => ci(`{ bindings: [{ issuer: "${issuer}", subject: main }] }`);
  const good = trusting("https://ci.example.com");

  test("of a new file shows all of it as new", async () => {
    const { found, lines, warnings } = await reviewed(undefined, good);
    expect(found).toMatchObject({ mode: "review", failure: undefined, findings: [] });
    expect(lines.slice(1, 3)).toEqual(["+ robot acme+ci", "+   binding main of https://ci.example.com for quay"]);
    expect(lines.at(-1)).toBe("In the file: 2 added, 0 changed, 0 removed. Quay was not asked.");
    expect(warnings).toEqual([]);
  });

  test("of an unchanged file counts its robots", async () => {
    const two = "organization: acme\nrobots: { ci: {}, cd: {} }\n";
    expect((await reviewed(two, two)).lines).toEqual([
      "acme on quay.io",
      "  2 robots unchanged",
      "In the file: 0 added, 0 changed, 0 removed. Quay was not asked.",
    ]);
  });

  test("of a risk shows the difference and the error", async () => {
    const { found, lines } = await reviewed(good, trusting("http://ci.example.com"));
    expect(found.failure?.code).toBe("trust-risky");
    expect(lines).toContain("-   binding main of https://ci.example.com for quay");
  });

  test("of a risk that was there before warns", async () => {
    const risky = trusting("http://ci.example.com");
    const { found, warnings } = await reviewed(risky, risky);
    expect([found.failure, isDifferent(found.plan)]).toEqual([undefined, false]);
    expect(warnings).toEqual([expect.stringContaining("http://ci.example.com")]);
  });

  test("of a file that mends one that was not valid shows all of it as new, and says why", async () => {
    const { found, warnings } = await reviewed("organization: acme\nrobot: {}\n", good);
    expect([found.failure, isDifferent(found.plan)]).toEqual([undefined, true]);
    expect(warnings).toEqual([expect.stringMatching(/^The file in the base branch is not valid, .* as new: /)]);
  });

  test("of a file that is not valid ends with its error", async () => {
    await failureText("invalid-input", reviewed(good, "organization: acme\nrobot: {}\n"));
  });

  test("ends with the error of what reads the file before", async () => {
    const file = join(await makeFolder(), "quay-trust.yaml");
    await writeFile(file, good);
    const request = parseFederateRequest({ file, offline: "true" });
    const gone = new Error("no such commit");
    const work = isOfFile(request) && review(request, () => Promise.reject(gone), testPlatform());
    await expect(work).rejects.toBe(gone);
  });
});

test("a review that has ended ends with the reason, and not with a difference", async () => {
  const file = join(await makeFolder(), "quay-trust.yaml");
  await writeFile(file, ci(`{ bindings: [${binding()}] }`));
  const request = parseFederateRequest({ file });
  const ended = new AbortController();
  const reason = new ExplainedError("timeout", "The review did not finish.", { remedy: [] });
  const before = async () => {
    ended.abort(reason);
    return undefined;
  };
  const work = isOfFile(request) && review(request, before, testPlatform(ended));
  await expect(work).rejects.toBe(reason);
});

test("only a federation of a file is one that can be reviewed", () => {
  expect(isOfFile(parseFederateRequest({ robot: "acme+ci" }))).toBe(false);
  expect(isOfFile(parseFederateRequest({ export: "true", organization: "acme" }))).toBe(false);
});
