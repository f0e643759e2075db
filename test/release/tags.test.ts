/** Tags, in a bare repository. */
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { moveTags } from "../../script/releasing/tags.ts";

const release = {
  ...{ name: "app", license: "Apache-2.0", description: "", version: "1.2.3" },
  ...{ url: "https://github.com/acme/app", image: "quay.io/acme/app" },
};
let folder: string;
let clone: string;
let bare: string;

const git = (...args: string[]): string =>
  execFileSync("git", ["-c", "user.name=A", "-c", "user.email=a@example.com", ...args], {
    cwd: clone,
    encoding: "utf8",
  }).trim();
const remoteTag = (tag: string) => git("ls-remote", bare, `refs/tags/${tag}`).split("\t")[0];

/** A commit, tagged in the repository as a version. */
function commit(version: string): string {
  git("commit", "--quiet", "--allow-empty", "--message", version);
  git("tag", "--annotate", "--message", version, `v${version}`);
  git("push", "--quiet", bare, `v${version}`);
  return git("rev-parse", "HEAD");
}

async function move(version: string): Promise<string> {
  const said = vi.spyOn(console, "log").mockImplementation(() => {});
  try {
    await moveTags({ ...release, version }, bare, clone);
    return said.mock.calls.join("\n");
  } finally {
    said.mockRestore();
  }
}

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "quay-keyless-tags-"));
  [clone, bare] = [join(folder, "clone"), join(folder, "bare.git")];
  execFileSync("git", ["init", "--quiet", clone]);
  execFileSync("git", ["init", "--quiet", "--bare", bare]);
});
afterEach(() => rmSync(folder, { recursive: true }));

test("v1 follows the newest version, and a second run changes nothing", async () => {
  const first = commit("1.0.0");
  expect(await move("1.0.0")).toBe("v1 points to v1.0.0 now.");
  expect(remoteTag("v1")).toBe(first);
  expect(await move("1.0.0")).toBe("v1 points to v1.0.0 already.");
  const second = commit("1.10.0");
  expect(await move("1.10.0")).toBe(`v1 points to v1.10.0 now, before that to ${first}.`);
  expect(remoteTag("v1")).toBe(second);
});

test("v1 stays for a prerelease, and for an older version than the newest", async () => {
  const newest = commit("1.10.0");
  await move("1.10.0");
  commit("1.9.1");
  expect(await move("1.9.1")).toBe("v1 stays: v1.10.0 is newer than v1.9.1.");
  commit("2.0.0-rc.1");
  expect(await move("2.0.0-rc.1")).toBe("v2 stays: v2.0.0-rc.1 is a prerelease.");
  commit("2.0.0");
  expect(await move("2.0.0")).toBe("v2 points to v2.0.0 now.");
  expect(remoteTag("v1")).toBe(newest);
});

test("takes the place of an annotated v1", async () => {
  commit("1.0.0");
  git("tag", "--annotate", "--message", "v1", "v1");
  git("push", "--quiet", bare, "v1");
  const next = commit("1.0.1");
  await move("1.0.1");
  expect(remoteTag("v1")).toBe(next);
});

test("refuses a version whose tag is another commit, missing, or lightweight", async () => {
  const first = commit("1.0.0");
  git("commit", "--quiet", "--allow-empty", "--message", "later");
  await expect(move("1.0.0")).rejects.toThrow(`v1.0.0 is ${first} at ${bare}, but this is ${git("rev-parse", "HEAD")}`);
  await expect(move("1.0.1")).rejects.toThrow(`${bare} has no tag v1.0.1. Type: git tag --annotate v1.0.1`);
  git("push", "--quiet", bare, "HEAD:refs/tags/v1.0.1");
  await expect(move("1.0.1")).rejects.toThrow("v1.0.1 at");
  expect(remoteTag("v1")).toBe("");
});

test("does not overwrite a v1 that another run has moved meanwhile", async () => {
  commit("1.0.0");
  await move("1.0.0");
  commit("1.0.1");
  // What this repository says before the push is not what it holds when the push comes.
  const stale = join(folder, "stale.git");
  execFileSync("git", ["clone", "--quiet", "--bare", bare, stale]);
  git("commit", "--quiet", "--allow-empty", "--message", "another");
  const another = git("rev-parse", "HEAD");
  git("push", "--quiet", "--force", bare, `${another}:refs/tags/v1`);
  git("switch", "--quiet", "--detach", "v1.0.1");
  git("remote", "add", "split", stale);
  git("remote", "set-url", "--push", "split", bare);
  await expect(moveTags({ ...release, version: "1.0.1" }, "split", clone)).rejects.toThrow("stale info");
  expect(remoteTag("v1")).toBe(another);
});
