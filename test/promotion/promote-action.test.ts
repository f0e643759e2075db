/** `promote/action.yml` says what the table of options says, no more and no less. */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { parse } from "yaml";
import { type Option, optionsOf, promotionOutputs } from "../../src/options/table.ts";

const folder = join(import.meta.dirname, "../../promote");
const action = parse(readFileSync(join(folder, "action.yml"), "utf8"));

describe("promote/action.yml", () => {
  test("its inputs are the options that the Action has", () => {
    const inputs = optionsOf("promote-action").map((option: Option) => [
      option.name,
      {
        description: option.description,
        required: option.required ?? false,
        ...(option.default !== undefined && { default: option.default }),
      },
    ]);
    expect(Object.entries(action.inputs)).toEqual(inputs);
  });

  test("its outputs are the outputs of a promotion", () => {
    const expected = promotionOutputs.map(({ name, description }) => [name, { description }]);
    expect(Object.entries(action.outputs)).toEqual(expected);
  });

  test("main and post are there, and post runs after failure and cancellation too", () => {
    expect(action.runs).toEqual({
      using: "node24",
      main: "../dist/promote/index.js",
      post: "../dist/post/index.js",
      "post-if": "always()",
    });
    for (const file of [action.runs.main, action.runs.post]) {
      expect(existsSync(join(folder, file)), file).toBe(true);
    }
  });

  test("the runner's limits: a name, branding, and descriptions of one line", () => {
    expect(action.name).toMatch(/^[A-Z]/);
    expect(action.branding).toEqual({ icon: expect.stringMatching(/^[a-z-]+$/), color: expect.any(String) });
    for (const { description } of [action, ...optionsOf("promote-action"), ...promotionOutputs]) {
      expect(description).toMatch(/^[A-Zt].*\.$/);
      expect(description).not.toMatch(/\n/);
    }
  });
});
