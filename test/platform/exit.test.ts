import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { expect, test } from "vitest";

const program = join(import.meta.dirname, "exit-program.ts");

test.each([
  ["done", 0],
  ["failed", 1],
  ["threw", 1],
  ["unsettled", 13],
  ["failed, then unsettled", 2],
])("a program that is %s exits with %i", (ending, code) => {
  expect(spawnSync(process.execPath, [program, ending], { stdio: "ignore" }).status).toBe(code);
});
