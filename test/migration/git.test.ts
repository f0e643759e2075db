/** A real git, and remotes as people have them. */
import { execFileSync } from "node:child_process";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { openGit, remoteOf } from "../../src/migration/git.ts";
import { makeFolder } from "../fixtures.ts";

const { signal } = new AbortController();
const env = { PATH: process.env.PATH ?? "", HOME: "/nonexistent" };

describe("the remote", () => {
  test.each([
    ["https://github.com/acme/app.git", "github.com acme/app"],
    ["https://github.com/acme/app/", "github.com acme/app"],
    ["https://bob:secret@GitHub.com/acme/app", "github.com acme/app"],
    ["git@github.com:acme/app.git", "github.com acme/app"],
    ["ssh://git@github.com/acme/app.git", "github.com acme/app"],
    ["ssh://git@ssh.github.com:443/acme/app.git", "ssh.github.com acme/app"],
    ["git@gitlab.example.com:group/sub/app.git", "gitlab.example.com group/sub/app"],
    ["/srv/git/app.git", "none"],
    ["../app", "none"],
    ["", "none"],
  ])("%s", (url, expected) => {
    const remote = remoteOf(url);
    expect(remote ? `${remote.host} ${remote.path}` : "none").toBe(expected);
  });
});

test("root, default branch and files, from a folder below and without this process's variables for git", async () => {
  const root = await makeFolder();
  const git = (...args: string[]) =>
    execFileSync("git", ["-c", "user.name=x", "-c", "user.email=x@y", ...args], { cwd: root });
  await mkdir(join(root, "a b"));
  await writeFile(join(root, "a b/gr\u00fcn.yml"), "x");
  await writeFile(join(root, ".gitignore"), "ignored\n");
  await writeFile(join(root, "ignored"), "x");
  await writeFile(join(root, "new"), "x");
  git("init", "--quiet", "--initial-branch=trunk");
  git("add", "a b", ".gitignore");
  git("commit", "--quiet", "--message=x");
  git("update-ref", "refs/remotes/origin/trunk", "HEAD");
  git("symbolic-ref", "refs/remotes/origin/HEAD", "refs/remotes/origin/trunk");
  git("config", "core.fsmonitor", `touch ${root}/ran; false`);
  const opened = await openGit({ folder: join(root, "a b"), env: { ...env, GIT_DIR: "/nowhere" }, signal });
  if (typeof opened === "string") throw new Error(opened);
  expect([opened.root, opened.defaultBranch, opened.remote]).toEqual([root, "trunk", undefined]);
  expect((await opened.listFiles()).toSorted()).toEqual([".gitignore", "a b/gr\u00fcn.yml", "new"]);
  expect(await Promise.all(["a b/gr\u00fcn.yml", "new"].map((path) => opened.whyNotClean(path)))).toEqual([
    undefined,
    "git does not track it",
  ]);
});

test("why there is none", async () => {
  const folder = await makeFolder();
  expect(await openGit({ folder, env, signal })).toMatch(/^git does not know .*not a git repository/);
  expect(await openGit({ folder, env: { PATH: folder }, signal })).toBe("git is not on PATH");
});
