/** The helper's file: whose it may be, and what a wrong one means for other hosts. */
import { chmod, chown, lchown, mkdir, rename, symlink } from "node:fs/promises";
import { dirname, join } from "node:path";
import { describe, test } from "vitest";
import { isRoot, needsRoot } from "../../support/root.ts";
import { exchangesOf, type HelperMachine, helperMachine, notFound, useWorld } from "./world.ts";

const peers = useWorld({ registry: false });

interface Configured extends HelperMachine {
  readonly file: string;
  get(host: string, env?: Record<string, string>, action?: string): ReturnType<HelperMachine["ask"]>;
}

const none = Object.fromEntries(
  ["REGISTRY", "ROBOT", "CA_FILE", "TOKEN_FILE"].map((name) => [`QUAY_KEYLESS_${name}`, ""]),
);

/** A machine with a file instead of variables. @param change of the entry */
async function configured(change: object = {}, more: object = {}): Promise<Configured> {
  const machine = await helperMachine(peers());
  const entry = { robot: machine.robot.name, "token-file": machine.tokenFile, "ca-file": peers().caFile, ...change };
  const file = join(machine.home, ".config/quay-keyless/config.json");
  await machine.write(file, JSON.stringify({ version: 1, registries: { [peers().registryHost]: entry, ...more } }));
  await chmod(dirname(file), 0o700);
  const get: Configured["get"] = (host, env = {}, action = "get") =>
    machine.ask(action, host, { env: { ...none, ...env } });
  return { ...machine, file, get };
}

describe.concurrent("the user's file", () => {
  test("configures several registries", async ({ expect }) => {
    const machine = await configured({}, { "quay.example.com": { robot: "acme+other" } });
    const ran = await machine.get(peers().registryHost);
    expect([ran.code, JSON.parse(ran.stdout).Username]).toEqual([0, machine.robot.name]);
    const listed = await machine.get("", {}, "list");
    expect(JSON.parse(listed.stdout)).toEqual({
      [`https://${peers().registryHost}`]: machine.robot.name,
      "https://quay.example.com": "acme+other",
    });
    expect((await machine.get("docker.io")).stdout).toBe(notFound);
  });

  test("is in XDG_CONFIG_HOME if that is set", async ({ expect }) => {
    const machine = await configured();
    const folder = join(machine.home, "elsewhere");
    await mkdir(folder);
    await rename(dirname(machine.file), join(folder, "quay-keyless"));
    expect((await machine.get(peers().registryHost)).stdout).toBe(notFound);
    const ran = await machine.get(peers().registryHost, { XDG_CONFIG_HOME: folder });
    expect(ran.code).toBe(0);
  });

  test("does not count if a variable is set", async ({ expect }) => {
    const machine = await configured();
    const env = { QUAY_KEYLESS_ROBOT: "acme+other" };
    expect((await machine.get(peers().registryHost, env)).stdout).toBe(notFound);
    const listed = await machine.get("", env, "list");
    expect(JSON.parse(listed.stdout)).toEqual({ "https://quay.io": "acme+other" });
  });

  test("is the only configuration if a wrapper names it, whatever variables say", async ({ expect }) => {
    const machine = await configured();
    const env = { QUAY_KEYLESS_REGISTRY: "evil.example", QUAY_KEYLESS_ROBT: "acme+other", QUAY_KEYLESS_ROBOT: "x" };
    const action = `--configuration ${machine.file} get`;
    const ran = await machine.get(peers().registryHost, env, action);
    expect([ran.code, JSON.parse(ran.stdout).Username]).toEqual([0, machine.robot.name]);
    expect((await machine.get("evil.example", env, action)).stdout).toBe(notFound);
    const gone = await machine.get(peers().registryHost, env, `--configuration ${machine.file}.gone get`);
    expect([gone.code, gone.stdout]).toEqual([
      1,
      `The credential helper's configuration ${machine.file}.gone does not exist.\n`,
    ]);
  });

  test.for([
    ["a job's", (file: string) => `--configuration ${file} get`, "timeout: 120"],
    ["a user's", () => "get", '"timeout": "120"\n  The options are in /'],
  ] as const)("%s error names the option as it was given", async ([, action, words], { expect }) => {
    const machine = await configured({ timeout: "soon" });
    const ran = await machine.get(peers().registryHost, {}, action(machine.file));
    expect(ran.code).toBe(1);
    expect(ran.stderr).toContain(`Write, for example, ${words}`);
  });
});

