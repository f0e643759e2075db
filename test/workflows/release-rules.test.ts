/** .github/workflows/release.yml: what it may do, in which order, and what npm gets. release.test.ts runs it. */
import { execFile, spawnSync } from "node:child_process";
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { promisify } from "node:util";
import { describe, expect, test } from "vitest";
import { parse } from "yaml";
import { systemPath } from "../support/runner.ts";

const project = resolve(import.meta.dirname, "../..");
const programs = join(project, "test/support/recipes/programs");
const text = await readFile(join(project, ".github/workflows/release.yml"), "utf8");

interface Job {
  needs?: string | string[];
  environment?: string;
  permissions: Record<string, string>;
  uses?: string;
  steps?: { name?: string; uses?: string; run?: string; env?: Record<string, string> }[];
}
const { jobs } = parse(text) as { jobs: Record<string, Job> };

describe("the workflow", () => {
  const needs = (job: string): string[] => [jobs[job]?.needs ?? []].flat().flatMap((each) => [each, ...needs(each)]);

  test("uses no stored secret", () => {
    expect(text).not.toMatch(/secrets\./);
    expect(text.match(/github\.token/g)).toHaveLength(5);
  });

  test("gives an identity and the right to write to as few jobs as possible", () => {
    const granted = (permission: string, access: string) =>
      Object.keys(jobs).filter((name) => jobs[name]?.permissions[permission] === access);
    expect(granted("id-token", "write")).toEqual(["stage", "attest", "promote", "npm"]);
    expect(granted("contents", "write")).toEqual(["publish"]);
    expect(granted("attestations", "write")).toEqual(["attest"]);
  });

  test("publishes nothing before the tests have passed and reviewers have agreed", () => {
    for (const name of ["promote", "npm", "publish"]) {
      expect(jobs[name]?.environment).toBe("release");
      expect(needs(name)).toEqual(expect.arrayContaining(["check", "test", "build", "stage"]));
    }
    expect(jobs.test?.uses).toBe("./.github/workflows/ci.yml");
  });

  test("checks the files of the job before wherever it takes them", () => {
    for (const name of ["attest", "npm", "publish"]) {
      const steps = jobs[name]?.steps ?? [];
      const at = steps.findIndex(({ uses }) => uses?.startsWith("actions/download-artifact"));
      expect(steps[at + 1]).toMatchObject({
        env: { SUMS: "$" + "{{ needs.stage.outputs.sums }}" },
        run: 'sha256sum --strict --check <<<"$SUMS"\nsha256sum --strict --check SHA256SUMS\n',
      });
    }
  });

  test("keeps the files longer than an approval may wait", () => {
    const days = [...text.matchAll(/retention-days: (\d+)/g)].map(([, each]) => Number(each));
    expect(days).toHaveLength(2);
    for (const each of days) expect(each).toBeGreaterThan(30);
  });

  test("moves the tag of the major version last", () => {
    const others = Object.keys(jobs).filter((name) => name !== "publish");
    expect(others.filter((name) => !needs("publish").includes(name))).toEqual([]);
    const runs = jobs.publish?.steps?.flatMap(({ run }) => run ?? []) ?? [];
    const [moved, advice] = [runs.at(-2), runs.at(-1)];
    expect(moved).toContain("script/release tags");
    expect(advice).toContain("::notice::");
  });
});

test.for([
  ["1.2.0", "1.1.9 latest", "latest"],
  ["1.10.0", "1.9.0 latest", "latest"],
  ["1.0.0", "", "latest"],
  ["1.9.1", "2.0.0 latest", "release-1"],
  ["2.0.0-rc.1", "1.9.0 latest", "next"],
])("npm gets %s after %j as %s", async ([next = "", before, tag]) => {
  const place = await mkdtemp(join(tmpdir(), "quay-keyless-npm-"));
  try {
    await mkdir(join(place, "release/package"), { recursive: true });
    await writeFile(join(place, "release/package/package.json"), JSON.stringify({ version: next }));
    const packed = `quay-keyless-login-${next}.tgz`;
    await promisify(execFile)("tar", ["-C", join(place, "release"), "-czf", join(place, "release", packed), "package"]);
    await writeFile(join(place, "npm"), before ? `${before}\n` : "");
    const script = jobs.npm?.steps?.at(-1)?.run ?? "";
    const env = { PATH: `${programs}:${systemPath}`, HUB: place, VERSION: next };
    for (let times = 0; times < 2; times++) {
      await promisify(execFile)("bash", ["-eo", "pipefail", "-c", script], { cwd: place, env });
    }
    const lines = before ? [before, `${next} ${tag}`, ""] : [`${next} ${tag}`, ""];
    expect(await readFile(join(place, "npm"), "utf8")).toBe(lines.join("\n"));
  } finally {
    await rm(place, { recursive: true });
  }
});

