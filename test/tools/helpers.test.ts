/** Credential helpers that a registries.conf names. With the tools themselves: test/e2e/cli/helpers.test.ts. */
import { execFile } from "node:child_process";
import { mkdir, readdir, stat, writeFile } from "node:fs/promises";
import { userInfo } from "node:os";
import { dirname, join } from "node:path";
import { promisify } from "node:util";
import { describe, expect, onTestFinished, test, vi } from "vitest";
import type { Environment } from "../../src/platform/environment.ts";
import {
  assertFilesAreRead,
  besideHelpers,
  explainHelper,
  helpersWarning,
  standInForHelpers,
  withStandIns,
} from "../../src/tools/helpers.ts";
import { failure, fakeTool, makeFolder } from "../fixtures.ts";
import { isRoot, needsRoot } from "../support/root.ts";

// The real system; a few tests have another user.
vi.mock("node:os", { spy: true });

const run = promisify(execFile);
const named = 'credential-helpers = ["secretservice"]\n';

/** A home, and a PATH with two helpers and another program. */
async function makeMachine() {
  const base = await makeFolder();
  for (const name of ["docker-credential-secretservice", "docker-credential-pass", "skopeo"]) {
    await fakeTool(base, name, "exit 0");
  }
  const home = join(base, "home");
  const env: Environment = { HOME: home, PATH: join(base, "bin") };
  return {
    base,
    home,
    env,
    folder: join(base, "session/helpers"),
    usual: join(home, ".config/containers/registries.conf"),
    put: async (path: string, text = named) => {
      await mkdir(dirname(path), { recursive: true });
      await writeFile(path, text);
    },
  };
}

/** A program's output and exit code. */
const runHelper = (file: string, ...args: string[]) =>
  run(file, args).then(
    ({ stdout }) => ({ stdout, code: 0 }),
    ({ stdout, code }) => ({ stdout, code }),
  );

describe("stand-ins", () => {
  test("replace each helper on PATH, for this user alone, and nothing else", async () => {
    const { env, folder, put, usual, base } = await makeMachine();
    await put(usual);
    expect(await standInForHelpers(env, folder)).toBe(folder);
    expect((await readdir(folder)).sort()).toEqual(["docker-credential-pass", "docker-credential-secretservice"]);
    expect((await stat(folder)).mode & 0o777).toBe(0o700);
    const { stdout } = await run("/bin/sh", ["-c", "command -v docker-credential-pass; command -v skopeo"], {
      env: withStandIns(env, folder),
    });
    expect(stdout).toBe(`${join(folder, "docker-credential-pass")}\n${join(base, "bin/skopeo")}\n`);
  });

  test("have no login, and store none", async () => {
    const { env, folder, put, usual } = await makeMachine();
    await put(usual);
    await standInForHelpers(env, folder);
    for (const action of ["get", "list", "erase", "store"]) {
      expect(await runHelper(join(folder, "docker-credential-pass"), action)).toEqual({
        stdout: "credentials not found in native keychain\n",
        code: 1,
      });
    }
  });

  test("are not made if no file names a helper", async () => {
    const { env, folder, base } = await makeMachine();
    expect(await standInForHelpers(env, folder)).toBeUndefined();
    expect(await readdir(base)).not.toContain("session");
  });

  test.each<[string, (bin: string) => string | undefined]>([
    ["is not set", () => undefined],
    ["has no helper", () => "/nowhere"],
    ["has only folders relative to the working folder", () => "bin:."],
  ])("are not made if PATH %s", async (_, pathOf) => {
    const { env, folder, put, usual, base } = await makeMachine();
    await put(usual);
    expect(await standInForHelpers({ ...env, PATH: pathOf(base) }, folder)).toBeUndefined();
    expect(await readdir(base)).not.toContain("session");
  });

  test("come first on PATH, even on an empty one; without them PATH stays as it is", () => {
    expect(withStandIns({ PATH: "/usr/bin" }, "/stand-ins")).toEqual({ PATH: "/stand-ins:/usr/bin" });
    expect(withStandIns({ HOME: "/home" }, "/stand-ins")).toEqual({ HOME: "/home", PATH: "/stand-ins" });
    expect(withStandIns({ PATH: "/usr/bin" }, undefined)).toEqual({ PATH: "/usr/bin" });
  });

  test(`that can't run are an error, since the tools would go on to the helper itself ${needsRoot}`, async ({
    skip,
  }) => {
    const { env, base, put, usual } = await makeMachine();
    await put(usual);
    const disk = join(base, "disk");
    await mkdir(disk);
    const isMounted =
      isRoot &&
      (await run("mount", ["-t", "tmpfs", "-o", "noexec,size=64k", "tmpfs", disk]).then(
        () => true,
        () => false,
      ));
    skip(!isMounted, "this user can't mount a disk");
    onTestFinished(async () => void (await run("umount", ["--lazy", disk])));
    const folder = join(disk, "helpers");
    const error = await failure(standInForHelpers(env, folder));
    expect(error.code).toBe("credential-helper");
    expect(error.message).toContain(`No program can run in ${folder}`);
    expect(error.remedy).toEqual([
      `${usual} sets credential-helpers. Write there, for this job:`,
      'credential-helpers = ["containers-auth.json"]',
      expect.stringContaining("RUNNER_TEMP, TMPDIR"),
    ]);
    expect(await readdir(disk)).toEqual([]);
  });
});

