/** With programs that play git, and what it gets. */
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { findGit } from "../../src/platform/git.ts";
import { makeFolder } from "../fixtures.ts";

const { signal } = new AbortController();

async function played(script: string, options: Partial<Parameters<typeof findGit>[0]> = {}) {
  const folder = await makeFolder();
  await writeFile(join(folder, "git"), `#!/bin/sh\n${script}\n`, { mode: 0o755 });
  const git = await findGit({ env: { PATH: `${folder}:/usr/bin:/bin`, SECRET: "s3cr3t" }, signal, ...options });
  if (git === undefined) throw new Error("no git");
  return git;
}

test("a warning is no part of the answer", async () => {
  const git = await played("echo warning >&2; echo answer");
  expect(await git.ask("/", "x")).toEqual({
    ...{ exitCode: 0, stdout: "answer\n", stderr: "warning\n", isTooLarge: false },
  });
});

test("a failure has its exit code, and what it said", async () => {
  const git = await played("echo half; echo why >&2; exit 128");
  expect(await git.ask("/", "x")).toMatchObject({ exitCode: 128, stdout: "half\n", stderr: "why\n" });
});

test("a character that two pieces of the output share stays whole", async () => {
  const git = await played(String.raw`printf 'gr\303'; sleep 0.1; printf '\274n'`);
  expect((await git.ask("/", "x")).stdout).toBe("grün");
});

test("an answer beyond the bound says so", async () => {
  const git = await played("head -c 2000 /dev/zero", { maxBytes: 1000 });
  expect(await git.ask("/", "x")).toMatchObject({ exitCode: undefined, isTooLarge: true });
});

test("gets none of the other variables", async () => {
  expect((await (await played("env")).ask("/", "x")).stdout).not.toContain("s3cr3t");
});

test("ends with the signal", async () => {
  const stop = new AbortController();
  const git = await played("sleep 60", { signal: stop.signal });
  setTimeout(() => stop.abort(new Error("over")), 100);
  await expect(git.ask("/", "x")).rejects.toThrow("over");
});

test("is not there", async () => {
  expect(await findGit({ env: { PATH: await makeFolder() }, signal })).toBeUndefined();
});
