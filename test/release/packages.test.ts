/** The npm package and the Action's tarball: what is inside, that it runs, and that a umask changes no byte. */
import { execFileSync } from "node:child_process";
import { globSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, relative } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { packAction } from "../../script/releasing/action-tarball.ts";
import { packNpm } from "../../script/releasing/npm-package.ts";
import { actionFile, packageFile, readRelease } from "../../script/releasing/project.ts";
import { installNpm } from "../../script/releasing/trial.ts";

const release = readRelease();
let folder: string;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "quay-keyless-packages-"));
  for (const umask of ["022", "077"]) {
    mkdirSync(join(folder, umask));
    const before = process.umask(Number.parseInt(umask, 8));
    await Promise.all([packNpm(release, join(folder, umask)), packAction(release, join(folder, umask))]);
    process.umask(before);
  }
});
afterAll(() => rmSync(folder, { recursive: true }));

const list = (file: string) =>
  execFileSync("tar", ["--list", "--file", file], { encoding: "utf8" }).trim().split("\n").sort();
const git = (...args: string[]) => execFileSync("git", args, { encoding: "utf8" }).trim();

describe("the npm package", () => {
  test("has both programs and what they read, and nothing else", () => {
    const programs = globSync("dist/{cli,completions,helper}/**", { withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map((entry) => relative(".", join(entry.parentPath, entry.name)));
    const others = ["CHANGELOG.md", "LICENSE", "README.md", "package.json"];
    expect(list(join(folder, "022", packageFile(release)))).toEqual(
      [...programs, ...others].map((file) => `package/${file}`).sort(),
    );
  });

  test("installs into an empty folder without another package, and both programs run", async () => {
    const place = join(folder, "installed");
    mkdirSync(place);
    await installNpm(join(folder, "022", packageFile(release)), place);
    const installed = JSON.parse(readFileSync(join(place, "node_modules/quay-keyless-login/package.json"), "utf8"));
    expect(Object.keys(installed)).not.toEqual(
      expect.arrayContaining([expect.stringMatching(/dependencies|scripts|private/i)]),
    );
    expect(installed).toMatchObject({ name: "quay-keyless-login", version: release.version, license: "Apache-2.0" });
    const bin = (program: string, ...args: string[]) =>
      execFileSync(join(place, "node_modules/.bin", program), args, { encoding: "utf8" });
    expect(bin("quay-keyless-login", "--version")).toContain(release.version);
    expect(bin("quay-keyless-login", "explain", "robot-not-found")).toContain("robot");
    expect(bin("docker-credential-quay-keyless", "--version")).toContain(release.version);
  });
});

describe("the Action's tarball", () => {
  const unpacked = () => join(folder, "action");
  beforeAll(() => {
    mkdirSync(unpacked());
    execFileSync("tar", ["--extract", "--file", join(folder, "022", actionFile(release)), "--directory", unpacked()]);
  });

  test("has dist/, each action.yml and the licence, as the commit has them", () => {
    const files = git(
      "ls-tree",
      "-r",
      "--name-only",
      "HEAD",
      "--",
      "dist",
      "action.yml",
      "promote/action.yml",
      "federate/action.yml",
      "LICENSE",
    );
    const inside = list(join(folder, "022", actionFile(release))).filter((name) => !name.endsWith("/"));
    expect(inside).toEqual(files.split("\n").sort());
    for (const file of inside) {
      expect(readFileSync(join(unpacked(), file)).equals(execFileSync("git", ["show", `HEAD:${file}`]))).toBe(true);
    }
  });

  test("says which commit it is", () => {
    const command = 'gunzip --stdout "$0" | git get-tar-commit-id';
    const said = execFileSync("sh", ["-c", command, join(folder, "022", actionFile(release))], { encoding: "utf8" });
    expect(said.trim()).toBe(git("rev-parse", "HEAD"));
  });
});

test.each([packageFile(release), actionFile(release)])("%s has the same bytes under another umask", (file) => {
  const [one, other] = ["022", "077"].map((umask) => readFileSync(join(folder, umask, file)));
  expect(one?.equals(other as Buffer)).toBe(true);
});
