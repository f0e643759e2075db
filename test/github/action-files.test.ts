/** The hand-written parts of each `action.yml`; the rest is generated from the table of options. */
import { existsSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { describe, expect, test } from "vitest";
import { parse } from "yaml";

const root = join(import.meta.dirname, "../..");

describe.each([
  { file: "action.yml", main: "dist/main/index.js", post: "dist/post/index.js" },
  { file: "promote/action.yml", main: "../dist/promote/index.js", post: "../dist/post/index.js" },
  // It leaves nothing that a post step would remove.
  { file: "federate/action.yml", main: "../dist/federate/index.js", post: undefined },
])("$file", ({ file, main, post }) => {
  const action = parse(readFileSync(join(root, file), "utf8"));

  test("has its steps; post runs after failure and cancellation too", () => {
    expect(action.runs).toEqual({ using: "node24", main, ...(post && { post, "post-if": "always()" }) });
    for (const script of [main, ...(post ? [post] : [])]) {
      expect(existsSync(join(root, dirname(file), script)), script).toBe(true);
    }
  });

  test("has a name, branding, and a description of one line", () => {
    expect(action.name).toMatch(/^[A-Z]/);
    expect(action.branding).toEqual({ icon: expect.stringMatching(/^[a-z-]+$/), color: expect.any(String) });
    expect(action.description).toMatch(/^[A-Z].*\.$/);
  });
});
