/** The runtime inside the programs (script/lib.sh): the one whose hash is written down. */
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "quay-keyless-runtime-"));
});
afterEach(() => rmSync(folder, { recursive: true }));

const bash = (commands: string) =>
  spawnSync("bash", ["-euo", "pipefail", "-c", `source script/lib.sh\n${commands}`, "script/executable"], {
    env: { ...process.env, XDG_CACHE_HOME: folder },
    encoding: "utf8",
  });

/** A registry that gives this package. */
function npm(): string {
  mkdirSync(join(folder, "package/bin"), { recursive: true });
  writeFileSync(join(folder, "package/bin/node"), "program", { mode: 0o755 });
  return `npm() { tar --create --gzip --directory ${folder} --file "$3/node.tgz" package; }`;
}

test.each(["x64", "arm64"])("a package with another hash is refused, for %s", (architecture) => {
  const { status, stderr } = bash(`${npm()}\nneed_node_of ${architecture}`);
  expect([status, stderr]).toEqual([1, expect.stringMatching(/ is sha512-\S+, but script\/lib\.sh says sha512-/)]);
  expect(
    existsSync(join(folder, `quay-keyless-login/node-linux-${architecture}@${process.versions.node}/node_modules`)),
  ).toBe(false);
});

test("the package with the hash is taken", () => {
  const first = bash(`${npm()}\nneed_node_of x64`).stderr;
  const hash = / is (sha512-\S+), but/.exec(first)?.[1];
  // gzip writes the time of the file only.
  const { status, stdout, stderr } = bash(
    `${npm()}\nnode_hashes[x64]=${hash}\nneed_node_of x64\n"$node_of/bin/node" || cat "$node_of/bin/node"`,
  );
  expect([status, stdout, stderr]).toEqual([0, "program", expect.any(String)]);
});

test("another Node is another source of the programs", () => {
  const { status, stdout } = bash("executable_sources; node() { echo v99.0.0; }; executable_sources");
  const [one, other] = stdout.trim().split("\n");
  expect(status).toBe(0);
  expect(one).toMatch(/^[0-9a-f]{16}$/);
  expect(other).not.toBe(one);
});
