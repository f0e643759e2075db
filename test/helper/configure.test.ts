/** The story of `configure` and of its removal, in a home of its own. */
import { chmod, chown, mkdir, readdir, readFile, rm, symlink, utimes, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { describe, expect, test } from "vitest";
import { type FileRecord, mergeEntries } from "../../src/authfile/change.ts";
import { restoreEntries } from "../../src/authfile/restore.ts";
import { type ConfigureRequest, configureHelper, removeConfiguration } from "../../src/helper/configure.ts";
import { logout } from "../../src/login/logout.ts";
import { entryOf, failure, fakeTool, makeFolder, now, robotToken, testPlatform } from "../fixtures.ts";
import { isRoot } from "../support/root.ts";

const stored = entryOf("person", "a-password");

async function makeHome(env: Record<string, string> = {}) {
  const home = await makeFolder();
  const path = await fakeTool(home, "docker-credential-quay-keyless", "exit 1");
  const machine = testPlatform({ env: { HOME: home, PATH: path, XDG_RUNTIME_DIR: join(home, "run"), ...env } });
  const at = (name: string) => join(home, name);
  const files = { containers: at(".config/containers/auth.json"), docker: at(".docker/config.json") };
  const write = async (file: string, content: string | object) => {
    await mkdir(dirname(file), { recursive: true });
    await writeFile(file, typeof content === "string" ? content : JSON.stringify(content));
  };
  const read = async (file: string) => JSON.parse(await readFile(file, "utf8"));
  const configure = (change: Partial<ConfigureRequest> = {}) =>
    configureHelper(
      {
        registry: "quay.io",
        options: { robot: "acme+ci" },
        authFile: undefined,
        docker: true,
        session: undefined,
        helper: "/opt/helper/index.js",
        ...change,
      },
      machine,
    );
  const remove = (registry = "quay.io", authFile?: string) => removeConfiguration({ registry, authFile }, machine);
  /** Every file below the home, but the program. */
  const all = async () => {
    const found = await readdir(home, { recursive: true, withFileTypes: true });
    const paths = found.filter((each) => each.isFile()).map((each) => join(each.parentPath, each.name));
    const contents = await Promise.all(
      paths.filter((each) => !each.startsWith(path)).map(async (each) => [each, await readFile(each, "utf8")] as const),
    );
    return Object.fromEntries(contents);
  };
  const folders = async () =>
    (await readdir(home, { recursive: true, withFileTypes: true })).filter((each) => each.isDirectory()).length;
  const configuration = at(".config/quay-keyless/config.json");
  return { home, machine, at, files, write, read, configure, remove, all, folders, configuration };
}

const ours = { "quay.io": "quay-keyless" };

describe("configure", () => {
  test("enters the helper for all tools, and configures it", async () => {
    const { configure, files, read, configuration, home } = await makeHome();
    const options = { robot: "acme+ci", "token-file": "/run/token", audience: "quay" };
    expect(await configure({ options })).toEqual({
      change: "new",
      configuration,
      files: [files.containers, files.docker],
    });
    expect(await read(files.containers)).toEqual({ credHelpers: ours });
    expect(await read(files.docker)).toEqual({ credHelpers: ours });
    expect(await read(configuration)).toEqual({ version: 1, registries: { "quay.io": options } });
    expect((await readdir(join(home, ".config/quay-keyless"))).sort()).toEqual(["config.json", "configured"]);
  });

  test.each<[string, Record<string, string>, (home: string) => string[]]>([
    ["REGISTRY_AUTH_FILE", { REGISTRY_AUTH_FILE: "auth.json" }, (home) => [join(home, "auth.json")]],
    [
      "DOCKER_CONFIG, which all of them read",
      { DOCKER_CONFIG: "docker" },
      (home) => [join(home, "docker/config.json")],
    ],
    ["XDG_CONFIG_HOME", { XDG_CONFIG_HOME: "xdg" }, (home) => [join(home, "xdg/containers/auth.json")]],
  ])("respects %s", async (_, env, expected) => {
    const { home, machine, configure } = await makeHome();
    Object.assign(
      machine.env,
      Object.fromEntries(Object.entries(env).map(([name, value]) => [name, join(home, value)])),
    );
    const { files } = await configure({ docker: "DOCKER_CONFIG" in env });
    expect(files).toEqual(expected(home));
  });

  test("is refused where the helper would not read what it writes", async () => {
    const { configure, all, at } = await makeHome();
    const before = await all();
    await mkdir(at(".config/quay-keyless"), { recursive: true });
    await chmod(at(".config/quay-keyless"), 0o775);
    const error = await failure(configure());
    expect(error).toMatchObject({
      code: "configuration-unusable",
      message: expect.stringContaining("others can write to"),
    });
    expect(await all()).toEqual(before);
    await chmod(at(".config/quay-keyless"), 0o700);
    expect(await configure()).toMatchObject({ change: "new" });
  });

  test.skipIf(!isRoot)("is refused to root in another user's home (needs root)", async () => {
    const { configure, home } = await makeHome();
    await chown(home, 1000, 1000);
    const error = await failure(configure());
    expect(error).toMatchObject({ code: "configuration-unusable", message: expect.stringContaining("This is root") });
    expect(await readdir(home)).not.toContain(".config");
  });

  test("removes what a kill has left locked", async () => {
    const { remove, write, all, files, configuration } = await makeHome();
    const before = await all();
    for (const path of [files.docker, configuration]) {
      await write(`${path}.lock`, "0b9cbbae-2b0c-4d2a-9d3b-5a7d2f0c1e11");
      await utimes(`${path}.lock`, 0, 0);
    }
    await remove();
    expect(await all()).toEqual(before);
  });

  test("leaves docker's file out, and takes another auth file", async () => {
    const { configure, at, files, all } = await makeHome();
    expect((await configure({ docker: false, authFile: at("a/my.json") })).files).toEqual([at("a/my.json")]);
    expect(Object.keys(await all())).not.toContain(files.docker);
  });

  test("changes nothing the second time, and says so", async () => {
    const { configure, all } = await makeHome();
    await configure();
    const before = await all();
    expect((await configure()).change).toBe("none");
    expect(await all()).toEqual(before);
  });

  test("changes the robot, and enters the helper in another file too", async () => {
    const { configure, read, configuration, files, remove, all } = await makeHome();
    const before = await all();
    await configure({ docker: false });
    expect((await configure({ options: { robot: "acme+other" } })).change).toBe("changed");
    expect((await read(configuration)).registries).toEqual({ "quay.io": { robot: "acme+other" } });
    expect(await read(files.docker)).toEqual({ credHelpers: ours });
    await remove();
    expect(await all()).toEqual(before);
  });

  test("enters the helper again where it was removed by hand", async () => {
    const { configure, write, read, files } = await makeHome();
    await configure();
    await write(files.docker, { auths: { "ghcr.io": stored } });
    expect((await configure()).change).toBe("changed");
    expect(await read(files.docker)).toEqual({ auths: { "ghcr.io": stored }, credHelpers: ours });
  });

  test("several registries, one after another, removed in the same order", async () => {
    const { configure, remove, all, read, configuration, write, files } = await makeHome();
    await write(files.docker, `${JSON.stringify({ auths: { "ghcr.io": stored } }, undefined, 2)}\n`);
    const before = await all();
    const registries = ["quay.io", "quay.example.com:8443", "[::1]:8443"];
    for (const registry of registries) {
      await configure({ registry, options: { robot: "acme+ci" } });
    }
    expect(Object.keys((await read(configuration)).registries)).toEqual(registries);
    for (const [index, registry] of registries.entries()) {
      expect(await remove(registry)).toMatchObject({ wasConfigured: true, others: registries.slice(index + 1) });
    }
    expect(await all()).toEqual(before);
  });

  test("twenty at once configure each registry", async () => {
    const { configure, read, configuration, remove, all, files } = await makeHome();
    const before = await all();
    const registries = Array.from({ length: 20 }, (_, index) => `quay${index % 10}.example`);
    await Promise.all(registries.map((registry) => configure({ registry })));
    expect(Object.keys((await read(configuration)).registries).sort()).toEqual([...new Set(registries)].sort());
    expect(Object.keys((await read(files.docker)).credHelpers)).toHaveLength(10);
    await Promise.all(registries.map((registry) => remove(registry)));
    expect(await all()).toEqual(before);
  });
});

describe("refuses, and changes nothing:", () => {
  const valid = entryOf("acme+ci", robotToken(now + 600));
  test.each<[string, string, object | string, string]>([
    ["another helper", "docker", { credHelpers: { "quay.io": "pass" } }, "credential-helper"],
    ["a login that it would hide", "containers", { auths: { "quay.io/acme": valid } }, "credential-helper"],
    ["a login that docker would not use any more", "docker", { auths: { "quay.io": stored } }, "credential-helper"],
    ["a file that is not JSON", "docker", "{", "auth-file-unusable"],
  ])("%s", async (_, kind, content, code) => {
    const { configure, write, files, all, folders } = await makeHome();
    await write(files[kind as keyof typeof files], content);
    const before = [await all(), await folders()];
    const error = await failure(configure());
    expect([error.code, error.remedy.length > 0]).toEqual([code, true]);
    if (kind === "docker") {
      expect(error.remedy.join("\n")).toContain("docker-config: false");
    }
    expect([await all(), await folders()]).toEqual(before);
  });

  test("a login that the tools read first", async () => {
    const { configure, write, at } = await makeHome();
    await write(at("run/containers/auth.json"), { auths: { "quay.io/acme": stored } });
    const error = await failure(configure());
    expect(error.code).toBe("login-hidden");
    expect(error.remedy).toEqual([
      `If you don't need that login: skopeo logout --authfile ${at("run/containers/auth.json")} quay.io/acme`,
    ]);
  });

  test("a helper that is not on PATH", async () => {
    const { configure, machine, folders } = await makeHome();
    Object.assign(machine.env, { PATH: "/nonexistent:." });
    const before = await folders();
    const error = await failure(configure({ helper: "/opt/a b/index.js" }));
    expect(error.code).toBe("helper-not-found");
    expect(error.remedy[0]).toBe(
      "Put it there: sudo ln -s '/opt/a b/index.js' /usr/local/bin/docker-credential-quay-keyless",
    );
    expect(await folders()).toBe(before);
  });

  test("a configuration that others can write", async () => {
    const { configure, write, configuration } = await makeHome();
    await write(configuration, { version: 1, registries: {} });
    await chmod(configuration, 0o666);
    expect((await failure(configure())).code).toBe("configuration-unusable");
  });

  test("a registry that is configured with another record", async () => {
    const { configure, at, all } = await makeHome();
    await configure({ session: at("session") });
    const before = await all();
    const error = await failure(configure());
    expect([error.code, error.remedy]).toEqual([
      "credential-helper",
      ["Remove that first: quay-keyless-login configure --remove"],
    ]);
    expect(await all()).toEqual(before);
  });

  test("a home in which no folder can be made", async () => {
    const { configure, write, at } = await makeHome();
    await write(at(".config"), {});
    const error = await failure(configure());
    expect(error.code).toBe("configuration-unusable");
  });
});

describe("the removal", () => {
  test("drops the registry's tokens from the cache, and no others", async () => {
    const { configure, remove, at, write, read } = await makeHome();
    const part = { robot: "acme+ci", audience: "quay", source: "x", token: robotToken(now + 600), lifeSeconds: 3600 };
    const entries = ["quay.io", "quay.example"].map((registry) => ({ ...part, registry, expiresAt: now + 600 }));
    await configure();
    const cache = at("run/quay-keyless/cache.json");
    await write(cache, { version: 1, entries });
    await chmod(at("run"), 0o700);
    await remove();
    expect((await read(cache)).entries).toEqual(entries.slice(1));
  });

  test("finds nothing the second time", async () => {
    const { configure, remove, all, folders } = await makeHome();
    const before = [await all(), await folders()];
    await configure();
    expect(await remove()).toMatchObject({ wasConfigured: true, files: [expect.anything(), expect.anything()] });
    expect([await all(), await folders()]).toEqual(before);
    expect(await remove()).toMatchObject({ wasConfigured: false, files: [] });
    expect([await all(), await folders()]).toEqual(before);
  });

  test("is the same by logout, with a session", async () => {
    const { configure, at, all, machine, folders } = await makeHome();
    const before = [await all(), await folders()];
    await configure({ session: at("a/session") });
    expect((await logout(at("a/session"), machine, { named: true }))?.configured?.registry).toBe("quay.io");
    await rm(at("a"), { recursive: true }); // the user's folder may stay, empty
    expect([await all(), await folders()]).toEqual(before);
  });

  test.each<[string, (home: Awaited<ReturnType<typeof makeHome>>) => Promise<unknown>]>([
    ["its record", ({ at }) => rm(at(".config/quay-keyless/configured"), { recursive: true })],
    ["the configuration", ({ configuration }) => rm(configuration)],
    ["all of its folder", ({ at }) => rm(at(".config/quay-keyless"), { recursive: true })],
    ["one of the files", ({ files }) => rm(files.docker)],
    ["one entry", ({ files, write }) => write(files.docker, { credHelpers: { "ecr.example": "ecr-login" } })],
    [
      "the form of its record",
      ({ at, write }) => write(at(".config/quay-keyless/configured/quay.io/session.json"), "{"),
    ],
    ["its program", ({ home }) => rm(join(home, "bin"), { recursive: true })],
  ])("works where %s is gone", async (_, spoil) => {
    const home = await makeHome();
    const { configure, remove, files, write, read } = home;
    await write(files.containers, { auths: { "ghcr.io": stored } });
    await configure();
    await spoil(home);
    await remove();
    expect(await read(files.containers)).toMatchObject({ auths: { "ghcr.io": stored } });
    for (const file of Object.values(files)) {
      expect((await read(file).catch(() => ({}))).credHelpers?.["quay.io"]).toBe(undefined);
    }
    expect(await readdir(join(home.home, ".config"))).toEqual(["containers"]);
    expect(await remove()).toMatchObject({ wasConfigured: false, files: [] });
  });

  test("takes the entry of a job that was killed, and leaves those of others", async () => {
    const { remove, write, read, files } = await makeHome();
    const foreign = { "ecr.example": "ecr-login", "quay.example": "quay-keyless-0123456789ab" };
    await write(files.docker, { credHelpers: { ...foreign, "quay.io": "quay-keyless-0123456789ab" } });
    expect(await remove()).toMatchObject({ files: [files.docker] });
    expect(await read(files.docker)).toEqual({ credHelpers: foreign });
    await write(files.docker, { credHelpers: { "quay.io": "pass" } });
    expect(await remove()).toMatchObject({ files: [] });
    expect(await read(files.docker)).toEqual({ credHelpers: { "quay.io": "pass" } });
  });

  test("leaves what another program has configured since for the registry to it", async () => {
    const { configure, at, write, read, configuration, machine } = await makeHome();
    await configure({ session: at("session") });
    await write(configuration, { version: 1, registries: { "quay.io": { robot: "acme+mine" } } });
    await logout(at("session"), machine, { named: true });
    expect((await read(configuration)).registries).toEqual({ "quay.io": { robot: "acme+mine" } });
  });

  test("names a damaged configuration, once the files are restored", async () => {
    const { configure, remove, write, configuration, files, all } = await makeHome();
    await configure();
    await write(configuration, "{");
    const error = await failure(remove());
    expect([error.code, error.remedy]).toEqual(["configuration-unusable", [expect.stringContaining("Delete it")]]);
    expect(Object.keys(await all())).not.toContain(files.docker);
    await rm(configuration);
    await remove();
    expect(await all()).toEqual({});
  });

  test("does not follow a link in the configuration's place", async () => {
    const { configure, remove, configuration, at, write, read } = await makeHome();
    await configure();
    await rm(configuration);
    const precious = { version: 1, registries: { "quay.io": { robot: "acme+ci" } } };
    await write(at("precious"), precious);
    await symlink(at("precious"), configuration);
    await failure(remove());
    expect(await read(at("precious"))).toEqual(precious);
  });
});

describe("the record of a machine that stays", () => {
  const logins = { auths: { "ghcr.io": stored } };

  test.each<[string, string]>([
    ["two blanks, as a person writes it", `${JSON.stringify(logins, undefined, 2)}\n`],
    ["a tab, as docker writes it", JSON.stringify(logins, undefined, "\t")],
    ["no line break", JSON.stringify(logins)],
  ])("holds no login of others; a file with %s is restored all the same", async (_, text) => {
    const { configure, remove, write, all, files, at } = await makeHome();
    await write(files.docker, text);
    const before = await all();
    await configure();
    const record = await readFile(at(".config/quay-keyless/configured/quay.io/session.json"), "utf8");
    expect(record).not.toContain(Buffer.from(text).toString("base64").slice(40, 60));
    expect(record).not.toContain(stored.auth);
    await remove();
    expect(await all()).toEqual(before);
  });

  test("nor does what another session leaves beside the file", async () => {
    const { configure, remove, write, all, files, machine } = await makeHome();
    await write(files.docker, logins);
    const before = await all();
    let record: FileRecord | undefined;
    const entries = { "quay.example": entryOf("acme+ci", robotToken(now + 600)) };
    await mergeEntries({ path: files.docker, entries, mode: undefined, id: "a" }, machine, async (made) => {
      record = made;
    });
    await configure();
    await restoreEntries(record as FileRecord, "a", machine);
    const handover = Object.entries(await all()).find(([path]) => path.endsWith(".quay-keyless-login"))?.[1] ?? "";
    expect(JSON.parse(handover)).toEqual({ entries: {}, befores: [], holders: {}, folders: [] });
    await remove();
    expect(await all()).toEqual(before);
  });
});
