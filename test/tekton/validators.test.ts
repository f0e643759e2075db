/**
 * Everything under `tekton/`, checked by two foreign tools: Tekton's own validation (the code of its admission webhook,
 * built from `validate/`) and tekton-lint. The tests show that both reject what they are for.
 */
import { spawnSync } from "node:child_process";
import { readdirSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { findBuilt } from "../quay-stand-in/built.ts";
import { type Resource, resources } from "./resources.ts";

const refused = "test/tekton/fixtures/refused.yaml";
const linted = "test/tekton/fixtures/linted.yaml";
const validator = findBuilt("tekton-validate");

/** The annotation of that name, keyed by the name of the resource. */
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

  test("accepts all our files", () => {
    const ours = resources("tekton/**/*.yaml").filter(({ apiVersion }) => apiVersion.startsWith("tekton.dev/"));
    const { stdout, status } = validate([...new Set(ours.map(({ file }) => file))]);
    expect(stdout.match(/^(ok|REFUSED) .*$/gm)?.map((line) => line.split(/\s+/)[0])).toEqual(ours.map(() => "ok"));
    expect(status).toBe(0);
  });

  test("rejects each mistake, with its reason", () => {
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

  test("accepts what only tekton-lint checks", () => {
    expect(validate([linted]).status).toBe(0);
  });

  test("fails on a missing file", () => {
    expect(validate(["test/tekton/fixtures/none.yaml"]).status).toBe(2);
    expect(validate([]).status).toBe(2);
  });
});

describe("tekton-lint", () => {
  const lint = (pattern: string): { message: string; rule: string }[] =>
    JSON.parse(run("tekton-lint", ["--config", "test/tekton", "--format", "json", pattern]).stdout);

  test("finds nothing in our files, not even a warning", () => {
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

test("uses every fixture", () => {
  expect(readdirSync("test/tekton/fixtures").sort()).toEqual(["linted.yaml", "refused.yaml"]);
});