describe.concurrent("in a job", () => {
  const action = ({ file }: HelperMachine & { file: string }) => `--configuration ${file} get`;
  const github = { ACTIONS_ID_TOKEN_REQUEST_URL: "https://localhost:1/?a=b", GITHUB_ACTIONS: "true" };

  test.for([
    [{}, "ACTIONS_ID_TOKEN_REQUEST_URL and ACTIONS_ID_TOKEN_REQUEST_TOKEN"],
    [github, "ACTIONS_ID_TOKEN_REQUEST_TOKEN"],
  ] as const)("a process without the job's variables is told so, with %j", async ([env, names], { expect }) => {
    const machine = await configured({ identity: "github", "token-file": undefined });
    const ran = await machine.get(peers().registryHost, env, action(machine));
    expect([ran.code, ran.stdout]).toEqual([1, `This process does not have the job's ${names}.\n`]);
    expect(ran.stderr).toContain("sudo, a container and env -i drop such variables");
    expect(ran.stderr).not.toContain("permission");
  });

  test("a variable of one step only is told to be the job's", async ({ expect }) => {
    const machine = await configured({ "token-file": undefined, "token-env": "MY_TOKEN" });
    const ran = await machine.get(peers().registryHost, {}, action(machine));
    expect([ran.code, ran.stdout]).toEqual([1, expect.stringContaining("MY_TOKEN")]);
    expect(ran.stderr).toContain("set it for the whole job (env: of the job), not for one step");
    expect(ran.stderr).not.toContain("for this step only");
  });

  test("a command is told to need its variables in the whole job", async ({ expect }) => {
    const machine = await configured({ "token-file": undefined, "token-command": "/usr/bin/false" });
    const ran = await machine.get(peers().registryHost, {}, action(machine));
    expect([ran.code, ran.stderr]).toEqual([1, expect.stringContaining("for the whole job (env: of the job)")]);
  });

  test.skipIf(!isRoot)(
    `the file is another user's under sudo: the error has the way out ${needsRoot}`,
    async ({ expect }) => {
      const machine = await configured();
      await lchown(machine.file, 1000, 1000);
      const ran = await machine.get(peers().registryHost, {}, action(machine));
      expect([ran.code, ran.stdout]).toEqual([1, expect.stringContaining("belongs to user 1000")]);
      expect(ran.stderr).toContain("not with sudo");
      expect(ran.stderr).toContain("sudo --preserve-env=REGISTRY_AUTH_FILE");
    },
  );
});

test.skipIf(!isRoot)(
  `another user's link above the file decides nothing, and configure refuses the place ${needsRoot}`,
  async ({ expect }) => {
    const machine = await configured();
    const shared = join(machine.home, "shared");
    await mkdir(shared);
    await chmod(shared, 0o1777);
    await symlink(dirname(machine.file), join(shared, "quay-keyless"));
    const env = { XDG_CONFIG_HOME: shared };
    expect((await machine.get(peers().registryHost, env)).code).toBe(0);
    await lchown(join(shared, "quay-keyless"), 4321, 4321);
    const ran = await machine.get(peers().registryHost, env);
    expect([ran.code, ran.stdout]).toEqual([1, expect.stringContaining("which belongs to user 4321")]);
    expect(ran.stderr).toContain("Set XDG_CONFIG_HOME");
    expect(exchangesOf(peers(), machine.robot.name)).toBe(1);
  },
);