/** Runs a step of the workflow with the stand-ins for GitHub and npm, whose state is the folder HUB. */
async function runStep(job: string, name: string, place: string, env: Record<string, string>) {
  const script = jobs[job]?.steps?.find((step) => step.name === name)?.run ?? "exit 99";
  const all = { ...env, PATH: `${programs}:${systemPath}`, HUB: place, HOME: place, GH_TOKEN: "token" };
  const { status, stdout, stderr } = spawnSync("bash", ["-eo", "pipefail", "-c", script], {
    cwd: place,
    env: { ...all, GITHUB_OUTPUT: join(place, "output"), GITHUB_REF_NAME: "v1.2.3" },
    encoding: "utf8",
  });
  return { code: status, said: stdout + stderr };
}

describe("an answer that does not come", () => {
  test.each([
    ["check", "Check that no other release has the tag"],
    ["npm", "Publish"],
    ["publish", "Publish the release"],
  ])("is no answer: %s, %s", async (job, name) => {
    await withPlace(async (place) => {
      await writeFile(join(place, "fails"), "error connecting to api.github.com\n");
      spawnSync("git", ["init", "--quiet", place]);
      spawnSync("git", ["-C", place, "remote", "add", "origin", place]);
      const { code, said } = await runStep(job, name, place, { FOLDER: place, VERSION: "1.2.3" });
      expect([code, said]).toEqual([1, expect.stringContaining("error connecting to api.github.com")]);
      expect(await readdir(place)).not.toContain("npm");
    });
  });
});

test.each([
  ["no release", undefined, [], 0],
  ["a draft", "draft", [], 0],
  ["our release", "published", ["SHA256SUMS"], 0],
  ["another's release", "published", ["a.zip"], 1],
])("begins with %s: exit code %4$s", async (_, state, assets, code) => {
  await withPlace(async (place) => {
    if (state) await writeFile(join(place, "state"), `${state}\n`);
    await mkdir(join(place, "assets"));
    for (const asset of assets) await writeFile(join(place, "assets", asset), "");
    const done = await runStep("check", "Check that no other release has the tag", place, {});
    expect(done.code, done.said).toBe(code);
  });
});

test.each<[string, Record<string, string>, number]>([
  ["the same", {}, 0],
  ["another signature of the same", { "SHA256SUMS.sigstore.json": "other" }, 0],
  ["a changed file", { "notes.md": "other" }, 1],
  ["other sums", { SHA256SUMS: "other" }, 1],
  ["one file more", { more: "" }, 1],
])("a release that is published already has to have our files: %s", async (_, changes, code) => {
  await withPlace(async (place) => {
    spawnSync("git", ["init", "--quiet", place]);
    spawnSync("git", ["-C", place, "remote", "add", "origin", place]);
    await writeFile(join(place, "state"), "published\n");
    const files = { SHA256SUMS: "sums", "SHA256SUMS.sigstore.json": "signature", "notes.md": "notes" };
    for (const [folder, content] of Object.entries({ ours: files, assets: { ...files, ...changes } })) {
      await mkdir(join(place, folder));
      for (const [file, text] of Object.entries(content)) await writeFile(join(place, folder, file), text);
    }
    const done = await runStep("publish", "Publish the release", place, { FOLDER: join(place, "ours") });
    expect(done.code, done.said).toBe(code);
  });
});

async function withPlace(use: (place: string) => Promise<void>) {
  const place = await mkdtemp(join(tmpdir(), "quay-keyless-step-"));
  try {
    await use(place);
  } finally {
    await rm(place, { recursive: true });
  }
}