describe("a helper is named", () => {
  const isNamed = async (
    at: (home: string) => string,
    more: (home: string) => Environment = () => ({}),
    text?: string,
  ) => {
    const { env, folder, put, home } = await makeMachine();
    await put(at(home), text);
    return (await standInForHelpers({ ...env, ...more(home) }, folder)) !== undefined;
  };

  test.each<[string, boolean]>([
    [named, true],
    ["credential-helpers=['pass']", true],
    ['"credential-helpers" = [ "pass" ]', true],
    ['credential-helpers = ["containers-auth.json", "pass"]', true],
    ['unqualified-search-registries = []\n  credential-helpers = [\n  # first\n  "pass",\n]', true],
    ["", false],
    ["credential-helpers = []", false],
    ['credential-helpers = ["containers-auth.json"]', false],
    ["credential-helpers = ['containers-auth.json']", false],
    ['credential-helpers = [\n  # "pass",\n]', false],
    ['# credential-helpers = ["pass"]', false],
  ])("by the text %j: %s", async (text, expected) => {
    expect(await isNamed((home) => join(home, ".config/containers/registries.conf"), undefined, text)).toBe(expected);
  });

  test.each<[string, boolean]>([
    ["registries.conf", true],
    ["registries.conf.d/10-helpers.conf", true],
    ["registries.rootful.conf.d/10-helpers.conf", true],
    ["registries.rootless.conf.d/1000/10-helpers.conf", true],
    ["registries.conf.d/10-helpers.conf.bak", false],
    ["storage.conf", false],
  ])("in the user's %s: %s", async (name, expected) => {
    expect(await isNamed((home) => join(home, ".config/containers", name))).toBe(expected);
    const more = (home: string) => ({ XDG_CONFIG_HOME: join(home, "xdg") });
    expect(await isNamed((home) => join(home, "xdg/containers", name), more)).toBe(expected);
  });

  test.each(["CONTAINERS_REGISTRIES_CONF", "CONTAINERS_REGISTRIES_CONF_OVERRIDE", "REGISTRIES_CONFIG_PATH"])(
    "in the file of the variable %s",
    async (variable) => {
      const at = (home: string) => join(home, "own.conf");
      expect(await isNamed(at)).toBe(false);
      expect(await isNamed(at, (home) => ({ [variable]: at(home) }))).toBe(true);
      expect(await isNamed(at, () => ({ [variable]: "/nowhere/registries.conf" }))).toBe(false);
    },
  );

  test.each([undefined, ""])("in the home that the system knows, if HOME is %j", async (HOME) => {
    const { env, folder, put, home, usual } = await makeMachine();
    await put(usual);
    vi.mocked(userInfo).mockReturnValueOnce({ username: "ci", uid: 1000, gid: 1000, shell: null, homedir: home });
    expect(await standInForHelpers({ ...env, HOME }, folder)).toBe(folder);
  });

  test("without a home, for a user that the system does not know", async () => {
    const { env, folder, put, base } = await makeMachine();
    await put(join(base, "own.conf"));
    const unknown = () => {
      throw new Error("A system error occurred: uv_os_get_passwd returned ENOENT (no such file or directory)");
    };
    const without = { PATH: env.PATH };
    vi.mocked(userInfo).mockImplementationOnce(unknown);
    expect(await standInForHelpers(without, folder)).toBeUndefined();
    vi.mocked(userInfo).mockImplementationOnce(unknown);
    const variable = { CONTAINERS_REGISTRIES_CONF: join(base, "own.conf") };
    expect(await standInForHelpers({ ...without, ...variable }, folder)).toBe(folder);
  });
});

describe("a login that no tool has written", () => {
  const alone = (path: string) =>
    `The containers tools will not read this login: ${path} sets credential-helpers. Write there, for this job: credential-helpers = ["containers-auth.json"]`;
  const first =
    "registries.conf names the credential helper pass before the file: where it holds another login for quay.io, later steps use that one.";

  test.each<[string, ((path: string) => string) | undefined, boolean]>([
    ['credential-helpers = ["pass"]', alone, false],
    ['credential-helpers = ["pass", "containers-auth.json"]', () => first, true],
    ['credential-helpers = ["containers-auth.json", "pass"]', undefined, true],
    ["credential-helpers = []", undefined, true],
    ["", undefined, true],
  ])("beside %j", async (text, warning, isRead) => {
    const { env, usual, put } = await makeMachine();
    await put(usual, text);
    expect(await helpersWarning("quay.io", env)).toBe(warning?.(usual));
    const [ended] = await Promise.allSettled([assertFilesAreRead(env)]);
    expect(ended.status).toBe(isRead ? "fulfilled" : "rejected");
  });

  test("beside a list of the user's that takes the files back in", async () => {
    const { env, home, usual, put } = await makeMachine();
    await put(join(home, ".config/containers/registries.conf.d/10.conf"));
    await put(usual, 'credential-helpers = ["containers-auth.json"]');
    await assertFilesAreRead(env);
    expect(await helpersWarning("quay.io", env)).toContain("names the credential helper secretservice before the file");
  });
});

