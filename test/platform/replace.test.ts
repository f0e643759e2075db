/** The one way to write a file, also in folders where other users may write. */
import {
  type FileHandle,
  link,
  lstat,
  mkdir,
  open,
  readdir,
  readFile,
  rename,
  stat,
  symlink,
  writeFile,
} from "node:fs/promises";
import { dirname, join } from "node:path";
import { describe, expect, onTestFinished, test, vi } from "vitest";
import {
  createFile,
  draft,
  isId,
  isMounted,
  newId,
  removeLeftovers,
  replaceFile,
  tryOwner,
} from "../../src/platform/replace.ts";
import { failure, makeFolder } from "../fixtures.ts";

const makePath = async (name = "file.json") => join(await makeFolder(), name);
const id = "0123456789ab";

/** The file system's calls on an open file, to observe or to fail. */
async function spyOn(call: "chown" | "writeFile") {
  const file = await open(import.meta.filename);
  const spy = vi.spyOn(Object.getPrototypeOf(file) as FileHandle, call);
  await file.close();
  onTestFinished(() => spy.mockRestore());
  return spy;
}

const refusal = (code: string) => Object.assign(new Error(`${code}: refused`), { code });

test("ids have one form, and are not used twice", () => {
  const ids = Array.from({ length: 100 }, newId);
  expect(new Set(ids).size).toBe(100);
  expect(ids.every(isId)).toBe(true);
  expect(["", "0123456789a", "0123456789AB", `${id}\n`, `/../${id}`, `${id}c`, undefined, 12].some(isId)).toBe(false);
});

describe("new content", () => {
  test.each([0o600, 0o644, 0o666])("has exactly the mode %o", async (mode) => {
    const path = await makePath();
    await writeFile(path, "old", { mode: 0o600 });
    await replaceFile(path, "new", { mode });
    expect([await readFile(path, "utf8"), (await stat(path)).mode & 0o777]).toEqual(["new", mode]);
    expect(await readdir(dirname(path))).toEqual(["file.json"]);
  });

  test("has a new name each time, which contains the session's id", async () => {
    const path = await makePath();
    const drafts = await Promise.all(Array.from({ length: 20 }, () => draft(path, "x", { mode: 0o600, id })));
    const names = await readdir(dirname(path));
    expect(names).toHaveLength(20);
    expect(names.every((name) => /^\.file\.json\.0123456789ab\.[0-9a-f]{12}\.tmp$/.test(name))).toBe(true);
    await Promise.all(drafts.map((each) => each.discard()));
    expect(await readdir(dirname(path))).toEqual([]);
  });

  test("replaces a link itself, never its target", async () => {
    const path = await makePath();
    const precious = join(dirname(path), "precious");
    await writeFile(precious, "precious");
    await symlink(precious, path);
    await replaceFile(path, "new", { mode: 0o600 });
    expect([await readFile(precious, "utf8"), (await lstat(path)).isFile()]).toEqual(["precious", true]);
  });

  test.each<[string, (temporary: string, other: string) => Promise<void>]>([
    ["a link", (temporary, other) => symlink(other, temporary)],
    ["a file of another process", (temporary) => writeFile(temporary, "theirs")],
    ["another name of another file", (temporary, other) => link(other, temporary)],
  ])("is not put in place if another process replaced it by %s", async (_, take) => {
    const path = await makePath();
    const precious = join(dirname(path), "precious");
    await writeFile(precious, "precious");
    const made = await draft(path, "new", { mode: 0o600, id });
    const name = (await readdir(dirname(path))).find((each) => each.endsWith(".tmp")) ?? "";
    await rename(join(dirname(path), name), join(dirname(path), "away"));
    await take(join(dirname(path), name), precious);
    const error = await failure(() => made.place());
    expect([error.code, error.message]).toEqual(["auth-file-unusable", expect.stringContaining(name)]);
    await made.discard();
    expect((await readdir(dirname(path))).sort()).toEqual(["away", "precious"]);
    expect(await readFile(precious, "utf8")).toBe("precious");
  });

  test("leaves nothing if it can't be put in place", async () => {
    const path = await makePath();
    await mkdir(join(path, "full"), { recursive: true });
    await expect(replaceFile(path, "new", { mode: 0o600 })).rejects.toThrow(/EISDIR|ENOTEMPTY/);
    expect(await readdir(dirname(path))).toEqual(["file.json"]);
  });
});

