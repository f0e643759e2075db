import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { pageOf, sectionsOf } from "../../../src/cli/commands/explain.ts";
import { errorCodes } from "../../../src/platform/errors.ts";
import { address } from "../../support/project.ts";

const document = await readFile(join(import.meta.dirname, "../../../docs/troubleshooting.md"), "utf8");

test("has one section for each code", () => {
  const sections = sectionsOf(document);
  expect([...sections.keys()].toSorted()).toEqual(Object.keys(errorCodes).toSorted());
  for (const [code, text] of sections) {
    expect([code, text.trim()]).toEqual([code, expect.stringMatching(/^[^#]/)]);
  }
});

test("ends a section at the next heading; in fenced code, # begins none", () => {
  const sections = sectionsOf(
    "# A\n\nx\n\n## b\n\nof b\n\n```yaml\n## a comment\n```\n\n# C\n\nof C\n\n## d\n\nof d\n",
  );
  expect(sections).toEqual(
    new Map([
      ["b", "\nof b\n\n```yaml\n## a comment\n```\n\n"],
      ["d", "\nof d\n\n"],
    ]),
  );
});

test("prints a page as text: filled lines, unchanged code, no links", () => {
  const section = [
    "Some **bold** words and `code`,",
    "[another](#other-code) and [the rules](promotion.md#signatures).",
    "",
    "```yaml",
    "volumes:",
    "  - name: a-line-that-is-longer-than-the-terminal-is-wide",
    "```",
    "- one that goes on",
    "  and on",
    "- two",
  ].join("\n");
  expect(pageOf("tag-taken", section, 40)).toEqual([
    "tag-taken",
    "",
    "Some bold words and `code`, another and",
    "the rules",
    `(${address("/blob/main/docs/promotion.md#signatures")}).`,
    "",
    "    volumes:",
    "      - name: a-line-that-is-longer-than-the-terminal-is-wide",
    "",
    "- one that goes on and on",
    "- two",
    "",
    address("/blob/main/docs/troubleshooting.md#tag-taken"),
  ]);
});

test("fits every page, and leaves no markup", () => {
  for (const [code, section] of sectionsOf(document)) {
    for (const line of pageOf(code, section, 80)) {
      // Code and addresses are not broken.
      if (!/^ {4}|https:/.test(line)) {
        expect(line.length, line).toBeLessThanOrEqual(80);
      }
      expect(line).not.toMatch(/\s$|\]\(|\*\*|^```/);
    }
  }
});
