/** script/generate in a copy of the tree: what it finds, what it writes, and that a fork changes one line. */
import { execFileSync } from "node:child_process";
import { mkdtemp } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { rewrite, straysIn } from "../script/addresses.ts";
import { name, nobody, type Project, readProject } from "../script/project.ts";
import { copyTree, type Tree } from "./support/tree.ts";

const now: Project = readProject(resolve(import.meta.dirname, "../package.json"));

let copy: Tree;
beforeAll(async () => {
  copy = await copyTree(await mkdtemp(join(tmpdir(), "quay-keyless-tree-")));
});
afterEach(() => copy.restore());
afterAll(() => copy.remove());

/** Each line of the copy's text files that has this, as `FILE:LINE:TEXT`. */
function linesWith(pattern: string, ...paths: string[]): string[] {
  const command = ["grep", "--untracked", "-nIP", pattern, "--", ...paths, ":!node_modules"];
  try {
    return execFileSync("git", command, { cwd: copy.folder, encoding: "utf8" }).trimEnd().split("\n");
  } catch {
    return []; // git grep exits with 1 where it finds nothing
  }
}

describe("script/check generated", () => {
  test.each([
    { change: "nothing", file: "action.yml", from: "", to: "", says: /^ok +generated/ },
    {
      change: "an input's default",
      file: "action.yml",
      from: 'default: "quay.io"',
      to: 'default: "quay.example.com"',
      says: /FAILED +generated[\s\S]*\naction\.yml:\d+: .*: default: "quay\.io"\nType: script\/generate\n$/,
    },
    {
      change: "a Task's result, which its README shows",
      file: "tekton/task/quay-promote/0.1/quay-promote.yaml",
      from: "Where the image is now",
      to: "Where it is now",
      says: /\ntekton\/task\/quay-promote\/0\.1\/README\.md:\d+: .*Where it is now.*\nType: script\/generate/,
    },
    {
      change: "a marker that is gone",
      file: "docs/options.md",
      from: "<!-- end flags -->",
      to: "",
      says: /docs\/options\.md needs the markers .* for: inputs, flags, .*\. It has: inputs, configure, /,
    },
    {
      change: "another's address",
      file: "docs/promotion.md",
      from: /\S+(?=\/quay-keyless-login\/promote@v1)/,
      to: "stranger",
      says: /\ndocs\/promotion\.md:\d+: is not what .*package\.json say.*quay-keyless-login\/promote@v1.*\nType: script\/generate\n$/,
    },
    {
      change: "an old version",
      file: "tekton/task/quay-promote/0.1/samples/taskrun.yaml",
      from: `quay-keyless-login:${now.version}`,
      to: `${name}:0.0.9`,
      says: /taskrun\.yaml:\d+: is not what .*: value: registry\.example\.com\/tools\/quay-keyless-login:\d/,
    },
    {
      change: "a version of the lock file",
      file: "package-lock.json",
      from: `"version": "${now.version}"`,
      to: '"version": "0.0.9"',
      says: /package-lock\.json:3: is not what/,
    },
    {
      change: "an address that is no project's",
      file: "package.json",
      from: /"repository": ".*"/,
      to: '"repository": "https://github.com/acme/another"',
      says: /package\.json: repository is "https:\/\/github\.com\/acme\/another"\. It has to look like "https:\/\/github\.com\/acme\/quay-keyless-login"\./,
    },
  ])("$change", async ({ file, from, to, says }) => {
    await copy.edit(file, from, to);
    const { code, stdout } = await copy.run("script/check", "generated");
    expect(stdout).toMatch(says);
    expect(code).toBe(from === "" ? 0 : 1);
  });
});

