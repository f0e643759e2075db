/** Writers that do not take our lock: `skopeo login` reads, works and renames. */

import { spawn } from "node:child_process";
import { randomUUID } from "node:crypto";
import { constants } from "node:fs";
import { mkdir, open, readdir, readFile, rename, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { type FileRecord, mergeEntries } from "../../src/authfile/change.ts";
import { restoreEntries } from "../../src/authfile/restore.ts";
import { logout } from "../../src/login/logout.ts";
import { systemClock } from "../../src/platform/clock.ts";
import { createRecorder, entryOf, makeFolder } from "../fixtures.ts";
import { type Peers, startPeers } from "../quay-stand-in/peers.ts";
import { entriesIn, usePrograms } from "./processes.ts";

vi.mock("node:fs/promises", { spy: true });

const platform = { clock: systemClock, signal: new AbortController().signal, reporter: createRecorder() };
const launch = usePrograms();
const ours = entryOf("acme+ci", "ours");
const theirs = entryOf("somebody", "else");

let peers: Peers;
beforeAll(async () => {
  peers = await startPeers({ registry: false });
});
afterAll(() => peers.close());

const read = async (path: string) => JSON.parse(await readFile(path, "utf8"));

/** As skopeo does it: a new file in the old one's place. */
async function replace(path: string, content: object): Promise<void> {
  await writeFile(`${path}.theirs`, JSON.stringify(content));
  await rename(`${path}.theirs`, path);
}

async function merge(
  path: string,
  meanwhile: (attempt: number) => Promise<void> = async () => {},
): Promise<FileRecord> {
  const records: FileRecord[] = [];
  const change = { path, entries: { "quay.io": ours }, mode: undefined, id: "x" };
  await mergeEntries(change, platform, async (record) => {
    records.push(record);
    await meanwhile(records.length);
  });
  return records.at(-1) ?? expect.unreachable("nothing was remembered");
}

test.each([
  ["that is there", '{"auths": {"a.example": {}}}'],
  ["that is new", undefined],
])("keeps a file %s that others replace between our read and our rename", async (_, before) => {
  const path = join(await makeFolder(), "auth.json");
  if (before !== undefined) {
    await writeFile(path, before);
  }
  const record = await merge(path, async (attempt) => {
    if (attempt <= 3) {
      await replace(path, { auths: { [`${attempt}.example`]: theirs } });
    }
  });
  expect(await read(path)).toEqual({ auths: { "3.example": theirs, "quay.io": ours } });
  await restoreEntries(record, "x", platform);
  expect(await read(path)).toEqual({ auths: { "3.example": theirs } });
});

test("keeps a file that others write in place meanwhile, with as many bytes", async () => {
  const path = join(await makeFolder(), "auth.json");
  await writeFile(path, '{"auths": {"a.example": {}}}');
  await merge(path, async (attempt) => {
    if (attempt === 1) {
      await sleep(20); // some file systems count time in steps of this order
      await writeFile(path, '{"auths": {"b.example": {}}}');
    }
  });
  expect(await read(path)).toEqual({ auths: { "b.example": {}, "quay.io": ours } });
});

test("does not bring back a file that is deleted meanwhile", async () => {
  const path = join(await makeFolder(), "auth.json");
  await replace(path, { auths: { "a.example": theirs } });
  const { rm } = await vi.importActual<typeof import("node:fs/promises")>("node:fs/promises");
  await merge(path, (attempt) => (attempt === 1 ? rm(path) : Promise.resolve()));
  expect(await read(path)).toEqual({ auths: { "quay.io": ours } });
});

test.each([
  ["a file that was ours alone", undefined],
  ["a file that was there before", '{"auths": {}}'],
])("a logout that lost its lock meanwhile, in %s, keeps what others wrote since", async (_, before) => {
  const folder = await makeFolder();
  const path = join(folder, "auth.json");
  if (before !== undefined) {
    await writeFile(path, before);
  }
  const record = await merge(path);
  const actual = await vi.importActual<typeof import("node:fs/promises")>("node:fs/promises");
  let isReplaced = false;
  vi.mocked(open).mockImplementation(async (...args) => {
    // Looks whether the lock is still held, when everything else is read.
    if (args[0] === `${path}.lock` && (Number(args[1]) & constants.O_CREAT) === 0 && !isReplaced) {
      isReplaced = true;
      // This process sleeps: another breaks the lock as stale, adds its entry, and is killed.
      const there = await read(path);
      await actual.writeFile(`${path}.lock`, randomUUID());
      await actual.utimes(`${path}.lock`, 0, 0);
      await replace(path, { auths: { ...there.auths, "a.example": theirs } });
    }
    return actual.open(...args);
  });
  await restoreEntries(record, "x", platform);
  vi.mocked(open).mockImplementation(actual.open);
  expect(isReplaced).toBe(true);
  expect(await read(path)).toEqual({ auths: { "a.example": theirs } });
  expect(await readdir(folder)).toEqual(["auth.json"]);
});

test("keeps logins of skopeo to another registry, again and again, while ours come and go", async () => {
  const base = await makeFolder();
  const [path, sessions] = [join(base, "auth.json"), join(base, "sessions")];
  await mkdir(sessions);
  await writeFile(path, '{"auths": {}}');
  const merging = join(import.meta.dirname, "../authfile/merging.ts");

  // One skopeo at a time: it then never loses what another skopeo wrote, only what we wrote while it ran.
  const [logins, gap] = [10, 150];
  const runs: { readonly scope: string; readonly from: number; readonly to: number }[] = [];
  const skopeo = (async () => {
    for (let index = 0; index < logins; index++) {
      const scope = `${peers.registryHost}/n${index}`;
      const from = performance.now();
      await skopeoLogin(path, scope);
      runs.push({ scope, from, to: performance.now() });
      await sleep(gap);
    }
  })();
  const done = new Map<string, number>();
  const programs = Array.from({ length: 4 }, (_, index) =>
    launch(merging, [path, sessions, `quay.io/s${index}`, "many", "80", "50"]),
  );
  await Promise.all([
    skopeo,
    ...programs.map(async (program) => {
      let isOver = false;
      const ended = program.ended.then((end) => {
        isOver = true;
        expect(end).toBe(0);
      });
      while (!isOver) {
        await program.nextLine();
        for (const scope of program.lines.filter((line) => !done.has(line))) {
          done.set(scope, performance.now());
        }
      }
      await ended;
    }),
  ]);
  expect([done.size, runs.length]).toEqual([320, logins]);

  const entries = await entriesIn(path);
  // Between our last check of the file and our rename are microseconds, which no file system lets us close; some
  // milliseconds would lose most of them.
  expect(runs.filter(({ scope }) => !entries.has(scope)).length).toBeLessThanOrEqual(1);
  // Ours are lost only where skopeo had read the file before we wrote and renamed its own after.
  const lost = [...done].filter(([scope]) => !entries.has(scope));
  const late = 100; // milliseconds until a line gets here
  const unexplained = lost.filter(([, at]) => !runs.some(({ from, to }) => at > from && at < to + late));
  expect(unexplained).toEqual([]);
  expect(lost.length).toBeLessThan(done.size / 2);

  for (const folder of await readdir(sessions)) {
    await logout(join(sessions, folder), platform);
  }
  expect([...(await entriesIn(path)).keys()].filter((scope) => scope.startsWith("quay.io"))).toEqual([]);
  expect((await readdir(base)).sort()).toEqual(["auth.json", "sessions"]);
}, 60_000);

async function skopeoLogin(path: string, scope: string): Promise<void> {
  const args = [
    "login",
    "--authfile",
    path,
    "--cert-dir",
    peers.certDir,
    "--username",
    "admin",
    "--password-stdin",
    scope,
  ];
  const child = spawn("skopeo", args, { stdio: ["pipe", "ignore", "inherit"] });
  child.stdin?.end("password");
  const code = await new Promise((resolve, reject) => child.on("error", reject).on("close", resolve));
  expect(code).toBe(0);
}
