/** Machines whose registries.conf makes the tools keep logins in a credential helper. */
import { execFile } from "node:child_process";
import { readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, describe, type ExpectStatic, test } from "vitest";
import type { Machine } from "../../support/command.ts";
import { isRoot, needsRoot } from "../../support/root.ts";
import { todaysSkopeo } from "../../support/runner.ts";
import { authsIn, newRobot, userOf } from "../world.ts";
import { failed, machineWithToken, quayOf, useWorld } from "./world.ts";

const run = promisify(execFile);
const peers = useWorld({ registry: false });

/** A helper with the protocol of docker-credential-helpers, which stores its input in a file. */
async function installHelper(machine: Machine, name: string, known = ""): Promise<string> {
  const store = join(machine.scratch, `store-${name}`);
  const log = `${store}.asked`;
  await writeFile(store, known);
  const script = `#!/bin/sh
echo "$1" >>'${log}'
case "$1" in
store) cat >'${store}' ;;
get) if [ -s '${store}' ]; then cat '${store}'; else echo "credentials not found in native keychain"; exit 1; fi ;;
erase) : >'${store}' ;;
list) echo '{}' ;;
esac
`;
  await writeFile(join(machine.scratch, `tools/docker-credential-${name}`), script, { mode: 0o755 });
  return store;
}

async function loginWith(helpers: string | undefined, where: string, tool: string, todays = false) {
  const machine = await machineWithToken(peers(), { tools: todays ? [] : [tool as "skopeo"] });
  if (todays) {
    const script = `#!/bin/sh\nexec '${todaysSkopeo()}' "$@"\n`;
    await writeFile(join(machine.scratch, "tools/skopeo"), script, { mode: 0o755 });
  }
  const store = await installHelper(machine, "fake");
  const file = join(machine.home, ".config/containers", where);
  if (helpers !== undefined)
    await machine.write(file, `unqualified-search-registries = []\ncredential-helpers = ${helpers}\n`);
  const robot = newRobot(peers());
  const login = () =>
    machine.run([
      "login",
      ...quayOf(peers()),
      "--robot",
      robot.name,
      "--tool",
      tool,
      "--token-file",
      machine.tokenFile,
    ]);
  return { machine, store, file, robot, login };
}

async function loggedIn(expect: ExpectStatic, machine: Machine, robot: { name: string }) {
  expect(userOf((await authsIn(machine.usualFile))[peers().registryHost])).toBe(robot.name);
}

const untouched = async (expect: ExpectStatic, store: string) => {
  expect(await readFile(store, "utf8")).toBe("");
  await expect(readFile(`${store}.asked`, "utf8")).rejects.toThrow("ENOENT");
};

const tools = [
  ["skopeo", "skopeo", false],
  ["buildah", "buildah", false],
  ["podman", "podman", false],
  ["today's skopeo", "skopeo", true],
] as const;

describe.concurrent.for(tools)("%s", ([, tool, todays]) => {
  test.for([
    ["a helper alone", "registries.conf"],
    ["a helper alone, in a drop-in", "registries.conf.d/10-helpers.conf"],
  ])(
    "keeps logins in %s: an error names the file, the helper gets nothing, and the advice helps",
    async ([, where = ""], { expect }) => {
      const { machine, store, file, robot, login } = await loginWith(`["fake"]`, where, tool, todays);
      const stderr = failed(expect, await login(), 1, "credential-helper");
      expect(stderr).toContain("stores logins only in the credential helper fake");
      expect(stderr).toContain(`${file} sets credential-helpers. Write there, for this job:`);
      await untouched(expect, store);
      const [advice = ""] = /^ *(credential-helpers = .*)$/m.exec(stderr)?.slice(1) ?? [];
      await writeFile(file, (await readFile(file, "utf8")).replace(/^credential-helpers = .*$/m, advice));
      const again = await login();
      expect([again.code, again.stderr]).toEqual([0, expect.not.stringContaining("helper")]);
      await loggedIn(expect, machine, robot);
      await untouched(expect, store);
    },
  );

  test("keeps them in a helper first: writes the file instead, with a warning", async ({ expect }) => {
    const { machine, store, robot, login } = await loginWith(
      `["fake", "containers-auth.json"]`,
      "registries.conf",
      tool,
      todays,
    );
    const ran = await login();
    expect([ran.code, ran.stderr]).toEqual([
      0,
      expect.stringContaining("names the credential helper fake before the file"),
    ]);
    await loggedIn(expect, machine, robot);
    await untouched(expect, store);
  });

  test.for([
    ["the file first", `["containers-auth.json", "fake"]`],
    ["no helper, even if one is installed", undefined],
  ])("keeps them in %s: no warning", async ([, helpers], { expect }) => {
    const { machine, store, robot, login } = await loginWith(helpers, "registries.conf", tool, todays);
    const ran = await login();
    expect([ran.code, ran.stderr]).toEqual([0, expect.not.stringContaining("helper")]);
    await loggedIn(expect, machine, robot);
    await untouched(expect, store);
  });

  test("asks a helper that is not installed: an error names it", async ({ expect }) => {
    const { machine, login } = await loginWith(`["containers-auth.json", "fake"]`, "registries.conf", tool, todays);
    await rm(join(machine.scratch, "tools/docker-credential-fake"));
    const stderr = failed(expect, await login(), 1, "credential-helper");
    expect(stderr).toContain("asks the credential helper fake, which is not installed");
  });
});

describe.skipIf(!isRoot)(`a temporary folder where no program can be run ${needsRoot}`, () => {
  const mounted: string[] = [];
  afterAll(() => Promise.all(mounted.map((path) => run("umount", ["--lazy", path]))));

  test.for(tools)(
    "%s gets no token that it would hand to a helper, and the advice helps",
    async ([, tool, todays], { expect }) => {
      const { machine, store, file, robot, login } = await loginWith(
        `["fake", "containers-auth.json"]`,
        "registries.conf",
        tool,
        todays,
      );
      await run("mount", ["-t", "tmpfs", "-o", "noexec,mode=0777", "quay-keyless-noexec", machine.temp]);
      mounted.push(machine.temp);
      const stderr = failed(expect, await login(), 1, "credential-helper");
      expect(stderr).toContain("No program can run in");
      await untouched(expect, store);
      const [advice = ""] = /^ *(credential-helpers = .*)$/m.exec(stderr)?.slice(1) ?? [];
      await writeFile(file, advice);
      expect((await login()).code).toBe(0);
      await loggedIn(expect, machine, robot);
      await untouched(expect, store);
    },
  );
});

test.for(["CONTAINERS_REGISTRIES_CONF", "CONTAINERS_REGISTRIES_CONF_OVERRIDE"])(
  "reads a file that %s names",
  async (variable, { expect }) => {
    const { machine, store, robot } = await loginWith(undefined, "registries.conf", "skopeo", true);
    const named = await machine.write(
      join(machine.home, "named.conf"),
      `"credential-helpers" = ["fake", "containers-auth.json"]\n`,
    );
    const args = ["login", ...quayOf(peers()), "--robot", robot.name, "--token-file", machine.tokenFile];
    const ran = await machine.run(args, { env: { [variable]: named } });
    expect([ran.code, ran.stderr]).toEqual([
      0,
      expect.stringContaining("names the credential helper fake before the file"),
    ]);
    await untouched(expect, store);
  },
);
