import { execFileSync } from "node:child_process";
import { chmod, chown, lchown, mkdir, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { readTextNow, readTrustedFile, whyWayUntrusted } from "../../src/platform/trusted-file.ts";
import { makeFolder } from "../fixtures.ts";
import { isRoot, needsRoot } from "../support/root.ts";

async function makeFile(content = "text"): Promise<string> {
  const path = join(await makeFolder(), "file");
  await writeFile(path, content, { mode: 0o600 });
  return path;
}

test("reads this user's file", async () => {
  const path = await makeFile("ä".repeat(500_000));
  expect(readTrustedFile(path)).toEqual({ kind: "read", text: "ä".repeat(500_000) });
  expect(readTrustedFile(await makeFile(""))).toEqual({ kind: "read", text: "" });
});

test("finds none", async () => {
  const path = await makeFile();
  for (const each of [`${path}.none`, `${path}/none`, join(path, "../none/none")]) {
    expect(readTrustedFile(each)).toEqual({ kind: "missing" });
    expect(readTextNow(each)).toBeUndefined();
  }
});

test.each<[string, (path: string) => Promise<unknown>, boolean]>([
  ["is a symbolic link", (path) => symlink("/etc/passwd", path), true],
  ["is a symbolic link", (path) => symlink("/nowhere", path), false],
  ["is not a regular file", (path) => mkdir(path), false],
  ["is not a regular file", async (path) => execFileSync("mkfifo", [path]), false],
  ["is larger than 1 MiB", (path) => writeFile(path, "x".repeat(1_048_577)), false],
  ["can be written by others", (path) => writeFile(path, "").then(() => chmod(path, 0o660)), true],
  ["can be written by others", (path) => writeFile(path, "").then(() => chmod(path, 0o602)), true],
  [
    "is in a folder that others can write to",
    (path) => writeFile(path, "").then(() => chmod(join(path, ".."), 0o1777)),
    true,
  ],
])("trusts none that %s", async (problem, make, isReadable) => {
  const path = join(await makeFolder(), "file");
  await make(path);
  expect(readTrustedFile(path)).toMatchObject({ kind: "untrusted", problem });
  expect(readTextNow(path) !== undefined).toBe(isReadable);
});

test.skipIf(!isRoot)(`trusts none of another user, nor in such a user's folder ${needsRoot}`, async () => {
  const path = await makeFile();
  await chown(join(path, ".."), 1000, 1000);
  expect(readTrustedFile(path)).toMatchObject({
    at: join(path, ".."),
    problem: "is in a folder of user 1000, and this is user 0",
  });
  await chown(path, 1000, 1000);
  expect(readTrustedFile(path)).toMatchObject({ at: path, problem: "belongs to user 1000, and this is user 0" });
});

describe("the way to a folder", () => {
  test("is trusted through folders and links of this user, through sticky ones, and where it does not exist yet", async () => {
    const folder = await makeFolder();
    await mkdir(join(folder, "a/b"), { recursive: true });
    await mkdir(join(folder, "shared/mine"), { recursive: true });
    await chmod(join(folder, "shared"), 0o1777);
    await symlink("../a/./b", join(folder, "shared/link"));
    await symlink(join(folder, "shared/link"), join(folder, "a/again"));
    for (const each of ["", "a/b/", "shared/mine", "shared/link", "a/again/../b", "a/again/none/none", "none"]) {
      expect(whyWayUntrusted(`${folder}/${each}`)).toBeUndefined();
    }
  });

  test("is not trusted if others can replace a folder on it, also behind a link", async () => {
    const folder = await makeFolder();
    await mkdir(join(folder, "open/a/b"), { recursive: true });
    await chmod(join(folder, "open"), 0o775);
    await symlink("open/a", join(folder, "link"));
    for (const each of ["open", "open/a/b", "open/none", "link/b"]) {
      expect(whyWayUntrusted(join(folder, each))).toEqual({
        reason: "writable",
        at: join(folder, "open"),
        problem: `is below ${join(folder, "open")}, a folder that others can write to`,
      });
    }
  });

  test("is not trusted if it leads in a circle", async () => {
    const folder = await makeFolder();
    await symlink("two", join(folder, "one"));
    await symlink("one", join(folder, "two"));
    expect(whyWayUntrusted(join(folder, "one/a"))?.reason).toBe("broken");
  });

  test("is trusted in a user namespace, where root's folders seem to be another user's", async () => {
    const folder = await makeFolder();
    await mkdir(join(folder, "theirs/mine"), { recursive: true });
    if (isRoot) await lchown(join(folder, "theirs"), 4321, 4321);
    const program = `import { whyWayUntrusted } from "${join(import.meta.dirname, "../../src/platform/trusted-file.ts")}";
      console.log(whyWayUntrusted("${folder}/theirs/mine") ?? "trusted");`;
    const node = [process.execPath, "--input-type=module", "--eval", program];
    expect(execFileSync("unshare", ["--user", "--map-root-user", ...node], { encoding: "utf8" })).toBe("trusted\n");
  });

  test("is not trusted through a file, which no folder can be below", async () => {
    const folder = await makeFolder();
    await writeFile(join(folder, "file"), "");
    expect(whyWayUntrusted(join(folder, "file/a"))).toEqual({
      reason: "broken",
      at: join(folder, "file"),
      problem: `is below ${join(folder, "file/a")}, which can't be reached (ENOTDIR)`,
    });
  });

  test.skipIf(!isRoot)(`is not trusted through a link or a folder of another user ${needsRoot}`, async () => {
    const folder = await makeFolder();
    await mkdir(join(folder, "shared"));
    await mkdir(join(folder, "checkout"));
    await chmod(join(folder, "shared"), 0o1777);
    await symlink(join(folder, "checkout"), join(folder, "shared/quay-keyless"));
    await lchown(join(folder, "shared/quay-keyless"), 4321, 4321);
    expect(whyWayUntrusted(join(folder, "shared/quay-keyless"))).toMatchObject({
      reason: "owner",
      at: join(folder, "shared/quay-keyless"),
    });
    await mkdir(join(folder, "theirs/mine"), { recursive: true });
    await lchown(join(folder, "theirs"), 4321, 4321);
    expect(whyWayUntrusted(join(folder, "theirs/mine"))?.problem).toContain("belongs to user 4321, and this is user 0");
  });
});
