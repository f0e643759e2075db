import { existsSync } from "node:fs";
import { chmod, mkdir, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { basename, join } from "node:path";
import { expect, test } from "vitest";
import { openFolderTo, openSession, readSession, saveSession } from "../src/session.ts";
import { makeFolder } from "./fixtures.ts";

const modeOf = async (path: string) => (await stat(path)).mode & 0o777;

test("a session is a private folder with its record, which is there from the first moment", async () => {
  const base = await makeFolder();
  const session = await openSession(base);
  expect(session.folder.startsWith(join(base, "quay-keyless-login-"))).toBe(true);
  expect(basename(session.folder)).toBe(`quay-keyless-login-${session.id}`);
  expect(session).toMatchObject({ files: [], certificates: [], robots: [] });
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

test("two of them share nothing", async () => {
  const base = await makeFolder();
  const [one, two] = [await openSession(base), await openSession(base)];
  expect(one.id).not.toBe(two.id);
  expect(await readdir(base)).toHaveLength(2);
});

test("what is saved is read back; the file is the user's alone, and never half", async () => {
  const session = await openSession(await makeFolder());
  const robots = [{ robot: "acme+ci", scope: "quay.io", expiresAt: 5 }];
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
    message: `The record of the login, ${session.folder}/session.json, is damaged.`,
  });
  await rm(join(session.folder, "session.json"));
  await mkdir(join(session.folder, "session.json"));
  await expect(readSession(session.folder)).rejects.toThrow("can't be read (EISDIR)");
  await rm(session.folder, { recursive: true });
  expect(await readSession(session.folder)).toBeUndefined();
  await writeFile(session.folder, "a file");
  await expect(readSession(session.folder)).rejects.toThrow("ENOTDIR");
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
