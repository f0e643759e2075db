import { existsSync } from "node:fs";
import { mkdir, stat, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { makeFolders, removeFolders } from "../../src/platform/folders.ts";
import { makeFolder } from "../fixtures.ts";

test("tells which folders it had to make, and takes just these back", async () => {
  const base = await makeFolder();
  const made = await makeFolders(join(base, "a/b/c"));
  expect(made).toEqual([join(base, "a"), join(base, "a/b"), join(base, "a/b/c")]);
  expect((await stat(join(base, "a"))).mode & 0o777).toBe(0o700);
  expect(await makeFolders(join(base, "a/b/c"))).toEqual([]);
  expect(await makeFolders(join(base, "a/b/d"))).toEqual([join(base, "a/b/d")]);
  await removeFolders([join(base, "a/b/d")]);
  await removeFolders(made);
  expect(existsSync(join(base, "a"))).toBe(false);
  await removeFolders(made);
  expect(existsSync(base)).toBe(true);
});

test("a folder that somebody uses by now stays, with those around it", async () => {
  const base = await makeFolder();
  const made = await makeFolders(join(base, "a/b/c"));
  await mkdir(join(base, "a/b/other"));
  await writeFile(join(base, "a/b/other/file"), "x");
  await removeFolders(made);
  expect(existsSync(join(base, "a/b/c"))).toBe(false);
  expect(existsSync(join(base, "a/b/other/file"))).toBe(true);
});

test("two that make the same folders at once both end, and share out what they made", async () => {
  const base = await makeFolder();
  const made = await Promise.all([makeFolders(join(base, "a/b"), 0o755), makeFolders(join(base, "a/b"), 0o755)]);
  expect(made.flat().sort()).toEqual([join(base, "a"), join(base, "a/b")]);
  expect((await stat(join(base, "a/b"))).mode & 0o777).toBe(0o755);
});

test("where no folder can be made it fails: Node's own way would never end", async () => {
  await expect(makeFolders("/proc/self/a/b")).rejects.toThrow("ENOENT");
  const base = await makeFolder();
  await writeFile(join(base, "file"), "");
  await expect(makeFolders(join(base, "file/a"))).rejects.toThrow("ENOTDIR");
  await symlink("/nothing/there", join(base, "link"));
  await expect(makeFolders(join(base, "link/a"))).rejects.toThrow("ENOENT");
});
