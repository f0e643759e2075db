/** What `script/release` refuses, in a fresh clone, before it makes anything. */
import { execFileSync, spawnSync } from "node:child_process";
import { appendFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { requireOwn } from "../../script/releasing/files.ts";
import { version } from "../support/project.ts";
import { copyProject, gitIn } from "./copy.ts";

let clone: string;
const git = (...args: string[]) => gitIn(clone)(...args);

function release(...args: string[]) {
  const { status, stdout, stderr } = spawnSync(join(clone, "script/release"), args, { cwd: clone, encoding: "utf8" });
  return { code: status, stdout, stderr };
}

beforeAll(() => {
  clone = mkdtempSync(join(tmpdir(), "quay-keyless-clone-"));
  copyProject(clone);
  git("tag", "start");
}, 120_000);
afterEach(() => {
  git("reset", "--quiet", "--hard", "start");
  git("clean", "--quiet", "--force", "--exclude", "node_modules");
});
afterAll(() => rmSync(clone, { recursive: true }));

describe("check refuses", () => {
  test("a changed file, and a file that git does not know", () => {
    appendFileSync(join(clone, "README.md"), "more\n");
    writeFileSync(join(clone, "new"), "");
    const { code, stderr } = release("check");
    expect([code, stderr]).toEqual([1, expect.stringContaining("these are not committed:\n M README.md\n?? new\n")]);
  });

  test("a tag that is not package.json's version", () => {
    const { code, stderr } = release("check", "--tag", "v9.9.9");
    expect([code, stderr]).toEqual([
      1,
      expect.stringContaining(`the tag is v9.9.9, but package.json says ${version}.`),
    ]);
  });

  test("a tag of another commit", () => {
    git("tag", `v${version}`);
    git("commit", "--quiet", "--allow-empty", "--message", "later");
    const { code, stderr } = release("check");
    git("tag", "--delete", `v${version}`);
    expect([code, stderr]).toEqual([1, expect.stringContaining(`Type: git switch --detach v${version}`)]);
  });

  test("a tag that the remote lacks, or has without an author", () => {
    const remote = `${clone}.git`;
    execFileSync("git", ["init", "--quiet", "--bare", remote]);
    try {
      const check = () => release("check", "--tag", `v${version}`, "--remote", remote);
      expect(check().stderr).toContain(`${remote} has no tag v${version}.`);
      git("push", "--quiet", remote, `HEAD:refs/tags/v${version}`);
      expect(check().stderr).toContain(`v${version} at ${remote} is a lightweight tag.`);
    } finally {
      rmSync(remote, { recursive: true });
    }
  });

  test("a changelog without the version", () => {
    const file = join(clone, "CHANGELOG.md");
    writeFileSync(file, readFileSync(file, "utf8").replace(`## ${version}`, "## 0.9.0"));
    git("commit", "--quiet", "--all", "--message", "docs: changelog");
    const { code, stderr } = release("check");
    expect([code, stderr]).toEqual([
      1,
      expect.stringContaining(`but CHANGELOG.md begins with 0.9.0. Type: script/release changelog`),
    ]);
  });
});

test.each([
  [[], 'release : no such step: "". Type: script/release --help'],
  [["publish"], 'no such step: "publish"'],
  [["toString"], 'no such step: "toString"'],
  [["files"], "release files: needs a folder, such as .cache/release"],
  [["push", "folder"], "needs --staging, such as --staging quay.io/acme/staging"],
  [["check", "--staging", "quay.io/acme/app"], "Unknown option '--staging'"],
  [["files", "a", "b"], "takes one folder, not also b"],
  [["tags", "folder"], "takes no folder, not folder"],
  [["verify", "/nonexistent"], "/nonexistent has no images.txt, as a release has. Type: script/release files FOLDER"],
  [["promote", "docs", "--staging", "quay.io/acme/staging"], "/docs has no images.txt"],
  [["sign", "docs", "--staging", "quay.io/acme/staging"], "/docs has no images.txt"],
  [["files", "folder", "--", "--source-robot", "acme+release"], "takes nothing behind --, not --source-robot"],
])("%j is wrong use", (args, said) => {
  const { code, stderr } = release(...args);
  expect(code).toBe(1);
  expect(stderr).toContain(said);
  expect(stderr).not.toContain("    at ");
});

test("a version that is none of ours is named with its line", () => {
  const file = join(clone, "package.json");
  writeFileSync(file, readFileSync(file, "utf8").replace(`"version": "${version}"`, '"version": "1.0.0+b"'));
  const { code, stderr } = release("check");
  expect([code, stderr]).toEqual([1, expect.stringMatching(/^release check: package\.json: version is "1\.0\.0\+b"/)]);
  expect(stderr).not.toContain("    at ");
});

test.each([
  ["a folder of images", { "oci/mine/index.json": "" }, "oci/mine"],
  ["one file more", { "notes.md": "", "oci/image/index.json": "", "letter.txt": "" }, "letter.txt"],
  ["one folder more", { "notes.md": "", "quay-keyless-login-mine/a": "" }, "quay-keyless-login-mine"],
  ["images without notes", { "oci/image/index.json": "" }, "it has no notes.md"],
])("files keeps a folder that is not surely a release: %s", (_, files, why) => {
  const folder = mkdtempSync(join(tmpdir(), "quay-keyless-files-"));
  try {
    for (const [file, text] of Object.entries(files)) {
      mkdirSync(dirname(join(folder, file)), { recursive: true });
      writeFileSync(join(folder, file), text);
    }
    expect(() => requireOwn(folder)).toThrow(`name a new folder (${why})`);
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test("files takes an empty folder, and what an earlier or unfinished run has left", () => {
  const folder = mkdtempSync(join(tmpdir(), "quay-keyless-files-"));
  try {
    requireOwn(folder);
    writeFileSync(join(folder, "notes.md"), "");
    requireOwn(folder);
    for (const each of ["oci/image", "oci/bundle", "rehearsal"]) mkdirSync(join(folder, each), { recursive: true });
    for (const each of ["SHA256SUMS", `tekton-${version}.yaml`, `quay-keyless-login-${version}.tgz`, "package.tar"]) {
      writeFileSync(join(folder, each), "");
    }
    requireOwn(folder);
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test("files removes nothing that is no release", () => {
  const { code, stderr } = release("files", "docs");
  expect([code, stderr]).toEqual([
    1,
    expect.stringContaining("docs holds something else than a release: name a new folder"),
  ]);
  expect(git("status", "--porcelain")).toBe("");
});

test("--help names each step", () => {
  const { stdout } = release("--help");
  for (const step of [
    "--dry-run",
    "check",
    "files",
    "push",
    "sign",
    "promote",
    "verify",
    "tags",
    "notes",
    "changelog",
  ]) {
    expect(stdout).toContain(`script/release ${step}`);
  }
});

test("notes prints the newest section", () => {
  const { stdout } = release("notes");
  expect(readFileSync(join(clone, "CHANGELOG.md"), "utf8")).toContain(`## ${version}\n\n${stdout}`);
});

test("changelog begins the next version's section from the commits since the last tag", () => {
  git("tag", "v0.9.0");
  git("commit", "--quiet", "--allow-empty", "--message", "feat: in the prerelease already");
  git("tag", "v0.10.0-rc.1");
  for (const message of ["feat: a command", "fix(tekton): a Task", "chore: nothing"]) {
    git("commit", "--quiet", "--allow-empty", "--message", message);
  }
  const file = join(clone, "CHANGELOG.md");
  const next = version.replace(/^\d+/, (major) => String(Number(major) + 1));
  const packageFile = join(clone, "package.json");
  writeFileSync(
    packageFile,
    readFileSync(packageFile, "utf8").replace(`"version": "${version}"`, `"version": "${next}"`),
  );
  const { code, stderr } = release("changelog");
  git("tag", "--delete", "v0.9.0", "v0.10.0-rc.1");
  expect([code, stderr]).toEqual([0, ""]);
  expect(readFileSync(file, "utf8")).toContain(
    `\n\n## ${next}\n\n### Features\n\n- A command\n- In the prerelease already\n\n### Fixes\n\n- **tekton:** A Task\n\n## ${version}\n`,
  );
  const again = release("changelog");
  expect([again.code, again.stderr]).toEqual([1, expect.stringContaining(`has a section ${next} already`)]);
});
