import { createHash } from "node:crypto";
import { chmod, readdir, readFile, symlink, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { describe, expect, test } from "vitest";
import { type FileRecord, mergeEntries } from "../../src/authfile/change.ts";
import { assertNotHidden } from "../../src/authfile/cred-helpers.ts";
import { type AuthContent, readAuthFile } from "../../src/authfile/read.ts";
import { removeEntries, restoreEntries } from "../../src/authfile/restore.ts";
import { systemClock } from "../../src/platform/clock.ts";
import { asNobody, createRecorder, failure, failureText, makeFolder } from "../fixtures.ts";

const platform = { clock: systemClock, signal: new AbortController().signal, reporter: createRecorder() };

const sha256 = (text: string) => createHash("sha256").update(text).digest("hex");

async function makeFile(text: string): Promise<string> {
  const path = join(await makeFolder(), "auth.json");
  await writeFile(path, text, { mode: 0o600 });
  return path;
}

describe("a file that can't be used: nothing is changed, and the error names it", () => {
  const say = (path: string) => failureText("auth-file-unusable", readAuthFile(path));

  test("accepts that there is none", async () => {
    const path = join(await makeFolder(), "a/auth.json");
    expect(await readAuthFile(path)).toEqual({ path, content: {} });
  });

  test.each<[string, string, string]>([
    ["empty", "", "is empty, which is not valid JSON"],
    ["blank", " \n", "is empty, which is not valid JSON"],
    ["not JSON", 'auths: {quay.io: "c2VjcmV0"}', "is not JSON"],
    ["half of it", '{"auths": {"quay.io": {"auth": "c2VjcmV0"', "is not JSON"],
    ["a brace too many", '{"auths": {"quay.io": {"auth": "c2VjcmV0"}}}}', "is not JSON"],
    ["a list", "[]", "is JSON, but not an auth file"],
    ["null", "null", "is JSON, but not an auth file"],
    ["auths as text", '{"auths": "c2VjcmV0"}', "is JSON, but not an auth file"],
    ["auths as a list", '{"auths": ["c2VjcmV0"]}', "is JSON, but not an auth file"],
    ["credHelpers as text", '{"credHelpers": "c2VjcmV0"}', "is JSON, but not an auth file"],
  ])("%s", async (_, text, problem) => {
    const path = await makeFile(text);
    const said = await say(path);
    expect(said).toContain(`The auth file ${path} ${problem}`);
    expect(said).not.toContain("c2VjcmV0");
    const change = { path, entries: { "quay.io": { auth: "b3VyczpvdXJz" } }, mode: undefined, id: "x" };
    const error = await failure(mergeEntries(change, platform, () => expect.unreachable("it can't be changed")));
    expect(error.code).toBe("auth-file-unusable");
    expect(JSON.stringify([error.stack, String(error.cause)])).not.toContain("c2VjcmV0");
    expect(await readFile(path, "utf8")).toBe(text);
    expect(await readdir(dirname(path))).toEqual(["auth.json"]);
  });

  test("a folder", async () => {
    expect(await say(await makeFolder())).toContain("is a folder");
  });

  test("a dangling link", async () => {
    const path = join(await makeFolder(), "auth.json");
    await symlink("/nothing/there.json", path);
    expect(await say(path)).toContain("is a symbolic link to nothing");
  });

  test("a path through a file, and a link to itself", async () => {
    const path = await makeFile("{}");
    expect(await say(join(path, "auth.json"))).toContain("cannot be reached (ENOTDIR)");
    const self = join(dirname(path), "self");
    await symlink(self, self);
    expect(await say(self)).toMatch(/symbolic link to nothing|ELOOP/);
  });

  test("read-only", async () => {
    const path = await makeFile("{}");
    await chmod(path, 0o444);
    const said = await say(path);
    expect(said).toContain("is read-only");
    expect(said).toContain(`chmod u+w ${path}`);
    // It is good enough to read.
    expect(await readAuthFile(path, "read")).toMatchObject({ path, content: {}, existing: { mode: 0o444 } });
  });

  test("another user's", async () => {
    const path = await makeFile("{}");
    await chmod(path, 0o000);
    await chmod(dirname(path), 0o755);
    const said = await asNobody(
      ["authfile/read.ts"],
      (src: typeof import("../../src/authfile/read.ts"), file) => src.readAuthFile(file),
      path,
    );
    expect(said).toContain(`The auth file ${path} is not readable by this user`);
  });

  test("neither a file nor a folder", async () => {
    expect(await say("/proc/self/mem")).toContain("cannot be read (EIO)");
  });
});

describe("content of others that a new version would lose", () => {
  const ours = { auth: "b3VyczpvdXJz" };
  const entries = '"quay.io": {"auth": "b3VyczpvdXJz"}';
  test.each<[string, Buffer, string]>([
    ["a whole number over 2^53", Buffer.from(`{"auths": {${entries}}, "id": 12345678901234567}`), "holds a number"],
    ["a key twice", Buffer.from(`{"auths": {${entries}}, "a": 1, "a": 2}`), 'holds the key "a" twice'],
    [
      "a login twice",
      Buffer.from(`{"auths": {${entries}, "ghcr.io": {}, "ghcr.io": {}}}`),
      'holds the key "ghcr.io" twice',
    ],
    [
      "bytes that are not text",
      Buffer.from(`{"auths": {${entries}}, "a": "\u00ff"}`, "latin1"),
      "holds bytes that are not UTF-8",
    ],
    [
      "half a character",
      Buffer.concat([
        Buffer.from(`{"auths": {${entries}}, "a": "`),
        Buffer.from([0xed, 0xa0, 0x80]),
        Buffer.from('"}'),
      ]),
      "holds bytes that are not UTF-8",
    ],
    [
      "a deep nest",
      Buffer.from(`{"auths": {${entries}}, "a": ${"[".repeat(5_000)}${"]".repeat(5_000)}}`),
      "is nested more than 1000 deep",
    ],
    [
      "a deep nest in a login",
      Buffer.from(`{"auths": {"quay.io": {"auth": "b3VyczpvdXJz", "a": ${"[".repeat(50_000)}${"]".repeat(50_000)}}}}`),
      "is nested more than 1000 deep",
    ],
  ])("%s: login, logout, and logout without a session change nothing", async (name, bytes, problem) => {
    const path = await makeFile("");
    await writeFile(path, bytes);
    const change = { path, entries: { "quay.io": ours }, mode: undefined, id: "x" };
    const record = {
      ...{ path, before: null, mode: 0o600, folders: [], after: [] },
      scopes: {
        "quay.io": { before: null, written: [sha256(JSON.stringify(ours))] },
      },
    };
    for (const work of [
      () => readAuthFile(path),
      () => mergeEntries(change, platform, () => expect.unreachable("it can't be changed")),
      () => removeEntries({ path, id: "x" }, ["quay.io"], () => true, platform),
      ...(name === "a deep nest in a login" ? [] : [() => restoreEntries(record, "0123456789ab", platform)]),
    ]) {
      const said = await failureText("auth-file-unusable", work());
      expect(said).toContain(`The auth file ${path} ${problem}`);
      expect(said).toContain("auth-file: /path/auth.json");
    }
    expect((await readFile(path)).equals(bytes)).toBe(true);
    expect(await readdir(dirname(path))).toEqual(["auth.json"]);
    // It is good enough to read; and without an entry of ours, logout does not need a better one.
    expect(await readAuthFile(path, "read")).toMatchObject({ path });
    await restoreEntries({ ...record, scopes: {} }, "0123456789ab", platform);
    expect(await removeEntries({ path, id: "x" }, ["quay.io"], () => false, platform)).toEqual([]);
  });

  test("keeps all its keys", async () => {
    const before =
      '{"__proto__": {"a": 1}, "auths": {"__proto__": {"auth": "eDp5"}, "constructor": {"auth": "eDp5"}}, "10": 1.50, "x": "\\ud800"}';
    const path = await makeFile(before);
    let record: FileRecord | undefined;
    await mergeEntries({ path, entries: { "quay.io": ours }, mode: undefined, id: "x" }, platform, async (written) => {
      record = written;
    });
    const expected = before.replace('"eDp5"}}', `"eDp5"}, ${entries}}`);
    expect(JSON.parse(await readFile(path, "utf8"))).toEqual(JSON.parse(expected));
    expect(Object.keys(JSON.parse(await readFile(path, "utf8")).auths)).toContain("__proto__");
    await restoreEntries(record ?? expect.unreachable("it is remembered"), "x", platform);
    expect(await readFile(path, "utf8")).toBe(before);
  });
});

describe("a login in the file that a helper would hide", () => {
  const helper = { credHelpers: { "quay.io": "ecr-login" } };
  test.each<["containers" | "docker", AuthContent, string | undefined]>([
    ["containers", {}, undefined],
    ["docker", { auths: {} }, undefined],
    ["containers", helper, "credHelpers.quay.io"],
    ["docker", helper, "credHelpers.quay.io"],
    ["docker", { credHelpers: { "gcr.io": "gcloud" } }, undefined],
    ["docker", { credsStore: "desktop" }, "credsStore"],
    ["docker", { credsStore: "" }, undefined],
    ["containers", { credsStore: "desktop" }, undefined],
  ])("%s %j: %s", async (kind, content, hiding) => {
    const check = () => assertNotHidden(kind, { path: "/c.json", content }, "quay.io");
    if (hiding === undefined) {
      expect(check).not.toThrow();
      return;
    }
    const said = await failureText("credential-helper", check);
    expect(said).toContain(`/c.json sets ${hiding}: the tools would not`);
    expect(said).toContain(`emove ${hiding} from it`);
    expect(said).toContain("auth-file: /path");
  });
});
