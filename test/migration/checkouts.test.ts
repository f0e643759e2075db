/** What reaches over several files: reusable workflows, composite actions, secrets, federation. */
// biome-ignore-all lint/suspicious/noTemplateCurlyInString: expressions of GitHub and of shells
import { readdirSync, readFileSync } from "node:fs";
import { join, relative } from "node:path";
import { describe, expect, test } from "vitest";
import { accepted } from "./actionlint.ts";
import { changed, commands, outcome, outcomes, planFor, withSteps, workflow } from "./planning.ts";

const folder = join(import.meta.dirname, "checkouts");

function read(name: string): Record<string, string> {
  const root = join(folder, name);
  const files = readdirSync(root, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
  return Object.fromEntries(
    files.map(({ parentPath, name: file }) => {
      const path = join(parentPath, file);
      return [relative(root, path), readFileSync(path, "utf8")];
    }),
  );
}

const login = (password = "secrets.QUAY_TOKEN") =>
  `uses: docker/login-action@v3\nwith:\n  registry: quay.io\n  username: acme+ci\n  password: \${{ ${password} }}`;

describe("a reusable workflow", () => {
  const files = read("reusable");
  const [called, caller] = [".github/workflows/build.yml", ".github/workflows/services.yml"] as const;

  test("gets the permission from its callers, each at its job", () => {
    const plan = planFor(files);
    const after = changed(plan);
    expect(plan.findings.map(outcome)).toEqual(["rewritten"]);
    expect(after[called]).not.toContain("id-token");
    expect(after[caller]).toContain(
      "  api:\n    needs: lint\n    permissions:\n      contents: read\n      id-token: write\n    uses:",
    );
    expect(after[caller]).toContain("      packages: read\n      id-token: write\n");
    expect(after[caller]?.match(/id-token/g)).toHaveLength(2);
  });

  test("and what becomes of it is accepted by actionlint", async () => {
    await accepted({ ...files, ...changed(planFor(files)) });
  });

  test("trusts its callers' branch, and says that callers pass a password on", () => {
    const plan = planFor(files);
    expect(commands(plan)).toEqual(["--robot acme+services --github acme/app --branch main"]);
    expect(plan.secrets).toEqual([{ name: "registry-password", usedIn: `${called}:11 (callers pass it)` }]);
  });

  test("is found where a caller names this repository", () => {
    const named = (files[caller] ?? "")
      .replaceAll("./.github", "Acme/app/.github")
      .replaceAll("build.yml", "build.yml@main");
    expect(changed(planFor({ ...files, [caller]: named }))[caller]?.match(/id-token/g)).toHaveLength(2);
  });

  test("is not changed if a caller is not among the paths", () => {
    const plan = planFor(files, { isSelected: (path) => path === called });
    expect(plan.findings.map(outcome)).toEqual([
      `${caller}, job api calls it, needs id-token: write, and is not among the given paths`,
    ]);
  });

  test("is not changed if a caller has no permissions block", () => {
    const plan = planFor({ ...files, [caller]: (files[caller] ?? "").replace("permissions:\n  contents: read\n", "") });
    expect(plan.findings.map(outcome)).toEqual([
      expect.stringContaining(`it is called from there: ${caller}, job api has no permissions block`),
    ]);
  });

  test("is not changed if nothing here calls it and it has no permissions block", () => {
    expect(planFor({ [called]: files[called] ?? "" }).findings.map(outcome)).toEqual([
      "no workflow of this checkout calls this one, and it has no permissions block: its callers must grant id-token: write",
    ]);
  });
});

test("a composite action gets the permission from the jobs that use it", async () => {
  const files = read("composite");
  const plan = planFor(files);
  await accepted({ ...files, ...changed(plan) });
  expect(outcomes(plan)).toEqual(["14 podman login: rewritten"]);
  expect(plan.findings[0]?.notes).toContain(
    "Its password was the input token: take that out of the inputs, and out of what callers pass.",
  );
  expect(changed(plan)[".github/workflows/nightly.yml"]).toContain("permissions: {contents: read, id-token: write}");
  expect(changed(plan)[".github/actions/login/action.yml"]).toContain(
    "    - name: Quay\n      uses: acme/quay-keyless-login@v1\n      with:\n        registry: quay.io\n        robot: acme+ci\n    - run: podman info",
  );
});

describe("secrets that can be deleted", () => {
  const uses = (more: Record<string, string>, text = withSteps(login())) =>
    planFor({ [workflow]: text, ...more }).secrets;

  test.each<[string, Record<string, string>, string | undefined]>([
    ["nothing else uses it", {}, undefined],
    ["a text about it", { "README.md": "Set QUAY_TOKEN." }, undefined],
    ["another name that contains it", { "push.sh": "echo $MY_QUAY_TOKEN_2" }, undefined],
    ["a script", { "ci/push.sh": "#!/bin/sh\npush $QUAY_TOKEN" }, "ci/push.sh:2"],
    [
      "another workflow",
      { ".github/workflows/b.yml": withSteps("run: x ${{ secrets.quay_token }}") },
      ".github/workflows/b.yml:8",
    ],
    [
      "an index",
      { ".github/workflows/b.yml": withSteps("run: x ${{ secrets['QUAY_TOKEN'] }}") },
      ".github/workflows/b.yml:8",
    ],
    [
      "a name that a matrix gives",
      { ".github/workflows/b.yml": withSteps("run: x ${{ secrets[matrix.key] }}") },
      ".github/workflows/b.yml:8",
    ],
    [
      "a name that is made",
      { ".github/workflows/b.yml": withSteps("run: x ${{ secrets[format('S_{0}','T')] }}") },
      ".github/workflows/b.yml:8",
    ],
    [
      "all secrets at once",
      { ".github/workflows/b.yml": withSteps("run: x ${{ toJSON(secrets) }}") },
      ".github/workflows/b.yml:8",
    ],
    [
      "another repository's workflow",
      {
        ".github/workflows/b.yml":
          "on: push\njobs:\n  a:\n    uses: o/r/.github/workflows/x.yml@v1\n    secrets: inherit\n",
      },
      ".github/workflows/b.yml:4 (secrets: inherit)",
    ],
  ])("%s", (_, more, usedIn) => {
    expect(uses(more)).toEqual([{ name: "QUAY_TOKEN", usedIn }]);
  });

  test("not one of a login that stays", () => {
    expect(uses({}, withSteps(login()).replace("ubuntu-latest", "windows-latest"))).toEqual([
      { name: "QUAY_TOKEN", usedIn: `${workflow}:12` },
    ]);
  });
});

describe("what the robot must trust", () => {
  const on = (triggers: string, job = "", remote?: object) =>
    planFor(
      {
        [workflow]: withSteps(login())
          .replace("{push: {branches: [main]}}", triggers)
          .replace("    runs-on", `${job}    runs-on`),
      },
      remote,
    );
  const branch = (name: string) => `--robot acme+ci --github acme/app --branch ${name}`;

  test.each<[string, string, readonly string[], string?]>([
    ["push", "", [branch("main")]],
    [
      "[push, pull_request]",
      "",
      [branch("main"), "--robot acme+ci --github acme/app --pull-request"],
      "runs for pull requests too",
    ],
    ["[push, pull_request]", "    if: github.event_name != 'pull_request'\n", [branch("main")]],
    ["{push: {branches: [main, next, 'v*']}}", "", [branch("main"), branch("next")], "branches v* differs in each run"],
    ["{push: {tags: ['v*']}}", "", [], "a tag differs in each run"],
    ["{release: {types: [published]}}", "", [], "a release differs in each run"],
    ["workflow_dispatch", "", [branch("main")]],
    ["push", "    environment: release\n", ["--robot acme+ci --github acme/app --environment release"]],
    [
      "push",
      "    environment:\n      name: prod\n      url: https://x\n",
      ["--robot acme+ci --github acme/app --environment prod"],
    ],
    [
      "push",
      "    environment: ${{ inputs.e }}\n",
      ["--robot acme+ci --github acme/app --environment ENVIRONMENT"],
      "each environment",
    ],
  ])("%s %s", (triggers, job, expected, note) => {
    const plan = on(triggers, job);
    expect(commands(plan)).toEqual(expected);
    expect(plan.findings[0]?.notes.join("\n")).toMatch(note ?? /^$/);
  });

  test("placeholders where git knows neither repository nor branch", () => {
    expect(commands(on("push", "", { remote: undefined, defaultBranch: undefined }))).toEqual([
      "--robot acme+ci --github OWNER/REPO --branch BRANCH",
    ]);
  });
});

test("a later login of docker to another registry is pointed out", () => {
  const plan = planFor({ [workflow]: withSteps(login(), "run: docker login ghcr.io -u x -p y") });
  expect(plan.findings[0]?.notes).toEqual([
    "Line 13 logs in to another registry after it, in a file that skopeo, buildah and podman then don't read: move it before this step.",
  ]);
});
