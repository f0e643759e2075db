import { chmod, mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import { dirname, join, relative } from "node:path";
import { describe, expect, test } from "vitest";
import { isoTime } from "../../src/identity/token.ts";
import { logoutOf } from "../../src/login/logout-of-scopes.ts";
import { type AuthFileStatus, assertLasting, readStatus } from "../../src/login/status.ts";
import { formatError } from "../../src/platform/errors.ts";
import { entryOf, failure, makeFolder, now, robotToken, testPlatform } from "../fixtures.ts";

const quay = { registry: "quay.io", scopes: [] };
const robot = (expiresAt = now + 600, name = "acme+ci") => entryOf(name, robotToken(expiresAt));

async function makeFile(content: unknown, path?: string): Promise<string> {
  const file = path ?? join(await makeFolder(), "auth.json");
  await mkdir(dirname(file), { recursive: true });
  await writeFile(file, typeof content === "string" ? content : JSON.stringify(content));
  return file;
}

describe("the logins in a file", () => {
  const auths = {
    "ghcr.io": robot(),
    "quay.io": robot(now + 1),
    "quay.io/acme": robot(now + 2, "acme+release"),
    "quay.io/acme/app": entryOf("acme+stored", "geheim"),
    "quay.io/placeholder": {},
    "quay.io.example": robot(),
    "quay.io:8443": robot(),
  };
  const host = { scope: "quay.io", robot: "acme+ci", expiresAt: now + 1 };
  const organization = { scope: "quay.io/acme", robot: "acme+release", expiresAt: now + 2 };
  const repository = { scope: "quay.io/acme/app", robot: "acme+stored", expiresAt: undefined };

  test.each([
    ["all of the registry", [], [host, organization, repository]],
    ["the host alone", ["quay.io"], [host]],
    ["some scopes, in the file's order", ["quay.io/acme/app", "quay.io/acme"], [organization, repository]],
    ["a scope that has none", ["quay.io/other"], []],
    ["a placeholder", ["quay.io/placeholder"], []],
  ])("%s", async (_, scopes, logins) => {
    const file = await makeFile({ auths });
    expect(await readStatus({ registry: "quay.io", scopes }, file, {})).toEqual([{ authFile: file, logins }]);
  });

  test("another registry", async () => {
    const file = await makeFile({ auths });
    const [{ logins }] = await readStatus({ registry: "quay.io:8443", scopes: [] }, file, {});
    expect(logins.map(({ scope }) => scope)).toEqual(["quay.io:8443"]);
  });

  test("none, if it does not exist or has none", async () => {
    const missing = join(await makeFolder(), "auth.json");
    expect(await readStatus(quay, missing, {})).toEqual([{ authFile: missing, logins: [] }]);
    const empty = await makeFile("{}");
    expect(await readStatus(quay, empty, {})).toEqual([{ authFile: empty, logins: [] }]);
  });

  test("with a relative path are returned with its whole path", async () => {
    const file = await makeFile({ auths });
    expect((await readStatus(quay, relative(process.cwd(), file), {}))[0].authFile).toBe(file);
    const env = { REGISTRY_AUTH_FILE: relative(process.cwd(), file) };
    expect((await readStatus(quay, undefined, env))[0].authFile).toBe(file);
  });

  test("are read from a read-only file, which does not change", async () => {
    const file = await makeFile({ auths });
    await chmod(file, 0o444);
    expect((await readStatus(quay, file, {}))[0].logins).toHaveLength(3);
    expect(JSON.parse(await readFile(file, "utf8"))).toEqual({ auths });
    expect(await readdir(dirname(file))).toEqual(["auth.json"]);
  });

  test("are an error in a file that can't be read", async () => {
    const folder = await makeFolder();
    expect((await failure(readStatus(quay, folder, {}))).message).toBe(`The auth file ${folder} is a folder.`);
    const broken = await makeFile("secret");
    expect((await failure(readStatus(quay, broken, {}))).message).toBe(`The auth file ${broken} is not JSON.`);
  });
});

describe("without a named file, the first that the tools read and that holds such a login", () => {
  async function makeHome() {
    const home = await makeFolder();
    const env = { HOME: join(home, "me"), XDG_RUNTIME_DIR: join(home, "run") };
    const first = join(home, "run/containers/auth.json");
    const put = (path: string, content: unknown) => makeFile(content, join(home, path));
    return { home, env, first, put };
  }

  test("reads the files in the tools' order", async () => {
    const { home, env, first, put } = await makeHome();
    const found = async (wanted: { registry: string; scopes: string[] } = { registry: "quay.io", scopes: [] }) => {
      const [{ authFile, logins }] = await readStatus(wanted, undefined, env);
      return [authFile.slice(home.length + 1), logins.map((login) => login.robot)];
    };
    const entries = (name: string) => ({ "quay.io": robot(now + 600, name) });
    expect(await found()).toEqual(["run/containers/auth.json", []]);
    // No tool writes this one any more, so no robot token is there.
    await put("me/.dockercfg", { auths: entries("acme+dockercfg"), ...entries("acme+dockercfg") });
    expect(await found()).toEqual(["run/containers/auth.json", []]);
    await put("me/.docker/config.json", { auths: entries("acme+docker") });
    expect(await found()).toEqual(["me/.docker/config.json", ["acme+docker"]]);
    await put("me/.config/containers/auth.json", { auths: entries("acme+config") });
    expect(await found()).toEqual(["me/.config/containers/auth.json", ["acme+config"]]);
    // One with only other logins is skipped.
    await writeFile(await put("run/containers/auth.json", {}), JSON.stringify({ auths: { "ghcr.io": robot() } }));
    expect(await found()).toEqual(["me/.config/containers/auth.json", ["acme+config"]]);
    expect(await found({ registry: "quay.io", scopes: ["quay.io/acme"] })).toEqual(["run/containers/auth.json", []]);
    await writeFile(first, JSON.stringify({ auths: entries("acme+run") }));
    expect(await found()).toEqual(["run/containers/auth.json", ["acme+run"]]);
  });

  test("a variable excludes all others", async () => {
    const { home, env, put } = await makeHome();
    await put("run/containers/auth.json", { auths: { "quay.io": robot() } });
    const file = join(home, "own.json");
    expect(await readStatus(quay, undefined, { ...env, REGISTRY_AUTH_FILE: file })).toEqual([
      { authFile: file, logins: [] },
    ]);
    const config = await put("docker/config.json", { auths: { "quay.io": robot() } });
    const status = await readStatus(quay, undefined, { ...env, DOCKER_CONFIG: join(home, "docker") });
    expect(status).toMatchObject([{ authFile: config, logins: [{ scope: "quay.io" }] }]);
  });

  test("and docker's configuration, which may hold a copy", async () => {
    const { home, env, put } = await makeHome();
    await put("run/containers/auth.json", { auths: { "quay.io": robot() } });
    await put("me/.config/containers/auth.json", { auths: { "quay.io": robot() } });
    await put("me/.docker/config.json", { auths: { "quay.io": robot(now - 60), "ghcr.io": robot() } });
    const places = await readStatus(quay, undefined, env);
    const paths = ["run/containers/auth.json", "me/.docker/config.json"].map((path) => join(home, path));
    expect(places.map(({ authFile }) => authFile)).toEqual(paths);
    // What skopeo reads counts.
    assertLasting(places, quay, now * 1000, 60);
    const platform = testPlatform();
    expect(await logoutOf(places, ["quay.io"], platform)).toEqual(["quay.io"]);
    expect(platform.reporter.infos.slice(0, 2)).toEqual(paths.map((path) => `Logged out of quay.io: ${path}`));
    const left = await readFile(join(home, "me/.docker/config.json"), "utf8");
    expect(Object.keys(JSON.parse(left).auths)).toEqual(["ghcr.io"]);
  });

  test("a password that docker has stored is no reason to fail, nor a file of docker's that can't be read", async () => {
    const { env, first, put } = await makeHome();
    await put("run/containers/auth.json", { auths: { "quay.io": robot() } });
    const docker = await put("me/.docker/config.json", { auths: { "quay.io": entryOf("me", "geheim") } });
    expect(await logoutOf(await readStatus(quay, undefined, env), ["quay.io"], testPlatform())).toEqual(["quay.io"]);
    expect(JSON.parse(await readFile(docker, "utf8")).auths).toHaveProperty(["quay.io"]);
    await put("run/containers/auth.json", { auths: { "quay.io": robot() } });
    await writeFile(docker, "no JSON");
    expect(await readStatus(quay, undefined, env)).toMatchObject([{ authFile: first }]);
  });
});

describe("the logins of docker's builder", () => {
  async function builder() {
    const home = await makeFolder();
    const folder = join(home, ".docker/buildx/config");
    const put = (scope: string, auths: object) => makeFile({ auths }, join(folder, scope, "config.json"));
    const own = { "quay.io": robot() };
    const paths = {
      app: await put("quay.io/acme/app", own),
      push: await put("quay.io/acme/app@push", own),
      host: await put("quay.io@pull,push", own),
    };
    await put("quay.io.example/acme/app", { "quay.io.example": robot() });
    await put("quay.io/acme/empty", {});
    const of = (scope: string, path: string) => ({ scope, path, robot: "acme+ci", expiresAt: now + 600 });
    const all = [
      of("quay.io/acme/app", paths.app),
      of("quay.io/acme/app@push", paths.push),
      of("quay.io@pull,push", paths.host),
    ];
    return { home, folder, paths, all, env: { HOME: home, XDG_RUNTIME_DIR: home } };
  }

  test("are found beside those of the tools' files", async () => {
    const { home, folder, env, all } = await builder();
    expect(await readStatus(quay, undefined, env)).toEqual([{ authFile: folder, logins: all }]);
    const two = { registry: "quay.io", scopes: ["quay.io/acme/app", "quay.io/acme/app@push"] };
    await makeFile({ auths: { "quay.io": robot(), "quay.io/acme/app": robot() } }, join(home, "containers/auth.json"));
    const authFile = join(home, "containers/auth.json");
    expect(await readStatus(quay, undefined, env)).toMatchObject([{ authFile }, { authFile: folder, logins: all }]);
    expect(await readStatus(two, undefined, env)).toMatchObject([
      { authFile, logins: [{ scope: "quay.io/acme/app" }] },
      { authFile: folder, logins: all.slice(0, 2) },
    ]);
    const none = { ...quay, scopes: ["quay.io/acme/other@push"] };
    expect(await readStatus(none, undefined, env)).toEqual([{ authFile: folder, logins: [] }]);
    expect(await readStatus(two, join(home, "none.json"), env)).toMatchObject([{ logins: [] }]);
    expect((await readStatus(two, undefined, { XDG_RUNTIME_DIR: join(home, "none") }))[0].logins).toEqual([]);
  });

  test("can be one's own files", async () => {
    const { home, paths, env } = await builder();
    const moved = { ...env, BUILDX_CONFIG: join(home, ".docker/buildx"), DOCKER_CONFIG: join(home, "other") };
    expect(
      (await readStatus({ ...quay, scopes: ["quay.io/acme/app@push"] }, undefined, moved))[0].logins,
    ).toMatchObject([{ path: paths.push }]);
  });

  test("that expire too soon are renewed with docker", async () => {
    const { env } = await builder();
    const wanted = { registry: "quay.io", scopes: ["quay.io/acme/app@push"] };
    const status = await readStatus(wanted, undefined, env);
    expect((await failure(() => assertLasting(status, wanted, now * 1000, 900))).remedy).toEqual([
      "Log in again: quay-keyless-login login --registry quay.io --robot quay.io/acme/app@push=acme+ci --tool docker",
    ]);
  });

  test("are removed with their files and folders, and others stay", async () => {
    const { folder, env, paths } = await builder();
    const platform = testPlatform();
    const scopes = ["quay.io/acme/app", "quay.io/acme/app@push"];
    const status = await readStatus({ registry: "quay.io", scopes }, undefined, env);
    await makeFile({ auths: { "quay.io": robot() }, HttpHeaders: { a: "b" } }, paths.app);
    expect(await logoutOf(status, scopes, platform)).toEqual(scopes);
    expect(JSON.parse(await readFile(paths.app, "utf8"))).toEqual({ auths: {}, HttpHeaders: { a: "b" } });
    expect((await readdir(join(folder, "quay.io/acme"))).sort()).toEqual(["app", "empty"]);
    expect(await readdir(folder)).toContain("quay.io@pull,push");
  });
});

describe("how long the logins last", () => {
  const ms = now * 1000;
  const login = (left: number | undefined, scope = "quay.io") => ({
    scope,
    robot: "acme+ci",
    expiresAt: left === undefined ? undefined : now + left,
  });
  const check = (logins: AuthFileStatus["logins"], seconds: number, scopes: string[] = [], at = ms) =>
    assertLasting([{ authFile: "/a.json", logins }], { registry: "quay.io", scopes }, at, seconds);

  test.each<[string, ReturnType<typeof login>[], number, string[]]>([
    ["long enough", [login(601)], 600, []],
    ["just long enough", [login(600)], 600, []],
    ["at its very end, where nothing more is asked", [login(0)], 0, []],
    ["a stored password does not end", [login(undefined)], 86_400, []],
    ["all of them", [login(700), login(601, "quay.io/acme")], 600, ["quay.io/acme", "quay.io"]],
    ["a login for an organization is one of the registry's", [login(601, "quay.io/acme")], 600, []],
  ])("accepts %s", (_, logins, seconds, scopes) => {
    expect(() => check(logins, seconds, scopes)).not.toThrow();
  });

  test.each<[string, ReturnType<typeof login>[], string[], string]>([
    ["none at all", [], [], "quay.io"],
    ["none for the scope", [], ["quay.io/acme", "quay.io/other"], "quay.io/acme"],
    ["one of two is missing", [login(600)], ["quay.io", "quay.io/acme"], "quay.io/acme"],
  ])("rejects a missing one: %s", async (_, logins, scopes, missing) => {
    const error = await failure(() => check(logins, 0, scopes));
    expect(error.code).toBe("not-logged-in");
    expect(error.message).toBe(`/a.json holds no login for ${missing}.`);
    expect(error.remedy.join("\n")).toMatch(/login --registry quay\.io --robot [\s\S]*auth-file: /);
  });

  test("rejects one that expires too soon: says when, and how to log in again", async () => {
    const error = await failure(() => check([login(3600), login(599.5, "quay.io/acme")], 600));
    expect(error.code).toBe("login-ends-soon");
    expect(error.message).toBe(
      `The login for quay.io/acme in /a.json expires at ${isoTime(now + 599)}, in 599 s: less than 600 s.`,
    );
    expect(error.remedy).toEqual([
      "Log in again: quay-keyless-login login --registry quay.io --robot quay.io/acme=acme+ci --auth-file /a.json",
    ]);
    expect((await failure(() => check([login(0.5)], 1))).message).toContain("in 0 s: less than 1 s.");
    const host = await failure(() => check([login(5)], 6));
    expect(formatError(host)).toContain("--robot acme+ci --auth-file");
  });

  test("rejects one that has expired", async () => {
    const error = await failure(() => check([login(-1)], 0));
    expect(error.code).toBe("login-ends-soon");
    expect(error.message).toBe(`The login for quay.io in /a.json expired at ${isoTime(now - 1)}.`);
    // By a millisecond.
    expect((await failure(() => check([login(0)], 0, [], ms + 1))).message).toContain("expired at");
  });
});
