/** The changelog: what a draft takes from the commits, and what a release's notes are. */
import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { changesOf, insertSection, newestSection, parseCommit } from "../../script/releasing/changelog.ts";
import { Refusal } from "../../script/releasing/run.ts";

const { version } = JSON.parse(readFileSync("package.json", "utf8"));

describe("a commit", () => {
  test.each([
    ["feat: a command", { type: "feat", scope: undefined, isBreaking: false, text: "a command" }],
    ["fix(tekton): a Task", { type: "fix", scope: "tekton", isBreaking: false, text: "a Task" }],
    ["feat(cli)!: another exit code", { type: "feat", scope: "cli", isBreaking: true, text: "another exit code" }],
    ["refactor!: no more Node 20", { type: "refactor", scope: undefined, isBreaking: true, text: "no more Node 20" }],
    [
      "perf: faster\n\nWhy.\n\nBREAKING CHANGE: needs\nNode 26.\n\nSigned-off-by: x",
      { type: "perf", scope: undefined, isBreaking: true, text: "needs Node 26." },
    ],
    ["docs: BREAKING CHANGE: as a word\n", undefined],
    ["chore: release 1.0.0", undefined],
    ["test(cli): more", undefined],
    ["Merge branch 'x'", undefined],
    ["feature: not a type", undefined],
    ["constructor: not a type either", undefined],
    ["feat:no blank", undefined],
    ["", undefined],
  ])("%j", (message, change) => {
    expect(parseCommit(message)).toEqual(change);
  });
});

test("groups changes, breaking ones first, and leaves out what no user notices", () => {
  const messages = [
    "feat: a command.",
    "chore: x",
    "fix(tekton): a Task",
    "feat!: other codes",
    "perf: faster",
    "fix: an error",
  ];
  expect(changesOf(messages)).toBe(`### Breaking changes

- Other codes

### Features

- A command

### Fixes

- **tekton:** A Task
- An error

### Performance

- Faster
`);
  expect(changesOf(["docs: x", ""])).toBe("No change that a user notices.\n");
});

test("puts a section above the others, and reads it as the notes", () => {
  const first = insertSection("# Changelog\n\nWhat changed.\n", "1.0.0", "- One\n");
  expect(first).toBe("# Changelog\n\nWhat changed.\n\n## 1.0.0\n\n- One\n");
  const second = insertSection(first, "1.1.0", "### Fixes\n\n- Two\n");
  expect(second).toBe("# Changelog\n\nWhat changed.\n\n## 1.1.0\n\n### Fixes\n\n- Two\n\n## 1.0.0\n\n- One\n");
  expect(newestSection("1.1.0", second)).toBe("### Fixes\n\n- Two\n");
  expect(() => newestSection("1.2.0", second)).toThrow(Refusal);
  expect(() => newestSection("1.0.0", "# Changelog\n")).toThrow("has no section");
});

test("CHANGELOG.md begins with package.json's version", () => {
  expect(newestSection(version)).toMatch(/\S/);
});
