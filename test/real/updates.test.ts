/** Renovate itself, without a network: it accepts .github/renovate.json, and finds what is to be kept up to date. */
import { execFile } from "node:child_process";
import { globSync } from "node:fs";
import { mkdir, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, expect, test } from "vitest";
import { findBuilt } from "../quay-stand-in/built.ts";
import { systemPath } from "../support/runner.ts";

const root = resolve(import.meta.dirname, "../..");
const config = ".github/renovate.json";

let place: string;
beforeAll(async () => {
  place = await mkdtemp(join(tmpdir(), "quay-keyless-updates-"));
});
afterAll(() => rm(place, { recursive: true, force: true }));

/** Renovate's program, or one beside it, in a copy of the project. */
async function renovate(program: string, args: readonly string[], env: Record<string, string> = {}): Promise<string> {
  const folder = dirname(findBuilt("renovate") ?? "renovate is missing: script/test --real installs it");
  const node = join(root, "node_modules/node/bin");
  const { stdout } = await promisify(execFile)(join(folder, "node_modules/.bin", program), args, {
    cwd: join(place, "copy"),
    env: { PATH: `${node}:${systemPath}`, HOME: place, ...env },
    maxBuffer: 1 << 26,
  });
  return stdout;
}

interface Found {
  packageFile: string;
  deps: { depName?: string; currentValue?: string }[];
}

test("finds npm, Go, Actions, the base image and the pins of the scripts", async () => {
  await mkdir(join(place, "copy"));
  const files =
    "git ls-files -z --cached --others --exclude-standard | tar --create --null --files-from - --ignore-failed-read";
  const copy = `${files} 2>/dev/null | tar --extract --directory "$0"; cd "$0"; git init --quiet .; git add --all`;
  await promisify(execFile)("bash", ["-c", copy, join(place, "copy")], { cwd: root });
  await renovate("renovate-config-validator", ["--strict", config]);

  const log = await renovate("renovate", ["--platform=local", "--dry-run=extract"], {
    RENOVATE_CONFIG_FILE: config,
    LOG_LEVEL: "debug",
    LOG_FORMAT: "json",
  });
  const lines = log.split("\n").filter((line) => line.startsWith("{"));
  const { packageFiles } =
    lines
      .map((line) => JSON.parse(line) as { msg?: string; packageFiles?: Record<string, Found[]> })
      .findLast(({ msg, packageFiles: found }) => msg === "Extracted dependencies" || found !== undefined) ?? {};
  const found = (manager: string) => packageFiles?.[manager] ?? [];
  const places = (manager: string) =>
    found(manager)
      .map(({ packageFile }) => packageFile)
      .sort();
  const names = (manager: string) => found(manager).flatMap(({ deps }) => deps.map(({ depName }) => depName));
  expect(places("npm")).toEqual(["package.json"]);
  const modules = globSync("test/**/go.mod", { cwd: root, exclude: ["**/node_modules/**"] }).sort();
  expect(places("gomod")).toEqual(modules);
  expect(places("github-actions")).toEqual(globSync(".github/workflows/*.yml", { cwd: root }).sort());
  expect(places("dockerfile")).toContain("Containerfile");
  expect(names("dockerfile").join()).toContain("debian");
  expect(names("regex")).toEqual(
    expect.arrayContaining([
      "github.com/nektos/act",
      "github.com/sigstore/cosign/v3",
      "zizmor",
      "kubernetes/kubernetes",
    ]),
  );
});
