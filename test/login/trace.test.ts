/** Logging out if the record of the login is gone or damaged, with what the runner remembers. */
import { existsSync } from "node:fs";
import { chmod, mkdir, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { describe, expect, test } from "vitest";
import { type FileRecord, mergeEntries } from "../../src/authfile/change.ts";
import { logout, removeSessionRoots, shortTrace, traceOf } from "../../src/login/logout.ts";
import { openSession, readSession, type Session, saveSession } from "../../src/login/session.ts";
import { type CertificateRecord, installRoots } from "../../src/tools/certificates.ts";
import { entryOf, failure, fakeClock, makeFolder, robotToken, testPlatform } from "../fixtures.ts";

const end = 1795507766;
const ours = entryOf("acme+ci", robotToken(end));
const theirs = entryOf("somebody", "geheim");
const ended = "Quay cannot revoke the robot token of acme+ci; it expires at 2026-11-24T08:09:26Z.";
/** Half an hour before the robot token expires. */
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
  `The record of the login is gone (was ${dirname(folder)} emptied?). What the login wrote is still known.`;

describe("the trace of a login", () => {
  test("names what it replaced, and holds nothing of the files", async () => {
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

  test("knows where no file was, and that nothing was replaced there", async () => {
    const { trace } = await loggedIn(undefined);
    expect(trace.session.files).toMatchObject([{ before: null }]);
    expect(trace.replaced).toEqual([]);
  });

  test("has, in short, the files and the roots", async () => {
    const { path, session, trace } = await loggedIn({ auths: { "quay.io": theirs } });
    expect(shortTrace(trace)).toMatchObject({
      session: { files: [{ path, scopes: {} }], robots: [], certificates: session.certificates },
      replaced: [],
      isShort: true,
    });
  });
});

describe("if the record is gone", () => {
  test("removes the login and its roots, and keeps other logins", async () => {
    const { platform, path, session, trace, roots } = await loggedIn({ auths: { "ghcr.io": theirs } });
    await rm(session.folder, { recursive: true });
    expect(await logout(session.folder, platform, { trace })).toEqual(trace.session);
    expect(await read(path)).toEqual({ auths: { "ghcr.io": theirs } });
    expect(existsSync(roots)).toBe(false);
    expect(platform.reporter.infos).toEqual([recordIsGone(session), "Logged out of quay.io.", ended]);
  });

  test("does and logs nothing the second time", async () => {
    const { session, trace } = await loggedIn({ auths: {} });
    await rm(session.folder, { recursive: true });
    await logout(session.folder, platformOf(), { trace });
    const again = platformOf();
    expect(await logout(session.folder, again, { trace })).toBeUndefined();
    expect(again.reporter.text()).toBe("");
  });

  test("removes roots alone too", async () => {
    const { platform, path, session, trace, roots } = await loggedIn({});
    await rm(session.folder, { recursive: true });
    await write(path, { "quay.io": theirs });
    expect(await logout(session.folder, platform, { trace })).toEqual(trace.session);
    expect(existsSync(roots)).toBe(false);
    expect(await read(path)).toEqual({ auths: { "quay.io": theirs } });
  });

  test("reports an earlier login that ours replaced as lost, with a remedy", async () => {
    const { platform, path, session, trace } = await loggedIn({ auths: { "quay.io": theirs } });
    await rm(session.folder, { recursive: true });
    const error = await failure(logout(session.folder, platform, { trace }));
    expect(error.code).toBe("logout-incomplete");
    expect(messages(error)).toEqual([
      `What ${path} held for quay.io before the login is lost with the login's record: ${session.folder} is gone. The login itself was removed.`,
    ]);
    expect(error.remedy).toEqual([
      `If you still need the earlier login: skopeo login --authfile ${path} quay.io`,
      "Don't empty the job's temporary folder before the job ends.",
    ]);
    expect((await read(path)).auths).toEqual({});
    expect(platform.reporter.infos).toContain(ended);
  });

  test("does not report an earlier login as lost that is back already", async () => {
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
      "of a login without renewal, a later token of the same robot is another's",
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
        `The login for quay.io is still in ${path}. It was renewed, and the record of that is gone with ${session.folder}: it may be another job's.`,
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
  ])("accepts an auth file that %s", async (_, change) => {
    const { platform, path, session, trace } = await loggedIn({ auths: {} }, true);
    await rm(session.folder, { recursive: true });
    await change(path);
    await logout(session.folder, platform, { trace });
    expect(platform.reporter.warnings).toEqual([]);
  });

  test("knows a login of docker's builder again, which stands under its host", async () => {
    const { platform, session, trace } = await loggedIn(undefined, true);
    const folder = await makeFolder();
    const scope = "quay.io/acme/app@push";
    const path = join(folder, scope, "config.json");
    const change = { path, entries: { "quay.io": ours }, mode: undefined, id: session.id };
    const files: FileRecord[] = [];
    await mergeEntries(change, platform, async (record) => void files.push(record));
    const robots = trace.session.robots.map((robot) => ({ ...robot, scope }));
    await rm(session.folder, { recursive: true });
    await write(path, { "quay.io": entryOf("acme+ci", robotToken(end + 60)) });
    const renewed = { ...trace, session: { ...trace.session, files: [files.at(-1) as FileRecord], robots } };
    expect(messages(await failure(logout(session.folder, platform, { trace: renewed })))).toEqual([
      expect.stringContaining(`The login for quay.io is still in ${path}. It was renewed`),
    ]);
    await writeFile(path, "broken");
    const error = await failure(logout(session.folder, platform, { trace: renewed }));
    expect(error.remedy.at(-1)).toContain(`skopeo logout --authfile ${path} quay.io`);
  });

  test("reports an auth file that can't be read, and removes the roots", async () => {
    const { platform, path, session, trace, roots } = await loggedIn({ auths: {} }, true);
    await rm(session.folder, { recursive: true });
    await writeFile(path, "broken");
    const error = await failure(logout(session.folder, platform, { trace }));
    expect([error.code, ...messages(error)]).toEqual(["auth-file-unusable", `The auth file ${path} is not JSON.`]);
    expect(error.remedy.at(-1)).toBe(
      `The login of acme+ci may still be there until it expires at 2026-11-24T08:09:26Z: skopeo logout --authfile ${path} quay.io`,
    );
    expect(existsSync(roots)).toBe(false);
    expect(await readFile(path, "utf8")).toBe("broken");
  });

  test("names the files that may hold logins, if there were too many to remember", async () => {
    const { platform, path, session, trace, roots } = await loggedIn({ auths: {} });
    await rm(session.folder, { recursive: true });
    const error = await failure(logout(session.folder, platform, { trace: shortTrace(trace) }));
    expect([error.code, ...messages(error)]).toEqual([
      "logout-incomplete",
      `${path} may still hold a login: its record is gone with ${session.folder}, and there were too many robots for the runner to remember each.`,
    ]);
    expect(error.remedy).toEqual([`Log out of each that it holds: skopeo logout --authfile ${path} HOST`]);
    expect(existsSync(roots)).toBe(false);
    expect(await read(path)).toEqual({ auths: { "quay.io": ours } });
    // Without a file there is no doubt.
    await rm(path);
    await logout(session.folder, platform, { trace: shortTrace(trace) });
  });
});

describe("if the record is damaged", () => {
  test("removes the login and the folder, and reports the damage", async () => {
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

  test("also if it is not trusted: a later step has opened the folder to others", async () => {
    const { platform, path, session, trace } = await loggedIn({ auths: { "ghcr.io": theirs } });
    await writeFile(join(session.folder, "cache.json"), "a robot token");
    for (const name of ["cache.json", "session.json"]) {
      await chmod(join(session.folder, name), 0o666);
    }
    await chmod(session.folder, 0o777);
    const error = await failure(logout(session.folder, platform, { trace }));
    expect(messages(error)).toEqual([
      `The record of the login, ${session.folder}/session.json, is not trusted: every user may write to the folder.`,
    ]);
    expect(error.remedy[0]).toContain("What the login wrote was removed without it");
    expect(platform.reporter.infos).toEqual(["Logged out of quay.io.", ended]);
    expect(await read(path)).toEqual({ auths: { "ghcr.io": theirs } });
    expect(existsSync(session.folder)).toBe(false);
  });

  test("names no login where a failure has come between the robot token and the files", async () => {
    const platform = platformOf();
    const robots = [{ robot: "acme+ci", scope: "quay.io", expiresAt: end, lifeSeconds: 3600 }];
    const { folder } = await saveSession({ ...(await openSession(await makeFolder())), robots });
    await logout(folder, platform);
    expect(platform.reporter.infos).toEqual([ended]);
  });

  test("changes nothing without a trace", async () => {
    const { platform, path, session } = await loggedIn({ auths: {} });
    await writeFile(join(session.folder, "session.json"), "half");
    expect((await failure(logout(session.folder, platform))).message).toContain("is damaged");
    expect(await read(path)).toEqual({ auths: { "quay.io": ours } });
    expect(await readdir(session.folder)).toEqual(["session.json"]);
  });

  test("keeps a file that has replaced the folder", async () => {
    const { platform, path, session, trace } = await loggedIn({ auths: {} });
    await rm(session.folder, { recursive: true });
    await writeFile(session.folder, "another's");
    await logout(session.folder, platform, { trace });
    expect(await read(path)).toEqual({ auths: {} });
    expect(await readFile(session.folder, "utf8")).toBe("another's");
  });
});

describe("for a login that is to stay, only the roots are removed", () => {
  test("and its record says so", async () => {
    const { platform, path, session, roots } = await loggedIn({ auths: {} });
    expect(await removeSessionRoots(session.folder, platform)).toEqual(session.certificates.map((each) => each.path));
    expect(existsSync(roots)).toBe(false);
    expect(await readSession(session.folder)).toEqual({ ...session, certificates: [] });
    expect(await read(path)).toEqual({ auths: { "quay.io": ours } });
    expect(await removeSessionRoots(session.folder, platform)).toEqual([]);
  });

  test.each<[string, (folder: string) => Promise<void>]>([
    ["gone", (folder) => rm(folder, { recursive: true })],
    ["damaged", (folder) => writeFile(join(folder, "session.json"), "half")],
  ])("if the record is %s too", async (_, damage) => {
    const { platform, path, session, trace, roots } = await loggedIn({ auths: {} });
    await damage(session.folder);
    const left = session.certificates.map((each) => each.path);
    expect(await removeSessionRoots(session.folder, platform, trace)).toEqual(left);
    expect(existsSync(roots)).toBe(false);
    expect(await read(path)).toEqual({ auths: { "quay.io": ours } });
  });

  test("keeps roots that were replaced, and says so", async () => {
    const { platform, session } = await loggedIn({ auths: {} });
    const [{ path } = expect.unreachable("there are roots")] = session.certificates;
    await writeFile(path, "theirs");
    await removeSessionRoots(session.folder, platform);
    expect(platform.reporter.warnings).toEqual([
      `${path} has changed since this login wrote it; it was left in place.`,
    ]);
    expect(await readFile(path, "utf8")).toBe("theirs");
  });

  test("finds none without a login", async () => {
    const folder = join(await makeFolder(), "nothing");
    expect(await removeSessionRoots(folder, platformOf())).toEqual([]);
    await mkdir(folder);
    expect(await removeSessionRoots(folder, platformOf())).toEqual([]);
    expect(existsSync(folder)).toBe(true);
  });
});
