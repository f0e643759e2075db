/** Logins that are where a tool writes, and that no tool uses. */
import { mkdir, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { describe, expect, test } from "vitest";
import { assertReadFirst, hidingVariable } from "../../src/authfile/hidden.ts";
import type { Environment } from "../../src/platform/environment.ts";
import { entryOf, failure, makeFolder } from "../fixtures.ts";

const theirs = entryOf("someone", "a-password");

/** A user with DOCKER_CONFIG, and with what skopeo reads before that. */
async function makeUser() {
  const base = await makeFolder();
  const home = join(base, "home");
  const env: Environment = { HOME: home, XDG_RUNTIME_DIR: join(base, "run"), DOCKER_CONFIG: join(base, "docker") };
  return {
    base,
    env,
    written: join(base, "docker/config.json"),
    runtime: join(base, "run/containers/auth.json"),
    configuration: join(home, ".config/containers/auth.json"),
    ofDocker: join(home, ".docker/config.json"),
    legacy: join(home, ".dockercfg"),
    put: async (path: string, content: unknown) => {
      await mkdir(dirname(path), { recursive: true });
      await writeFile(path, typeof content === "string" ? content : JSON.stringify(content));
    },
  };
}

describe("skopeo's own files, which it reads before DOCKER_CONFIG", () => {
  test.each(["runtime", "configuration"] as const)("hide a login: %s", async (which) => {
    const user = await makeUser();
    const path = user[which];
    await user.put(path, { auths: { "ghcr.io": theirs, "quay.io": theirs } });
    const error = await failure(assertReadFirst(["quay.io"], user.env));
    expect(error.code).toBe("login-hidden");
    expect(error.message).toBe(
      `skopeo does not use the login for quay.io in ${user.written}: it reads ${path} first, which has one for quay.io, although DOCKER_CONFIG is set.`,
    );
    expect(error.remedy).toEqual([
      `If you don't need that login: skopeo logout --authfile ${path} quay.io`,
      `Or name the file for all tools: export REGISTRY_AUTH_FILE=${user.written}`,
    ]);
  });

  // A login's scope, what the file had before, and whether that hides the login.
  test.each<[string, string, boolean]>([
    ["quay.io", "quay.io", true],
    ["quay.io/acme", "quay.io/acme", true],
    ["quay.io/acme", "quay.io", true],
    ["quay.io/acme/app", "quay.io/acme", true],
    ["quay.io", "quay.io/acme", true],
    ["quay.io/acme", "quay.io/other", false],
    ["quay.io/acme", "quay.io/acme-2", false],
    ["quay.io", "quay.io:8443", false],
    ["quay.io", "ghcr.io", false],
  ])("a login for %s, and one for %s there: %s", async (scope, key, isHidden) => {
    const { env, put, runtime } = await makeUser();
    await put(runtime, { auths: { [key]: theirs } });
    const checked = assertReadFirst(["registry.example", scope], env);
    if (isHidden) {
      expect((await failure(checked)).message).toContain(`login for ${scope} in`);
    } else {
      await expect(checked).resolves.toBeUndefined();
    }
  });

  test("a helper for the host hides logins for all below it", async () => {
    const { env, put, runtime } = await makeUser();
    await put(runtime, { credHelpers: { "quay.io": "secretservice" } });
    expect((await failure(assertReadFirst(["quay.io/acme"], env))).message).toContain("which has one for quay.io,");
    await expect(assertReadFirst(["registry.example"], env)).resolves.toBeUndefined();
  });

  test.each<[string, unknown]>([
    ["is not JSON", "{"],
    ["is empty", ""],
    ["holds no logins", {}],
    ["holds null for them", { auths: null }],
  ])("hide nothing if one %s: skopeo itself reports it", async (_, content) => {
    const { env, put, runtime } = await makeUser();
    await put(runtime, content);
    await expect(assertReadFirst(["quay.io"], env)).resolves.toBeUndefined();
  });

  test("are the two of containers, not docker's, which DOCKER_CONFIG replaces", async () => {
    const { env, put, ofDocker, legacy, written } = await makeUser();
    await put(ofDocker, { auths: { "quay.io": theirs } });
    await put(legacy, { "quay.io": theirs, auths: { "quay.io": theirs } });
    await put(written, { auths: { "quay.io": theirs } });
    await expect(assertReadFirst(["quay.io"], env)).resolves.toBeUndefined();
  });

  test("do not matter if DOCKER_CONFIG is not set, or REGISTRY_AUTH_FILE decides", async () => {
    const { env, put, runtime } = await makeUser();
    await put(runtime, { auths: { "quay.io": theirs } });
    for (const change of [{ DOCKER_CONFIG: "" }, { DOCKER_CONFIG: undefined }, { REGISTRY_AUTH_FILE: "/own.json" }]) {
      await expect(assertReadFirst(["quay.io"], { ...env, ...change })).resolves.toBeUndefined();
    }
  });
});

describe("the variable DOCKER_AUTH_CONFIG", () => {
  test.each<[string | undefined, boolean]>([
    ['{"auths":{"quay.io":{"auth":"YTpi"}}}', true],
    ['{"auths":{"ghcr.io":{},"https://quay.io/v2/":{}}}', true],
    ['{"auths":{"http://quay.io":{}}}', true],
    ['{"auths":{"quay.io/acme":{}}}', true],
    ['{"auths":{"quay.io:8443":{},"ghcr.io":{}}}', false],
    ['{"auths":{}}', false],
    ['{"auths":null}', false],
    ['{"auths":7}', false],
    ["{}", false],
    ["null", false],
    ["{", false],
    ["", false],
    [undefined, false],
  ])("%s hides a login for quay.io: %s", (text, isHidden) => {
    const said = hidingVariable("quay.io", { DOCKER_AUTH_CONFIG: text });
    expect(said?.startsWith("The variable DOCKER_AUTH_CONFIG has a login for quay.io: ") ?? false).toBe(isHidden);
    expect(said ?? "").not.toContain("YTpi");
  });
});
