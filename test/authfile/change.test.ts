import { spawn } from "node:child_process";
import { randomUUID } from "node:crypto";
import { existsSync } from "node:fs";
import {
  chmod,
  chown,
  type FileHandle,
  lstat,
  mkdir,
  mkdtemp,
  open,
  readdir,
  readFile,
  readlink,
  rename,
  rm,
  stat,
  symlink,
  utimes,
  writeFile,
} from "node:fs/promises";
import { tmpdir } from "node:os";
import { basename, dirname, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, onTestFinished, test, vi } from "vitest";
import { type Change, type FileRecord, hasAllEntries, mergeEntries } from "../../src/authfile/change.ts";
import { readAuthFile } from "../../src/authfile/read.ts";
import { assertReplaceable } from "../../src/authfile/replaceable.ts";
import { restoreEntries } from "../../src/authfile/restore.ts";
import { logout } from "../../src/login/logout.ts";
import { systemClock } from "../../src/platform/clock.ts";
import { asNobody, createRecorder, failure, failureText, makeFolder } from "../fixtures.ts";
import { isRoot, needsRoot } from "../support/root.ts";

// Real files; a few tests let one step fail.
vi.mock("node:fs/promises", { spy: true });

const platform = { clock: systemClock, signal: new AbortController().signal, reporter: createRecorder() };
const id = "0123456789ab";
const ours = { auth: "b3VyczpvdXJz" };
const theirs = { auth: "dGhlaXJzOnRoZWlycw==" };

async function merge(path: string, change: Partial<Change> = {}): Promise<FileRecord> {
  const records: FileRecord[] = [];
  await mergeEntries(
    { path, entries: { "quay.io": ours }, mode: undefined, id, ...change },
    platform,
    async (record) => void records.push(record),
  );
  const record = records.at(-1); // the last word: the folders that are made come first
  return record ?? expect.unreachable("nothing was remembered");
}

const restore = (record: FileRecord) => restoreEntries(record, id, platform);
const read = async (path: string) => JSON.parse(await readFile(path, "utf8"));
const modeOf = async (path: string) => (await stat(path)).mode & 0o777;

/** Does something before new content is written beside a file. */
function spyOnWriting(act: (file: FileHandle, name: string) => Promise<void>): void {
  const actual = vi.mocked(open).getMockImplementation();
  onTestFinished(() => void (actual ? vi.mocked(open).mockImplementation(actual) : vi.mocked(open).mockReset()));
  vi.mocked(open).mockImplementation(async (...args) => {
    const real = await vi.importActual<typeof import("node:fs/promises")>("node:fs/promises");
    const file = await real.open(...args);
    if (String(args[0]).endsWith(".tmp")) {
      const write = file.writeFile.bind(file);
      vi.spyOn(file, "writeFile").mockImplementation(async (...content) => {
        await act(file, String(args[0]));
        return write(...content);
      });
    }
    return file;
  });
}

async function makeFile(text: string, name = "auth.json"): Promise<string> {
  const path = join(await makeFolder(), name);
  await writeFile(path, text, { mode: 0o600 });
  return path;
}

describe("a new file", () => {
  test("is made for the user alone, in the tools' format, and is removed with its folders", async () => {
    const folder = await makeFolder();
    const path = join(folder, "a/b/auth.json");
    const record = await merge(path);
    expect(await readFile(path, "utf8")).toBe(
      '{\n\t"auths": {\n\t\t"quay.io": {\n\t\t\t"auth": "b3VyczpvdXJz"\n\t\t}\n\t}\n}',
    );
    expect(await modeOf(path)).toBe(0o600);
    expect(await modeOf(join(folder, "a"))).toBe(0o700);
    expect(await readdir(dirname(path))).toEqual(["auth.json"]);
    await restore(record);
    expect(await readdir(folder)).toEqual([]);
    await restore(record);
  });

  test("may start with other logins, and gets the requested mode", async () => {
    const path = join(await makeFolder(), "auth.json");
    const start = { auths: { "ghcr.io": theirs, "quay.io": theirs }, credHelpers: { "gcr.io": "gcloud" } };
    await merge(path, { start, mode: 0o644 });
    expect(await read(path)).toEqual({
      auths: { "ghcr.io": theirs, "quay.io": ours },
      credHelpers: { "gcr.io": "gcloud" },
    });
    expect(await modeOf(path)).toBe(0o644);
  });

  test("keeps a folder that another program uses by now", async () => {
    const folder = await makeFolder();
    const record = await merge(join(folder, "a/auth.json"));
    await writeFile(join(folder, "a/other"), "");
    await restore(record);
    expect(await readdir(join(folder, "a"))).toEqual(["other"]);
  });
});

