import { chmod, mkdir, symlink, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { join } from "node:path";
import { describe, expect, onTestFinished, test } from "vitest";
import {
  type CacheEntry,
  cachePath,
  cachePlace,
  findCached,
  isSame,
  keyOf,
  readCache,
} from "../../src/helper/cache.ts";
import { dropTokens, keepToken } from "../../src/helper/cache-write.ts";
import { parseHelperRequest } from "../../src/helper/configuration.ts";
import { systemClock } from "../../src/platform/clock.ts";
import { failure, fakeClock, makeFolder, now, robotToken, unsignedJwt } from "../fixtures.ts";

const request = (options = {}) => parseHelperRequest({ robot: "acme+ci", ...options });
const timed = { clock: systemClock, signal: new AbortController().signal };
const key = { registry: "quay.io", robot: "acme+ci", audience: "quay", source: "x" };
const fresh = (change: Partial<CacheEntry> = {}): CacheEntry => ({
  ...key,
  token: robotToken(now + 3_600),
  expiresAt: now + 3_600,
  lifeSeconds: 3_600,
  ...change,
});

async function cacheWith(...entries: unknown[]): Promise<string> {
  const path = join(await makeFolder(), "cache.json");
  await writeFile(path, JSON.stringify({ version: 1, entries }), { mode: 0o600 });
  return path;
}

describe("the place", () => {
  test("is the private runtime folder, but not in CI", async () => {
    const folder = join(await makeFolder(), "run");
    await mkdir(folder, { mode: 0o700 });
    const origin = { kind: "environment" } as const;
    const env = { XDG_RUNTIME_DIR: folder };
    expect(cachePath(origin, env)).toBe(join(folder, "quay-keyless/cache.json"));
    expect(cachePath(origin, { ...env, CI: "" })).toBe(join(folder, "quay-keyless/cache.json"));
    expect(cachePath(origin, { ...env, CI: "1" })).toBeUndefined();
    await chmod(join(folder, ".."), 0o777);
    expect(cachePath(origin, env)).toBeUndefined();
    await chmod(join(folder, ".."), 0o700);
    expect(cachePath(origin, env)).toBe(join(folder, "quay-keyless/cache.json"));
    await chmod(folder, 0o710);
    expect(cachePath(origin, env)).toBeUndefined();
    expect(cachePath(origin, {})).toBeUndefined();
    expect(cachePath(origin, { XDG_RUNTIME_DIR: join(folder, "none") })).toBeUndefined();
  });

  test("of a job is beside its configuration", () => {
    expect(cachePath({ kind: "job", path: "/job/config.json" }, { CI: "true" })).toBe("/job/cache.json");
  });

  test("can be cleaned where no get would use it", async () => {
    const folder = await makeFolder();
    await chmod(folder, 0o755);
    for (const origin of [{ kind: "environment" }, { kind: "file", path: "/c" }] as const) {
      const env = { XDG_RUNTIME_DIR: folder, CI: "true" };
      expect(cachePath(origin, env)).toBeUndefined();
      expect(cachePlace(origin, env)).toBe(join(folder, "quay-keyless/cache.json"));
      expect(cachePlace(origin, { XDG_RUNTIME_DIR: "relative" })).toBeUndefined();
    }
  });
});

describe("a key", () => {
  const token = unsignedJwt({ iss: "https://issuer", sub: "me" });

  test("of a token in a variable or a file has its issuer and subject", async () => {
    const file = join(await makeFolder(), "token");
    await writeFile(file, `${token}\n`);
    await symlink(file, `${file}.link`);
    const [ofFile, ofLink, ofVariable] = [
      keyOf(request({ "token-file": file }), {}),
      keyOf(request({ "token-file": `${file}.link` }), {}),
      keyOf(request({ "token-env": "JWT" }), { JWT: ` ${token} ` }),
    ];
    for (const each of [ofFile, ofLink, ofVariable]) {
      expect(each).toMatchObject({ registry: "quay.io", robot: "acme+ci", audience: "quay" });
      expect(each).toMatchObject({
        issuer: "https://issuer",
        subject: "me",
        source: expect.stringMatching(/^[0-9a-f]{64}$/),
      });
    }
    expect(new Set([ofFile?.source, ofLink?.source, ofVariable?.source]).size).toBe(3);
  });

  test.each(["", "no token", "a.b.c", unsignedJwt({ iss: "https://issuer" }), unsignedJwt({ iss: 1, sub: "me" }), "{"])(
    "needs an identity: %s is none",
    (text) => {
      expect(keyOf(request({ "token-env": "JWT" }), { JWT: text })).toBeUndefined();
    },
  );

  test("of GitHub is of one job", () => {
    const env = {
      ACTIONS_ID_TOKEN_REQUEST_URL: "https://github/?x=1",
      ACTIONS_ID_TOKEN_REQUEST_TOKEN: "t",
      GITHUB_JOB: "build",
    };
    const sources = [
      env,
      { ...env, GITHUB_JOB: "test" },
      { ...env, GITHUB_RUN_ID: "2" },
      { ...env, GITHUB_RUN_ATTEMPT: "2" },
      { ...env, GITHUB_REPOSITORY: "acme/other" },
      { ...env, ACTIONS_ID_TOKEN_REQUEST_URL: "https://github/?x=2" },
    ].map((each) => keyOf(request(), each)?.source);
    expect(new Set(sources).size).toBe(sources.length);
    expect(keyOf(request(), { ...env, ACTIONS_ID_TOKEN_REQUEST_TOKEN: "another" })?.source).toBe(sources[0]);
    expect(keyOf(request(), { GITHUB_JOB: "build" })).toBeUndefined();
  });

  test("of SPIFFE needs its socket", async () => {
    const path = join(await makeFolder(), "agent.sock");
    const asked = request({ "spiffe-socket": `unix://${path}` });
    expect(keyOf(asked, {})).toBeUndefined();
    const server = createServer().listen(path);
    onTestFinished(() => void server.close());
    await new Promise((done) => server.once("listening", done));
    expect(keyOf(asked, {})).toMatchObject({ registry: "quay.io" });
    const other = keyOf(request({ "spiffe-socket": `unix://${path}`, "spiffe-id": "spiffe://a/b" }), {});
    expect(other?.source).not.toBe(keyOf(asked, {})?.source);
    expect(keyOf(request(), { SPIFFE_ENDPOINT_SOCKET: "tcp://127.0.0.1:8081" })).toBeDefined();
    await expect(failure(() => keyOf(request(), { SPIFFE_ENDPOINT_SOCKET: "/x" }))).resolves.toMatchObject({
      code: "invalid-input",
    });
  });

  test("of a command needs its program", async () => {
    const folder = await makeFolder();
    const asked = request({ "token-command": "print-token --audience quay" });
    expect(keyOf(asked, { PATH: `${folder}:relative` })).toBeUndefined();
    await writeFile(join(folder, "print-token"), "");
    const found = keyOf(asked, { PATH: `relative:${folder}` });
    expect(found).toBeDefined();
    const other = keyOf(request({ "token-command": "print-token --audience other" }), { PATH: folder });
    expect(other?.source).not.toBe(found?.source);
    expect(keyOf(request({ "token-command": "/nowhere/print-token" }), {})).toBeUndefined();
    expect(keyOf(request({ "token-command": join(folder, "print-token") }), {})).toBeDefined();
  });

  test("none is of no source", () => {
    expect(keyOf(request(), {})).toBeUndefined();
  });
});

describe("a token", () => {
  test.each([
    [1_800, true],
    [1_799, false],
    [3_600, true],
    [3_601, false],
    [-1, false],
  ])("with %i s left of 3600: %s", async (left, isHit) => {
    const path = await cacheWith(fresh({ expiresAt: now + left }));
    expect(findCached(path, key, now * 1000) !== undefined).toBe(isHit);
  });

  test.each(["registry", "robot", "audience", "source", "issuer", "subject"])("is of its %s alone", async (part) => {
    const path = await cacheWith(fresh({ issuer: "i", subject: "s", [part]: "another" }));
    const wanted = { ...key, issuer: "i", subject: "s" };
    expect(findCached(path, wanted, now * 1000)).toBeUndefined();
    expect(findCached(path, { ...wanted, [part]: "another" }, now * 1000)).toBeDefined();
  });

  test.each<[string, unknown]>([
    ["a text", "entry"],
    ["null", null],
    ["no token", fresh({ token: undefined as never })],
    ["a token that is no JWT", fresh({ token: "secret" })],
    ["an expiry in words", fresh({ expiresAt: "soon" as never })],
    ["no life", fresh({ lifeSeconds: 0 })],
    ["a registry that is a number", fresh({ registry: 1 as never })],
    ["no source", fresh({ source: undefined as never })],
    ["a subject that is a list", fresh({ subject: [] as never })],
  ])("with %s is none", async (_, entry) => {
    expect(readCache(await cacheWith(entry, fresh()))).toEqual([fresh()]);
  });

  test("is kept for its life from now, in place of an earlier one, and expired ones go", async () => {
    const path = await cacheWith(
      fresh(),
      fresh({ robot: "acme+other" }),
      fresh({ robot: "acme+old", expiresAt: now - 5 }),
    );
    const clock = fakeClock((now + 100) * 1000);
    await keepToken(path, key, { token: robotToken(now + 9_999), lifeSeconds: 600 }, { ...timed, clock });
    expect(readCache(path).map(({ robot, expiresAt, lifeSeconds }) => [robot, expiresAt - now, lifeSeconds])).toEqual([
      ["acme+ci", 700, 600],
      ["acme+other", 3_600, 3_600],
    ]);
  });

  test("is dropped with all of its registry", async () => {
    const path = await cacheWith(fresh(), fresh({ robot: "acme+other" }), fresh({ registry: "quay.example.com" }));
    await dropTokens(path, "quay.io", timed);
    expect(readCache(path)).toEqual([fresh({ registry: "quay.example.com" })]);
    await dropTokens(join(await makeFolder(), "none.json"), "quay.io", timed);
  });

  test("does not stay in a draft if it can't be placed", async () => {
    const folder = await makeFolder();
    await mkdir(join(folder, "cache.json"));
    const { readdir } = await import("node:fs/promises");
    const keeping = keepToken(join(folder, "cache.json"), key, { token: robotToken(now), lifeSeconds: 600 }, timed);
    await expect(keeping).rejects.toThrow("EISDIR");
    expect(await readdir(folder)).toEqual(["cache.json"]);
  });
});

test("two keys are the same in all parts", () => {
  expect(isSame(key, { ...key })).toBe(true);
  expect(isSame(key, { ...key, subject: "s" })).toBe(false);
});
