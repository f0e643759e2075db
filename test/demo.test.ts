/** script/demo is the first that newcomers see: it must go well for each of them, and it checks by itself all that it tells. */
import { execFile } from "node:child_process";
import { resolve } from "node:path";
import { promisify } from "node:util";
import { describe, expect, test } from "vitest";

const script = resolve(import.meta.dirname, "../script");

describe("the demo goes as it tells, without colours where nobody looks", () => {
  const users: [string, string[]][] = [["whoever runs the tests", [`${script}/demo`]]];
  // Otherwise that is who runs the tests.
  if (process.getuid?.() === 0) users.push(["a user without rights", [`${script}/as-user`, "demo"]]);

  test.each(users)("for %s", { timeout: 120_000 }, async (_user, [program = "", ...args]) => {
    const { stdout, stderr } = await promisify(execFile)(program, args);
    expect(stderr).toBe("");
    expect(stdout).toContain("Nothing to change: Quay has all of it.");
    expect(stdout).toContain("No secret has been printed");
    expect(stdout).not.toContain("\u001b");
  });
});