describe("an existing file", () => {
  const odd = `{ "auths": {"ghcr.io": ${JSON.stringify(theirs)},\n "quay.io":{"auth":"b2xk","email":"me@example.com"}},
    "credHelpers": {"gcr.io": "gcloud"}, "HttpHeaders": {"X-Meta": "1"}, "psFormat": "table", "unknown": [1, null, "ü"] }  \n`;

  test("keeps everything that is not ours, and is byte for byte the same afterwards", async () => {
    const path = await makeFile(odd);
    await chmod(path, 0o640);
    const record = await merge(path, { entries: { "quay.io": ours, "quay.io/acme": ours } });
    const before = JSON.parse(odd);
    expect(await read(path)).toEqual({
      ...before,
      auths: { "ghcr.io": theirs, "quay.io": ours, "quay.io/acme": ours },
    });
    expect(await modeOf(path)).toBe(0o640);
    await restore(record);
    expect(await readFile(path, "utf8")).toBe(odd);
    expect(await modeOf(path)).toBe(0o640);
    expect(await readdir(dirname(path))).toEqual(["auth.json"]);
  });

  test("gets a requested mode, and its old one back", async () => {
    const path = await makeFile("{}");
    const record = await merge(path, { mode: 0o644 });
    expect(await modeOf(path)).toBe(0o644);
    await restore(record);
    expect(await modeOf(path)).toBe(0o600);
  });

  test("keeps what others wrote meanwhile; ours is removed, what it replaced is restored", async () => {
    const path = await makeFile(odd);
    const record = await merge(path, { entries: { "quay.io": ours, "quay.io/acme": ours } });
    const meanwhile = await read(path);
    await writeFile(path, JSON.stringify({ ...meanwhile, auths: { ...meanwhile.auths, "docker.io": theirs } }));
    await restore(record);
    const { auths, ...rest } = JSON.parse(odd);
    expect(await read(path)).toEqual({ ...rest, auths: { ...auths, "docker.io": theirs } });
  });

  test("keeps an entry that another process has replaced", async () => {
    const path = await makeFile(odd);
    const record = await merge(path);
    const changed = JSON.stringify({ auths: { "quay.io": theirs } });
    await writeFile(path, changed);
    await restore(record);
    expect(await readFile(path, "utf8")).toBe(changed);
  });

  test("does not restore one that another process logged out of, or deleted", async () => {
    const path = await makeFile(odd);
    const record = await merge(path);
    await writeFile(path, "{}");
    await restore(record);
    expect(await readFile(path, "utf8")).toBe("{}");
    await rm(path);
    await restore(record);
    expect(existsSync(path)).toBe(false);
  });

  test("accepts null for auths and credHelpers", async () => {
    const path = await makeFile('{"auths": null, "credHelpers": null}');
    const record = await merge(path);
    expect(await read(path)).toEqual({ auths: { "quay.io": ours }, credHelpers: null });
    await restore(record);
    expect(await readFile(path, "utf8")).toBe('{"auths": null, "credHelpers": null}');
  });

  test("restores after two logins, removed in any order", async () => {
    for (const order of [
      [0, 1],
      [1, 0],
    ]) {
      const path = await makeFile(odd);
      const records = [
        await merge(path, { entries: { "quay.io/a": ours }, id: "first" }),
        await merge(path, { entries: { "quay.io/b": ours }, id: "second" }),
      ];
      for (const index of order) {
        await restore(records[index] as FileRecord);
      }
      expect(await read(path)).toEqual(JSON.parse(odd));
    }
  });

  test.skipIf(!isRoot).each([
    ["owner and group", 1234, 5678],
    ["owner", 1234, 0],
    ["group", 0, 5678],
  ])(`keeps its %s, where this user may give files away ${needsRoot}`, async (_, uid, gid) => {
    const path = await makeFile("{}");
    await chown(path, uid, gid);
    const record = await merge(path, { mode: 0o640 });
    expect(await stat(path)).toMatchObject({ uid, gid, mode: 0o100640 });
    await restore(record);
    expect(await stat(path)).toMatchObject({ uid, gid, mode: 0o100600 });
  });

  test("has its mode before it has its content, under a random name", async () => {
    const path = await makeFile("{}");
    const seen: { name: string; mode: number; uid: number }[] = [];
    spyOnWriting(async (file, name) => {
      const { mode, uid } = await file.stat();
      seen.push({ name: basename(name), mode: mode & 0o777, uid });
    });
    for (const mode of [0o640, 0o604]) {
      await merge(path, { mode, id: "0123456789ab" });
    }
    // The third records that two sessions have written the same entry.
    expect(seen.map(({ mode }) => mode)).toEqual([0o640, 0o604, 0o600]);
    expect(seen[0]?.name).toMatch(/^\.auth\.json\.0123456789ab\.[0-9a-f]{12}\.tmp$/);
    expect(seen[0]?.name).not.toBe(seen[1]?.name);
  });
});

