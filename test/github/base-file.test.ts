/** The file in the base branch, from the checkouts that actions/checkout makes; with real git. */
import { execFile } from "node:child_process";
import { mkdir, mkdtemp, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { readBaseFile } from "../../src/github/base-file.ts";
import type { Base } from "../../src/github/stage.ts";
import { createPlatform } from "../../src/platform/platform.ts";
import { createRecorder, makeFolder } from "../fixtures.ts";

async function git(folder: string, ...args: string[]): Promise<string> {
  const names = ["-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "protocol.file.allow=always"];
  return (await promisify(execFile)("git", ["-C", folder, ...names, ...args])).stdout.trim();
}

/** A repository as GitHub has it: main has moved on since the pull request began, and the request is merged for its run. */
let origin: string;
let base: Base;
beforeAll(async () => {
  origin = join(await mkdtemp(join(tmpdir(), "quay-keyless-base-")), "origin");
  await mkdir(join(origin, "trust"), { recursive: true });
  const commit = async (name: string, content: string, ...more: string[]) => {
    await writeFile(join(origin, name), content);
    await git(origin, "add", "-A");
    await git(origin, "commit", "-qm", content, ...more);
    return git(origin, "rev-parse", "HEAD");
  };
  await git(origin, "init", "-q", "-b", "main");
  const first = await commit("trust/file.yaml", "first");
  await git(origin, "checkout", "-qb", "change");
  const head = await commit("trust/file.yaml", "changed");
  await git(origin, "checkout", "-q", "main");
  await commit("trust/file.yaml", "second");
  await git(origin, "checkout", "-qb", "merge");
  await git(origin, "merge", "-q", "--strategy=ours", "--no-edit", head);
  const merged = await git(origin, "rev-parse", "HEAD");
  // The event came before main moved on.
  base = { base: first, head, commit: merged };
});

afterAll(() => rm(dirname(origin), { recursive: true, force: true }));

async function checkout(branch: string, ...args: string[]): Promise<string> {
  const folder = join(await makeFolder(), "work");
  await git(origin, "clone", "-q", "--branch", branch, ...args, `file://${origin}`, folder);
  return folder;
}

async function read(
  folder: string,
  what: Base = base,
  name = "trust/file.yaml",
  env: Record<string, string | undefined> = {},
) {
  const platform = createPlatform({
    env: { PATH: process.env.PATH, HOME: process.env.HOME, ...env },
    reporter: createRecorder(),
    timeoutSeconds: 30,
  });
  try {
    return await readBaseFile(join(folder, name), what, platform);
  } finally {
    platform.close();
  }
}

describe("compares with", () => {
  test("the merge commit's base, also if main has moved on since the event", async () => {
    expect((await read(await checkout("merge"))).content).toBe("second");
  });

  test("the same in a checkout of two commits", async () => {
    expect((await read(await checkout("merge", "--depth=2"))).content).toBe("second");
  });

  test("where the change began, in a checkout of the change itself", async () => {
    const folder = await checkout("change");
    const second = await git(origin, "rev-parse", "main");
    expect(await read(folder, { ...base, base: second })).toEqual({ commit: base.base, content: "first" });
  });

  test("the base itself if the checkout ends before the common commit", async () => {
    const folder = await checkout("change", "--depth=1");
    const second = await git(origin, "rev-parse", "main");
    await git(folder, "fetch", "-q", "--depth=1", "origin", second);
    expect(await read(folder, { ...base, base: second })).toEqual({ commit: second, content: "second" });
  });

  test("the file behind a link", async () => {
    const folder = await checkout("merge");
    await symlink("trust/file.yaml", join(folder, "link.yaml"));
    expect((await read(folder, base, "link.yaml")).content).toBe("second");
  });

  test("a file of 900 KiB, and not with one of 2 MiB", async () => {
    const folder = await checkout("main");
    for (const [size, is] of [
      [900, /^x{921600}$/],
      [2048, /can't be read: it is larger than 1 MiB/],
    ] as const) {
      await writeFile(join(folder, "trust/large.yaml"), "x".repeat(size * 1024));
      await git(folder, "add", "-A");
      await git(folder, "commit", "-qm", "large");
      const commit = await git(folder, "rev-parse", "HEAD");
      const what = { base: commit, head: base.head, commit: base.commit };
      expect(await read(folder, what, "trust/large.yaml").then(({ content }) => content, String)).toMatch(is);
    }
  });
});

test("a file that the base does not have is new", async () => {
  const folder = await checkout("merge");
  for (const name of ["trust/new.yaml", "trust/[f]ile.yaml", "trust/:file.yaml"]) {
    await writeFile(join(folder, name), "");
    expect(await read(folder, base, name)).toMatchObject({ content: undefined });
  }
});

describe("says what to do", () => {
  test("without the base commit: fetch-depth", async () => {
    const folder = await checkout("merge", "--depth=1");
    await expect(read(folder)).rejects.toMatchObject({
      code: "run-refused",
      message: `The checkout lacks the commit of the base branch, ${base.base}.`,
      remedy: [expect.stringContaining("fetch-depth: 0")],
    });
  });

  test("without a checkout", async () => {
    const folder = await makeFolder();
    await mkdir(join(folder, "trust"));
    await writeFile(join(folder, "trust/file.yaml"), "");
    await expect(read(folder, base, "trust/file.yaml", { GIT_DIR: origin })).rejects.toThrow(
      /can't be read: fatal: not a git repository/,
    );
  });

  test("without git", async () => {
    await expect(read(await checkout("merge"), base, undefined, { PATH: await makeFolder() })).rejects.toThrow(
      /^git is not installed/,
    );
  });
});

test("git gets no secret of the job", async () => {
  const folder = await checkout("merge");
  const bin = await makeFolder();
  const real = (await promisify(execFile)("which", ["git"])).stdout.trim();
  await writeFile(join(bin, "git"), `#!/bin/sh\nenv >>'${bin}/env'\nexec ${real} "$@"\n`, { mode: 0o755 });
  await read(folder, base, undefined, { PATH: `${bin}:${process.env.PATH}`, QUAY_API_TOKEN: "s3cr3t", GIT_DIR: "/" });
  expect(await readFile(join(bin, "env"), "utf8")).not.toMatch(/s3cr3t|GIT_DIR|ACTIONS_/);
});
