/** Whether an auth file can be replaced, by what it is. By where it is, and in the middle of the work: test/registry/merge.test.ts. */
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

describe("a file that is there", () => {
  test("can be replaced where it is this user's, and stays as it is meanwhile", async () => {
    const path = await makeFile();
    const { ino } = await stat(path);
    await assertReplaceable(await readAuthFile(path));
    expect(await stat(path)).toMatchObject({ ino, mode: 0o100600 });
    expect(await readdir(dirname(path))).toEqual(["auth.json"]);
  });

  test.skipIf(!isRoot).each([
    ["another user's", 1234, 0],
    ["another group's", 0, 5678],
  ])(`can be replaced where it is %s, by who may give files away ${needsRoot}`, async (_, uid, gid) => {
    const path = await makeFile();
    await chown(path, uid, gid);
    await assertReplaceable(await readAuthFile(path));
    expect(await stat(path)).toMatchObject({ uid, gid });
    expect(await readdir(dirname(path))).toEqual(["auth.json"]);
  });

  test.for(["auth.json", "auth of quay \\ é.json"])(
    `can't be replaced where it is mounted by itself: %j ${needsRoot}`,
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
        `The auth file ${path} cannot be written: it is mounted by itself, so that nothing can take its place.`,
      );
      expect(error.remedy[0]).toBe("Mount its folder instead.");
      expect(await readFile(path, "utf8")).toBe("{}");
      expect(await readdir(dirname(path))).toEqual([name]);
    },
  );
});

describe("what the file system says", () => {
  test.each([
    ["EACCES", "this user may not write there", "Make room or give the right to write there."],
    ["EROFS", "the file system is read-only", "Make room or give the right to write there."],
    ["EDQUOT", "the disk quota is used up", "Make room or give the right to write there."],
    ["EXDEV", "it is mounted by itself, so that nothing can take its place", "Mount its folder instead."],
  ])("%s is told in words, with the file and what helps", async (code, problem, remedy) => {
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
  ])("is not made up for an error %s", async (_, error) => {
    await expect(writingTo("/home/auth.json", () => Promise.reject(error))).rejects.toBe(error);
  });
});