describe("a symbolic link", () => {
  test("is followed; link and target stay what they are", async () => {
    const target = await makeFile('{"auths":{}}', "target.json");
    const path = join(await makeFolder(), "auth.json");
    await symlink(target, path);
    const record = await merge(path);
    expect(record.path).toBe(target);
    expect(await readlink(path)).toBe(target);
    expect((await read(target)).auths).toEqual({ "quay.io": ours });
    await restore(record);
    expect(await readFile(path, "utf8")).toBe('{"auths":{}}');
    expect((await lstat(path)).isSymbolicLink()).toBe(true);
  });

  test("that has taken the file's place since is no way to keep the login", async () => {
    const folder = await makeFolder();
    const [path, moved] = [join(folder, "auth.json"), join(folder, "moved.json")];
    const record = await merge(path);
    await rename(path, moved);
    await symlink(moved, path);
    await restore(record);
    expect(await readdir(folder)).toEqual([]);
  });

  test("loses nothing if the link and the real name are used at once", async () => {
    const target = await makeFile("{}", "target.json");
    const path = join(await makeFolder(), "auth.json");
    await symlink(target, path);
    const scopes = Array.from({ length: 20 }, (_, index) => `quay.io/org${index}`);
    await Promise.all(
      scopes.map(async (scope, index) =>
        merge((await readAuthFile(index % 2 ? path : target)).path, { entries: { [scope]: ours }, id: `id${index}` }),
      ),
    );
    expect(Object.keys((await read(target)).auths).sort()).toEqual([...scopes].sort());
  });
});

