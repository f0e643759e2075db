/** Edits by position, and their diff, at the ends of a text. */
import { describe, expect, test } from "vitest";
import { unifiedDiff } from "../../src/migration/diff.ts";
import { applyEdits, collide, deleteLines } from "../../src/migration/edits.ts";

describe("lines are deleted", () => {
  test.each([
    ["in the middle", "a\nb\nc\n", 2, 3, "a\nc\n"],
    ["at the end, without a last line break", "a\nb", 2, 3, "a"],
    ["at the end, with Windows line ends", "a\r\nb", 3, 4, "a"],
    ["all there are", "a", 0, 1, ""],
  ])("%s", (_, text, start, end, expected) => {
    expect(applyEdits(text, [deleteLines(text, { start, end })])).toBe(expected);
  });
});

test("two edits of the same characters are refused; the same edit twice is one", () => {
  const [one, other] = [{ start: 0, end: 3, text: "x" }, { start: 0, end: 2, text: "y" }];
  expect([collide([one, other]), collide([one, one]), collide([])]).toEqual([true, false, false]);
  expect(() => applyEdits("text", [one, other])).toThrow("two edits change the character at 0");
  expect(applyEdits("text", [one, one])).toBe("xt");
});

describe("a diff", () => {
  test.each([
    ["of what becomes empty", "a\n", { start: 0, end: 2, text: "" }, "@@ -1,1 +0,0 @@\n-a\n"],
    ["of what was empty", "", { start: 0, end: 0, text: "a\n" }, "@@ -0,0 +1,1 @@\n+a\n"],
  ])("%s", (_, old, edit, expected) => {
    expect(unifiedDiff("f", old, [edit])).toBe(`diff --git a/f b/f\n--- a/f\n+++ b/f\n${expected}`);
  });

  test("of a text that stays is empty", () => {
    expect(unifiedDiff("f", "a\n", [{ start: 0, end: 1, text: "a" }])).toBe("");
  });
});
