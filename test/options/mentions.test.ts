/** How texts in src/ mention options: as data, never by hand. That each names an option of the table, the compiler holds. */
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

/** Those that hold `pattern`, but for what means something else. */
const written = (pattern: string, others = /^$/) =>
  literals
    .filter(({ text }) => new RegExp(pattern).test(text) && !others.test(text))
    .map(({ file, text }) => `${file}: ${text}`);

describe("no text writes by hand", () => {
  test("an option as a flag", () => {
    expect(written(`(?<![\\w-])--(?:${names})\\b`, /: quay-keyless-login login|^--output$/)).toEqual([]);
  });

  test("an option with a value", () => {
    // English words, and a field of Kubernetes.
    const others = /\blooked for: |\bfile: (?:\$|where)|audience: \$\{audience\} of its serviceAccountToken/i;
    expect(written(`(?<![\\w-])(?:${names}): (?=\\S)`, others)).toEqual([]);
  });

  test("the name of an option", () => {
    expect(written(`\\boptions? "?(?:${names})\\b`)).toEqual([]);
  });
});

test("words with mentions stand in no template but those of the tag text", () => {
  const within = /(?<!\btext)`[^`]*\$\{[^}`]*(?:\bheadline\b|\bmention\(|\banotherFile\b|\bprivateAuthority\b)[^`]*`/g;
  expect(files.flatMap(({ file, code }) => [...code.matchAll(within)].map(([found]) => `${file}: ${found}`))).toEqual(
    [],
  );
});
