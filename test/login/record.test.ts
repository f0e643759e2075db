/** Which session records are trusted: nothing is touched because of another one. */
import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { chmod, chown, link, mkdir, readFile, rename, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import type { FileRecord } from "../../src/authfile/change.ts";
import { logout } from "../../src/login/logout.ts";
import { openNamedSession, readSession } from "../../src/login/session.ts";
import { failure, makeFolder, testPlatform } from "../fixtures.ts";
import { isRoot, needsRoot } from "../support/root.ts";

const id = "0123456789ab";
const victim = '{"auths": {"ghcr.io": {"auth": "dGhlaXJzOnRoZWlycw=="}}}';

/** A folder with a record in it, and something precious beside it. */
async function plant(record: object | string = {}, mode = 0o600) {
  const base = await makeFolder();
  const [folder, precious] = [join(base, "session"), join(base, "precious")];
  await mkdir(folder, { mode: 0o700 });
  await mkdir(join(base, "empty"));
  await writeFile(precious, victim);
  const whole = { version: 1, id, files: [], certificates: [], robots: [] };
  const text = typeof record === "string" ? record : JSON.stringify({ ...whole, ...record });
  await writeFile(join(folder, "session.json"), text, { mode });
  await chmod(join(folder, "session.json"), mode);
  return { base, folder, precious, record: join(folder, "session.json") };
}

/** Expects that the record is rejected, and that nothing was changed. @returns the error's text */
async function refused({ base, folder, precious, record }: Awaited<ReturnType<typeof plant>>): Promise<string> {
  const before = await readFile(record).catch(() => undefined);
  const error = await failure(logout(folder, testPlatform(), { named: true }));
  expect(error.code).toBe("logout-incomplete");
  expect(error.message).toContain(record);
  expect(await readFile(precious, "utf8")).toBe(victim);
  expect(existsSync(join(base, "empty"))).toBe(true);
  expect(await readFile(record).catch(() => undefined)).toEqual(before);
  return [error.message, ...error.remedy].join("\n");
}

const fileOf = (path: string) => ({ path, before: null, mode: 0o600, folders: [], scopes: {}, after: [] });
const scope = { before: null, written: [] };

describe("rejects a part in a form that no login writes", () => {
  const base64 = (text: string) => Buffer.from(text).toString("base64");
  test.each<[string, (base: string) => object]>([
    ["an id with slashes", () => ({ id: "/../victim" })],
    ["an id with a line", () => ({ id: `${id}\n` })],
    ["no id", () => ({ id: undefined })],
    ["a relative path", () => ({ files: [fileOf("precious")] })],
    ["a path with dots", (base) => ({ files: [fileOf(`${base}/x/../precious`)] })],
    ["a path that no file can have", () => ({ files: [fileOf("/no\0name")] })],
    ["a path that is none", () => ({ files: [{ ...fileOf("/a"), path: 1 }] })],
    ["setuid", (base) => ({ files: [{ ...fileOf(`${base}/precious`), mode: 0o4755 }] })],
    ["a mode in letters", (base) => ({ files: [{ ...fileOf(`${base}/precious`), mode: "0600" }] })],
    ["a mode below nothing", (base) => ({ files: [{ ...fileOf(`${base}/precious`), mode: -1 }] })],
    ["no mode", (base) => ({ files: [{ ...fileOf(`${base}/precious`), mode: undefined }] })],
    ["a script to restore", (base) => ({ files: [{ ...fileOf(`${base}/precious`), before: base64("#!/bin/sh\n") }] })],
    ["a list to restore", (base) => ({ files: [{ ...fileOf(`${base}/precious`), before: base64("[]") }] })],
    ["nothing to restore", (base) => ({ files: [{ ...fileOf(`${base}/precious`), before: "" }] })],
    ["a number to restore", (base) => ({ files: [{ ...fileOf(`${base}/precious`), before: 5 }] })],
    ["a folder elsewhere", (base) => ({ files: [{ ...fileOf(`${base}/precious`), folders: [`${base}/empty`] }] })],
    ["a folder below", (base) => ({ files: [{ ...fileOf(`${base}/a`), folders: [`${base}/a`] }] })],
    ["a folder of a like name", (base) => ({ files: [{ ...fileOf(`${base}/empty2/a`), folders: [`${base}/empty`] }] })],
    ["folders in words", (base) => ({ files: [{ ...fileOf(`${base}/a`), folders: base }] })],
    ["scopes as a list", (base) => ({ files: [{ ...fileOf(`${base}/a`), scopes: [scope] }] })],
    [
      "a scope with a line",
      (base) => ({ files: [{ ...fileOf(`${base}/a`), scopes: { "quay.io\n::error::x": scope } }] }),
    ],
    [
      "a scope without what was there",
      (base) => ({ files: [{ ...fileOf(`${base}/a`), scopes: { "quay.io": { written: [] } } }] }),
    ],
    [
      "a scope without hashes",
      (base) => ({ files: [{ ...fileOf(`${base}/a`), scopes: { "quay.io": { before: null } } }] }),
    ],
    [
      "a helper of another program",
      (base) => ({ files: [{ ...fileOf(`${base}/a`), helpers: { "quay.io": "pass" } }] }),
    ],
    ["helpers as a list", (base) => ({ files: [{ ...fileOf(`${base}/a`), helpers: ["quay-keyless"] }] })],
    [
      "a host with a line",
      (base) => ({ files: [{ ...fileOf(`${base}/a`), helpers: { "quay.io\n": "quay-keyless" } }] }),
    ],
    [
      "another file than the helper's configuration",
      (base) => ({ configured: { path: `${base}/precious`, registry: "quay.io", written: [], folders: [] } }),
    ],
    [
      "a configuration without hashes",
      (base) => ({ configured: { path: `${base}/quay-keyless/config.json`, registry: "quay.io", folders: [] } }),
    ],
    [
      "a configuration's folder elsewhere",
      (base) => ({
        configured: {
          path: `${base}/quay-keyless/config.json`,
          registry: "quay.io",
          written: [],
          folders: [`${base}/empty`],
        },
      }),
    ],
    ["a file as a certificate", (base) => ({ certificates: [{ path: `${base}/precious`, folders: [], hash: "0" }] })],
    [
      "a certificate of another session",
      (base) => ({
        certificates: [{ path: `${base}/certs.d/q/quay-keyless-login-ba9876543210.crt`, folders: [], hash: "0" }],
      }),
    ],
    [
      "a certificate where no tool looks",
      (base) => ({ certificates: [{ path: `${base}/q/quay-keyless-login-${id}.crt`, folders: [], hash: "0" }] }),
    ],
    [
      "a certificate without a hash",
      (base) => ({ certificates: [{ path: `${base}/certs.d/q/quay-keyless-login-${id}.crt`, folders: [] }] }),
    ],
    [
      "a certificate's folder elsewhere",
      (base) => ({
        certificates: [
          { path: `${base}/certs.d/q/quay-keyless-login-${id}.crt`, folders: [`${base}/empty`], hash: "0" },
        ],
      }),
    ],
    [
      "a robot with a line",
      () => ({ robots: [{ robot: "a+b\u001b[2J", scope: "quay.io", expiresAt: 5, lifeSeconds: 5 }] }),
    ],
    [
      "an end beyond all dates",
      () => ({ robots: [{ robot: "a+b", scope: "quay.io", expiresAt: 1e300, lifeSeconds: 5 }] }),
    ],
  ])("%s", async (_, partOf) => {
    const planted = await plant();
    await writeFile(
      planted.record,
      JSON.stringify({ version: 1, id, files: [], certificates: [], robots: [], ...partOf(planted.base) }),
    );
    expect(await refused(planted)).toContain("is damaged, or of another version of this program");
  });
});

describe("the owner", () => {
  test("a link to a record, a link to its folder, and another name of a record", async () => {
    const planted = await plant();
    await rename(planted.record, join(planted.base, "elsewhere.json"));
    await symlink(join(planted.base, "elsewhere.json"), planted.record);
    expect(await refused(planted)).toContain("is a symbolic link");

    const other = await plant();
    await rename(other.folder, join(other.base, "elsewhere"));
    await symlink(join(other.base, "elsewhere"), other.folder);
    expect(await refused(other)).toContain("the folder is a link, or not a folder");

    const named = await plant();
    await link(named.record, join(named.base, "other-name"));
    expect(await refused(named)).toContain("it has a second hard link");
  });

  test.each<[string, number, number, string]>([
    ["every user may write to its folder", 0o707, 0o600, "every user may write to the folder"],
    ["as to /tmp", 0o1777, 0o600, "every user may write to the folder"],
    ["every user may write to it", 0o700, 0o606, "every user may write to it"],
    ["a group may write to its folder", 0o770, 0o600, "may write to the folder"],
    ["a group may write to it", 0o700, 0o660, "may write to it"],
    ["a group may write to both, but no volume is like that", 0o770, 0o660, "may write to the folder"],
    ["a group may write to it alone", 0o2700, 0o660, "may write to it"],
  ])("%s", async (_, folderMode, mode, problem) => {
    const planted = await plant({}, mode);
    await chmod(planted.folder, folderMode);
    const said = await refused(planted);
    expect(said).toContain(problem);
    expect(said).toContain("Nothing was changed.");
    expect(said).toContain("session: /path/of/a/new/folder");
  });

  test.skipIf(!isRoot).each<[string, number, number]>([
    ["record", 0, 1000],
    ["folder", 1000, 0],
    ["folder and record", 1000, 1000],
  ])(`root does not act on another user's %s ${needsRoot}`, async (_, folder, record) => {
    const planted = await plant();
    await chown(planted.folder, folder, 0);
    await chown(planted.record, record, 0);
    expect(await refused(planted)).toContain("belongs to user 1000, and this is user 0");
  });

  test("no session is made in a folder that others may write to", async () => {
    const base = await makeFolder();
    await mkdir(join(base, "theirs"));
    await symlink(join(base, "theirs"), join(base, "link"));
    expect((await failure(openNamedSession(join(base, "link")))).message).toContain("the folder is a link");
    if (isRoot) {
      await chown(join(base, "theirs"), 1000, 1000);
      expect((await failure(openNamedSession(join(base, "theirs")))).message).toContain("belongs to user 1000");
    }
  });
});

describe("a valid record of a file without a login of ours changes nothing", () => {
  const known = '{"auths": {"ghcr.io": {}, "gcr.io": {"email": "me@example.com"}}}';
  const sha = (text: string) => createHash("sha256").update(text).digest("hex");
  const evil = Buffer.from('{"auths": {"ghcr.io": {"auth": "ZXZpbDpldmls"}}}').toString("base64");
  const placeholder = (key: string, content: string) => ({
    [key]: { before: { auth: "ZXZpbDpldmls" }, written: [sha(content)] },
  });

  test.each<[string, Partial<FileRecord>]>([
    ["with other bytes", { before: evil }],
    ["by deleting it", { before: null }],
    ["with a login in a placeholder's place", { before: evil, scopes: placeholder("ghcr.io", "{}"), after: [] }],
    ["with bytes, for a placeholder", { before: evil, scopes: placeholder("ghcr.io", "{}") }],
    ["for an entry without a password", { scopes: placeholder("gcr.io", '{"email":"me@example.com"}') }],
    ["for a key that no entry has", { before: evil, scopes: placeholder("constructor", "undefined") }],
  ])("%s", async (_, part) => {
    const planted = await plant();
    await writeFile(planted.precious, known);
    const files = [{ ...fileOf(planted.precious), after: [sha(known)], ...part }];
    await writeFile(planted.record, JSON.stringify({ version: 1, id, files, certificates: [], robots: [] }));
    await logout(planted.folder, testPlatform(), { named: true });
    expect(await readFile(planted.precious, "utf8")).toBe(known);
  });
});

describe("a volume's group may write to folder and record", () => {
  const theirs = { auth: "dGhlaXJzOnRoZWlycw==" };
  const ours = { auth: "b3VyczpvdXJz" };
  const base64 = (content: object) => Buffer.from(JSON.stringify(content)).toString("base64");
  const hash = createHash("sha256").update(JSON.stringify(ours)).digest("hex");

  /** Logged in to quay.io in a file of this mode; the record says what was there before. */
  async function loggedIn(mode: number, record: Partial<FileRecord>, more: object = { "ghcr.io": theirs }) {
    const planted = await plant();
    const text = JSON.stringify({ auths: { ...more, "quay.io": ours } });
    const file = {
      ...fileOf(planted.precious),
      scopes: { "quay.io": { before: null, written: [hash] } },
      after: [createHash("sha256").update(text).digest("hex")],
      ...record,
    };
    const whole = { version: 1, id, files: [file], certificates: [], robots: [] };
    await writeFile(planted.record, JSON.stringify(whole));
    await writeFile(planted.precious, text);
    await chmod(planted.folder, 0o2770);
    await chmod(planted.record, 0o660);
    await chmod(planted.precious, mode);
    const now = async () => JSON.parse(await readFile(planted.precious, "utf8").catch(() => "null"));
    return { ...planted, text, now };
  }
  const alone = { auths: { "ghcr.io": theirs } };
  const evil = { auths: { "ghcr.io": { auth: "ZXZpbDpldmls" } } };
  const earlier = { "quay.io": { before: theirs, written: [hash] } };

  test.each<[string, number, Partial<FileRecord>, unknown]>([
    ["what was there, in the group's own file", 0o660, { before: base64(evil) }, evil],
    [
      "an earlier login, in the group's own file",
      0o660,
      { scopes: earlier, after: [] },
      { auths: { ...alone.auths, "quay.io": theirs } },
    ],
    ["our entry is removed from any file", 0o600, { before: base64(alone) }, alone],
    ["our entry is removed if others wrote since", 0o600, { before: base64(evil), after: [] }, alone],
  ])("checks the files that it names: %s", async (_, mode, record, expected) => {
    const { folder, now } = await loggedIn(mode, record);
    expect(await logout(folder, testPlatform(), { named: true })).toMatchObject({ id, folder, named: true });
    expect(await now()).toEqual(expected);
    expect(existsSync(folder)).toBe(false);
  });

  test("removes our own file", async () => {
    const { folder, now } = await loggedIn(0o600, {}, {});
    await logout(folder, testPlatform(), { named: true });
    expect(await now()).toBeNull();
  });

  test.each<[string, Partial<FileRecord>]>([
    ["another login under its name", { scopes: earlier, after: [] }],
    ["another login beside it", { before: base64(evil) }],
    ["a setting", { before: base64({ ...alone, credsStore: "evil" }) }],
    ["no file any more", {}],
  ])("only removes our entries from a file that this group can't write: %s", async (_, part) => {
    const { folder, record, precious, text } = await loggedIn(0o600, part);
    const error = await failure(logout(folder, testPlatform(), { named: true }));
    expect([error.code, error.message]).toEqual([
      "logout-incomplete",
      expect.stringContaining(`would change more of ${precious} than that group can`),
    ]);
    expect([await readFile(precious, "utf8"), existsSync(record)]).toEqual([text, true]);
  });
});

test("takes from its caller, not from the record, whether the user named the folder", async () => {
  const planted = await plant({ named: false });
  await writeFile(join(planted.folder, "thesis.txt"), "mine");
  expect(await readSession(planted.folder, true)).toMatchObject({ named: true });
  await logout(planted.folder, testPlatform(), { named: true });
  expect(await readFile(join(planted.folder, "thesis.txt"), "utf8")).toBe("mine");
  // And not everything is deleted in a folder without a private one's name.
  const other = await plant();
  await writeFile(join(other.folder, "thesis.txt"), "mine");
  await logout(other.folder, testPlatform());
  expect(await readFile(join(other.folder, "thesis.txt"), "utf8")).toBe("mine");
});
