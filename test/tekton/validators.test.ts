/**
 * Everything under `tekton/` before two foreign judges: Tekton's own validation (the code of its admission webhook, built
 * from `validate/`) and tekton-lint. Both are shown to refuse what they are there for.
 */
import { spawnSync } from "node:child_process";
import { readdirSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { findBuilt } from "../quay-stand-in/built.ts";
import { type Resource, resources } from "./resources.ts";

const refused = "test/tekton/fixtures/refused.yaml";
const linted = "test/tekton/fixtures/linted.yaml";
const validator = findBuilt("tekton-validate");

/** The annotation of that name, by the name of the resource. */
const annotations = (file: string, name: string): [string, string][] =>
  resources(file).map(({ metadata }: Resource) => [metadata.name ?? "", metadata.annotations?.[name] ?? "missing"]);

function run(program: string, args: readonly string[]) {
  const { status, stdout, stderr, error } = spawnSync(program, args, { encoding: "utf8", timeout: 20_000 });
  if (error) {
    throw error;
  }
  return { status, stdout, stderr };
}

describe.skipIf(validator === undefined)("Tekton's own validation", () => {
  const validate = (files: readonly string[]) => run(validator ?? "", files);

  test("accepts all of ours", () => {
    const ours = resources("tekton/**/*.yaml").filter(({ apiVersion }) => apiVersion.startsWith("tekton.dev/"));
    const { stdout, status } = validate([...new Set(ours.map(({ file }) => file))]);
    expect(stdout.match(/^(ok|REFUSED) .*$/gm)?.map((line) => line.split(/\s+/)[0])).toEqual(ours.map(() => "ok"));
    expect(status).toBe(0);
  });

  test("refuses each mistake, for what it is", () => {
    const { stdout, status } = validate([refused]);
    const answers = stdout.split(/^(?=ok |REFUSED )/m);
    const expected = annotations(refused, "refused");
    expect(answers).toHaveLength(expected.length);
    for (const [index, [name, reason]] of expected.entries()) {
      expect(answers[index], name).toMatch(/^REFUSED /);
      expect(answers[index], name).toContain(reason);
    }
    expect(status).toBe(1);
  });

  test("lets pass what tekton-lint is there for", () => {
    expect(validate([linted]).status).toBe(0);
  });

  test("a file that isn't there is no success", () => {
    expect(validate(["test/tekton/fixtures/none.yaml"]).status).toBe(2);
    expect(validate([]).status).toBe(2);
  });
});

describe("tekton-lint", () => {
  const lint = (pattern: string): { message: string; rule: string }[] =>
    JSON.parse(run("tekton-lint", ["--config", "test/tekton", "--format", "json", pattern]).stdout);

  test("finds nothing in ours, warnings included", () => {
    expect(lint("tekton/**/*.yaml")).toEqual([]);
  });

  test("finds each mistake", () => {
    const found = lint(linted).map(({ rule }) => rule);
    expect(found.sort()).toEqual(
      annotations(linted, "found")
        .map(([, rule]) => rule)
        .sort(),
    );
  });
});

test("every fixture is used", () => {
  expect(readdirSync("test/tekton/fixtures").sort()).toEqual(["linted.yaml", "refused.yaml"]);
});