test("configure refuses a place that the helper would not trust", async ({ expect }) => {
  const machine = await configured();
  const open = join(machine.home, "open");
  await mkdir(open);
  await chmod(open, 0o777);
  const options = [
    "--robot",
    machine.robot.name,
    "--registry",
    peers().registryHost,
    "--token-file",
    machine.tokenFile,
  ];
  const ran = await machine.run(["configure", ...options], { env: { XDG_CONFIG_HOME: open } });
  expect([ran.code, ran.stderr]).toEqual([1, expect.stringContaining(`chmod go-w ${open}`)]);
});

describe.concurrent("a file that is wrong for one host fails for this one alone:", () => {
  test.for([
    [{ robt: "acme+ci" }, "Did you mean: robot"],
    [{ timeout: 60 }, "timeout"],
    [{ registry: "quay.io" }, "registry"],
    [{ robot: "nobody" }, "+"],
  ] as const)("%j", async ([change, words], { expect }) => {
    const machine = await configured(change);
    const ran = await machine.get(peers().registryHost);
    expect([ran.code, ran.stdout.split("\n").length, ran.stdout === notFound]).toEqual([1, 2, false]);
    expect(ran.stderr).toContain(words);
    expect((await machine.get("docker.io")).stdout).toBe(notFound);
  });
});

describe.concurrent("a file that can't be trusted fails for every host:", () => {
  test.for<[string, (machine: Configured) => Promise<unknown>, string]>([
    ["not JSON", ({ write, file }) => write(file, "{"), "is not JSON"],
    ["empty", ({ write, file }) => write(file, ""), "is not JSON"],
    ["of another version", ({ write, file }) => write(file, '{"version":2,"registries":{}}'), "version 2"],
    ["without registries", ({ write, file }) => write(file, '{"version":1}'), "has no registries"],
    ["a key that is no host", ({ write, file }) => write(file, '{"version":1,"registries":{"a b":{}}}'), "a b"],
    ["writable by its group", ({ file }) => chmod(file, 0o620), "can be written by others"],
    ["writable by all", ({ file }) => chmod(file, 0o602), "can be written by others"],
    [
      "in a folder that others can write to",
      ({ file }) => chmod(dirname(file), 0o777),
      "in a folder that others can write to",
    ],
    [
      "a link",
      async ({ file }) => {
        await rename(file, `${file}.real`);
        await symlink(`${file}.real`, file);
      },
      "is a symbolic link",
    ],
    [
      "a folder",
      async ({ file }) => {
        await rename(file, `${file}.real`);
        await mkdir(file);
      },
      "is not a regular file",
    ],
  ])("%s", async ([, change, words], { expect }) => {
    const machine = await configured();
    await change(machine);
    for (const host of [peers().registryHost, "docker.io"]) {
      const ran = await machine.get(host);
      expect([ran.code, ran.stdout]).toEqual([1, expect.stringContaining(words)]);
      expect(ran.stdout.split("\n")).toHaveLength(2);
      expect(ran.stderr).toContain("explain configuration-unusable");
    }
    expect(exchangesOf(peers(), machine.robot.name)).toBe(0);
  });

  test.skipIf(!isRoot).for([
    ["file", "belongs to user 1000"],
    ["folder", "is in a folder of user 1000"],
  ] as const)(`%s of another user ${needsRoot}`, async ([which, words], { expect }) => {
    const machine = await configured();
    await (which === "file" ? lchown(machine.file, 1000, 1000) : chown(dirname(machine.file), 1000, 1000));
    expect((await machine.get(peers().registryHost)).stdout).toContain(words);
  });

  test.skipIf(!isRoot)(
    `but root's file in root's folder is everyone's, as in an image ${needsRoot}`,
    async ({ expect }) => {
      const machine = await configured();
      await chmod(machine.file, 0o644);
      await chmod(dirname(machine.file), 0o755);
      await chmod(machine.tokenFile, 0o644);
      const ran = await machine.other("docker-credential-quay-keyless", ["list"], {
        uid: 1000,
        env: { PATH: join(machine.scratch, "tools") },
      });
      expect([ran.code, ran.stdout]).toEqual([0, expect.stringContaining(machine.robot.name)]);
    },
  );
});
