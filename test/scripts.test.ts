/** script/lib.sh on a machine that lacks something, for who may install it and for who may not. */
import { spawn } from "node:child_process";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { describe, expect, test } from "vitest";
import { fakeTool, makeFolder } from "./fixtures.ts";
import { finish, systemPath } from "./support/runner.ts";

const lib = resolve(import.meta.dirname, "../script/lib.sh");

/** Runs a piece of bash after script/lib.sh, as a script of ours would. */
async function bash(script: string, path = systemPath) {
  const env = { PATH: path, HOME: await makeFolder() };
  const text = `set -euo pipefail; source '${lib}'; ${script}`;
  return finish(spawn("bash", ["-c", text, "script/some"], { env, stdio: ["ignore", "pipe", "pipe"] }));
}

const withoutRights = "can_be_root() { return 1; };";

describe("packages", () => {
  test("that can't be installed: one line with what to type, and exit code 2", async () => {
    expect(await bash(`${withoutRights} need_debian jq no-such-package; echo went on`)).toEqual({
      code: 2,
      stdout: "",
      stderr: "some: needs root once, type: sudo apt-get install --yes no-such-package\n",
    });
  });

  test("where there is no apt: their names, and exit code 2", async () => {
    const script = "command() { [[ $2 != apt-get && $2 != no-such* ]]; }; need_debian no-such-package";
    const { code, stderr } = await bash(script);
    expect([code, stderr]).toEqual([2, "some: needs these programs, please install them: no-such-package\n"]);
  });

  test("that are enough without an installation are unpacked", async () => {
    // skopeo and docker-registry are installed here: as if they weren't, and without a network.
    const pretend = 'command() { [[ $2 == apt-get ]]; }; dpkg() { return 1; }; unpack_debian() { echo "unpacks $*"; };';
    const { code, stdout } = await bash(`${withoutRights} ${pretend} need_debian skopeo docker-registry`);
    expect([code, stdout.split("\n").at(-2)]).toEqual([0, "unpacks skopeo docker-registry"]);
  });

  test("an unpacked program finds its libraries, and skopeo its policy", async () => {
    const folder = await makeFolder();
    const bin = join(folder, "root/usr/bin");
    await mkdir(bin, { recursive: true });
    await mkdir(join(folder, "bin"));
    await writeFile(join(bin, "skopeo"), '#!/bin/sh\necho "$LD_LIBRARY_PATH $@"\n', { mode: 0o755 });
    const { stdout } = await bash(`wrap_unpacked '${folder}'; '${folder}/bin/skopeo' copy 'one word'`);
    expect(stdout).toMatch(
      new RegExp(
        `^${folder}/root/usr/lib/\\S+-linux-gnu --policy=${folder}/root/etc/containers/policy.json copy one word`,
      ),
    );
  });

  test("another apt that holds a lock is waited for", async () => {
    const folder = await makeFolder();
    const calls = join(folder, "calls");
    const apt = await fakeTool(
      folder,
      "apt-get",
      `echo "$@" >>${calls}
if [ "$1" = update ] && [ "$(wc -l <${calls})" -lt 3 ]; then
  echo "E: Could not get lock /var/lib/apt/lists/lock. It is held by process 1 (apt-get)" >&2; exit 100
fi`,
    );
    const script = 'sleep() { echo waits; }; as_root() { "$@"; }; install_debian some-package';
    expect(await bash(script, `${apt}:${systemPath}`)).toMatchObject({ code: 0, stderr: "" });
    expect((await readFile(calls, "utf8")).trim().split("\n")).toEqual([
      ...["update", "update", "update"],
      "--option DPkg::Lock::Timeout=600 install --yes some-package",
    ]);
  });
});

test("what takes long gives a sign of life, and its output only where it fails", async () => {
  const impatient = 'read() { builtin read -rt 0.2 -u "$4"; };';
  const quiet = await bash(`${impatient} quietly sh -c 'echo words; sleep 1'`);
  expect(quiet).toMatchObject({ code: 0, stdout: "" });
  expect(quiet.stderr).toMatch(/^ {2}… 1 min\n {2}… 2 min\n/);
  expect(await bash("quietly sh -c 'echo words; exit 3'")).toMatchObject({
    code: 1,
    stderr: expect.stringMatching(/^words\nsome: failed: sh -c/),
  });
});