describe("a path that can't be written to", () => {
  const say = (path: string) => failureText("auth-file-unusable", merge(path));

  test("a part of the path is a file", async () => {
    const path = await makeFile("{}");
    expect(await say(join(path, "sub/auth.json"))).toContain("cannot be written: a part of its path is a file");
  });

  test("a file system that takes no folders", async () => {
    expect(await say("/proc/self/sub/auth.json")).toContain("cannot be written: no file or folder can be made there");
  });

  test("a name that is too long", async () => {
    expect(await say(join(await makeFolder(), "x".repeat(256)))).toMatch(/ENAMETOOLONG|its name is too long/);
    expect(await say(join(await makeFolder(), "x".repeat(252)))).toContain("its name is too long");
  });

  test("passes any other error on as it is", async () => {
    const path = await makeFile("{}");
    const remember = () => Promise.reject(new TypeError("bug"));
    await expect(mergeEntries({ path, entries: {}, mode: undefined, id }, platform, remember)).rejects.toThrow(
      TypeError,
    );
    expect(await readdir(dirname(path))).toEqual(["auth.json"]);
  });

  test.each([
    ["EACCES", "this user may not write there"],
    ["EPERM", "this user may not write there"],
    ["EROFS", "the file system is read-only"],
    ["ENOSPC", "the disk is full"],
    ["EDQUOT", "the disk quota is used up"],
  ])("%s: %s", async (code, problem) => {
    const path = await makeFile("{}");
    spyOnWriting(() => Promise.reject(Object.assign(new Error(code), { code })));
    expect(await say(path)).toContain(`The auth file ${path} cannot be written: ${problem}.`);
    expect(await readFile(path, "utf8")).toBe("{}");
    expect(await readdir(dirname(path))).toEqual(["auth.json"]);
  });

  test("a disk that is full, and then read-only", async () => {
    const folder = await makeFolder();
    const path = join(folder, "auth.json");
    const before = '{"auths":{}}';
    const mounted = isRoot && (await run("mount", "-t", "tmpfs", "-o", "size=16k", "tmpfs", folder)).code === 0;
    await writeFile(path, before);
    if (!mounted) {
      // No user here may mount such a disk: the error is simulated.
      spyOnWriting(() => Promise.reject(Object.assign(new Error("full"), { code: "ENOSPC" })));
      expect(await say(path)).toContain("cannot be written: the disk is full");
      return;
    }
    try {
      await writeFile(join(folder, "filler"), Buffer.alloc(16_384)).catch(() => {});
      expect(await say(path)).toContain("cannot be written: the disk is full");
      expect(await readFile(path, "utf8")).toBe(before);
      // And no lock, which would block the next login.
      expect((await readdir(folder)).sort()).toEqual(["auth.json", "filler"]);
      await rm(join(folder, "filler"));
      await run("mount", "-o", "remount,ro", folder);
      expect(await say(path)).toContain("cannot be written: the file system is read-only");
    } finally {
      await run("umount", folder);
    }
  });

  test("a folder of another user", async () => {
    const folder = await makeFolder();
    await chmod(folder, 0o555);
    const path = join(folder, "auth.json");
    const said = await asNobody(
      ["platform/clock.ts", "authfile/change.ts"],
      (src: typeof import("../../src/platform/clock.ts") & typeof import("../../src/authfile/change.ts"), file) => {
        const quiet = {
          info() {},
          warning() {},
          debug() {},
          secret() {},
          hide: String,
          holdsSecret: () => false,
          moreOn: String,
          syntax: { has: () => true, write: String },
        };
        const silent = { clock: src.systemClock, signal: new AbortController().signal, reporter: quiet };
        return src.mergeEntries({ path: file, entries: {}, mode: undefined, id: "x" }, silent, async () => {});
      },
      path,
    );
    expect(said).toContain(`The auth file ${path} cannot be written: this user may not write there.`);
    await chmod(folder, 0o700);
  });
});

describe("whether a file could be written", () => {
  test("accepts a file whose folders do not exist yet, and makes none", async () => {
    const folder = await makeFolder();
    await assertReplaceable({ path: join(folder, "auth.json") });
    await assertReplaceable({ path: join(folder, "a/b/auth.json") });
    expect(await readdir(folder)).toEqual([]);
  });

  test("rejects a path through a file", async () => {
    const path = join(await makeFile("{}"), "sub/auth.json");
    expect(await failureText("auth-file-unusable", assertReplaceable({ path }))).toContain(
      `The auth file ${path} cannot be written: this user may not write there.`,
    );
  });

  test.each([0o555, 0o600])("rejects a nearest folder of the mode %o", async (mode) => {
    const folder = await makeFolder();
    await mkdir(join(folder, "shut"));
    await chmod(join(folder, "shut"), mode);
    await chmod(folder, 0o777);
    const path = join(folder, "shut/a/auth.json");
    const said = await asNobody(
      ["authfile/replaceable.ts"],
      (src: typeof import("../../src/authfile/replaceable.ts"), file) => src.assertReplaceable({ path: file }),
      path,
    );
    expect(said).toBe(`The auth file ${path} cannot be written: this user may not write there.\n`);
  });
});

