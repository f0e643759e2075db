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

test("without a place for it, the place is named", async () => {
  const nowhere = join(await makeFolder(), "nothing");
  await expect(openSession(nowhere)).rejects.toMatchObject({
    code: "auth-file-unusable",
    message: `No private folder can be made in ${nowhere} (ENOENT).`,
  });
});

test("without room for its record, no folder stays either", async () => {
  const base = await makeFolder();
  vi.mocked(open).mockRejectedValueOnce(Object.assign(new Error("full"), { code: "ENOSPC" }));
  await expect(openSession(base)).rejects.toMatchObject({
    code: "auth-file-unusable",
    message: `No private folder can be made in ${base} (ENOSPC).`,
    remedy: [expect.stringContaining("RUNNER_TEMP")],
  });
  expect(await readdir(base)).toEqual([]);
});

test("a record that has no place any more is told with what to do", async () => {
  const session = await openSession(await makeFolder());
  await rm(session.folder, { recursive: true });
  await expect(saveSession(session)).rejects.toMatchObject({
    code: "auth-file-unusable",
    message: `The record of the login can't be written to ${session.folder} (ENOENT).`,
    remedy: [expect.stringContaining("then log in again")],
  });
});

test("two of them share nothing", async () => {
  const base = await makeFolder();
  const [one, two] = [await openSession(base), await openSession(base)];
  expect(one.id).not.toBe(two.id);
  expect(await readdir(base)).toHaveLength(2);
});

test("what is saved is read back; the file is the user's alone, and never half", async () => {
  const session = await openSession(await makeFolder());
  const robots = [{ robot: "acme+ci", scope: "quay.io", expiresAt: 5, lifeSeconds: 3600 }];
  expect(await saveSession({ ...session, robots })).toEqual({ ...session, robots });
  expect(await readSession(session.folder)).toEqual({ ...session, robots });
  expect(await readdir(session.folder)).toEqual(["session.json"]);
  expect(await modeOf(join(session.folder, "session.json"))).toBe(0o600);
});

test("one that is gone is nothing; one that can't be read is not the same", async () => {
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

describe("a record that another program left, or that lacks a part, is not acted upon", () => {
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
    ["files are no list", { ...whole, files: { file } }],
    ["a hash alone, where several may stand", { ...whole, files: [{ ...file, after: "0" }] }],
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

  test("the whole one is, and knows its folder by where it lies", async () => {
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
  // Others may reach a file that they know of; they see nothing else.
  expect(await modeOf(join(session.folder, "session.json"))).toBe(0o600);
  await chmod(session.folder, 0o700);
  expect(existsSync(session.folder)).toBe(true);
  expect(JSON.parse(await readFile(join(session.folder, "session.json"), "utf8")).id).toBe(session.id);
});

describe("a folder that the user named", () => {
  test("is made, with those on the way, for the user alone", async () => {
    const folder = join(await makeFolder(), "a/session");
    const session = await openNamedSession(folder);
    expect(session).toMatchObject({ folder, named: true, files: [], certificates: [], robots: [] });
    expect(session.id).toMatch(/^[0-9a-f]{12}$/);
    expect([await modeOf(folder), await modeOf(dirname(folder))]).toEqual([0o700, 0o700]);
    expect(await readSession(folder, true)).toEqual(session);
  });

  test("may be there already, where it is empty; then it is the user's alone", async () => {
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
    "with %s in it is refused, and nothing is changed",
    async (name) => {
      const folder = await makeFolder();
      await writeFile(join(folder, name), "theirs");
      await chmod(folder, 0o755);
      await refused(folder, "the folder holds other files, and must be its own");
      expect(await readdir(folder)).toEqual([name]);
      expect(await readFile(join(folder, name), "utf8")).toBe("theirs");
      expect(await modeOf(folder)).toBe(0o755);
    },
  );

  test("that is a file, or would be below one, or where there can be none", async () => {
    const file = join(await makeFolder(), "file");
    await writeFile(file, "");
    await refused(file, "the folder can't be made or written to (ENOTDIR)");
    await refused(join(file, "session"), "the folder can't be made or written to (ENOTDIR)");
    await refused("/proc/session", "the folder can't be made or written to (ENOENT)");
  });

  test("on a volume that gives each file to somebody else: logout would not believe the record there", async () => {
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
    expect(message).toContain(`session.json, is not believed: it belongs to user ${theirs}, and this is user `);
    expect(existsSync(folder)).toBe(false);
  });

  test("where this user may not write", async () => {
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
  /** What a login leaves behind that was killed in the middle, and something of somebody else's. */
  const fill = async ({ folder }: Session) => {
    await mkdir(join(folder, "certificates"));
    await writeFile(join(folder, "certificates/ca.crt"), "roots");
    await mkdir(join(folder, "tool-12"));
    await writeFile(join(folder, "tool-12/auth.json"), "secret");
    await writeFile(join(folder, ".session.json.0123456789ab.0123456789ab.tmp"), "half");
  };

  test("takes the private folder away with all that is in it", async () => {
    const session = await openSession(await makeFolder());
    await fill(session);
    for (const name of ["auth.json", "auth.json.lock", "anything"]) {
      await writeFile(join(session.folder, name), "x");
    }
    await removeSession(session);
    expect(existsSync(session.folder)).toBe(false);
    await removeSession(session);
  });

  test("takes the record away last: a kill on the way leaves enough to go on", async () => {
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

  test("takes the named folder away, where nothing else is in it", async () => {
    const session = await openNamedSession(join(await makeFolder(), "session"));
    await fill(session);
    await removeSession(session);
    expect(existsSync(session.folder)).toBe(false);
  });

  test("leaves in the named folder what is not ours", async () => {
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

  test("without a record there is nothing of ours: a folder that was named by mistake stays as it is", async () => {
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

  test.skipIf(!isRoot)(`another user's empty folder stays his ${needsRoot}`, async () => {
    const folder = await makeFolder();
    await chown(folder, 1000, 1000);
    await removeEmptySession(folder);
    expect((await stat(folder)).uid).toBe(1000);
    expect((await failure(openNamedSession(folder))).message).toContain("belongs to user 1000");
  });
});

test("ids are not used twice", () => {
  expect(new Set(Array.from({ length: 100 }, newId)).size).toBe(100);
});
