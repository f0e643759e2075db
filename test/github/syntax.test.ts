import { describe, expect, test } from "vitest";
import { workflowSyntax } from "../../src/github/syntax.ts";
import { type OptionName, optionsOf } from "../../src/options/table.ts";
import { mention, variable } from "../../src/platform/wording.ts";

const { write } = workflowSyntax("action");

describe("writes an option as in a workflow", () => {
  test.each<[OptionName, string | undefined, string]>([
    ["timeout", undefined, "timeout"],
    ["ca-file", "path/to/root.pem", "ca-file: path/to/root.pem"],
    ["move-tags", "true", "move-tags: true"],
    ["timeout", "600", "timeout: 600"],
    ["auth-file-mode", "0640", 'auth-file-mode: "0640"'],
  ])("%s %s", (option, value, expected) => {
    expect(write(mention(option, value))).toBe(expected);
  });

  test("writes a variable as an expression", () => {
    const expression = ["source-auth-file: $", "{{ env.REGISTRY_AUTH_FILE }}"].join("");
    expect(write(mention("source-auth-file", variable("REGISTRY_AUTH_FILE")))).toBe(expression);
  });
});

test.each(["action", "promote-action", "federate-action"] as const)("%s has the inputs of the table", (action) => {
  const { has } = workflowSyntax(action);
  expect(optionsOf(action).every(({ name }) => has(name))).toBe(true);
  expect([has("auth-file"), has("source-robot"), has("session")]).toEqual([
    action === "action",
    action === "promote-action",
    false,
  ]);
});
