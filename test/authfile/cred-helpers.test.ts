/** Entries of `credHelpers`: entered where nothing is in the way, and removed again only where they are ours. */
import { chmod, mkdir, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { describe, expect, test } from "vitest";
import { type FileRecord, mergeEntries } from "../../src/authfile/change.ts";
import { assertEnterable, assertNotHidden, isOurHelper } from "../../src/authfile/cred-helpers.ts";
import { readWithoutDead } from "../../src/authfile/of-jobs.ts";
import { restoreEntries } from "../../src/authfile/restore.ts";
import { systemClock } from "../../src/platform/clock.ts";
import { createRecorder, entryOf, failure, makeFolder, now, robotToken } from "../fixtures.ts";

const platform = { clock: systemClock, signal: new AbortController().signal, reporter: createRecorder() };
const stored = entryOf("person", "a-password");

async function enter(path: string, helpers: Record<string, string>, renews?: FileRecord): Promise<FileRecord> {
  const records: FileRecord[] = [];
  await mergeEntries({ path, entries: {}, helpers, mode: undefined, id: "a", renews }, platform, async (record) => {
    records.push(record);
  });
  return records.at(-1) ?? expect.unreachable("nothing was written down");
}

const leave = (record: FileRecord) => restoreEntries(record, "a", platform);
const ours = { "quay.io": "quay-keyless" };

test.each([
  ['{ "credsStore":"x", "auths":{"quay.io":{}},\n "credHelpers":{"ecr.example":"ecr-login"}}\n'],
  ["{}\n"],
  ['{"auths": {"ghcr.io": {"auth": "eDp5"}}, "credHelpers": {}}'],
  [undefined],
])("enters a helper where there was %j, and restores the very bytes", async (text) => {
  const base = await makeFolder();
  const path = join(base, "a/auth.json");
  if (text !== undefined) {
    await mkdir(dirname(path));
    await writeFile(path, text);
    await chmod(path, 0o640);
  }
  const record = await enter(path, ours);
  const before = JSON.parse(text ?? "{}");
  expect(JSON.parse(await readFile(path, "utf8"))).toEqual({
    ...before,
    credHelpers: { ...before.credHelpers, ...ours },
  });
  await leave(record);
  expect(await readFile(path, "utf8").catch(() => undefined)).toBe(text);
  expect(await readdir(base, { recursive: true })).toEqual(text === undefined ? [] : ["a", "a/auth.json"]);
  await leave(record); // a second time, nothing is left to do
});

test("removes the helper alone from a file that another program has written since", async () => {
  const path = join(await makeFolder(), "config.json");
  const record = await enter(path, ours);
  const added = { auths: { "ghcr.io": stored }, credHelpers: { "ecr.example": "ecr-login" }, x: 1 };
  await writeFile(path, JSON.stringify({ ...added, credHelpers: { ...added.credHelpers, ...ours } }));
  await leave(record);
  expect(JSON.parse(await readFile(path, "utf8"))).toEqual(added);
});

test("leaves a helper in place that another program has entered in ours' place", async () => {
  const path = join(await makeFolder(), "config.json");
  const record = await enter(path, ours);
  await writeFile(path, '{"credHelpers":{"quay.io":"pass"}}');
  await leave(record);
  expect(await readFile(path, "utf8")).toBe('{"credHelpers":{"quay.io":"pass"}}');
});

test("enters nothing twice, and enters again what is gone", async () => {
  const path = join(await makeFolder(), "config.json");
  await writeFile(path, '{ "x": 1 }');
  const first = await enter(path, ours);
  const written = await readFile(path, "utf8");
  expect(await enter(path, ours, first)).toEqual(first);
  expect(await readFile(path, "utf8")).toBe(written);
  await writeFile(path, '{ "x": 2 }');
  const again = await enter(path, ours, first);
  expect(JSON.parse(await readFile(path, "utf8"))).toEqual({ x: 2, credHelpers: ours });
  await leave(again);
  expect(await readFile(path, "utf8")).toBe('{ "x": 2 }');
});

describe("the helper of another job", () => {
  const name = "quay-keyless-0123456789ab";

  /** An auth file as a job has left it, with the program of its helper, or without. */
  async function left(before: string | undefined, isAlive: boolean) {
    const base = await makeFolder();
    const [path, program] = [join(base, "auth.json"), join(base, "job's", `docker-credential-${name}`)];
    if (before !== undefined) {
      await writeFile(path, before);
    }
    const change = { path, entries: {}, helpers: { "quay.io": name }, programs: { [name]: program }, id: "b" };
    await mergeEntries({ ...change, mode: undefined }, platform, async () => {});
    if (isAlive) {
      await mkdir(dirname(program));
      await writeFile(program, "");
    }
    return { base, path, program };
  }

  test.each([undefined, '{"auths":{"ghcr.io":{"auth":"eDp5"}}}'])(
    "is removed if that job is over: %s",
    async (before) => {
      const { base, path } = await left(before, false);
      const file = await readWithoutDead(path, "quay.io", platform);
      expect(file.content).toEqual(JSON.parse(before ?? "{}"));
      expect(JSON.parse(await readFile(path, "utf8"))).toEqual(file.content);
      expect(await readdir(base)).toEqual(["auth.json"]);
      await leave(await enter(path, ours));
      expect(JSON.parse(await readFile(path, "utf8"))).toEqual(file.content);
    },
  );

  test("stays while its program is there, and the error names the folder", async () => {
    const { path, program } = await left("{}", true);
    const file = await readWithoutDead(path, "quay.io", platform);
    expect(file.content.credHelpers).toEqual({ "quay.io": name });
    const isInTheWay = () => assertEnterable({ host: "quay.io", name: undefined }, file, now);
    const hides = () => assertNotHidden("containers", file, "quay.io");
    for (const check of [isInTheWay, hides]) {
      const { remedy } = await failure(Promise.resolve().then(check));
      const [, typed = ""] = / rm -r (.*)$/.exec(remedy.map(String).find((line) => line.includes("rm -r")) ?? "") ?? [];
      expect(typed).toBe(`'${dirname(program).replace("'", "'\\''")}'`);
    }
  });

  test("stays where its program was never recorded", async () => {
    const path = join(await makeFolder(), "auth.json");
    await writeFile(path, JSON.stringify({ credHelpers: { "quay.io": name } }));
    const file = await readWithoutDead(path, "quay.io", platform);
    const { remedy } = await failure(Promise.resolve().then(() => assertNotHidden("docker", file, "quay.io")));
    expect(remedy).toContain("If the job of that step is over, remove credHelpers.quay.io from the file.");
  });

  test("leaves no trace when its own session removes it", async () => {
    const base = await makeFolder();
    const path = join(base, "auth.json");
    const records: FileRecord[] = [];
    const programs = { [name]: "/job/program" };
    await mergeEntries(
      { path, entries: {}, helpers: { "quay.io": name }, programs, mode: undefined, id: "a" },
      platform,
      async (record) => void records.push(record),
    );
    expect(await readdir(base)).toHaveLength(2);
    await leave(records.at(-1) ?? expect.unreachable("nothing was recorded"));
    expect(await readdir(base)).toEqual([]);
  });
});

test("takes over an entry whose record is lost", async () => {
  const path = join(await makeFolder(), "config.json");
  await writeFile(path, JSON.stringify({ auths: {}, credHelpers: ours, x: 1 }));
  await leave(await enter(path, ours));
  expect(JSON.parse(await readFile(path, "utf8"))).toEqual({ auths: {}, x: 1 });
});

describe("refuses", () => {
  const expired = entryOf("acme+ci", robotToken(now - 5));
  const valid = entryOf("acme+ci", robotToken(now + 600));
  test.each<[string, object, string, string]>([
    [
      "another helper of the host",
      { credHelpers: { "quay.io": "pass" } },
      'sets credHelpers.quay.io to "pass"',
      "Remove credHelpers.quay.io from it for this job.",
    ],
    [
      "the helper of an earlier step",
      { credHelpers: { "quay.io": "quay-keyless-0123456789ab" } },
      "a host has only one",
      "leave one of the two steps out",
    ],
    ["a login of the host", { auths: { "quay.io": stored } }, "holds a login for quay.io", "skopeo logout --authfile"],
    [
      "a login of an organization",
      { auths: { "quay.io/acme": valid } },
      "a login for quay.io/acme",
      "config.json quay.io/acme",
    ],
    // skopeo finds neither of these.
    ["a login under docker's old key", { auths: { "https://quay.io/v1/": stored } }, "/v1/", 'remove "https://quay'],
    ["a login with a slash", { auths: { "quay.io/": stored } }, "a login for quay.io/", 'remove "quay.io/" from auths'],
    ["a helper without a name", { credHelpers: { "quay.io": "" } }, 'to ""', "Remove credHelpers.quay.io"],
    ["an identity token", { auths: { "quay.io": { identitytoken: "x" } } }, "a login for quay.io", "skopeo"],
  ])("%s", async (_, content, message, remedy) => {
    const path = join(await makeFolder(), "config.json");
    const text = JSON.stringify(content);
    await writeFile(path, text);
    const error = await failure(enter(path, ours));
    expect(error).toMatchObject({ code: "credential-helper", message: expect.stringContaining(message) });
    expect(error.remedy.join("\n")).toContain(remedy);
    expect(await readFile(path, "utf8")).toBe(text);
  });

  test.each<[string, object]>([
    ["docker's placeholder", { auths: { "quay.io": {} }, credsStore: "desktop" }],
    ["a robot token that has expired", { auths: { "quay.io/acme": expired } }],
    [
      "logins and helpers of other hosts",
      { auths: { "quay.io:8443": stored, "myquay.io": stored, "ghcr.io/x": stored } },
    ],
  ])("not %s", async (_, content) => {
    const path = join(await makeFolder(), "config.json");
    await writeFile(path, JSON.stringify(content));
    await enter(path, ours);
    expect(JSON.parse(await readFile(path, "utf8"))).toEqual({ ...content, credHelpers: ours });
  });
});

test.each([
  ["quay-keyless", true],
  ["quay-keyless-0123456789ab", true],
  ["0123456789ab", false],
  ["quay-keyless-other", false],
  ["ecr-login", false],
  [null, false],
])("takes %j for ours: %s", (name, expected) => {
  expect(isOurHelper(name)).toBe(expected);
});

test("is undone after a file was removed with its folder", async () => {
  const base = await makeFolder();
  const path = join(base, "a/config.json");
  const record = await enter(path, ours);
  await rm(dirname(path), { recursive: true });
  await leave(record);
  expect(await readdir(base)).toEqual([]);
});