describe("whether the file has an entry for a login", () => {
  test("finds one for each scope: ours, or one that has replaced it", async () => {
    const path = await makeFile('{"auths": {"ghcr.io": {}}}');
    const record = await merge(path, { entries: { "quay.io": ours, "quay.io/acme": ours } });
    expect(await hasAllEntries(record)).toBe(true);
    await writeFile(path, JSON.stringify({ auths: { "quay.io": theirs, "quay.io/acme": ours } }));
    expect(await hasAllEntries(record)).toBe(true);
    // It only reads: a file that may not be written to gives the same answer.
    await chmod(path, 0o400);
    expect(await hasAllEntries(record)).toBe(true);
  });

  test.each([
    ["one of two is gone", '{"auths": {"quay.io": {}}}'],
    ["both are", '{"auths": {}}'],
    ["the file holds nothing", "{}"],
    ["the file is broken", "{"],
    ["the file is gone", undefined],
  ])("%s", async (_, text) => {
    const path = await makeFile("{}");
    const record = await merge(path, { entries: { "quay.io": ours, "quay.io/acme": ours } });
    await (text === undefined ? rm(path) : writeFile(path, text));
    expect(await hasAllEntries(record)).toBe(false);
  });
});

describe("leftovers of a killed login", () => {
  test("are removed if it was killed as soon as its folders existed, at the login or at a renewal", async () => {
    const base = await makeFolder();
    const path = join(base, "a/b/auth.json");
    const killed = async (renews?: FileRecord) => {
      const records: FileRecord[] = [];
      await mergeEntries(
        { path, entries: { "quay.io": ours }, mode: undefined, id, renews },
        platform,
        async (record) => {
          records.push(record);
          if (records.length === 2) throw new Error("killed");
        },
      ).catch(() => {});
      return records[0] ?? expect.unreachable("nothing was remembered");
    };
    const first = await killed();
    expect([first.folders, await readdir(join(base, "a"))]).toEqual([[join(base, "a"), join(base, "a/b")], ["b"]]);
    await restore(first);
    expect(await readdir(base)).toEqual([]);

    const record = await merge(path);
    await rm(join(base, "a/b"), { recursive: true });
    const renewed = await killed(record);
    expect(await readdir(join(base, "a"))).toEqual(["b"]);
    await restore(renewed);
    expect(await readdir(base)).toEqual([]);
  });

  test("are removed with the restore: its temporary file", async () => {
    const path = await makeFile("{}");
    const record = await merge(path);
    const theirs = [
      ".auth.json.ba9876543210.0123456789ab.tmp", // of another session
      `.auth.json.${id}.tmp`,
      `.auth.json.${id}.0123456789ab.tmp.old`,
      `.other.json.${id}.0123456789ab.tmp`,
    ];
    for (const name of [`.auth.json.${id}.0123456789ab.tmp`, ...theirs]) {
      await writeFile(join(dirname(path), name), "half");
    }
    await restore(record);
    expect((await readdir(dirname(path))).sort()).toEqual([...theirs, "auth.json"].sort());
  });

  test("are removed if its file did not exist yet: the lock and the folders too", async () => {
    const base = await makeFolder();
    const path = join(base, "a/auth.json");
    const record = await merge(path);
    await rm(path);
    await writeFile(`${path}.lock`, randomUUID());
    await utimes(`${path}.lock`, 0, 0);
    await restore(record);
    expect(await readdir(base)).toEqual([]);
  });

  test("names an entry that is still there afterwards", async () => {
    const path = await makeFile("{}");
    const record = await merge(path);
    // As if the file had held our entry before: restoring that can't be right.
    const before = { "quay.io": { before: ours, written: record.scopes["quay.io"]?.written ?? [] } };
    const error = await failure(restore({ ...record, after: [], scopes: before }));
    expect(error.code).toBe("logout-incomplete");
    expect(error.message).toBe(`The login for quay.io is still in ${path}.`);
    expect(error.remedy).toEqual([`Delete it: skopeo logout --authfile ${path} quay.io`]);
  });
});

