/** Several sessions in one auth file, which log out in any order: the content from before them is restored. */
import { chmod, mkdir, readdir, readFile, stat, symlink, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { describe, expect, test } from "vitest";
import { type FileRecord, mergeEntries } from "../../src/authfile/change.ts";
import type { AuthEntry } from "../../src/authfile/read.ts";
import { restoreEntries } from "../../src/authfile/restore.ts";
import { systemClock } from "../../src/platform/clock.ts";
import { createRecorder, entryOf, makeFolder, now, robotToken } from "../fixtures.ts";

const platform = { clock: systemClock, signal: new AbortController().signal, reporter: createRecorder() };
const stored = entryOf("person", "a-password");
const token = (number: number, end = now + 600): AuthEntry => entryOf("acme+ci", robotToken(end, { number }));

async function enter(path: string, id: string, entries: Record<string, AuthEntry>, renews?: FileRecord) {
  let record: FileRecord | undefined;
  await mergeEntries({ path, entries, mode: undefined, id, renews }, platform, async (written) => {
    record = written;
  });
  return record ?? expect.unreachable("nothing was written down");
}

const read = async (path: string) => JSON.parse(await readFile(path, "utf8")).auths;
const orders = [
  [0, 1, 2],
  [0, 2, 1],
  [1, 0, 2],
  [1, 2, 0],
  [2, 0, 1],
  [2, 1, 0],
];
const odd = `{ "auths" : {"quay.io":${JSON.stringify(stored)}, "ghcr.io": ${JSON.stringify(stored)}}, "x": 1 }\n\n`;
const starts: [string, string | undefined][] = [
  ["a login of a person", odd],
  ["no login", '{"auths":{}}'],
  ["an empty object", "{}\n"],
  ["no file, nor its folders", undefined],
];
const places: [string, (session: number) => string][] = [
  ["the same scope", () => "quay.io"],
  ["scopes of their own", (session) => `quay.io/acme/${session}`],
];

describe.each(starts)("three sessions, where there was %s", (_, text) => {
  describe.each(places)("under %s", (_, scope) => {
    test.each(orders)("log out in the order %d, %d, %d", async (...order) => {
      const base = await makeFolder();
      const path = join(base, "a/b/auth.json");
      if (text !== undefined) {
        await mkdir(dirname(path), { recursive: true });
        await writeFile(path, text);
      }
      const records: FileRecord[] = [];
      for (const session of [0, 1, 2]) {
        records.push(await enter(path, `id${session}`, { [scope(session)]: token(session) }));
      }
      const left = new Set([0, 1, 2]);
      for (const session of order) {
        left.delete(session);
        await restoreEntries(records[session] as FileRecord, `id${session}`, platform);
        // A session that has logged out is nowhere in the file; of the others, the last to log in is.
        const found = left.size > 0 ? JSON.stringify(await read(path)) : "";
        for (const each of [0, 1, 2].filter((each) => !left.has(each))) {
          expect(found).not.toContain(token(each).auth);
        }
        for (const each of scope(0) === scope(1) ? [...left].slice(-1) : left) {
          expect(found).toContain(token(each).auth);
        }
      }
      if (text === undefined) {
        expect(await readdir(base)).toEqual([]);
      } else {
        const after = JSON.parse(await readFile(path, "utf8"));
        expect({ auths: {}, ...after }).toEqual({ auths: {}, ...JSON.parse(text) });
        expect(await readdir(dirname(path))).toEqual(["auth.json"]);
      }
    });
  });
});

test("restores the same bytes once the last has logged out", async () => {
  const path = join(await makeFolder(), "auth.json");
  await writeFile(path, odd);
  const [one, two] = [await enter(path, "a", { "quay.io": token(1) }), await enter(path, "b", { "quay.io": token(2) })];
  await restoreEntries(one, "a", platform);
  expect((await stat(`${path}.quay-keyless-login`)).mode & 0o777).toBe(0o600);
  await restoreEntries(two, "b", platform);
  expect(await readFile(path, "utf8")).toBe(odd);
});

describe.each([
  ["the first logs out first", ["a", "b"]],
  ["the second logs out first", ["b", "a"]],
])("two logins of one robot in the same second, which got the same token: %s", (_, order) => {
  test.each([stored, undefined])("restores what was there before: %o", async (before) => {
    const path = join(await makeFolder(), "auth.json");
    const text = JSON.stringify({ auths: before ? { "quay.io": before } : {} });
    await writeFile(path, text);
    const records: Record<string, FileRecord> = {};
    for (const id of ["a", "b"]) records[id] = await enter(path, id, { "quay.io": token(1) });
    const [first = "", last = ""] = order;
    await restoreEntries(records[first] as FileRecord, first, platform);
    expect(await read(path)).toEqual({ "quay.io": token(1) });
    await restoreEntries(records[last] as FileRecord, last, platform);
    expect(await readFile(path, "utf8")).toBe(text);
    expect(await readdir(dirname(path))).toEqual(["auth.json"]);
  });
});

test.each<[string, AuthEntry, Record<string, AuthEntry>]>([
  ["a robot token that has expired", token(9, now - 5), {}],
  ["a valid robot token of an unknown session", token(9), { "quay.io": token(9) }],
  ["a robot's password", entryOf("acme+ci", "forever"), { "quay.io": entryOf("acme+ci", "forever") }],
  ["another registry's token", entryOf("me", robotToken(now - 5)), { "quay.io": entryOf("me", robotToken(now - 5)) }],
  ["a placeholder of docker's", {}, { "quay.io": {} }],
])("restores only what is worth restoring: %s", async (_, before, expected) => {
  const path = join(await makeFolder(), "auth.json");
  await writeFile(path, JSON.stringify({ auths: { "quay.io": before } }));
  const record = await enter(path, "a", { "quay.io": token(1) });
  await restoreEntries(record, "a", platform);
  expect(await read(path)).toEqual(expected);
});

test("a renewed session hands over what was there before its first login", async () => {
  const path = join(await makeFolder(), "auth.json");
  await writeFile(path, odd);
  const first = await enter(path, "a", { "quay.io": token(1) });
  const renewed = await enter(path, "a", { "quay.io": token(2) }, first);
  const other = await enter(path, "b", { "quay.io": token(3) });
  await restoreEntries(renewed, "a", platform);
  await restoreEntries(other, "b", platform);
  expect(await readFile(path, "utf8")).toBe(odd);
});

test("a session whose token had expired when another logged out restores what was there before both", async () => {
  const path = join(await makeFolder(), "auth.json");
  await writeFile(path, odd);
  const first = await enter(path, "a", { "quay.io": token(1, now - 5) });
  const other = await enter(path, "b", { "quay.io": token(2) });
  await restoreEntries(other, "b", platform);
  expect(Object.keys(await read(path))).toEqual(["ghcr.io"]);
  await restoreEntries(first, "a", platform);
  expect(JSON.parse(await readFile(path, "utf8"))).toEqual(JSON.parse(odd));
});

test.each(orders)(
  "three that got the same token under two scopes each log out in the order %d, %d, %d",
  async (...order) => {
    const path = join(await makeFolder(), "auth.json");
    await writeFile(path, odd);
    const entries = { "quay.io": token(1), "quay.io/acme": token(1) };
    const records = [
      await enter(path, "id0", entries),
      await enter(path, "id1", entries),
      await enter(path, "id2", entries),
    ];
    for (const [index, session] of order.entries()) {
      expect(await read(path)).toMatchObject(entries);
      await restoreEntries(records[session] as FileRecord, `id${session}`, platform);
      expect(await readdir(dirname(path))).toHaveLength(index < 2 ? 2 : 1);
    }
    expect(await readFile(path, "utf8")).toBe(odd);
  },
);

test("of two that got the same token, one that has renewed keeps the other's entry", async () => {
  const path = join(await makeFolder(), "auth.json");
  await writeFile(path, odd);
  const first = await enter(path, "a", { "quay.io": token(1) });
  const other = await enter(path, "b", { "quay.io": token(1) });
  const renewed = await enter(path, "b", { "quay.io": token(2) }, other);
  await restoreEntries(renewed, "b", platform);
  expect((await read(path))["quay.io"]).toEqual(token(1));
  await restoreEntries(first, "a", platform);
  expect(JSON.parse(await readFile(path, "utf8"))).toEqual(JSON.parse(odd));
  expect(await readdir(dirname(path))).toEqual(["auth.json"]);
});

test.each<[string, [scope: string, lives: boolean][], string]>([
  [
    "logs in and out under another scope",
    [
      ["quay.io", true],
      ["quay.io", false],
      ["quay.io/acme", true],
    ],
    "021",
  ],
  [
    "has logged in under the same scope",
    [
      ["quay.io", false],
      ["quay.io", false],
      ["quay.io", true],
      ["quay.io", true],
    ],
    "2103",
  ],
])("a session whose token has expired finds what was handed over, while another %s", async (_, sessions, order) => {
  const path = join(await makeFolder(), "auth.json");
  await writeFile(path, odd);
  const records: FileRecord[] = [];
  for (const [index, [scope, lives]] of sessions.entries()) {
    records.push(await enter(path, `id${index}`, { [scope]: token(index, lives ? now + 600 : now - 5) }));
  }
  for (const index of order) {
    await restoreEntries(records[Number(index)] as FileRecord, `id${index}`, platform);
  }
  expect(JSON.parse(await readFile(path, "utf8"))).toEqual(JSON.parse(odd));
  expect(await readdir(dirname(path))).toEqual(["auth.json"]);
});

test.each([
  ["for its group too, as a volume's fsGroup makes both files", 0o660, 0o660, true],
  ["for its group, unlike the auth file", 0o660, 0o600, false],
  ["for every user", 0o666, 0o666, false],
])("trusts what was handed over only in a private file: one writable %s", async (_, mode, ofAuthFile, isBelieved) => {
  const path = join(await makeFolder(), "auth.json");
  await writeFile(path, odd);
  const first = await enter(path, "a", { "quay.io": token(1) });
  const other = await enter(path, "b", { "quay.io": token(2) });
  await restoreEntries(first, "a", platform);
  await chmod(path, ofAuthFile);
  await chmod(`${path}.quay-keyless-login`, mode);
  await restoreEntries(other, "b", platform);
  expect((await read(path))["quay.io"]).toEqual(isBelieved ? stored : token(1));
});

describe("an entry that has replaced ours", () => {
  test.each<[string, AuthEntry, boolean]>([
    ["a password", stored, true],
    ["a valid robot token", token(9), true],
    ["a robot token that has expired", token(9, now - 5), false],
  ])("is kept by a renewal, unless it is worthless: %s", async (_, theirs, stays) => {
    const path = join(await makeFolder(), "auth.json");
    await writeFile(path, odd);
    const first = await enter(path, "a", { "quay.io": token(1) });
    await writeFile(path, JSON.stringify({ auths: { "quay.io": theirs } }));
    const reporter = createRecorder();
    let record = first;
    const change = { path, entries: { "quay.io": token(2) }, mode: undefined, id: "a", renews: first };
    await mergeEntries(change, { ...platform, reporter }, async (written) => {
      record = written;
    });
    expect(await read(path)).toEqual({ "quay.io": stays ? theirs : token(2) });
    expect(reporter.text().includes(`Another process has logged in for quay.io in ${path} since`)).toBe(stays);
    await restoreEntries(record, "a", platform);
    expect(await read(path)).toEqual({ "quay.io": stays ? theirs : stored });
  });

  test("and is gone again: our login is renewed, and what was there before both is restored", async () => {
    const path = join(await makeFolder(), "auth.json");
    await writeFile(path, odd);
    const first = await enter(path, "a", { "quay.io": token(1, now - 5) });
    const other = await enter(path, "b", { "quay.io": token(3) });
    const renewed = await enter(path, "a", { "quay.io": token(2) }, first);
    await restoreEntries(other, "b", platform);
    expect(Object.keys(await read(path))).toEqual(["ghcr.io"]);
    const again = await enter(path, "a", { "quay.io": token(4) }, renewed);
    expect((await read(path))["quay.io"]).toEqual(token(4));
    await restoreEntries(again, "a", platform);
    expect(JSON.parse(await readFile(path, "utf8"))).toEqual(JSON.parse(odd));
  });
});

test.each<[string, (path: string) => Promise<unknown>]>([
  ["damaged", (path) => writeFile(path, "{", { mode: 0o600 })],
  ["of another form", (path) => writeFile(path, "[]", { mode: 0o600 })],
  ["readable by others", (path) => writeFile(path, "{}", { mode: 0o644 })],
  ["a link", (path) => symlink("/etc/hostname", path)],
  ["a folder", (path) => mkdir(path)],
])("ignores a handover file that is %s", async (_, make) => {
  const path = join(await makeFolder(), "auth.json");
  await writeFile(path, odd);
  const record = await enter(path, "a", { "quay.io": token(1) });
  await make(`${path}.quay-keyless-login`);
  await restoreEntries(record, "a", platform).catch(() => {});
  expect(await readFile(path, "utf8")).toBe(odd);
});
