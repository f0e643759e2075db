/** Logging out where the record of the login is gone or damaged, by what the runner remembers of it. */
import { existsSync } from "node:fs";
import { mkdir, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { describe, expect, test } from "vitest";
import { type FileRecord, mergeEntries } from "../../src/authfile/change.ts";
import { logout, shortTrace, takeBackRoots, traceOf } from "../../src/login/logout.ts";
import { openSession, readSession, type Session, saveSession } from "../../src/login/session.ts";
import { type CertificateRecord, installRoots } from "../../src/tools/certificates.ts";
import { entryOf, failure, fakeClock, makeFolder, robotToken, testPlatform } from "../fixtures.ts";

const end = 1795507766;
const ours = entryOf("acme+ci", robotToken(end));
const theirs = entryOf("somebody", "geheim");
const ended = "The robot token of acme+ci can't be revoked in Quay: it ends by itself at 2026-11-24T08:09:26Z.";
/** Half an hour before the robot token ends. */
const platformOf = () => testPlatform({ clock: fakeClock((end - 1800) * 1000) });

/** A login for quay.io in one auth file, of a job, with roots for later steps. @param content of the file; undefined: there is none */
async function loggedIn(content: object | undefined, refresh = false) {
  const platform = platformOf();
  const path = join(await makeFolder(), "auth.json");
  if (content) {
    await writeFile(path, JSON.stringify(content));
  }
  const job = { logout: true, refresh, authFileBefore: "" };
  const opened = await openSession(await makeFolder(), undefined, job);
  const [files, certificates]: [FileRecord[], CertificateRecord[]] = [[], []];
  const change = { path, entries: { "quay.io": ours }, mode: undefined, id: opened.id };
  await mergeEntries(change, platform, async (record) => void files.push(record));
  const roots = join(opened.folder, "../certs.d/quay.io");
  await installRoots("roots", roots, opened.id, async (record) => void certificates.push(record));
  const robots = [{ robot: "acme+ci", scope: "quay.io", expiresAt: end, lifeSeconds: 3600 }];
  const session = await saveSession({ ...opened, files, certificates, robots });
  return { platform, path, session, trace: traceOf(session), roots };
}

const read = async (path: string) => JSON.parse(await readFile(path, "utf8"));
const write = (path: string, auths: object) => writeFile(path, JSON.stringify({ auths }));
const messages = (error: Awaited<ReturnType<typeof failure>>) => [error, ...error.also].map(({ message }) => message);
const recordIsGone = ({ folder }: Session) =>
  `The record of the login is gone (has somebody emptied ${dirname(folder)}?). What is left of the login is known all the same.`;

describe("what is remembered of a login", () => {
  test("tells what it replaced, and holds nothing of the files", async () => {
    const { path, session, trace } = await loggedIn({ auths: { "quay.io": theirs, "ghcr.io": theirs } });
    expect(trace.replaced).toEqual([{ path, scope: "quay.io" }]);
    expect(trace.session.id).toBe(session.id);
    expect(trace.session.files).toMatchObject([
      { path, before: "", after: [], scopes: { "quay.io": { before: null } } },
    ]);
    const before = session.files[0]?.before ?? expect.unreachable("there was a file");
    for (const secret of [theirs.auth, ours.auth, before]) {
      expect(JSON.stringify(trace)).not.toContain(secret);
    }
  });

  test("tells where there was no file, and replaced nothing there", async () => {
    const { trace } = await loggedIn(undefined);
    expect(trace.session.files).toMatchObject([{ before: null }]);
    expect(trace.replaced).toEqual([]);
  });

  test("is, in short, the files and the roots", async () => {
    const { path, session, trace } = await loggedIn({ auths: { "quay.io": theirs } });
    expect(shortTrace(trace)).toMatchObject({
      session: { files: [{ path, scopes: {} }], robots: [], certificates: session.certificates },
      replaced: [],
      isShort: true,
    });
  });
});

describe("where the record is gone", () => {
  test("the login and its roots go all the same, and other logins stay", async () => {
    const { platform, path, session, trace, roots } = await loggedIn({ auths: { "ghcr.io": theirs } });
    await rm(session.folder, { recursive: true });
    expect(await logout(session.folder, platform, { trace })).toEqual(trace.session);
    expect(await read(path)).toEqual({ auths: { "ghcr.io": theirs } });
    expect(existsSync(roots)).toBe(false);
    expect(platform.reporter.infos).toEqual([recordIsGone(session), "Logged out of quay.io.", ended]);
  });

  test("nothing is left to do the second time, nor said", async () => {
    const { session, trace } = await loggedIn({ auths: {} });
    await rm(session.folder, { recursive: true });
    await logout(session.folder, platformOf(), { trace });
    const again = platformOf();
    expect(await logout(session.folder, again, { trace })).toBeUndefined();
    expect(again.reporter.text()).toBe("");
  });

  test("roots alone are taken back too", async () => {
    const { platform, path, session, trace, roots } = await loggedIn({});
    await rm(session.folder, { recursive: true });
    await write(path, { "quay.io": theirs });
    expect(await logout(session.folder, platform, { trace })).toEqual(trace.session);
    expect(existsSync(roots)).toBe(false);
    expect(await read(path)).toEqual({ auths: { "quay.io": theirs } });
  });

  test("an earlier login that ours replaced is lost, which is told with what to do", async () => {
    const { platform, path, session, trace } = await loggedIn({ auths: { "quay.io": theirs } });
    await rm(session.folder, { recursive: true });
    const error = await failure(logout(session.folder, platform, { trace }));
    expect(error.code).toBe("logout-incomplete");
    expect(messages(error)).toEqual([
      `What ${path} held for quay.io before the login is lost with the login's record: ${session.folder} is gone. The login itself is taken back.`,
    ]);
    expect(error.remedy).toEqual([
      `If the earlier login is still wanted: skopeo login --authfile ${path} quay.io`,
      "Let nothing empty the job's temporary folder before the job ends.",
    ]);
    expect((await read(path)).auths).toEqual({});
    expect(platform.reporter.infos).toContain(ended);
  });

  test("an earlier login that somebody has put back is not called lost", async () => {
    const { platform, path, session, trace } = await loggedIn({ auths: { "quay.io": theirs } });
    await rm(session.folder, { recursive: true });
    await write(path, { "quay.io": theirs });
    await logout(session.folder, platform, { trace });
    expect(await read(path)).toEqual({ auths: { "quay.io": theirs } });
  });

  test.each<[string, boolean, object, boolean]>([
    [
      "a later token of the same robot may be from the renewal, and stays",
      true,
      entryOf("acme+ci", robotToken(end + 9)),
      true,
    ],
    [
      "of a login that nobody renewed, a later token of the same robot is another's",
      false,
      entryOf("acme+ci", robotToken(end + 9)),
      false,
    ],
    ["a token of another robot is another's", true, entryOf("acme+other", robotToken(end + 9)), false],
    ["what docker holds for a helper is another's", true, {}, false],
  ])("%s", async (_, refresh, entry, isDoubtful) => {
    const { platform, path, session, trace } = await loggedIn({ auths: {} }, refresh);
    await rm(session.folder, { recursive: true });
    await write(path, { "quay.io": entry });
    const result = logout(session.folder, platform, { trace });
    if (isDoubtful) {
      const error = await failure(result);
      expect([error.code, ...messages(error)]).toEqual([
        "logout-incomplete",
        `The login for quay.io still stands in ${path}. It was renewed, and the record of that is gone with ${session.folder}: it may be another job's.`,
      ]);
      expect(error.remedy).toEqual([`If no other job uses it: skopeo logout --authfile ${path} quay.io`]);
    } else {
      await result;
    }
    expect(await read(path)).toEqual({ auths: { "quay.io": entry } });
  });

  test.each<[string, (path: string) => Promise<void>]>([
    ["is gone", (path) => rm(path)],
    ["holds no logins any more", (path) => writeFile(path, "{}")],
  ])("an auth file that %s is no failure", async (_, change) => {
    const { platform, path, session, trace } = await loggedIn({ auths: {} }, true);
    await rm(session.folder, { recursive: true });
    await change(path);
    await logout(session.folder, platform, { trace });
    expect(platform.reporter.warnings).toEqual([]);
  });

  test("an auth file that can't be read is told, and the roots go", async () => {
    const { platform, path, session, trace, roots } = await loggedIn({ auths: {} }, true);
    await rm(session.folder, { recursive: true });
    await writeFile(path, "broken");
    const error = await failure(logout(session.folder, platform, { trace }));
    expect([error.code, ...messages(error)]).toEqual(["auth-file-unusable", `The auth file ${path} is not JSON.`]);
    expect(error.remedy.at(-1)).toBe(
      `The login of acme+ci may still stand there, until it ends at 2026-11-24T08:09:26Z: skopeo logout --authfile ${path} quay.io`,
    );
    expect(existsSync(roots)).toBe(false);
    expect(await readFile(path, "utf8")).toBe("broken");
  });

  test("too many logins to remember each: the files that may hold some are named", async () => {
    const { platform, path, session, trace, roots } = await loggedIn({ auths: {} });
    await rm(session.folder, { recursive: true });
    const error = await failure(logout(session.folder, platform, { trace: shortTrace(trace) }));
    expect([error.code, ...messages(error)]).toEqual([
      "logout-incomplete",
      `Whether ${path} still holds a login can't be told: the record of it is gone with ${session.folder}, and too many robots were logged in for the runner to remember each.`,
    ]);
    expect(error.remedy).toEqual([`Log out of each that stands there: skopeo logout --authfile ${path} HOST`]);
    expect(existsSync(roots)).toBe(false);
    expect(await read(path)).toEqual({ auths: { "quay.io": ours } });
    // No file, no doubt.
    await rm(path);
    await logout(session.folder, platform, { trace: shortTrace(trace) });
  });
});

describe("where the record is damaged", () => {
  test("the login goes all the same, the folder too, and the damage is told", async () => {
    const { platform, path, session, trace, roots } = await loggedIn({ auths: { "ghcr.io": theirs } });
    await writeFile(join(session.folder, "session.json"), "half");
    const error = await failure(logout(session.folder, platform, { trace }));
    expect([error.code, ...messages(error)]).toEqual([
      "logout-incomplete",
      `The record of the login, ${session.folder}/session.json, is damaged, or of another version of this program.`,
    ]);
    expect(await read(path)).toEqual({ auths: { "ghcr.io": theirs } });
    expect([existsSync(roots), existsSync(session.folder)]).toEqual([false, false]);
    expect(platform.reporter.infos).toContain("Logged out of quay.io.");
  });

  test("without anything else that is known, nothing is changed", async () => {
    const { platform, path, session } = await loggedIn({ auths: {} });
    await writeFile(join(session.folder, "session.json"), "half");
    expect((await failure(logout(session.folder, platform))).message).toContain("is damaged");
    expect(await read(path)).toEqual({ auths: { "quay.io": ours } });
    expect(await readdir(session.folder)).toEqual(["session.json"]);
  });

  test("a file that somebody has put in the folder's place stays", async () => {
    const { platform, path, session, trace } = await loggedIn({ auths: {} });
    await rm(session.folder, { recursive: true });
    await writeFile(session.folder, "another's");
    await logout(session.folder, platform, { trace });
    expect(await read(path)).toEqual({ auths: {} });
    expect(await readFile(session.folder, "utf8")).toBe("another's");
  });
});

describe("for a login that is to stay, the roots alone go", () => {
  test("and its record knows that", async () => {
    const { platform, path, session, roots } = await loggedIn({ auths: {} });
    expect(await takeBackRoots(session.folder, platform)).toEqual(session.certificates.map((each) => each.path));
    expect(existsSync(roots)).toBe(false);
    expect(await readSession(session.folder)).toEqual({ ...session, certificates: [] });
    expect(await read(path)).toEqual({ auths: { "quay.io": ours } });
    expect(await takeBackRoots(session.folder, platform)).toEqual([]);
  });

  test.each<[string, (folder: string) => Promise<void>]>([
    ["gone", (folder) => rm(folder, { recursive: true })],
    ["damaged", (folder) => writeFile(join(folder, "session.json"), "half")],
  ])("where the record is %s too", async (_, damage) => {
    const { platform, path, session, trace, roots } = await loggedIn({ auths: {} });
    await damage(session.folder);
    const left = session.certificates.map((each) => each.path);
    expect(await takeBackRoots(session.folder, platform, trace)).toEqual(left);
    expect(existsSync(roots)).toBe(false);
    expect(await read(path)).toEqual({ auths: { "quay.io": ours } });
  });

  test("what somebody else has put in their place stays, and that is said", async () => {
    const { platform, session } = await loggedIn({ auths: {} });
    const [{ path } = expect.unreachable("there are roots")] = session.certificates;
    await writeFile(path, "theirs");
    await takeBackRoots(session.folder, platform);
    expect(platform.reporter.warnings).toEqual([`${path} is not what this login left there any more: it stays.`]);
    expect(await readFile(path, "utf8")).toBe("theirs");
  });

  test("there are none where no login was", async () => {
    const folder = join(await makeFolder(), "nothing");
    expect(await takeBackRoots(folder, platformOf())).toEqual([]);
    await mkdir(folder);
    expect(await takeBackRoots(folder, platformOf())).toEqual([]);
    expect(existsSync(folder)).toBe(true);
  });
});