describe("beside stand-ins", () => {
  test("returns the helpers that a tool tried to store the login in", async () => {
    const { env, folder, put, usual, base } = await makeMachine();
    await put(usual);
    const { result, asked } = await besideHelpers(env, folder, async (helpers = "") => {
      await runHelper(join(helpers, "docker-credential-pass"), "get");
      await runHelper(join(helpers, "docker-credential-secretservice"), "store");
      return "done";
    });
    expect([result, asked]).toEqual(["done", ["secretservice"]]);
    expect(await readdir(join(base, "session"))).toEqual([]);
  });

  test("leaves nothing after a failure", async () => {
    const { env, folder, put, usual, base } = await makeMachine();
    await put(usual);
    const fails = async () => Promise.reject(new Error("the tool failed"));
    await expect(besideHelpers(env, folder, fails)).rejects.toThrow("the tool failed");
    expect(await readdir(join(base, "session"))).toEqual([]);
  });

  test("asks no helper if none is named", async () => {
    const { env, folder } = await makeMachine();
    expect(await besideHelpers(env, folder, async (helpers) => helpers)).toEqual({ result: undefined, asked: [] });
  });

  test("returns no helper if the folder is gone by then", async () => {
    const { env, folder, put, usual, base } = await makeMachine();
    await put(usual);
    const work = async () => void (await run("rm", ["-r", join(base, "session")]));
    expect((await besideHelpers(env, folder, work)).asked).toEqual([]);
  });
});

describe("a tool's failure", () => {
  const storing = "Error: error storing credentials - err: exit status 1, out: `credentials not found`";

  test("with another cause is not explained", async () => {
    const { env, folder } = await makeMachine();
    expect(await explainHelper("skopeo", "Error: unauthorized", folder, env)).toBeUndefined();
  });

  test("because of a helper names the helper and the file that sets it", async () => {
    const { env, folder, put, usual } = await makeMachine();
    await put(usual);
    await standInForHelpers(env, folder);
    await runHelper(join(folder, "docker-credential-secretservice"), "store");
    const error = await explainHelper("skopeo", storing, folder, env);
    expect(error?.code).toBe("credential-helper");
    expect(error?.message).toBe(
      "skopeo stores logins only in the credential helper secretservice, and would not read one from a file. The helper did not get the robot token.",
    );
    expect(error?.remedy).toEqual([
      `${usual} sets credential-helpers. Write there, for this job:`,
      'credential-helpers = ["containers-auth.json"]',
    ]);
  });

  test("names all files that set one", async () => {
    const { env, folder, put, usual } = await makeMachine();
    const dropIn = join(`${usual}.d`, "10-helpers.conf");
    await put(usual);
    await put(dropIn);
    const error = await explainHelper("skopeo", storing, folder, env);
    expect(error?.remedy[0]).toBe(`${usual} and ${dropIn} sets credential-helpers. Write there, for this job:`);
  });

  test("because of an unknown helper says what is known", async () => {
    const { env } = await makeMachine();
    const error = await explainHelper("podman", storing, undefined, env);
    expect(error?.message).toContain("podman stores logins only in a credential helper");
    expect(error?.remedy[0]).toContain("registries.conf sets credential-helpers");
  });

  test("because of a helper that is not installed says so", async () => {
    const { env, folder, put, usual } = await makeMachine();
    await put(usual, 'credential-helpers = ["osxkeychain"]');
    const words =
      'error getting credentials - err: exec: "docker-credential-osxkeychain": executable file not found in $PATH, out: ``';
    const error = await explainHelper("buildah", words, folder, env);
    expect(error?.message).toContain("buildah asks the credential helper osxkeychain, which is not installed");
    expect(error?.remedy[0]).toContain(usual);
  });

  test.each([
    ["quay-keyless", "or remove it: quay-keyless-login configure --remove"],
    ["ecr-login", "or remove credHelpers.quay.io from that file for this job."],
  ])("because an auth file names the helper %s, which is not installed: names that file", async (helper, remedy) => {
    const { env, folder, put, home } = await makeMachine();
    const file = join(home, ".config/containers/auth.json");
    await put(file, JSON.stringify({ credHelpers: { "quay.io": helper, "ghcr.io": "pass" } }));
    const words = `error getting credentials - err: exec: "docker-credential-${helper}": executable file not found in $PATH`;
    const error = await explainHelper("skopeo", words, folder, env);
    expect(error?.remedy).toHaveLength(1);
    expect(error?.remedy[0]).toContain(`${file} names it for quay.io.`);
    expect(error?.remedy[0]).toContain(remedy);
  });

  test("is explained if the folder of stand-ins is gone", async () => {
    const { env, folder } = await makeMachine();
    expect((await explainHelper("skopeo", storing, folder, env))?.message).toContain("only in a credential helper");
  });
});
