/** The sessions of a job's logins: how later steps and the end of the job find them. */
import { readdirSync } from "node:fs";
import { mkdir, rename, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import {
  jobSessions,
  openSession,
  privateFile,
  readSession,
  type Session,
  sessionOfFile,
} from "../../src/login/session.ts";
import { makeFolder } from "../fixtures.ts";

const job = { logout: true, refresh: false, authFileBefore: "" };

test("the entry point knows of a session before anything is made", async () => {
  const base = await makeFolder();
  const calls: [Session, string[]][] = [];
  const session = await openSession(base, (each) => void calls.push([each, readdirSync(base)]), job);
  expect(calls).toEqual([[session, []]]);
  expect(await readSession(session.folder)).toMatchObject({ job });
});

describe("the logins of a job", () => {
  test("are those in its temporary folder with a trusted record", async () => {
    const base = await makeFolder();
    const [one, two] = [await openSession(base, undefined, job), await openSession(base, undefined, job)];
    await openSession(base); // of no job: a promotion's side
    const elsewhere = await openSession(base, undefined, job);
    await rename(elsewhere.folder, join(base, "of-another-name"));
    const damaged = await openSession(base, undefined, job);
    await writeFile(join(damaged.folder, "session.json"), "half");
    await mkdir(join(base, "quay-keyless-login-empty"));
    await writeFile(join(base, "quay-keyless-login-file"), "");
    const found = await jobSessions(base);
    expect(found.map(({ id }) => id).sort()).toEqual([one.id, two.id].sort());
    expect(await jobSessions(join(base, "nothing"))).toEqual([]);
  });

  test("are found by their private auth file, also through a link to the temporary folder", async () => {
    const base = await makeFolder();
    const [folder, linked] = [join(base, "temp"), join(base, "link")];
    await mkdir(folder);
    await symlink(folder, linked);
    const session = await openSession(folder, undefined, job);
    const path = privateFile(session.folder);
    expect(await sessionOfFile(path, folder)).toEqual(session);
    expect(await sessionOfFile(path, linked)).toEqual(session);
  });

  test("are not found by any other file", async () => {
    const base = await makeFolder();
    const session = await openSession(base, undefined, job);
    const ofNoJob = await openSession(base);
    for (const path of [
      undefined,
      join(session.folder, "other.json"),
      privateFile(ofNoJob.folder),
      privateFile(join(base, "quay-keyless-login-none")),
      privateFile(base),
    ]) {
      expect(await sessionOfFile(path, base), path).toBeUndefined();
    }
    expect(await sessionOfFile(privateFile(session.folder), await makeFolder())).toBeUndefined();
  });
});