test("a login that lost its lock writes nothing, and starts again with what the new holder wrote", async () => {
  const path = await makeFile("{}");
  const lock = `${path}.lock`;
  const seen: FileRecord[] = [];
  await mergeEntries({ path, entries: { "quay.io": ours }, mode: undefined, id }, platform, async (record) => {
    seen.push(record);
    if (seen.length === 1) {
      // Another process breaks the lock as stale, and writes; then it is killed.
      await writeFile(lock, randomUUID());
      await utimes(lock, 0, 0);
      await writeFile(path, JSON.stringify({ auths: { "docker.io": theirs } }));
    }
  });
  expect(seen).toHaveLength(2);
  expect(await read(path)).toEqual({ auths: { "docker.io": theirs, "quay.io": ours } });
  expect(await readdir(dirname(path))).toEqual(["auth.json"]);
  await restore(seen[1] as FileRecord);
  expect(await read(path)).toEqual({ auths: { "docker.io": theirs } });
});

test("a login that lost its lock leaves the file to the new holder", async () => {
  const path = await makeFile("{}");
  const seen: string[] = [];
  await mergeEntries({ path, entries: { "quay.io": ours }, mode: undefined, id }, platform, async () => {
    seen.push(await readFile(path, "utf8"));
    if (seen.length === 1) {
      await writeFile(`${path}.lock`, randomUUID());
      await utimes(`${path}.lock`, 0, 0); // and is killed
    }
  });
  expect(seen).toEqual(["{}", "{}"]);
  expect((await read(path)).auths).toEqual({ "quay.io": ours });
});

describe("a tool that takes no lock", () => {
  const foreign = JSON.stringify({ auths: { "docker.io": theirs } });

  test("writes while a login does: the login starts again, and both entries are kept", async () => {
    const path = await makeFile("{}");
    let records = 0;
    await mergeEntries({ path, entries: { "quay.io": ours }, mode: undefined, id }, platform, async () => {
      if (++records === 1) await writeFile(path, foreign);
    });
    expect(records).toBe(2);
    expect((await read(path)).auths).toEqual({ "docker.io": theirs, "quay.io": ours });
    expect(await readdir(dirname(path))).toEqual(["auth.json"]);
  });

  test("replaces the file, or makes the first one: neither is lost", async () => {
    for (const before of ["{}", undefined]) {
      const path = await makeFile("{}");
      if (before === undefined) await rm(path);
      let records = 0;
      await mergeEntries({ path, entries: { "quay.io": ours }, mode: undefined, id }, platform, async () => {
        if (++records > 1) return;
        await rm(path, { force: true });
        await writeFile(path, foreign);
      });
      expect((await read(path)).auths).toEqual({ "docker.io": theirs, "quay.io": ours });
    }
  });

  test("removes what a logout was about to restore: it stays removed", async () => {
    const path = await makeFile(JSON.stringify({ auths: { "quay.io": theirs } }));
    const record = await merge(path);
    let times = 0;
    spyOnWriting(async () => {
      if (++times === 1) await writeFile(path, foreign);
    });
    await restore(record);
    expect(await readFile(path, "utf8")).toBe(foreign);
    // No copy of the earlier content.
    expect(await readdir(dirname(path))).toEqual(["auth.json"]);
  });
});

