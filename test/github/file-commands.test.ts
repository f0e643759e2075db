/** If the runner's files can't be written, no value is printed instead, and nothing blocks. */
import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, describe, expect, test, vi } from "vitest";
import { exportVariable, saveState, setOutput, summarize } from "../../src/github/file-commands.ts";
import { makeFolder } from "../fixtures.ts";
import { parseFileCommands } from "../support/workflow-commands.ts";

afterEach(() => {
  vi.unstubAllEnvs();
  vi.restoreAllMocks();
});

const files = { GITHUB_OUTPUT: setOutput, GITHUB_ENV: exportVariable, GITHUB_STATE: saveState } as const;

function printed() {
  const write = vi.spyOn(process.stdout, "write").mockReturnValue(true);
  return () => write.mock.calls.map(([text]) => text).join("");
}

describe.each(Object.entries(files))("%s", (variable, set) => {
  test("appends names and values, even with line ends", async () => {
    const path = join(await makeFolder(), "file");
    writeFileSync(path, "earlier=1\n");
    vi.stubEnv(variable, path);
    vi.stubEnv("QKL_TEST", undefined);
    set("QKL_TEST", "a\nb=c\n");
    expect(parseFileCommands(readFileSync(path, "utf8"))).toEqual({ earlier: "1", QKL_TEST: "a\nb=c\n" });
  });

  test.each([
    ["is not set", undefined, "the runner has not set it"],
    ["is empty", "", "the runner has not set it"],
    ["names a missing file", "none", "ENOENT"],
    ["names a folder", "folder", "EISDIR"],
    ["names a pipe without a reader", "pipe", "ENXIO"],
  ])("fails if it %s, and does not print the value", async (_, name, problem) => {
    const folder = await makeFolder();
    mkdirSync(join(folder, "folder"));
    execFileSync("mkfifo", [join(folder, "pipe")]);
    vi.stubEnv(variable, name && join(folder, name));
    const output = printed();
    expect(() => set("token", "s3cret-value")).toThrow(
      expect.objectContaining({
        code: "invalid-input",
        message: expect.stringMatching(`^(?!.*s3cret).*${variable}.*${problem}`),
      }),
    );
    expect(output()).toBe("");
    expect(existsSync(join(folder, "none"))).toBe(false);
  });
});

describe("GITHUB_STEP_SUMMARY", () => {
  test("gets Markdown unchanged", async () => {
    const path = join(await makeFolder(), "file");
    writeFileSync(path, "");
    vi.stubEnv("GITHUB_STEP_SUMMARY", path);
    await summarize("### One\n");
    expect(readFileSync(path, "utf8")).toBe("### One\n");
  });

  test("warns if it names a pipe without a reader", async () => {
    const pipe = join(await makeFolder(), "pipe");
    execFileSync("mkfifo", [pipe]);
    vi.stubEnv("GITHUB_STEP_SUMMARY", pipe);
    const output = printed();
    await summarize("### Two\n");
    expect(output()).toMatch(/^::warning::This step has no page in the summary\. .*GITHUB_STEP_SUMMARY.*ENXIO.*\n$/);
  });

  test("is skipped without a warning if it is not set", async () => {
    vi.stubEnv("GITHUB_STEP_SUMMARY", undefined);
    const output = printed();
    await summarize("### Three\n");
    expect(output()).toBe("");
  });
});