describe("a file's owner and group", () => {
  const [uid, gid] = [process.geteuid?.() ?? 0, process.getegid?.() ?? 0];
  const another = { uid: uid + 1, gid };

  test("need no change if they are this user's own", async () => {
    const path = await makePath();
    const chown = await spyOn("chown");
    await replaceFile(path, "new", { mode: 0o600, owner: { uid, gid } });
    expect(chown).not.toHaveBeenCalled();
    expect(await readFile(path, "utf8")).toBe("new");
  });

  test("of another user are kept, as root", async () => {
    const path = await makePath();
    const chown = await spyOn("chown");
    chown.mockResolvedValueOnce();
    await replaceFile(path, "new", { mode: 0o600, owner: another });
    expect(chown.mock.calls).toEqual([[uid + 1, gid]]);
    expect(await readFile(path, "utf8")).toBe("new");
  });

  test.each([0o660, 0o664, 0o460])("a file that its group shares (%o) keeps at least the group", async (mode) => {
    const path = await makePath();
    const chown = await spyOn("chown");
    chown.mockRejectedValueOnce(refusal("EPERM"));
    await replaceFile(path, "new", { mode, owner: another });
    expect(chown.mock.calls).toEqual([
      [uid + 1, gid],
      [uid, gid],
    ]);
    expect([await readFile(path, "utf8"), (await stat(path)).mode & 0o777]).toEqual(["new", mode]);
  });

  test.each<[string, number, number]>([
    ["the owner's alone", 0o600, 1],
    ["only read by its group", 0o640, 1],
    ["shared by a group that this user is not in", 0o660, 2],
  ])("keeps a file that is %s unchanged", async (_, mode, refusals) => {
    const path = await makePath();
    await writeFile(path, "old");
    const chown = await spyOn("chown");
    chown.mockRejectedValue(refusal("EPERM"));
    for (const work of [
      () => replaceFile(path, "new", { mode, owner: another }),
      () => tryOwner(path, mode, another),
    ]) {
      chown.mockClear();
      const error = await failure(work);
      expect([error.code, error.message]).toEqual([
        "auth-file-unusable",
        `The file ${path} belongs to user ${uid + 1} and group ${gid}, and this user (${uid}) cannot preserve that; the file is unchanged.`,
      ]);
      expect(error.remedy).toContain(`Log in as its owner, or make it this user's: sudo chown ${uid}:${gid} ${path}`);
      expect(chown).toHaveBeenCalledTimes(refusals);
      expect([await readdir(dirname(path)), await readFile(path, "utf8")]).toEqual([["file.json"], "old"]);
    }
  });

  test("can be tried without a trace", async () => {
    const path = await makePath();
    await tryOwner(path, 0o600, { uid, gid });
    expect(await readdir(dirname(path))).toEqual([]);
  });
});

test.each<[string, (path: string) => Promise<unknown>]>([
  ["new content", (path) => replaceFile(path, "new", { mode: 0o600 })],
  ["a file that must be the first", (path) => createFile(path, "mine")],
])("leaves nothing of %s on a full disk", async (_, write) => {
  const path = await makePath();
  (await spyOn("writeFile")).mockRejectedValueOnce(refusal("ENOSPC"));
  await expect(write(path)).rejects.toMatchObject({ code: "ENOSPC" });
  expect(await readdir(dirname(path))).toEqual([]);
});

describe("a file that must be the first", () => {
  test.each<[string, (path: string) => Promise<unknown>]>([
    ["a file", (path) => writeFile(path, "")],
    ["a folder", (path) => mkdir(path)],
    ["a link to nothing", (path) => symlink("/nowhere/at-all", path)],
  ])("does not replace %s", async (_, put) => {
    const path = await makePath();
    await put(path);
    await expect(createFile(path, "mine")).rejects.toMatchObject({ code: "EEXIST" });
  });

  test("has mode 600", async () => {
    const path = await makePath();
    await createFile(path, "mine");
    expect([await readFile(path, "utf8"), (await stat(path)).mode & 0o777]).toEqual(["mine", 0o600]);
  });
});

test("removes a session's leftovers, and nothing else", async () => {
  const path = await makePath();
  const folder = dirname(path);
  const [other, random] = ["ba9876543210", "00ff00ff00ff"];
  const ours = `.file.json.${id}.${random}.tmp`;
  const stays = [
    `.file.json.${other}.${random}.tmp`,
    `.file.json.${id}.tmp`,
    `.file.json.${id}.${random}.tmpx`,
    `.file.json.${id}.${random}0.tmp`,
    `.my.file.json.${id}.${random}.tmp`,
    `file.json.${id}.${random}.tmp`,
  ];
  for (const name of [ours, ...stays]) await writeFile(join(folder, name), "x");
  await mkdir(join(folder, `.file.json.${id}.aaaaaaaaaaaa.tmp`));
  await removeLeftovers(path, id);
  expect((await readdir(folder)).sort()).toEqual([...stays, `.file.json.${id}.aaaaaaaaaaaa.tmp`].sort());
  await removeLeftovers(path);
  expect((await readdir(folder)).filter((name) => name.includes(other))).toEqual([]);
  await removeLeftovers(join(folder, "nowhere/file.json"), id);
});

test("tells a mounted file from a file on a mount", async () => {
  expect([
    await isMounted("/proc"),
    await isMounted("/proc/self/mountinfo"),
    await isMounted(await makePath()),
  ]).toEqual([true, false, false]);
});
