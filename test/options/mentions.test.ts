/** How texts in src/ mention options: as data, never by hand. The compiler checks that each names an option of the table. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { options } from "../../src/options/table.ts";

const root = join(import.meta.dirname, "../../src");
const files = readdirSync(root, { recursive: true, encoding: "utf8" })
  // The table describes options, and the help is about the command line alone.
  .filter((file) => file.endsWith(".ts") && !/^options\/|^cli\/help\.ts$/.test(file))
  .map((file) => ({
    file,
    code: readFileSync(join(root, file), "utf8").replaceAll(/\/\*[\s\S]*?\*\/|(?<=^|\s)\/\/.*/g, ""),
  }));

const literals = files.flatMap(({ file, code }) =>
  [...code.matchAll(/"((?:[^"\\\n]|\\.)*)"|`([^`]*)`/g)].map(([, string, template]) => ({
    file,
    text: string ?? template ?? "",
  })),
);
const names = options.map(({ name }) => name).join("|");

/** The matches of `pattern`, except those with another meaning. */
const written = (pattern: string, others = /^$/) =>
  literals
    .filter(({ text }) => new RegExp(pattern).test(text) && !others.test(text))
    .map(({ file, text }) => `${file}: ${text}`);

describe("no text writes by hand", () => {
  // A whole command, which only the command line has; options of other programs.
  const commandLines =
    /(?:: |^)quay-keyless-login (?:login|logout|configure|federate|audit) |^--output$|apt-get install --yes|\$\{login\} --token-env|buildkite-agent|^--query \w+ --output \w+$/;

  test("an option as a flag", () => {
    expect(written(`(?<![\\w-])--(?:${names})(?![\\w-])`, commandLines)).toEqual([]);
  });

  test("an option with a value", () => {
    // English words, a command, a field of Kubernetes, a job of a workflow, and the protocol of credential helpers.
    const others =
      /\b(?:For this check|at the usual path|in the organization|then write id_tokens|in its place|^yes|^organization): |\bGive the job an environment: |^ {2}environment: release$|\blooked for: |: unknown action: |\bfile: (?:\$|where|skopeo)|audience: \$\{audience\} of its serviceAccountToken/i;
    expect(written(`(?<![\\w-])(?:${names}): (?=\\S)`, others)).toEqual([]);
  });

  test("the name of an option", () => {
    expect(written(`\\boptions? "?(?:${names})\\b`)).toEqual([]);
  });
});

test("words with mentions are used only in templates with the tag text", () => {
  const within = /(?<!\btext)`[^`]*\$\{[^}`]*(?:\bheadline\b|\bmention\(|\banotherFile\b|\bprivateAuthority\b)[^`]*`/g;
  expect(files.flatMap(({ file, code }) => [...code.matchAll(within)].map(([found]) => `${file}: ${found}`))).toEqual(
    [],
  );
});