describe("rewrites", () => {
  const fork: Project = { owner: "Some-Fork", version: "2.3.4", image: `quay.io/some-fork/${name}` };
  const known = { owner: nobody, version: "1.0.0" };
  const tekton = "tekton"; // in pieces, or this file is rewritten too
  const from = `${nobody}/${name}`;
  const to = `Some-Fork/${name}`;

  test.each([
    [`uses: ${from}@v1`, `uses: ${to}@v2`],
    [`uses: stranger/${name}/promote@v1`, `uses: ${to}/promote@v2`],
    [`uses: ${from}@v1.0.0`, `uses: ${to}@v2.3.4`],
    [`uses: ${from}/.github/workflows/build-and-push.yml@v1`, `uses: ${to}/.github/workflows/build-and-push.yml@v2`],
    [`uses: ${from}/federate@${"0a".repeat(20)} # v1.0.0`, `uses: ${to}/federate@${"0a".repeat(20)} # v2.3.4`],
    [`https://github.com/stranger/${name}/blob/main/README.md`, `https://github.com/${to}/blob/main/README.md`],
    [`git clone git@github.com:${from}.git`, `git clone git@github.com:${to}.git`],
    [`^https://github\\.com/${from}/`, `^https://github\\.com/${to}/`],
    [`https://api.github.com/repos/${from}/tags`, `https://api.github.com/repos/${to}/tags`],
    [`https://img.shields.io/github/v/release/${from}`, `https://img.shields.io/github/v/release/${to}`],
    [`gh attestation verify FILE --repo ${from}`, `gh attestation verify FILE --repo ${to}`],
    [`  repository: ${from}\n  ref: v1.0.0`, `  repository: ${to}\n  ref: v2.3.4`],
    [`- component: $CI_SERVER_FQDN/${from}/quay-login@1.0.0`, `- component: $CI_SERVER_FQDN/${to}/quay-login@2.3.4`],
    [`https://github.com/${from}//kubernetes/base?ref=v1.0.0`, `https://github.com/${to}//kubernetes/base?ref=v2.3.4`],
    [
      `https://github.com/${from}/releases/download/v1.0.0/${name}-action-1.0.0.tar.gz`,
      `https://github.com/${to}/releases/download/v2.3.4/${name}-action-2.3.4.tar.gz`,
    ],
    [
      `https://github.com/${from}/releases/download/v1.0.0/${tekton}-1.0.0.yaml`,
      `https://github.com/${to}/releases/download/v2.3.4/${tekton}-2.3.4.yaml`,
    ],
    [`podman run quay.io/stranger/${name}:0.9.1 login`, `podman run quay.io/some-fork/${name}:2.3.4 login`],
    [`docker://quay.io/${from}:tekton-1.0.0`, `docker://quay.io/some-fork/${name}:tekton-2.3.4`],
    [`registry.example.com/tools/${name}:1.0.0`, `registry.example.com/tools/${name}:2.3.4`],
    [`npm install ${name}@1.0.0`, `npm install ${name}@2.3.4`],
    ["- name: revision\n  value: v1.0.0", "- name: revision\n  value: v2.3.4"],
    ["git clone --branch v1.0.0", "git clone --branch v2.3.4"],
    [
      `newName: registry.example.com/tools/${name}\n  newTag: 1.0.0`,
      `newName: registry.example.com/tools/${name}\n  newTag: 2.3.4`,
    ],
    ["ARG VERSION=1.0.0", "ARG VERSION=2.3.4"],
    [`(\`${nobody}\` is the account`, `(\`${fork.owner}\` is the account`],
  ])("%j", (text, expected) => {
    expect(rewrite(text, "docs/page.md", known, fork)).toBe(expected);
    expect(rewrite(expected, "docs/page.md", fork, fork)).toBe(expected);
    expect(straysIn(text, "docs/page.md", { ...now, ...known })).toEqual([]);
  });

  test.each([
    `uses: acme/${name}@main`,
    `https://github.com/acme/${name}`,
    `quay.io/acme/${name}@sha256:00`,
    `[a Task](task/${name}/0.1/README.md)`,
    `~/.cache/${name}/spire@v1.13.3/spire-server`,
    `pkg:npm/${name}@0.9.0`,
    `npm deprecate ${name}@0.0.1`,
    `"--github ${nobody}/REPO"`,
    `registry.invalid/${name}`,
    `/opt/${name}/helper/index.js`,
    `https://github.com/${to}/compare/v1.0.0...v1.1.0`,
  ])("not %j", (text) => {
    expect(rewrite(text, "docs/page.md", known, fork)).toBe(text);
  });

  test("the account in CODEOWNERS, and no version in the changelog", () => {
    expect(rewrite(`* @${nobody}\n`, ".github/CODEOWNERS", known, fork)).toBe("* @Some-Fork\n");
    expect(rewrite(`${name}:1.0.0`, "CHANGELOG.md", known, fork)).toBe(`${name}:1.0.0`);
  });
});

