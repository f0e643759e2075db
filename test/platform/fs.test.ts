import { existsSync } from "node:fs";
import { mkdir, rename, rm, stat, symlink, utimes, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import {
  existingFolder,
  fingerprint,
  isThere,
  makeFolders,
  missingFolders,
  pathAsGiven,
  removeFolders,
} from "../../src/platform/fs.ts";
import { makeFolder } from "../fixtures.ts";

test("reports the folders that it made, and removes only these", async () => {
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

test("keeps a folder that another process uses by now, and those above it", async () => {
  const base = await makeFolder();
  const made = await makeFolders(join(base, "a/b/c"));
  await mkdir(join(base, "a/b/other"));
  await writeFile(join(base, "a/b/other/file"), "x");
  await removeFolders(made);
  expect(existsSync(join(base, "a/b/c"))).toBe(false);
  expect(existsSync(join(base, "a/b/other/file"))).toBe(true);
});

test("two processes can make the same folders: both finish, and each folder is reported once", async () => {
  const base = await makeFolder();
  const made = await Promise.all([makeFolders(join(base, "a/b"), 0o755), makeFolders(join(base, "a/b"), 0o755)]);
  expect(made.flat().sort()).toEqual([join(base, "a"), join(base, "a/b")]);
  expect((await stat(join(base, "a/b"))).mode & 0o777).toBe(0o755);
});

test("fails where no folder can be made: Node's recursive mkdir never returns there", async () => {
  await expect(makeFolders("/proc/self/a/b")).rejects.toThrow("ENOENT");
  const base = await makeFolder();
  await writeFile(join(base, "file"), "");
  await expect(makeFolders(join(base, "file/a"))).rejects.toThrow("ENOTDIR");
  await symlink("/nothing/there", join(base, "link"));
  await expect(makeFolders(join(base, "link/a"))).rejects.toThrow("ENOENT");
});

test("finds the missing folders, and the nearest existing one", async () => {
  const base = await makeFolder();
  expect(await missingFolders(base)).toEqual([]);
  expect(await missingFolders(join(base, "a/b"))).toEqual([join(base, "a"), join(base, "a/b")]);
  expect(await existingFolder(base)).toBe(base);
  expect(await existingFolder(join(base, "a/b/c"))).toBe(base);
  expect(await existingFolder("/nothing/there")).toBe("/");
  // A relative name ends at the current folder; the loop must not run forever.
  expect(await existingFolder("nothing-there")).toBe(".");
  await symlink("/nothing/there", join(base, "link"));
  expect([await isThere(base), await isThere(join(base, "a")), await isThere(join(base, "link"))]).toEqual([
    true,
    false,
    false,
  ]);
});

describe("a file's fingerprint", () => {
  const date = new Date(1_800_000_000_000);
  const write = async (path: string, text: string, at = date) => {
    await writeFile(path, text);
    await utimes(path, at, at);
  };

  test("is the same until a process writes to the file, in any way", async () => {
    const path = join(await makeFolder(), "file");
    const none = fingerprint(path);
    expect(fingerprint(path)).toBe(none);
    await write(path, "one");
    const marks = [none, fingerprint(path)];
    expect(fingerprint(path)).toBe(marks[1]);
    await write(path, "three"); // by its size alone
    marks.push(fingerprint(path));
    await write(path, "four!", new Date(date.getTime() + 1)); // by its time alone
    marks.push(fingerprint(path));
    await write(`${path}.new`, "four!", new Date(date.getTime() + 1));
    await rename(`${path}.new`, path); // by being another file
    marks.push(fingerprint(path));
    expect(new Set(marks).size).toBe(5);
    await rm(path);
    expect(fingerprint(path)).toBe(none);
  });

  test("is that of a link's target", async () => {
    const folder = await makeFolder();
    const [one, two, link] = ["one", "two", "link"].map((name) => join(folder, name)) as [string, string, string];
    await write(one, "text");
    await write(two, "text");
    await symlink("one", link);
    expect(fingerprint(link)).toBe(fingerprint(one));
    await symlink("two", `${link}.new`);
    await rename(`${link}.new`, link);
    expect(fingerprint(link)).toBe(fingerprint(two));
    expect(fingerprint(two)).not.toBe(fingerprint(one));
  });

  test("of an unreachable file is the error code", async () => {
    const folder = await makeFolder();
    await write(join(folder, "file"), "");
    await symlink("self", join(folder, "self"));
    expect(fingerprint(join(folder, "self"))).toBe("ELOOP");
    expect(fingerprint(join(folder, "file/below"))).toBe(fingerprint(join(folder, "nothing")));
  });
});

test("shows the existing part of a path, and hides the rest if it may be a secret", async () => {
  const base = await makeFolder();
  const random = "qX7vB2nM9kL4wR8t";
  await mkdir(join(base, random));
  await writeFile(join(base, random, `${random}2`), "");
  for (const path of [
    join(base, random),
    join(base, random, `${random}2`),
    join(base, random, "auth.json"),
    "auth.json",
    "/",
  ]) {
    expect(pathAsGiven(path)).toBe(path);
  }
  for (const path of [
    join(base, random, `${random}3`),
    join(base, `${random}3/x`),
    random,
    `./${random}`,
    `/${random}`,
  ]) {
    expect(pathAsGiven(path)).toContain("…");
  }
  expect(pathAsGiven(join(base, random, `${random}3/auth.json`))).toBe(join(base, random, "…/auth.json"));
});
