import { chmod, chown, mkdir, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { groupOfNew, isAsPrivate } from "../../src/authfile/privacy.ts";
import { makeFolder } from "../fixtures.ts";
import { isRoot, needsRoot } from "../support/root.ts";

describe("whether a new file is as private as another one", () => {
  // The new file's mode, the mode of the folder and of the file that the logins come from.
  test.each<[number, number, number, boolean]>([
    [0o600, 0o700, 0o600, true],
    [0o600, 0o755, 0o644, true],
    [0o620, 0o700, 0o600, true],
    [0o640, 0o755, 0o600, false],
    [0o640, 0o755, 0o640, true],
    [0o640, 0o750, 0o640, true],
    [0o640, 0o701, 0o640, false],
    [0o640, 0o700, 0o640, false],
    [0o640, 0o755, 0o644, true],
    [0o640, 0o700, 0o644, false],
    [0o644, 0o755, 0o600, false],
    [0o644, 0o755, 0o640, false],
    [0o644, 0o755, 0o644, true],
    [0o604, 0o755, 0o604, true],
    [0o644, 0o750, 0o644, false],
    [0o644, 0o700, 0o644, false],
  ])("%o, of one in %o with %o: %s", async (mode, folder, source, expected) => {
    const base = await makeFolder();
    await chmod(base, 0o755);
    const path = join(base, "home/config.json");
    await mkdir(join(base, "home"));
    await writeFile(path, "{}");
    await chmod(path, source);
    await chmod(join(base, "home"), folder);
    const { gid } = await stat(path);
    expect(await isAsPrivate({ mode, gid }, path)).toBe(expected);
    // Members of another group count as others.
    expect(await isAsPrivate({ mode, gid: gid + 1 }, path)).toBe(
      expected && ((mode & 0o044) === 0 || ((source & 0o004) !== 0 && (folder & 0o001) !== 0)),
    );
  });

  test("folders further up count too", async () => {
    const base = await makeFolder();
    await writeFile(join(base, "config.json"), "{}", { mode: 0o644 });
    const { gid } = await stat(base);
    await chmod(base, 0o700);
    expect(await isAsPrivate({ mode: 0o644, gid }, join(base, "config.json"))).toBe(false);
  });

  // A file's group passes another group's folder as others do.
  test.skipIf(!isRoot).each([
    [0o751, true],
    [0o701, true],
    [0o750, false],
    [0o710, false],
  ])(`a folder of another group, with %o, lets the file's group through: %s ${needsRoot}`, async (folder, expected) => {
    const base = await makeFolder();
    const path = join(base, "config.json");
    await writeFile(path, "{}");
    await chmod(path, 0o640);
    await chown(path, 0, 5678);
    await chown(base, 0, 1234);
    await chmod(base, folder);
    expect(await isAsPrivate({ mode: 0o640, gid: 5678 }, path)).toBe(expected);
    expect(await isAsPrivate({ mode: 0o640, gid: 1234 }, path)).toBe(false);
  });
});

test("a new file has the group of its user, or of a setgid folder", async () => {
  const folder = await makeFolder();
  expect(await groupOfNew(folder)).toBe(process.getegid?.());
  await chmod(folder, 0o2770);
  expect(await groupOfNew(folder)).toBe((await stat(folder)).gid);
});
