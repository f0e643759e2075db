/** Whether an auth file can be replaced, by its kind. By its path, and during a merge: test/authfile/change.test.ts. */
import { execFile } from "node:child_process";
import { chown, readdir, readFile, stat, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { promisify } from "node:util";
import { describe, expect, onTestFinished, test } from "vitest";
import { readAuthFile } from "../../src/authfile/read.ts";
import { assertReplaceable, writingTo } from "../../src/authfile/replaceable.ts";
import { failure, makeFolder } from "../fixtures.ts";
import { isRoot, needsRoot } from "../support/root.ts";

const run = promisify(execFile);

async function makeFile(name = "auth.json"): Promise<string> {
  const path = join(await makeFolder(), name);
  await writeFile(path, "{}", { mode: 0o600 });
  return path;
}

describe("an existing file", () => {
  test("can be replaced if it is this user's; the check does not change it", async () => {
    const path = await makeFile();
    const { ino } = await stat(path);
    await assertReplaceable(await readAuthFile(path));
    expect(await stat(path)).toMatchObject({ ino, mode: 0o100600 });
    expect(await readdir(dirname(path))).toEqual(["auth.json"]);
  });

  test.skipIf(!isRoot).each([
    ["another user's", 1234, 0],
    ["another group's", 0, 5678],
  ])(`can be replaced if it is %s, by a user who may give files away ${needsRoot}`, async (_, uid, gid) => {
    const path = await makeFile();
    await chown(path, uid, gid);
    await assertReplaceable(await readAuthFile(path));
    expect(await stat(path)).toMatchObject({ uid, gid });
    expect(await readdir(dirname(path))).toEqual(["auth.json"]);
  });

  test.for(["auth.json", "auth of quay \\ é.json"])(
    `can't be replaced if it is mounted by itself: %j ${needsRoot}`,
    async (name, { skip }) => {
      const [path, source] = [await makeFile(name), await makeFile()];
      const isMounted =
        isRoot &&
        (await run("mount", ["--bind", source, path]).then(
          () => true,
          () => false,
        ));
      skip(!isMounted, "this user can't mount a file");
      onTestFinished(async () => void (await run("umount", ["--lazy", path])));
      const error = await failure(assertReplaceable(await readAuthFile(path)));
      expect(error.code).toBe("auth-file-unusable");
      expect(error.message).toBe(
        `The auth file ${path} cannot be written: it is mounted by itself, so it can't be replaced.`,
      );
      expect(error.remedy[0]).toBe("Mount its folder instead.");
      expect(await readFile(path, "utf8")).toBe("{}");
      expect(await readdir(dirname(path))).toEqual([name]);
    },
  );
});

describe("a refusal of the file system", () => {
  test.each([
    ["EACCES", "this user may not write there", "Free some space, or let this user write there."],
    ["EROFS", "the file system is read-only", "Free some space, or let this user write there."],
    ["EDQUOT", "the disk quota is used up", "Free some space, or let this user write there."],
    ["EXDEV", "it is mounted by itself, so it can't be replaced", "Mount its folder instead."],
  ])("explains %s, with the file and a remedy", async (code, problem, remedy) => {
    const cause = Object.assign(new Error(code), { code });
    const error = await failure(writingTo("/home/auth.json", () => Promise.reject(cause)));
    expect(error).toMatchObject({
      code: "auth-file-unusable",
      message: `The auth file /home/auth.json cannot be written: ${problem}.`,
      cause,
    });
    expect(error.remedy[0]).toBe(remedy);
  });

  test.each([
    ["without a code", new TypeError("a fault of ours")],
    ["with a code of which nothing is known", Object.assign(new Error("bad descriptor"), { code: "EBADF" })],
  ])("is not made of an error %s", async (_, error) => {
    await expect(writingTo("/home/auth.json", () => Promise.reject(error))).rejects.toBe(error);
  });
});
