/**
 * docs/get-started/gitlab.md, walked as its reader walks it, and the component. gitlab-ci-local is GitLab: it checks GitLab's schema,
 * fetches components with git, and runs a job's lines in a shell.
 */
import { execFile, spawn } from "node:child_process";
import { cp, mkdtemp, readFile, writeFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { parse, parseAllDocuments } from "yaml";
import { findBuilt } from "../quay-stand-in/built.ts";
import { type Desk, openDesk } from "../support/desk.ts";
import { kindsIn, readTree } from "../support/leaks.ts";
import { expectShown, pageFile, shownUnder, walk } from "../support/page.ts";
import { repository, version } from "../support/project.ts";
import { documentBlock, substitute } from "../support/readme.ts";
import { storageIn } from "../support/recipes.ts";
import { finish } from "../support/runner.ts";

const project = resolve(import.meta.dirname, "../..");
const page = "docs/get-started/gitlab.md";
const gitlab = findBuilt("gitlab-ci-local");
const [noIdentity = "", otherBranch = "", noShell = ""] = shownUnder(page, "## What goes wrong most often");
const withComponent = documentBlock(page, "## The component", "yaml");
const subject = "project_path:acme/app:ref_type:branch:ref:main";

let desk: Desk;
const git = (cwd: string, ...args: string[]) => promisify(execFile)("git", args, { cwd, env: desk.env });
beforeAll(async () => {
  const author = { GIT_AUTHOR_NAME: "a", GIT_AUTHOR_EMAIL: "a@example.org" };
  const committer = { GIT_COMMITTER_NAME: "a", GIT_COMMITTER_EMAIL: "a@example.org" };
  desk = await openDesk({ issuer: "https://gitlab.com", variables: { ...author, ...committer } });
  const [bare, mirror] = [join(desk.root, "app.git"), join(desk.root, "mirror")];
  await cp(join(project, "templates"), join(mirror, "templates"), { recursive: true });
  for (const [folder, ...options] of [[desk.work], [mirror], [bare, "--bare"]] as const) {
    await git(desk.root, "init", "-q", "-b", "main", ...options, folder);
  }
  await git(mirror, "add", "-A");
  await git(mirror, "commit", "-qm", "components");
  await git(mirror, "tag", version);
  for (const [key, value] of [
    ["push.autoSetupRemote", "true"],
    [`url.${bare}.pushInsteadOf`, "https://gitlab.com/acme/app.git"],
    [`url.file://${mirror}.insteadOf`, `https://gitlab.com/${repository}.git`],
  ] as const) {
    await git(desk.work, "config", "--global", key, value);
  }
  await git(desk.work, "remote", "add", "origin", "https://gitlab.com/acme/app.git");
  await writeFile(join(desk.work, "README.md"), "An application.\n");
});
afterAll(() => desk?.close());

/** Runs jobs, as GitLab does on a push to main. @param names default: all. @param sub of the token that a job gets that asks for one */
async function runJobs(names: readonly string[] = [], sub = subject): Promise<{ code: number | null; log: string }> {
  const root = await mkdtemp(join(desk.root, "pipeline-"));
  const { id_tokens: wanted = {} } = (await preview()).push;
  const tokens = Object.entries<{ aud: string }>(wanted).map(
    async ([name, { aud }]) => [name, await desk.peers.issuer.sign({ sub, aud })] as const,
  );
  const child = ["bash", "-c", 'exec "$0" "$@" 2>&1', gitlab ?? "", "--force-shell-executor", ...names] as const;
  const { code, stdout } = await finish(
    spawn(child[0], child.slice(1), {
      cwd: desk.work,
      env: { ...desk.env, ...(await storageIn(root)), ...Object.fromEntries(await Promise.all(tokens)) },
      stdio: ["ignore", "pipe", "pipe"],
    }),
  );
  const log = stdout.replaceAll(/^\w+ +(?:> ?|(?=\$ |Running ))/gm, "");
  expect([...kindsIn(log, [...desk.secrets()])], log).toEqual([]);
  return { code, log };
}

/** The pipeline as GitLab understands it: with what is included and extended. */
async function preview() {
  const { stdout } = await promisify(execFile)(gitlab ?? "", ["--preview"], { cwd: desk.work, env: desk.env });
  return parse(stdout);
}

const pushes = () =>
  desk.peers.quay.requests.filter(({ method, path }) => `${method} ${path}` === "PUT /v2/acme/app/manifests/1.2.3")
    .length;

describe.skipIf(gitlab === undefined)(page, { timeout: 120_000 }, () => {
  test("goes from an empty Quay to a push, and prints what the page shows", async () => {
    await walk(page, desk);
    expect(desk.trustHere("acme+ci")).toEqual([subject]);
    expect((await git(desk.work, "log", "--oneline", "main")).stdout).toContain("Push an image to Quay");
    const { code, log } = await runJobs();
    expect(code, log).toBe(0);
    const [shown = ""] = shownUnder(page, "## What you see");
    expectShown(log, shown, desk.names, { part: true });
    expect(pushes()).toBe(1);
  });

  test("without id_tokens, fails as the page shows", async () => {
    await desk.save(
      ".gitlab-ci.yml",
      substitute(pageFile(page, ".gitlab-ci.yml"), [["  id_tokens:\n    QUAY_ID_TOKEN:\n      aud: quay\n", ""]]),
    );
    const { code, log } = await runJobs(["push"]);
    expect(code, log).toBe(1);
    expectShown(log, noIdentity, desk.names, { part: true });
    await desk.save(".gitlab-ci.yml", pageFile(page, ".gitlab-ci.yml"));
  });

  test("for another branch, fails as the page shows", async () => {
    const { code, log } = await runJobs(["push"], "project_path:acme/app:ref_type:branch:ref:feature");
    expect(code, log).toBe(1);
    expectShown(log, otherBranch, desk.names, { part: true });
  });

  test("without entrypoint, the program gets GitLab's shell as arguments, and fails as the page shows", async () => {
    // As the runner starts a job's container (gitlab-runner, shells/bash.go).
    expectShown(await desk.type("quay-keyless-login sh -c 'exec /bin/sh' || [ $? = 2 ]"), noShell, [], { part: true });
  });
});

describe.skipIf(gitlab === undefined)("the component", { timeout: 120_000 }, () => {
  beforeEach(() => desk.save(".gitlab-ci.yml", withComponent));

  test("logs the job that extends it in and out", async () => {
    const before = pushes();
    const here = `robot: acme+ci\n      registry: ${desk.peers.registryHost}`;
    await desk.save(".gitlab-ci.yml", substitute(withComponent, [["robot: acme+ci", here]]));
    const { code, log } = await runJobs(["push"]);
    expect(code, log).toBe(0);
    expect(log).toContain(`Logged out of ${desk.peers.registryHost}.`);
    expect(pushes()).toBe(before + 1);
    const left = [...(await readTree(desk.home)).values(), ...(await readTree(desk.work)).values()];
    expect(left.filter(({ content }) => kindsIn(content, desk.secrets()).size > 0)).toEqual([]);
  });

  test("passes each input on, and the page lists them", async () => {
    const [head] = parseAllDocuments(await readFile(join(project, "templates/quay-login.yml"), "utf8"));
    const inputs: Record<string, { description: string; default?: string }> = head?.toJS().spec.inputs;
    const rows = Object.entries(inputs).map(
      ([name, { description, default: value }]) =>
        `| \`${name}\` | ${value ? `\`${value}\`` : "**required**"} | ${description} |`,
    );
    expect(await readFile(join(project, page), "utf8")).toContain(`${rows.join("\n")}\n\n`);

    const given = Object.fromEntries(Object.keys(inputs).map((name) => [name, `.${name}+x`]));
    const values = Object.entries(given).map(([name, value]) => `      ${name}: ${value}\n`);
    const file = substitute(withComponent, [
      ["      robot: acme+ci\n", values.join("")],
      ["extends: .quay-login", "extends: .name+x"],
    ]);
    await desk.save(".gitlab-ci.yml", `stages: [.stage+x]\n${file}`);
    const { push } = await preview();
    expect(push).toMatchObject({
      stage: ".stage+x",
      image: { name: ".image+x", entrypoint: [""] },
      id_tokens: { QUAY_ID_TOKEN: { aud: ".audience+x" } },
    });
    expect(Object.values(push.variables).sort()).toEqual([".audience+x", ".auth-file+x", ".registry+x", ".robot+x"]);
  });

  test.each(["ci", "acme+ci+x", "acme+c i", ""])("refuses the robot %j before a job starts", async (robot) => {
    await desk.save(".gitlab-ci.yml", substitute(withComponent, [["robot: acme+ci", `robot: "${robot}"`]]));
    await expect(preview()).rejects.toThrow(/`robot` input: .*does not match required regex/);
  });

  test("takes a robot's name for no shell code", async () => {
    const evil = "acme+$(>taken)";
    await desk.save(".gitlab-ci.yml", substitute(withComponent, [["robot: acme+ci", `robot: '${evil}'`]]));
    const { code, log } = await runJobs(["push"]);
    expect(code, log).toBe(1);
    expect([...(await readTree(desk.work)).keys()].filter((path) => path.endsWith("taken"))).toEqual([]);
  });
});

describe.skipIf(gitlab === undefined)("the mirror's pipeline", { timeout: 120_000 }, () => {
  test("makes the release 1.2.3 of the tag v1.2.3, and nothing of a branch", async () => {
    await desk.save(".gitlab-ci.yml", await readFile(join(project, ".gitlab-ci.yml"), "utf8"));
    const list = async (...variables: string[]) => {
      const args = ["--list-json", ...variables.flatMap((each) => ["--variable", each])];
      const { stdout } = await promisify(execFile)(gitlab ?? "", args, { cwd: desk.work, env: desk.env });
      const jobs: { name: string; when: string }[] = JSON.parse(stdout);
      return jobs.filter(({ when }) => when !== "never").map(({ name }) => name);
    };
    expect(await list()).toEqual([]);
    expect(await list("CI_COMMIT_TAG=v1.2.3")).toEqual(["version", "release"]);
    expect(await list("CI_COMMIT_TAG=1.2.3")).toEqual([]);
    expect(await list("CI_COMMIT_TAG=v1")).toEqual([]);
    const { version, release } = await preview();
    const { stdout } = await promisify(execFile)("sh", ["-ec", `${version.script.join("\n")}\ncat version.env`], {
      cwd: desk.work,
      env: { CI_COMMIT_TAG: "v1.2.3", PATH: process.env.PATH },
    });
    expect(stdout).toBe("VERSION=1.2.3\n");
    expect(release).toMatchObject({ needs: [{ job: "version" }], release: { tag_name: "$VERSION" } });
  });
});
