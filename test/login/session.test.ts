import { existsSync, type Stats } from "node:fs";
import { chmod, chown, type FileHandle, mkdir, open, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { describe, expect, onTestFinished, test, vi } from "vitest";
import {
  openFolderTo,
  openNamedSession,
  openSession,
  readSession,
  removeEmptySession,
  removeSession,
  type Session,
  saveSession,
} from "../../src/login/session.ts";
import { newId } from "../../src/platform/replace.ts";
import { asNobody, failure, makeFolder } from "../fixtures.ts";
import { isRoot, needsRoot } from "../support/root.ts";

// Real files; one test looks at the order in which they go.
vi.mock("node:fs/promises", { spy: true });

const modeOf = async (path: string) => (await stat(path)).mode & 0o777;

test("a session is a private folder with its record, which exists from the first moment", async () => {
  const base = await makeFolder();
  const session = await openSession(base);
  expect(dirname(session.folder)).toBe(base);
  expect(basename(session.folder)).toMatch(/^quay-keyless-login-./);
  expect(session.id).toMatch(/^[0-9a-f]{12}$/);
  expect(session).toMatchObject({ named: false, files: [], certificates: [], robots: [] });
  expect(await modeOf(session.folder)).toBe(0o700);
  expect(await readSession(session.folder)).toEqual(session);
});

test("names the folder in which it can't be made", async () => {
  const nowhere = join(await makeFolder(), "nothing");
  await expect(openSession(nowhere)).rejects.toMatchObject({
    code: "auth-file-unusable",
    message: `No private folder can be made in ${nowhere} (ENOENT).`,
  });
});

test("leaves no folder if its record can't be written", async () => {
  const base = await makeFolder();
  vi.mocked(open).mockRejectedValueOnce(Object.assign(new Error("full"), { code: "ENOSPC" }));
  await expect(openSession(base)).rejects.toMatchObject({
    code: "auth-file-unusable",
    message: `No private folder can be made in ${base} (ENOSPC).`,
    remedy: [expect.stringContaining("RUNNER_TEMP")],
  });
  expect(await readdir(base)).toEqual([]);
});

test("reports a record that can't be written any more, with a remedy", async () => {
  const session = await openSession(await makeFolder());
  await rm(session.folder, { recursive: true });
  await expect(saveSession(session)).rejects.toMatchObject({
    code: "auth-file-unusable",
    message: `The record of the login can't be written to ${session.folder} (ENOENT).`,
    remedy: [expect.stringContaining("Log in again.")],
  });
});

test("two of them share nothing", async () => {
  const base = await makeFolder();
  const [one, two] = [await openSession(base), await openSession(base)];
  expect(one.id).not.toBe(two.id);
  expect(await readdir(base)).toHaveLength(2);
});

test("reads back what was saved; only the user can read the file, and it is never incomplete", async () => {
  const session = await openSession(await makeFolder());
  const robots = [{ robot: "acme+ci", scope: "quay.io", expiresAt: 5, lifeSeconds: 3600 }];
  expect(await saveSession({ ...session, robots })).toEqual({ ...session, robots });
  expect(await readSession(session.folder)).toEqual({ ...session, robots });
  expect(await readdir(session.folder)).toEqual(["session.json"]);
  expect(await modeOf(join(session.folder, "session.json"))).toBe(0o600);
});

test("treats one that is gone as none, and one that can't be read as an error", async () => {
  const session = await openSession(await makeFolder());
  await writeFile(join(session.folder, "session.json"), "half");
  await expect(readSession(session.folder)).rejects.toMatchObject({
    code: "logout-incomplete",
    message: `The record of the login, ${session.folder}/session.json, is damaged, or of another version of this program.`,
  });
  await rm(join(session.folder, "session.json"));
  await mkdir(join(session.folder, "session.json"));
  await expect(readSession(session.folder)).rejects.toThrow("is a folder");
  await rm(session.folder, { recursive: true });
  expect(await readSession(session.folder)).toBeUndefined();
  await writeFile(session.folder, "a file");
  expect(await readSession(session.folder)).toBeUndefined();
});

describe("rejects a record of another program, or one that lacks a part", () => {
  const id = "0123456789ab";
  const file = { path: "/a", before: null, mode: 0o600, folders: [], scopes: {}, after: ["0"] };
  const certificate = { path: `/certs.d/quay.io/quay-keyless-login-${id}.crt`, folders: [], hash: "0" };
  const robot = { robot: "acme+ci", scope: "quay.io", expiresAt: 5, lifeSeconds: 3600 };
  const whole = { version: 1, id, named: true, files: [file], certificates: [certificate], robots: [robot] };
  const without = (object: object, ...names: string[]) =>
    Object.fromEntries(Object.entries(object).filter(([name]) => !names.includes(name)));

  test.each<[string, unknown]>([
    ["null", null],
    ["a list", []],
    ["text", "text"],
    ["something else", { name: "another program" }],
    ...["files", "certificates", "robots"].map((name): [string, unknown] => [`no ${name}`, without(whole, name)]),
    ["no version", without(whole, "version")],
    ["another version", { ...whole, version: 2 }],
    ["a version in letters", { ...whole, version: "1" }],
    ["files that are not a list", { ...whole, files: { file } }],
    ["a hash alone instead of a list", { ...whole, files: [{ ...file, after: "0" }] }],
    ...["path", "folders", "scopes", "after"].map((name): [string, unknown] => [
      `a file without ${name}`,
      { ...whole, files: [file, without(file, name)] },
    ]),
    ...["path", "folders", "hash"].map((name): [string, unknown] => [
      `a certificate without ${name}`,
      { ...whole, certificates: [without(certificate, name)] },
    ]),
    ...["robot", "scope", "expiresAt", "lifeSeconds"].map((name): [string, unknown] => [
      `a robot without ${name}`,
      { ...whole, robots: [without(robot, name)] },
    ]),
  ])("%s", async (_, record) => {
    const folder = await makeFolder();
    await writeFile(join(folder, "session.json"), JSON.stringify(record));
    await expect(readSession(folder)).rejects.toMatchObject({
      code: "logout-incomplete",
      message: `The record of the login, ${folder}/session.json, is damaged, or of another version of this program.`,
    });
  });

  test("accepts a complete one, and takes its folder from where it is", async () => {
    const folder = await makeFolder();
    await writeFile(join(folder, "session.json"), JSON.stringify({ ...whole, folder: "/elsewhere" }));
    expect(await readSession(folder, true)).toEqual({ ...whole, folder });
  });
});

test.each([
  [0o600, 0o700],
  [0o640, 0o711],
  [0o604, 0o711],
])("an auth file of mode %o makes the folder %o", async (file, folder) => {
  const session = await openSession(await makeFolder());
  await openFolderTo(session, file);
  expect(await modeOf(session.folder)).toBe(folder);
  // Others may open a file whose name they know; they see nothing else.
  expect(await modeOf(join(session.folder, "session.json"))).toBe(0o600);
  await chmod(session.folder, 0o700);
  expect(existsSync(session.folder)).toBe(true);
  expect(JSON.parse(await readFile(join(session.folder, "session.json"), "utf8")).id).toBe(session.id);
});

describe("a folder that the user named", () => {
  test("is made, with its parents, for the user alone", async () => {
    const folder = join(await makeFolder(), "a/session");
    const session = await openNamedSession(folder);
    expect(session).toMatchObject({ folder, named: true, files: [], certificates: [], robots: [] });
    expect(session.id).toMatch(/^[0-9a-f]{12}$/);
    expect([await modeOf(folder), await modeOf(dirname(folder))]).toEqual([0o700, 0o700]);
    expect(await readSession(folder, true)).toEqual(session);
  });

  test("may exist if it is empty; then only the user can enter it", async () => {
    const folder = await makeFolder();
    await chmod(folder, 0o755);
    const session = await openNamedSession(folder);
    expect(await modeOf(folder)).toBe(0o700);
    expect(await readdir(folder)).toEqual(["session.json"]);
    expect((await readSession(folder))?.id).toBe(session.id);
  });

  const refused = async (folder: string, problem: string) => {
    const error = await failure(openNamedSession(folder));
    expect(error.code).toBe("invalid-input");
    expect(error.message).toBe(`The option "session" is ${JSON.stringify(folder)}: ${problem}.`);
    expect(error.remedy).toEqual(["Write, for example, session: /path/of/a/new/folder"]);
  };

  test.each(["other.txt", "auth.json", "session.json", ".session.json.0123456789ab.0123456789ab.tmp", ".hidden"])(
    "is rejected with %s in it, and not changed",
    async (name) => {
      const folder = await makeFolder();
      await writeFile(join(folder, name), "theirs");
      await chmod(folder, 0o755);
      await refused(folder, "the folder holds other files, and a session needs its own folder");
      expect(await readdir(folder)).toEqual([name]);
      expect(await readFile(join(folder, name), "utf8")).toBe("theirs");
      expect(await modeOf(folder)).toBe(0o755);
    },
  );

  test("is rejected if it is a file, would be below one, or can't be made", async () => {
    const file = join(await makeFolder(), "file");
    await writeFile(file, "");
    await refused(file, "the folder can't be made or written to (ENOTDIR)");
    await refused(join(file, "session"), "the folder can't be made or written to (ENOTDIR)");
    await refused("/proc/session", "the folder can't be made or written to (ENOENT)");
  });

  test("is rejected on a volume that gives each file to another user: logout would not trust the record", async () => {
    const folder = join(await makeFolder(), "session");
    const file = await open(import.meta.filename);
    const prototype = Object.getPrototypeOf(file) as FileHandle;
    const look: () => Promise<Stats> = prototype.stat;
    const theirs = (process.geteuid?.() ?? 0) + 1;
    const spy = vi.spyOn(prototype, "stat").mockImplementation(async function (this: FileHandle) {
      return Object.assign(await look.call(this), { uid: theirs });
    });
    await file.close();
    onTestFinished(() => spy.mockRestore());
    const { code, message } = await failure(openNamedSession(folder));
    expect(code).toBe("invalid-input");
    expect(message).toContain(`session.json, is not trusted: it belongs to user ${theirs}, and this is user `);
    expect(existsSync(folder)).toBe(false);
  });

  test("is rejected if this user may not write there", async () => {
    const folder = await makeFolder();
    await chmod(folder, 0o755);
    await mkdir(join(folder, "theirs"), { mode: 0o755 });
    const openAsNobody = (path: string) =>
      asNobody(
        ["login/session.ts"],
        (src: typeof import("../../src/login/session.ts"), named) => src.openNamedSession(named),
        path,
      );
    if (process.getuid?.() !== 0) {
      await chmod(join(folder, "theirs"), 0o500);
    }
    expect(await openAsNobody(join(folder, "theirs/new"))).toContain(
      "the folder can't be made or written to (EACCES).",
    );
  });
});

describe("a session's end", () => {
  /** What a killed login leaves, and a file of another program. */
  const fill = async ({ folder }: Session) => {
    await mkdir(join(folder, "certificates"));
    await writeFile(join(folder, "certificates/ca.crt"), "roots");
    await mkdir(join(folder, "tool-12"));
    await writeFile(join(folder, "tool-12/auth.json"), "secret");
    await writeFile(join(folder, ".session.json.0123456789ab.0123456789ab.tmp"), "half");
  };

  test("removes the private folder with everything in it", async () => {
    const session = await openSession(await makeFolder());
    await fill(session);
    for (const name of ["auth.json", "auth.json.lock", "anything"]) {
      await writeFile(join(session.folder, name), "x");
    }
    await removeSession(session);
    expect(existsSync(session.folder)).toBe(false);
    await removeSession(session);
  });

  test("removes the record last: after a kill another call can continue", async () => {
    for (const session of [await openSession(await makeFolder()), await openNamedSession(await makeFolder())]) {
      await fill(session);
      vi.mocked(rm).mockClear();
      await removeSession(session);
      const removed = vi
        .mocked(rm)
        .mock.calls.map(([path]) => basename(String(path)))
        .filter((name) => !name.endsWith(".tmp"));
      expect(removed.slice(0, -1).sort()).toEqual(["certificates", "tool-12"]);
      expect(removed.at(-1)).toBe("session.json");
    }
  });

  test("removes the named folder if nothing else is in it", async () => {
    const session = await openNamedSession(join(await makeFolder(), "session"));
    await fill(session);
    await removeSession(session);
    expect(existsSync(session.folder)).toBe(false);
  });

  test("keeps in the named folder what is not ours", async () => {
    const session = await openNamedSession(await makeFolder());
    await fill(session);
    const theirs = [
      "auth.json",
      "certificates.pem",
      "mine-session.json",
      "my-certificates",
      "my-tool-1",
      "session.json.bak",
      "tool-",
      "tool-1x",
      "tool-box",
    ];
    for (const name of theirs) {
      await writeFile(join(session.folder, name), name);
    }
    await removeSession(session);
    expect((await readdir(session.folder)).sort()).toEqual(theirs);
    expect(await readFile(join(session.folder, "auth.json"), "utf8")).toBe("auth.json");
    expect(await readSession(session.folder)).toBeUndefined();
  });

  test("does not touch a folder without a record", async () => {
    const folder = await makeFolder();
    await mkdir(join(folder, "tool-1"));
    await mkdir(join(folder, "certificates"));
    await writeFile(join(folder, "auth.json"), "theirs");
    await removeEmptySession(folder);
    expect((await readdir(folder)).sort()).toEqual(["auth.json", "certificates", "tool-1"]);
    await removeEmptySession(join(folder, "nothing"));
    await removeEmptySession(join(folder, "auth.json"));
    expect(await readFile(join(folder, "auth.json"), "utf8")).toBe("theirs");
    const killed = await makeFolder();
    await writeFile(join(killed, ".session.json.0123456789ab.0123456789ab.tmp"), "half");
    await removeEmptySession(killed);
    expect(existsSync(killed)).toBe(false);
  });

  test.skipIf(!isRoot)(`keeps another user's empty folder ${needsRoot}`, async () => {
    const folder = await makeFolder();
    await chown(folder, 1000, 1000);
    await removeEmptySession(folder);
    expect((await stat(folder)).uid).toBe(1000);
    expect((await failure(openNamedSession(folder))).message).toContain("belongs to user 1000");
  });
});

test("never uses an id twice", () => {
  expect(new Set(Array.from({ length: 100 }, newId)).size).toBe(100);
});