describe("many processes at once", () => {
  const merging = join(import.meta.dirname, "./merging.ts");
  // Starting is most of what these processes do.
  let compiled: string;
  beforeAll(async () => {
    compiled = await mkdtemp(join(tmpdir(), "quay-keyless-test-"));
  });
  afterAll(() => rm(compiled, { recursive: true }));
  const launch = (args: string[]) => {
    const env = { ...process.env, NODE_COMPILE_CACHE: compiled };
    return spawn(process.execPath, [merging, ...args], { env, stdio: ["ignore", "pipe", "inherit"] });
  };
  const ended = (child: ReturnType<typeof launch>) =>
    new Promise<number | null>((resolve) => child.on("close", resolve));

  test("20 merges lose nothing, foreign entries included; each of 20 restores removes only its own", async () => {
    const foreign = {
      auths: { "docker.io": theirs, "ghcr.io/org": theirs },
      credHelpers: { "gcr.io": "gcloud" },
      x: 1,
    };
    const path = await makeFile(JSON.stringify(foreign));
    const sessions = await makeFolder();
    const scopes = Array.from({ length: 20 }, (_, index) => `quay.io/org${index}`);
    const codes = await Promise.all(scopes.map((scope) => ended(launch([path, sessions, scope, "once"]))));
    expect(codes).toEqual(codes.map(() => 0));
    const content = await read(path);
    expect(Object.keys(content.auths).sort()).toEqual([...Object.keys(foreign.auths), ...scopes].sort());
    for (const scope of scopes) {
      expect(content.auths[scope].auth).toBe(Buffer.from(`robot:${scope}`).toString("base64"));
    }
    expect({ ...content, auths: foreign.auths }).toEqual({ ...foreign });
    const folders = await readdir(sessions);
    expect(folders).toHaveLength(20);
    await Promise.all(folders.map((folder) => logout(join(sessions, folder), platform)));
    expect(await read(path)).toEqual(foreign);
    expect(await readdir(dirname(path))).toEqual(["auth.json"]);
    expect(await readdir(sessions)).toEqual([]);
  }, 120_000);

  test("a kill at any moment leaves the old file or the new one, and nothing that can't be undone", async () => {
    const before = `{"auths": {"docker.io": ${JSON.stringify(theirs)}}, "x": "${"y".repeat(200_000)}"}\n`;
    const kills = 100;
    let locks = 0;
    const seen = { old: 0, new: 0 };

    const killOne = async (index: number) => {
      const base = await makeFolder();
      const [sessions, folder] = [join(base, "sessions"), join(base, "config")];
      await mkdir(sessions);
      const isNew = index % 3 === 0;
      const path = join(folder, "auth.json");
      if (!isNew) {
        await mkdir(folder);
        await writeFile(path, before);
      }
      const child = launch([path, sessions, "quay.io", "forever"]);
      await new Promise((resolve) => child.stdout.once("data", resolve));
      await sleep(Math.random() * 15);
      child.kill("SIGKILL");
      await ended(child);
      const text = await readFile(path, "utf8").catch(() => undefined);
      const isOld = text === (isNew ? undefined : before);
      if (!isOld) {
        // Not old: then new, whole.
        const content = JSON.parse(text ?? "");
        expect(Object.keys(content.auths)).toEqual([...(isNew ? [] : ["docker.io"]), "quay.io"]);
        expect(content.x?.length).toBe(isNew ? undefined : 200_000);
      }
      seen[isOld ? "old" : "new"]++;
      locks += Number(existsSync(`${path}.lock`));
      return { sessions, path, isNew };
    };

    const places: Awaited<ReturnType<typeof killOne>>[] = [];
    let next = 0;
    const lane = async () => {
      while (next < kills) {
        places.push(await killOne(next++));
      }
    };
    await Promise.all(Array.from({ length: 4 }, lane));
    expect(seen.old).toBeGreaterThan(0);
    expect(seen.new).toBeGreaterThan(0);
    expect(locks).toBeGreaterThan(0);

    // All restore at once what the killed ones left, and wait for the abandoned locks meanwhile. A lock of one that was
    // killed before it had recorded anything stays until the next login.
    const started = performance.now();
    await Promise.all(
      places.map(async ({ sessions, path, isNew }) => {
        for (const session of await readdir(sessions)) {
          await logout(join(sessions, session), platform);
        }
        expect(await readdir(sessions)).toEqual([]);
        expect(await readFile(path, "utf8").catch(() => undefined)).toBe(isNew ? undefined : before);
        await restore(await merge(path));
        expect(await readFile(path, "utf8").catch(() => undefined)).toBe(isNew ? undefined : before);
        // One that was killed between making and recording the folder leaves it empty.
        expect(await readdir(dirname(path)).catch(() => [])).toEqual(isNew ? [] : ["auth.json"]);
      }),
    );
    expect(performance.now() - started).toBeLessThan(15_000);
  }, 120_000);
});

async function run(file: string, ...args: string[]): Promise<{ code: number | null; output: string }> {
  const child = spawn(file, args, { stdio: ["ignore", "pipe", "ignore"] });
  let output = "";
  child.stdout.on("data", (chunk) => {
    output += chunk;
  });
  const code = await new Promise<number | null>((resolve) => {
    child.on("error", () => resolve(null)).on("close", resolve);
  });
  return { code, output };
}
