import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { expect, test } from "vitest";
import manifest from "../../package.json" with { type: "json" };
import { whyTooOld } from "../../src/platform/exit.ts";

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

test.each([
  ["v20.20.2", {}, false],
  ["v24.4.1", {}, false],
  ["v24.5.0", {}, true],
  ["v24.10.0", {}, true],
  ["v26.0.0-nightly", {}, true],
  ["v24.3.0", { bun: "1.3.0" }, true],
])("Node %s with %j is new enough: %s", (version, versions, isNew) => {
  const problem = whyTooOld({ version, versions: versions as NodeJS.ProcessVersions, execPath: "/usr/bin/node" });
  expect(problem === undefined).toBe(isNew);
  expect(problem ?? "/usr/bin/node").toContain("/usr/bin/node");
});

test("the oldest Node is that of package.json", () => {
  const versions = {} as NodeJS.ProcessVersions;
  const oldest = manifest.engines.node.replace(">=", "");
  expect(whyTooOld({ version: `v${oldest}.0`, versions, execPath: "" })).toBeUndefined();
  expect(whyTooOld({ version: "v0.0.0", versions, execPath: "" })).toContain(`Node ${oldest} or newer`);
});
