import { existsSync } from "node:fs";
import { mkdir, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { logout } from "../src/logout.ts";
import { type FileRecord, mergeEntries } from "../src/registry/authfile.ts";
import { type CertificateRecord, installRoots } from "../src/registry/certificates.ts";
import { openSession, readSession, type Session, saveSession } from "../src/session.ts";
import { failure, makeFolder, testPlatform } from "./fixtures.ts";

const ours = { auth: "b3VyczpvdXJz" };

/** A session that has written into these files, and left roots. */
async function loggedIn(paths: string[], platform: ReturnType<typeof testPlatform>): Promise<Session> {
  const opened = await openSession(await makeFolder());
  const files: FileRecord[] = [];
  const certificates: CertificateRecord[] = [];
  for (const path of paths) {
    const change = { path, entries: { "quay.io": ours }, mode: undefined, id: opened.id };
    await mergeEntries(change, platform, async (record) => void files.push(record));
  }
  const folder = join(opened.folder, "../certs.d/quay.io");
  await installRoots("roots", folder, opened.id, async (record) => void certificates.push(record));
  const robots = [{ robot: "acme+ci", scope: "quay.io", expiresAt: 1795507766 }];
  return saveSession({ ...opened, files, certificates, robots });
}

const makeFiles = async (...contents: string[]) => {
  const folder = await makeFolder();
  const paths = contents.map((_, index) => join(folder, `${index}.json`));
  await Promise.all(contents.map((content, index) => writeFile(paths[index] as string, content)));
  return paths;
};

test("takes everything back, and says what it can't", async () => {
  const platform = testPlatform();
  const paths = await makeFiles("{}", '{"auths":{}}');
  const session = await loggedIn(paths, platform);
  expect(await logout(session.folder, platform)).toEqual(session);
  expect(await Promise.all(paths.map((path) => readFile(path, "utf8")))).toEqual(["{}", '{"auths":{}}']);
  expect(await readdir(join(session.folder, ".."))).toEqual([]);
  expect(platform.reporter.infos).toEqual([
    "Logged out of quay.io.",
    "The robot token of acme+ci can't be revoked in Quay: it ends by itself at 2026-11-24T08:09:26Z.",
  ]);
});

test("does nothing the second time, nor for a session that never was", async () => {
  const platform = testPlatform();
  const paths = await makeFiles("{}");
  const session = await loggedIn(paths, platform);
  await logout(session.folder, platform);
  expect(await logout(session.folder, platform)).toBeUndefined();
  expect(await logout(join(session.folder, "nothing"), platform)).toBeUndefined();
});

test("takes a folder away that was made before its record", async () => {
  const folder = join(await makeFolder(), "quay-keyless-login-x");
  await mkdir(folder);
  await writeFile(join(folder, "session.json.tmp"), "half");
  expect(await logout(folder, testPlatform())).toBeUndefined();
  expect(existsSync(folder)).toBe(false);
});

describe("where something can't be taken back", () => {
  test("all else is, and the folder stays, for it remembers what stood there", async () => {
    const platform = testPlatform();
    const paths = await makeFiles("{}", "{}", "{}");
    const session = await loggedIn(paths, platform);
    const [one = "", two = "", three = ""] = paths;
    await writeFile(one, "broken");
    await rm(two);
    await mkdir(two);
    const error = await failure(logout(session.folder, platform));
    expect(error.code).toBe("auth-file-unusable");
    expect([error, ...error.also].map(({ message }) => message)).toEqual([
      `The auth file ${two} is a folder.`,
      `The auth file ${one} is not JSON.`,
    ]);
    expect(await readFile(three, "utf8")).toBe("{}");
    expect(existsSync(join(session.folder, "../certs.d"))).toBe(false);
    expect(await readSession(session.folder)).toEqual(session);
    expect(platform.reporter.infos).toEqual([]);
    // Once that is mended, it can be.
    await rm(two, { recursive: true });
    await writeFile(one, JSON.stringify({ auths: { "quay.io": ours } }));
    await logout(session.folder, platform);
    expect(JSON.parse(await readFile(one, "utf8"))).toEqual({ auths: {} });
  });

  test("a mistake in the program is not hidden", async () => {
    const session = await openSession(await makeFolder());
    await saveSession({ ...session, files: [{ path: 5 } as unknown as FileRecord] });
    await expect(logout(session.folder, testPlatform())).rejects.toThrow(TypeError);
  });
});