describe("a fork", { timeout: 120_000 }, () => {
  const line = /"repository": ".*"/;
  const fork = (owner: string) => `"repository": "https://github.com/${owner}/quay-keyless-login"`;
  /** What names the owner, but for what the reader fills in. */
  const strays = String.raw`(?<!\w)${now.owner}(?=/quay-keyless-login\b(?!/\d))|\bOWNER\b(?!/REPO|@)`;
  const program = [":!script/addresses.ts", ":!script/project.ts", ":!package.json"];

  test("changes one line", async () => {
    const other = "Some-Fork";
    await copy.edit("package.json", line, fork(other));
    expect(await copy.run("script/check", "generated")).toMatchObject({ code: 1 });
    expect(await copy.run("script/generate")).toMatchObject({ code: 0, stderr: "" });
    expect(linesWith(strays, ".", ...program)).toEqual([]);
    expect(await copy.run("script/generate")).toMatchObject({ code: 0, stdout: "", stderr: "" });
    expect(await copy.run("script/check", "generated")).toMatchObject({ code: 0 });
    expect(await copy.read("src/platform/project.ts")).toContain(`https://github.com/${other}/quay-keyless-login`);
    expect(await copy.read("README.md")).toContain(`uses: ${other}/quay-keyless-login@v`);
    // And back again.
    for (const owner of ["x", now.owner]) {
      await copy.edit("package.json", line, fork(owner));
      expect(await copy.run("script/generate")).toMatchObject({ code: 0, stderr: "" });
    }
    expect(copy.git("diff", "--", ":!package.json")).toBe("");
  });

  test("names an image of its own, and later another", async () => {
    await copy.write(
      "docs/one.md",
      `skopeo inspect docker://${now.image}:${now.version}\nsee https://${now.image.replace("/", "/repository/")}?tab=tags\n`,
    );
    for (const image of [`registry.corp.example.dev:5000/some/team/${name}`, `ghcr.io/some/${name}`]) {
      await copy.edit("package.json", /\{/, `{ "config": { "image": "${image}" },`);
      expect(await copy.run("script/generate")).toMatchObject({ code: 0, stderr: "" });
      expect(await copy.read("docs/one.md")).toContain(`docker://${image}:${now.version}\n`);
      await copy.edit("package.json", ` "config": { "image": "${image}" },`, "");
    }
  });

  test("changes the version", async () => {
    const [major = "", minor = ""] = now.version.split(".");
    const next = `${Number(major) + 1}.${minor}.7-rc.1`;
    await copy.edit("package.json", /"version": ".*"/, `"version": "${next}"`);
    expect(await copy.run("script/generate")).toMatchObject({ code: 0, stderr: "" });
    const old = `(?<=quay-keyless-login)(-[a-z]+)*[:@-]v?${now.version}`;
    expect(linesWith(old, ".", ":!CHANGELOG.md", ":!docs/decisions", ...program)).toEqual([]);
    expect(await copy.read("README.md")).toContain(`quay-keyless-login@v${Number(major) + 1}\n`);
    for (const file of [
      "src/platform/version.ts",
      "package-lock.json",
      "Containerfile",
      "kubernetes/base/kustomization.yaml",
    ]) {
      expect(await copy.read(file)).toContain(next);
    }
    await copy.edit("package.json", /"version": ".*"/, `"version": "${now.version}"`);
    expect(await copy.run("script/generate")).toMatchObject({ code: 0, stderr: "" });
    expect(await copy.run("script/generate", "--check")).toMatchObject({ code: 0, stdout: "" });
  });

  test.each([
    ["the owner in another form", `Written by ${"OWN"}ER's team.`, `"${"OWN"}ER"`],
    ["the version in another form", `quay-keyless-login, release ${now.version}`, `"${now.version}"`],
  ])("is told of a stray: %s", async (_, text, named) => {
    await copy.write("docs/stray.md", `# A page\n\n${text}\n`);
    for (const args of [[], ["--check"]]) {
      const { code, stderr } = await copy.run("script/generate", ...args);
      expect([code, stderr]).toEqual([
        1,
        `docs/stray.md:3: ${named} stays as it is when package.json changes. Use a form that script/addresses.ts has, or add one.\n`,
      ]);
    }
  });
});
