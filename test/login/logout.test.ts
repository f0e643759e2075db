import { randomUUID } from "node:crypto";
import { existsSync } from "node:fs";
import { mkdir, readdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { type FileRecord, mergeEntries } from "../../src/authfile/change.ts";
import { logout } from "../../src/login/logout.ts";
import { logoutOf } from "../../src/login/logout-of-scopes.ts";
import { openNamedSession, openSession, readSession, type Session, saveSession } from "../../src/login/session.ts";
import { readStatus } from "../../src/login/status.ts";
import { type CertificateRecord, installRoots } from "../../src/tools/certificates.ts";
import { entryOf, failure, makeFolder, robotToken, testPlatform } from "../fixtures.ts";

const ours = { auth: "b3VyczpvdXJz" };

/** A session that has written into these files, and left roots. */
async function loggedIn(paths: string[], platform: ReturnType<typeof testPlatform>): Promise<Session> {
  const opened = await openSession(await makeFolder());
  const files: FileRecord[] = [];
  const certificates: CertificateRecord[] = [];
  for (const path of paths) {
    const change = { path, entries: { "quay.io": ours }, mode: undefined, id: opened.id };
    let written: FileRecord | undefined;
    await mergeEntries(change, platform, async (record) => {
      written = record;
    });
    files.push(written as FileRecord);
  }
  const folder = join(opened.folder, "../certs.d/quay.io");
  await installRoots("roots", folder, opened.id, async (record) => void certificates.push(record));
  const robots = [{ robot: "acme+ci", scope: "quay.io", expiresAt: 1795507766, lifeSeconds: 3600 }];
  return saveSession({ ...opened, files, certificates, robots });
}

const makeFiles = async (...contents: string[]) => {
  const folder = await makeFolder();
  const paths = contents.map((_, index) => join(folder, `${index}.json`));
  await Promise.all(contents.map((content, index) => writeFile(paths[index] as string, content)));
  return paths;
};

test("undoes everything, and logs what can't be revoked", async () => {
  const platform = testPlatform();
  const paths = await makeFiles("{}", '{"auths":{}}');
  const session = await loggedIn(paths, platform);
  expect(await logout(session.folder, platform)).toEqual(session);
  expect(await Promise.all(paths.map((path) => readFile(path, "utf8")))).toEqual(["{}", '{"auths":{}}']);
  expect(await readdir(join(session.folder, ".."))).toEqual([]);
  expect(platform.reporter.infos).toEqual([
    "Logged out of quay.io.",
    "Quay cannot revoke the robot token of acme+ci; it expires at 2026-11-24T08:09:26Z.",
  ]);
});

test("names all robots that were logged in, and none for a login without a token", async () => {
  const platform = testPlatform();
  const session = await loggedIn(await makeFiles("{}"), platform);
  const [first] = session.robots;
  const second = { ...first, robot: "acme+release", scope: "quay.io/acme", expiresAt: 1795507767, lifeSeconds: 3600 };
  await saveSession({ ...session, robots: [...session.robots, second] });
  await logout(session.folder, platform);
  expect(platform.reporter.infos).toEqual([
    "Logged out of quay.io, quay.io/acme.",
    "Quay cannot revoke the robot token of acme+ci; it expires at 2026-11-24T08:09:26Z.",
    "Quay cannot revoke the robot token of acme+release; it expires at 2026-11-24T08:09:27Z.",
  ]);
  const failed = testPlatform();
  const without = await loggedIn(await makeFiles("{}"), failed);
  await saveSession({ ...without, robots: [] });
  expect(await logout(without.folder, failed)).toMatchObject({ id: without.id });
  expect(failed.reporter.infos).toEqual([]);
});

test("does nothing the second time, nor for a session that never existed", async () => {
  const platform = testPlatform();
  const paths = await makeFiles("{}");
  const session = await loggedIn(paths, platform);
  await logout(session.folder, platform);
  expect(await logout(session.folder, platform)).toBeUndefined();
  expect(await logout(join(session.folder, "nothing"), platform)).toBeUndefined();
});

test("removes a folder that was made before its record", async () => {
  const folder = join(await makeFolder(), "quay-keyless-login-x");
  await mkdir(folder);
  await writeFile(join(folder, ".session.json.0123456789ab.0123456789ab.tmp"), "half");
  expect(await logout(folder, testPlatform())).toBeUndefined();
  expect(existsSync(folder)).toBe(false);
});

describe("if something can't be undone", () => {
  test("undoes everything else, and keeps the folder with the earlier content", async () => {
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
    // Once that is fixed, it can be.
    await rm(two, { recursive: true });
    await writeFile(one, JSON.stringify({ auths: { "quay.io": ours } }));
    await logout(session.folder, platform);
    expect(await readFile(one, "utf8")).toBe("{}");
  });
});

test("reports what the timeout prevented, and undoes everything else", async () => {
  const platform = testPlatform();
  const paths = await makeFiles("{}", "{}");
  const session = await loggedIn(paths, platform);
  const [held = "", free = ""] = paths;
  await writeFile(`${held}.lock`, randomUUID());
  const error = await failure(logout(session.folder, { ...platform, signal: AbortSignal.timeout(200) }));
  expect([error.code, error.also]).toEqual(["timeout", []]);
  expect([await readFile(free, "utf8"), existsSync(session.folder)]).toEqual(["{}", true]);
  await rm(`${held}.lock`);
  await logout(session.folder, platform);
  expect(await readFile(held, "utf8")).toBe("{}");
});

test("keeps roots that were replaced, and says so", async () => {
  const platform = testPlatform();
  const session = await loggedIn(await makeFiles("{}"), platform);
  const [{ path } = expect.unreachable("there are roots")] = session.certificates;
  await writeFile(path, "theirs");
  await logout(session.folder, platform);
  expect(await readFile(path, "utf8")).toBe("theirs");
  expect(platform.reporter.warnings).toEqual([`${path} has changed since this login wrote it; it was left in place.`]);
});

describe("a session in a folder that the user named", () => {
  test("keeps others' files; removes ours", async () => {
    const platform = testPlatform();
    const folder = await makeFolder();
    const session = await openNamedSession(folder);
    const path = join(folder, "auth.json");
    const change = { path, entries: { "quay.io": ours }, mode: undefined, id: session.id };
    await mergeEntries(change, platform, async (record) => void (await saveSession({ ...session, files: [record] })));
    // Another tool logs in to its own registry meanwhile.
    await writeFile(path, JSON.stringify({ auths: { "quay.io": ours, "ghcr.io": { auth: "dGhlaXJz" } } }));
    expect(await logout(folder, platform, { named: true })).toMatchObject({ id: session.id });
    expect(await readdir(folder)).toEqual(["auth.json"]);
    expect(JSON.parse(await readFile(path, "utf8"))).toEqual({ auths: { "ghcr.io": { auth: "dGhlaXJz" } } });
    expect(await logout(folder, platform)).toBeUndefined();
    expect(await readdir(folder)).toEqual(["auth.json"]);
  });

  test("may be moved meanwhile", async () => {
    const base = await makeFolder();
    await openNamedSession(join(base, "one"));
    await rename(join(base, "one"), join(base, "two"));
    expect(await logout(join(base, "two"), testPlatform(), { named: true })).toMatchObject({
      folder: join(base, "two"),
    });
    expect(await readdir(base)).toEqual([]);
  });

  test("is not touched if it only has files of such names", async () => {
    const folder = await makeFolder();
    await writeFile(join(folder, "auth.json"), "theirs");
    await mkdir(join(folder, "certificates"));
    expect(await logout(folder, testPlatform())).toBeUndefined();
    expect((await readdir(folder)).sort()).toEqual(["auth.json", "certificates"]);
    expect(await logout(join(folder, "auth.json"), testPlatform())).toBeUndefined();
    expect(await readFile(join(folder, "auth.json"), "utf8")).toBe("theirs");
  });
});

describe("without a session: the robot tokens of an auth file", () => {
  const end = 1795507766;
  const robot = (name = "acme+ci", expiresAt = end) => entryOf(name, robotToken(expiresAt));
  const stored = entryOf("acme+ci", "geheim");

  /** Logs out of these scopes of a file. */
  async function logOut(auths: Record<string, unknown>, scopes: string[]) {
    const platform = testPlatform();
    const [path = ""] = await makeFiles(JSON.stringify({ auths, credHelpers: { "gcr.io": "gcloud" } }));
    const status = await readStatus({ registry: "quay.io", scopes }, path, {});
    const removed = logoutOf(status, scopes, platform);
    return { path, platform, removed, left: async () => JSON.parse(await readFile(path, "utf8")).auths };
  }

  test("are removed, everything else stays, and what can't be revoked is logged", async () => {
    const { path, platform, removed, left } = await logOut(
      {
        "quay.io": robot(),
        "quay.io/acme": robot("acme+release", end + 1),
        "quay.io/stored": stored,
        "ghcr.io": robot(),
      },
      ["quay.io", "quay.io/acme"],
    );
    expect(await removed).toEqual(["quay.io", "quay.io/acme"]);
    expect(await left()).toEqual({ "quay.io/stored": stored, "ghcr.io": robot() });
    expect(platform.reporter.infos).toEqual([
      `Logged out of quay.io, quay.io/acme: ${path}`,
      "Quay cannot revoke the robot token of acme+ci; it expires at 2026-11-24T08:09:26Z.",
      "Quay cannot revoke the robot token of acme+release; it expires at 2026-11-24T08:09:27Z.",
    ]);
    expect(await readdir(join(path, ".."))).toEqual(["0.json"]);
  });

  test("one of several scopes is enough, and a scope named twice is logged once", async () => {
    const { removed, left } = await logOut({ "quay.io": robot(), "quay.io/acme": robot() }, [
      "quay.io/acme",
      "quay.io/acme",
      "quay.io/none",
    ]);
    expect(await removed).toEqual(["quay.io/acme"]);
    expect(await left()).toEqual({ "quay.io": robot() });
  });

  test("that have expired are removed too", async () => {
    const { removed, left } = await logOut({ "quay.io": robot("acme+ci", 5) }, ["quay.io"]);
    expect(await removed).toEqual(["quay.io"]);
    expect(await left()).toEqual({});
  });

  test.each([
    ["a stored password", stored],
    ["a token of another registry's kind", entryOf("00000000-0000-0000-0000-000000000000", robotToken(end))],
    ["a robot's token that has no end", entryOf("acme+ci", robotToken(undefined))],
  ])("keeps %s, and everything else too", async (_, entry) => {
    const { path, platform, removed, left } = await logOut({ "quay.io/acme": robot(), "quay.io": entry }, [
      "quay.io/acme",
      "quay.io",
    ]);
    const error = await failure(removed);
    expect(error.code).toBe("logout-incomplete");
    expect(error.message).toMatch(
      /^\S+ has a stored password for quay\.io \(user .+\), not a robot token; it was left in place\.$/,
    );
    expect(error.remedy).toEqual([`To delete it: skopeo logout --authfile ${path} quay.io`]);
    expect(error.message + error.remedy.join()).not.toContain("geheim");
    expect(await left()).toEqual({ "quay.io/acme": robot(), "quay.io": entry });
    expect(platform.reporter.infos).toEqual([]);
  });

  test.each([
    ["a stored password", stored],
    ["a place that docker holds for a helper", {}],
  ])("checks again an entry that changed since it was read: %s", async (_, entry) => {
    const platform = testPlatform();
    const [path = ""] = await makeFiles(JSON.stringify({ auths: { "quay.io": robot() } }));
    const status = await readStatus({ registry: "quay.io", scopes: [] }, path, {});
    await writeFile(path, JSON.stringify({ auths: { "quay.io": entry } }));
    expect(await logoutOf(status, ["quay.io"], platform)).toEqual([]);
    expect(JSON.parse(await readFile(path, "utf8"))).toEqual({ auths: { "quay.io": entry } });
    expect(platform.reporter.infos).toEqual([]);
  });
});
