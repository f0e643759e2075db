/** Entries removed from an auth file if no session knows its earlier content. */
import { chmod, mkdir, readdir, readFile, stat, symlink, utimes, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { describe, expect, test } from "vitest";
import type { AuthEntry } from "../../src/authfile/read.ts";
import { removeEntries } from "../../src/authfile/restore.ts";
import { systemClock } from "../../src/platform/clock.ts";
import { asNobody, createRecorder, failureText, makeFolder } from "../fixtures.ts";

const platform = { clock: systemClock, signal: new AbortController().signal, reporter: createRecorder() };
const ours = { auth: "b3VyczpvdXJz" };
const theirs = { auth: "dGhlaXJzOnRoZWlycw==", email: "me@example.com" };
const isOurs = ({ auth }: AuthEntry) => auth === ours.auth;
const remove = (path: string, ...scopes: string[]) => removeEntries({ path, id: "abc123" }, scopes, isOurs, platform);

async function makeFile(content: unknown, name = "auth.json"): Promise<string> {
  const path = join(await makeFolder(), name);
  await writeFile(path, typeof content === "string" ? content : JSON.stringify(content), { mode: 0o600 });
  return path;
}

/** Bytes, permissions, inode and time: whether a process wrote it. */
async function stateOf(path: string): Promise<unknown> {
  const { mode, ino, mtimeMs } = await stat(path);
  return { text: await readFile(path, "utf8"), mode, ino, mtimeMs };
}

test("removes only those, keeps everything else and the permissions, and leaves no other file", async () => {
  const rest = { credHelpers: { "gcr.io": "gcloud" }, HttpHeaders: { "X-Meta": "1" }, unknown: [1, null, "ü"] };
  const auths = {
    "ghcr.io": theirs,
    "quay.io": ours,
    "quay.io/acme": ours,
    "quay.io/other": ours,
    "quay.io/x": theirs,
  };
  const path = await makeFile({ auths, ...rest });
  await chmod(path, 0o640);
  expect(await remove(path, "quay.io/acme", "quay.io")).toEqual(["quay.io/acme", "quay.io"]);
  const text = await readFile(path, "utf8");
  expect(JSON.parse(text)).toEqual({
    auths: { "ghcr.io": theirs, "quay.io/other": ours, "quay.io/x": theirs },
    ...rest,
  });
  // Indented as before, and the order is kept.
  expect(text).toBe(JSON.stringify(JSON.parse(text)));
  expect(Object.keys(JSON.parse(text).auths)).toEqual(["ghcr.io", "quay.io/other", "quay.io/x"]);
  expect((await stat(path)).mode & 0o777).toBe(0o640);
  expect(await readdir(dirname(path))).toEqual(["auth.json"]);
});

test("removes only ours of several", async () => {
  const path = await makeFile({ auths: { "quay.io": theirs, "quay.io/acme": ours } });
  expect(await remove(path, "quay.io", "quay.io/acme", "quay.io/none")).toEqual(["quay.io/acme"]);
  expect(JSON.parse(await readFile(path, "utf8"))).toEqual({ auths: { "quay.io": theirs } });
});

test.each<[string, unknown]>([
  ["no such scope", { auths: { "quay.io/acme": ours } }],
  ["another's entry", { auths: { "quay.io": theirs } }],
  ["no logins", "{}"],
  ["auths may be null", '{"auths": null}'],
])("does not touch a file without such entries: %s", async (_, content) => {
  const path = await makeFile(content);
  await utimes(path, 1, 1);
  const before = await stateOf(path);
  expect(await remove(path, "quay.io")).toEqual([]);
  expect(await stateOf(path)).toEqual(before);
  expect(await readdir(dirname(path))).toEqual(["auth.json"]);
});

test("does not make a missing file", async () => {
  const path = join(await makeFolder(), "auth.json");
  expect(await remove(path, "quay.io")).toEqual([]);
  expect(await readdir(dirname(path))).toEqual([]);
});

test("keeps a symbolic link", async () => {
  const real = await makeFile({ auths: { "quay.io": ours } }, "real.json");
  const link = join(dirname(real), "auth.json");
  await symlink("real.json", link);
  expect(await remove(link, "quay.io")).toEqual(["quay.io"]);
  expect(JSON.parse(await readFile(real, "utf8"))).toEqual({ auths: {} });
  expect((await readdir(dirname(real))).sort()).toEqual(["auth.json", "real.json"]);
  expect(await readFile(link, "utf8")).toBe(await readFile(real, "utf8"));
});

test("many at once remove each its own", async () => {
  const scopes = Array.from({ length: 10 }, (_, index) => `quay.io/org${index}`);
  const path = await makeFile({ auths: Object.fromEntries([...scopes, "ghcr.io"].map((scope) => [scope, ours])) });
  const removed = await Promise.all(
    scopes.map((scope, index) => removeEntries({ path, id: `id${index}` }, [scope], isOurs, platform)),
  );
  expect(removed.flat()).toEqual(scopes);
  expect(JSON.parse(await readFile(path, "utf8"))).toEqual({ auths: { "ghcr.io": ours } });
});

describe("names a file that can't be changed", () => {
  test.each<[string, string, string]>([
    ["not JSON", `secret ${ours.auth}`, "is not JSON"],
    ["empty", "", "is empty, which is not valid JSON"],
  ])("%s", async (_, content, problem) => {
    const path = await makeFile(content);
    const said = await failureText("auth-file-unusable", remove(path, "quay.io"));
    expect(said).toContain(`The auth file ${path} ${problem}.`);
    expect(said).not.toContain(ours.auth);
    expect(await readFile(path, "utf8")).toBe(content);
  });

  test("a folder, and one that is read-only", async () => {
    const path = await makeFile({ auths: { "quay.io": ours } });
    await chmod(path, 0o400);
    expect(await failureText("auth-file-unusable", remove(path, "quay.io"))).toContain("is read-only");
    const folder = join(dirname(path), "folder");
    await mkdir(folder);
    expect(await failureText("auth-file-unusable", remove(folder, "quay.io"))).toContain("is a folder");
  });

  test("in a folder where this user may not write", async () => {
    const path = await makeFile({ auths: { "quay.io": ours } });
    await chmod(path, 0o666);
    await chmod(dirname(path), 0o555);
    const said = await asNobody(
      ["platform/clock.ts", "authfile/restore.ts"],
      (src: typeof import("../../src/platform/clock.ts") & typeof import("../../src/authfile/restore.ts"), file) => {
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
        return src.removeEntries({ path: file, id: "x" }, ["quay.io"], () => true, silent);
      },
      path,
    );
    await chmod(dirname(path), 0o700);
    expect(said).toContain(`The auth file ${path} cannot be written: this user may not write there.`);
    expect(JSON.parse(await readFile(path, "utf8"))).toEqual({ auths: { "quay.io": ours } });
  });
});
