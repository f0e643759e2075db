/** The words of token-command: as /bin/sh reads them where it expands nothing, refused where it would. */
import { execFileSync } from "node:child_process";
import { describe, expect, test } from "vitest";
import { nameOf, wordsOf } from "../../src/identity/command-words.ts";

const inShell = (text: string): string[] =>
  execFileSync("/bin/sh", ["-c", `set -- ${text}\nprintf '%s\\0' "$@"`], { encoding: "utf8" })
    .split("\0")
    .slice(0, -1);

describe("reads the same words as /bin/sh", () => {
  test.each([
    "buildkite-agent oidc request-token --audience quay",
    `circleci run oidc get --claims '{"aud":"quay"}'`,
    "aws sts get-web-identity-token \\\n  --audience quay \\\n  --output text",
    "  a\t b   c  ",
    `'a b' "c d" e\\ f`,
    `a'b'"c"d`,
    `x '' "" y`,
    `"a\\"b" "a\\\\b" "a\\b" "\\$HOME" "\\\`"`,
    `'it'\\''s' "it's" 'a"b'`,
    `'$HOME' '\`id\`' '*' '~' '#' '|' ';' '&&' '>'`,
    `\\$HOME \\* \\~ \\# \\| \\; \\&`,
    `"|" ";" "&" "*" "?" "~" "#" "(" "<"`,
    "a#b a~b x=~ --x=y",
    "{a,b} {} !",
    '"a\\\nb" c\\\nd',
    "ä 'ß' 𝒳",
    "sh -c 'curl -s https://x/ | jq -r .value'",
    "a '\n' b",
    "\\'a \\\"b \\\\",
  ])("%j", (text) => {
    expect(wordsOf(text)).toEqual({ ok: true, words: inShell(text) });
  });
});

describe("refuses what only a shell could run, and says so", () => {
  test.each<[text: string, character: string, position: number]>([
    ["a | b", "|", 3],
    ["a|b", "|", 2],
    ["a && b", "&", 3],
    ["a &", "&", 3],
    ["a; b", ";", 2],
    ["a > f", ">", 3],
    ["a 2>&1", ">", 4],
    ["a < f", "<", 3],
    ["(a)", "(", 1],
    ["a $HOME", "$", 3],
    ['a "$HOME"', "$", 4],
    ['a "x$Y"', "$", 5],
    ["a $(b)", "$", 3],
    ["a `b`", "`", 3],
    ['a "`b`"', "`", 4],
    ["a *.jwt", "*", 3],
    ["a https://x/?y=z", "?", 13],
    ["a [x]", "[", 3],
    ["~/bin/a", "~", 1],
    ["a ~/b", "~", 3],
    ["a # b", "#", 3],
  ])("%j", (text, character, position) => {
    const read = wordsOf(text);
    expect(read).toMatchObject({ ok: false, needsShell: true });
    expect(read.ok || read.problem).toContain(`it has ${character} (character ${position}): a shell would `);
    expect(read.ok || read.problem).toContain("no shell runs it");
  });

  test("a second line", () => {
    expect(wordsOf("a\nb")).toMatchObject({ problem: expect.stringContaining("it has a line break (character 2)") });
  });

  test("a variable in front", () => {
    expect(wordsOf("AWS_REGION=eu-west-1 aws sts")).toEqual({
      ok: false,
      problem: "it sets AWS_REGION first, as only a shell or the program env can",
      needsShell: true,
    });
    expect(wordsOf("env AWS_REGION=eu-west-1 aws sts").ok).toBe(true);
  });
});

test.each([
  ["a 'b", "its quote ' (character 3) has no end"],
  ['a "b', 'its quote " (character 3) has no end'],
  ['a "b\\"', 'its quote " (character 3) has no end'],
  ["a b\\", "it ends in a backslash, which quotes nothing"],
  ["'' a", "it names no program"],
  ["", "it names no program"],
  [" \t ", "it names no program"],
  ["a 'b\0'", "it has a NUL character"],
])("refuses %j", (text, problem) => {
  expect(wordsOf(text)).toEqual({ ok: false, problem });
});

test.each<[[string, ...string[]], string]>([
  [["buildkite-agent", "oidc", "request-token", "--audience", "quay"], "buildkite-agent oidc request-token"],
  [["/usr/bin/vault", "read", "-field=token", "identity/oidc/token/quay"], "/usr/bin/vault read"],
  [["sh", "-c", "curl -H 'Authorization: Bearer s3cr3t'"], "sh"],
  [["curl", "https://user:hunter2hunter2@example.com/"], "curl"],
  [["get-token", "Xk29fjQ8slP0aZr7"], "get-token"],
])("names %j in messages as %s: what follows may hold a secret", (words, name) => {
  expect(nameOf(words)).toBe(name);
});
