/** The Action that federates, as GitHub's runner runs it, event by event: with the built bundle, real git and the stand-in's API. */
import { execFile } from "node:child_process";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, type ExpectStatic, test } from "vitest";
import { addOrganization, addRepository, addRobot } from "../quay-stand-in/quay/store.ts";
import { createJob, installOther } from "../support/action.ts";
import type { Job, JobOptions, Main } from "../support/job.ts";
import { usePeers } from "./world.ts";

const peers = usePeers({ registry: false });
let action = "";
let folder = "";
beforeAll(async () => {
  [action, folder] = await Promise.all([installOther("federate"), mkdtemp(join(tmpdir(), "quay-keyless-federate-"))]);
});
afterAll(() => rm(folder, { recursive: true, force: true }));

const git = async (folder: string, ...args: string[]): Promise<string> =>
  (
    await promisify(execFile)("git", ["-C", folder, "-c", "user.name=t", "-c", "user.email=t@example.org", ...args])
  ).stdout.trim();

/** Names of the same length: none is the beginning of another. */
let count = 100;

interface Organization {
  readonly name: string;
  /** Its trust. */
  readonly file: string;
}

/** An organization of one test, with the robot ci and the repository app. */
function newOrganization(): Organization {
  const { quay, issuer } = peers();
  const name = `org${++count}`;
  addOrganization(quay.store, name, ["admin"]);
  addRobot(quay.store, `${name}+ci`, [{ issuer: "https://kept.example.com", subject: "kept" }]);
  addRepository(quay.store, `${name}/app`);
  const file = `organization: ${name}
robots:
  ci:
    permissions:
      app: write
    bindings:
      - issuer: ${issuer.url}
        subject: repo:acme/app:environment:release
`;
  return { name, file };
}

interface Scene {
  readonly job: Job;
  readonly organization: string;
  readonly path: string;
  /** The requests to the API that changed something. */
  writes(): string[];
  /** All requests about this organization. */
  requests(): string[];
  run(inputs?: Record<string, string>): Promise<Main>;
}

const repository = { full_name: "acme/app", default_branch: "main" };

async function newScene(
  event: string,
  { organization = newOrganization(), ...options }: JobOptions & { organization?: Organization } = {},
): Promise<Scene> {
  const { quay, oauthToken } = peers();
  const job = await createJob({
    peers: peers(),
    action,
    event: { ref: "refs/heads/main", repository },
    // The identity of the job is no part of it.
    idToken: false,
    ...options,
    env: { GITHUB_EVENT_NAME: event, QUAY_API_TOKEN: oauthToken, ...options.env },
  });
  const path = join(job.workspace, "quay-trust.yaml");
  await job.write(path, organization.file, 0o644);
  const requests = () =>
    quay.requests
      .filter(({ path: asked }) => asked.includes(organization.name))
      .map(({ method, path: asked }) => `${method} ${asked}`);
  return {
    job,
    organization: organization.name,
    path,
    requests,
    writes: () => requests().filter((line) => !line.startsWith("GET ")),
    run: (inputs = {}) => job.run({ file: "quay-trust.yaml", ...inputs }),
  };
}

const titles = ({ annotations }: Main) =>
  annotations.flatMap(({ level, title }) => (level === "error" ? [title.replace("quay-keyless-login: ", "")] : []));

/** As a reader sees it. */
const textOf = (summary: string): string =>
  summary
    .replaceAll(/&#(\d+);/g, (_, code: string) => String.fromCodePoint(Number(code)))
    .replaceAll("&lt;", "<")
    .replaceAll("&gt;", ">");

function failed(expect: ExpectStatic, main: Main, code: string): string {
  expect([titles(main), main.code], main.shown).toEqual([[code], 1]);
  expect(textOf(main.summary)).toContain(`docs/troubleshooting.md#${code}`);
  return main.shown;
}

describe.concurrent("on the default branch", () => {
  test("applies, masks the token first, and changes nothing the second time", async ({ expect }) => {
    const scene = await newScene("push");
    const { oauthToken, quay, issuer } = peers();
    const first = await scene.run();
    expect([first.code, titles(first)], first.shown).toEqual([0, []]);
    expect(first.raw.stdout.startsWith(`::add-mask::${oauthToken}`)).toBe(true);
    expect(first.outputs).toMatchObject({ changed: "true", drift: "true" });
    expect(JSON.parse(first.outputs.plan ?? "")).toMatchObject({
      organization: scene.organization,
      mode: "apply",
      robots: [
        {
          name: `${scene.organization}+ci`,
          permissions: [{ change: "added", repository: `${scene.organization}/app`, role: "write" }],
          bindings: [{ change: "kept" }, { change: "added", subject: "repo:acme/app:environment:release" }],
        },
      ],
    });
    expect(quay.store.robots.get(`${scene.organization}+ci`)?.bindings).toMatchObject([
      { subject: "kept" },
      { issuer: issuer.url, subject: "repo:acme/app:environment:release" },
    ]);
    expect(quay.store.repositories.get(`${scene.organization}/app`)?.permissions.get(`${scene.organization}+ci`)).toBe(
      "write",
    );
    expect(textOf(first.summary)).toMatch(
      /^### Quay trusts what quay-trust\.yaml says\n\n```diff\norg\d+ on [\s\S]*\n\+ {3}binding repo:acme\/app:environment:release of [\s\S]*\n2 added, 0 changed, 0 removed, and read back\.\n```/,
    );
    const written = scene.writes().length;
    const second = await scene.run();
    expect(second).toMatchObject({ code: 0, outputs: { changed: "false", drift: "false" }, exported: {}, state: {} });
    expect(JSON.parse(second.outputs.plan ?? "")).toMatchObject({ robots: [] });
    expect(textOf(second.summary)).toContain("Nothing to change");
    expect(scene.writes()).toHaveLength(written);
  });

  test("check finds a difference, changes nothing, and fails; on a schedule too, whose payload names no branch", async ({
    expect,
  }) => {
    for (const [event, payload] of [
      ["push", { ref: "refs/heads/main", repository }],
      ["schedule", { schedule: "17 5 * * *" }],
    ] as const) {
      const scene = await newScene(event, { event: payload });
      const main = await scene.run({ check: "true" });
      expect(failed(expect, main, "trust-drift")).toContain("without check");
      expect(main.outputs).toMatchObject({ changed: "false", drift: "true" });
      expect(textOf(main.summary)).toMatch(/^### Quay differs from quay-trust\.yaml\n[\s\S]*2 to add/);
      expect(scene.writes()).toEqual([]);
      await scene.run();
      expect(await scene.run({ check: "true" })).toMatchObject({
        code: 0,
        outputs: { changed: "false", drift: "false" },
      });
    }
  });

  test("takes the token from another variable, or a file", async ({ expect }) => {
    const { oauthToken } = peers();
    const other = await newScene("workflow_dispatch", { env: { QUAY_API_TOKEN: undefined, OTHER: oauthToken } });
    expect(await other.run({ "api-token-env": "OTHER" })).toMatchObject({ code: 0, outputs: { changed: "true" } });
    const file = await newScene("push", { env: { QUAY_API_TOKEN: undefined } });
    const path = await file.job.write(join(file.job.scratch, "token"), `${oauthToken}\n`);
    const main = await file.run({ "api-token-file": path });
    expect(main).toMatchObject({ code: 0, outputs: { changed: "true" } });
    expect(main.masks).toContain(oauthToken);
  });

  test("says what is missing: token, file, robot", async ({ expect }) => {
    // A secret that is not there is an empty variable.
    for (const value of [undefined, ""]) {
      const scene = await newScene("push", { env: { QUAY_API_TOKEN: value } });
      const main = await scene.run();
      expect(titles(main)[0]).toMatch(/^api-token-/);
      expect(main.shown).toContain("QUAY_API_TOKEN");
      expect(main.shown).toContain("secrets.QUAY_API_TOKEN");
      expect(scene.requests()).toEqual([]);
    }
    const scene = await newScene("push");
    expect(failed(expect, await scene.job.run(), "invalid-input")).toContain("file: quay-trust.yaml");
    expect(failed(expect, await scene.run({ file: "none.yaml" }), "invalid-input")).toContain("none.yaml");
    expect(scene.requests()).toEqual([]);
    const absent = `organization: ${scene.organization}\nrobots:\n  gone: { permissions: { app: read } }\n`;
    await scene.job.write(scene.path, absent, 0o644);
    expect(failed(expect, await scene.run(), "robot-not-found")).toContain("create-robot: true");
    expect((await scene.run({ "create-robot": "true" })).code).toBe(0);
  });

  test("stops at an error of the lint, before a change", async ({ expect }) => {
    const scene = await newScene("push");
    const text = (await readFile(scene.path, "utf8")).replace(/issuer: .*/, "issuer: http://issuer.example.com");
    await writeFile(scene.path, text);
    expect(failed(expect, await scene.run(), "trust-risky")).toContain("quay-trust.yaml:7");
    expect(scene.requests().filter((request) => !request.startsWith("GET "))).toEqual([]);
  });

  test("the registry is the file's, unless the input names another", async ({ expect }) => {
    const scene = await newScene("push");
    await scene.job.write(scene.path, `registry: other.example.com\n${await readFile(scene.path, "utf8")}`, 0o644);
    const main = await scene.run();
    expect(failed(expect, main, "invalid-input")).toContain("is another host");
    const { registryHost } = peers();
    await scene.job.write(
      scene.path,
      (await readFile(scene.path, "utf8")).replace("other.example.com", registryHost),
      0o644,
    );
    expect(await scene.run({ registry: "" })).toMatchObject({ code: 0, outputs: { changed: "true" } });
  });

  test("a token in the file reaches no output and no summary", async ({ expect }) => {
    const scene = await newScene("push");
    const { oauthToken } = peers();
    const text = `organization: ${scene.organization}\nrobots:\n  new: { create: true, description: ${oauthToken} }\n`;
    // The file holds it, so the harness finds it there.
    await scene.job.write(scene.path, text, 0o600);
    const main = await scene.run({ check: "true" });
    failed(expect, main, "secret-in-result");
    expect(main.outputs).toEqual({});
  });
});

describe.concurrent("refuses, without a request", () => {
  test.for([
    ["pull_request_target", "refs/heads/main", "pull_request_target"],
    ["workflow_run", "refs/heads/main", "workflow_run"],
    ["issue_comment", "refs/heads/main", "issue_comment"],
    ["push", "refs/heads/other", "if: github.ref == 'refs/heads/main'"],
    ["push", "refs/tags/main", "refs/tags/main"],
    ["workflow_dispatch", "refs/heads/other", "refs/heads/other"],
  ] as const)("%s on %s", async ([event, ref, says], { expect }) => {
    const scene = await newScene(event, { env: { GITHUB_REF: ref } });
    for (const check of ["false", "true"]) {
      expect(failed(expect, await scene.run({ check }), "run-refused")).toContain(says);
    }
    expect(scene.requests()).toEqual([]);
  });
});

interface Change {
  /** The file in the base branch, made from the one of `newScene`; undefined: none. */
  readonly before?: (file: string) => string | undefined;
  /** The file in the pull request. */
  readonly after: (file: string) => string;
  readonly depth?: number | undefined;
  readonly event?: "pull_request" | "merge_group";
  readonly env?: Record<string, string | undefined>;
}

/** A pull request of a fork, merged by GitHub for its run and checked out as actions/checkout does. */
async function newReview({ before = (file) => file, after, depth, event = "pull_request", env = {} }: Change) {
  const organization = newOrganization();
  const origin = join(folder, organization.name);
  await promisify(execFile)("git", ["init", "-q", "-b", "main", origin]);
  const commit = async (content: string | undefined) => {
    if (content !== undefined) await writeFile(join(origin, "quay-trust.yaml"), content);
    await git(origin, "add", "-A");
    await git(origin, "commit", "-qm", "c", "--allow-empty");
    return git(origin, "rev-parse", "HEAD");
  };
  const base = await commit(before(organization.file));
  await git(origin, "checkout", "-qb", "change");
  const head = await commit(after(organization.file));
  await git(origin, "checkout", "-q", "main");
  await git(origin, "merge", "-q", "--no-ff", "--no-edit", head);
  const merged = await git(origin, "rev-parse", "HEAD");
  const commits = { base: { sha: base }, head: { sha: head, repo: { full_name: "eve/app", fork: true } } };
  const scene = await newScene(event, {
    organization,
    env: { QUAY_API_TOKEN: undefined, GITHUB_REF: "refs/pull/7/merge", GITHUB_SHA: merged, ...env },
    event: { repository, pull_request: commits, merge_group: { base_sha: base, head_sha: merged } },
  });
  await rm(scene.path);
  await git(scene.job.workspace, "clone", "-q", ...(depth ? [`--depth=${depth}`] : []), `file://${origin}`, ".");
  return { ...scene, base };
}

const other = (file: string) =>
  file.replace("app: write", "app: read\n      new: admin").replace("environment:release", "environment:production");

describe.concurrent("a pull request", () => {
  test.for([
    { event: "pull_request" as const, depth: undefined },
    { event: "pull_request" as const, depth: 2 },
    { event: "merge_group" as const, depth: undefined },
  ])("shows what it changes, and asks Quay for nothing: %o", async (how, { expect }) => {
    const scene = await newReview({ after: other, ...how });
    const main = await scene.run();
    expect([main.code, titles(main)], main.shown).toEqual([0, []]);
    expect(main.outputs).toMatchObject({ changed: "false", drift: "" });
    const { organization } = scene;
    expect(JSON.parse(main.outputs.plan ?? "")).toMatchObject({
      mode: "review",
      robots: [
        {
          name: `${organization}+ci`,
          permissions: [
            { change: "changed", repository: `${organization}/app`, role: "read", before: "write" },
            { change: "added", repository: `${organization}/new`, role: "admin" },
          ],
          bindings: [
            { change: "removed", subject: "repo:acme/app:environment:release" },
            { change: "added", subject: "repo:acme/app:environment:production" },
          ],
        },
      ],
    });
    const summary = textOf(main.summary);
    expect(summary).toMatch(/^### What this change of quay-trust\.yaml trusts\n\n```diff\n/);
    expect(summary).toMatch(/\n~ {3}permission org\d+\/app read \(was write\)\n\+ {3}permission org\d+\/new admin\n/);
    expect(summary).toMatch(/\n- {3}binding \S+:release of .*\n\+ {3}binding \S+:production of /);
    expect(summary).toContain("In the file: 2 added, 1 changed, 1 removed. Quay was not asked.");
    // The lint's warning, as annotation and in the summary.
    expect(summary).toMatch(/\| .*gets admin on org\d+\/new.* \| quay-trust\.yaml:6 \|/);
    expect(main.annotations.map(({ level }) => level)).toEqual(["warning"]);
    expect(main.shown).toContain(`at ${scene.base}`);
    expect(scene.requests()).toEqual([]);
    expect(main.shown).not.toContain("add-mask");
  });

  test("that changes nothing says so", async ({ expect }) => {
    const scene = await newReview({ after: (file) => `# a comment\n${file}` });
    const main = await scene.run();
    expect(main.code, main.shown).toBe(0);
    expect(textOf(main.summary)).toMatch(/^### This change of quay-trust\.yaml trusts the same\n/);
  });

  test("with a new file, a dropped robot, or a mended file", async ({ expect }) => {
    const added = await newReview({ before: () => undefined, after: (file) => file });
    expect(textOf((await added.run()).summary)).toMatch(/\n\+ robot org\d+\+ci\n/);
    const old = (file: string) => `${file}  old: { permissions: { app: read } }\n`;
    const dropped = await newReview({ before: old, after: (file) => file });
    expect(textOf((await dropped.run()).summary)).toMatch(/No longer in the file: org\d+\+old\. Robots stay in Quay/);
    const mended = await newReview({ before: () => "robots: [", after: (file) => file });
    const main = await mended.run();
    expect(main.code).toBe(0);
    expect(main.shown).toContain("The file in the base branch is not valid");
  });

  test("whose file looks like commands or markup forges neither", async ({ expect }) => {
    const subject = "::add-mask::main ##[error]x `````` <img src=x> [a](b) | c";
    const scene = await newReview({
      after: (file) => file.replace("repo:acme/app:environment:release", JSON.stringify(subject)),
    });
    const main = await scene.run();
    expect([main.code, main.masks, main.annotations], main.shown).toEqual([0, [], []]);
    expect(main.raw.stdout).not.toMatch(/##\[|^\s*::(?!debug)/m);
    // In the block, all of it is text; the block ends only where it should.
    expect(main.summary.match(/^```/gm)).toHaveLength(2);
    expect(main.summary).toContain(`+   binding ${subject} of `);
  });

  test("is refused with an error of the schema or of the lint, which still shows the difference", async ({
    expect,
  }) => {
    const schema = await newReview({ after: (file) => file.replace("app: write", "app: wrte") });
    expect(failed(expect, await schema.run(), "invalid-input")).toMatch(
      /quay-trust\.yaml:5: [\s\S]*Did you mean: write/,
    );
    const risky = await newReview({ after: (file) => file.replace(/issuer: .*/, "issuer: http://ci.example.com") });
    const main = await risky.run();
    failed(expect, main, "trust-risky");
    expect(textOf(main.summary)).toMatch(/\n\+ {3}binding \S+ of http:\/\/ci\.example\.com/);
    const http = (file: string) => file.replace(/issuer: .*/, "issuer: http://ci.example.com");
    const already = await newReview({ before: http, after: (file) => `# a comment\n${http(file)}` });
    expect((await already.run()).code).toBe(0);
    const strict = await newReview({ after: other });
    failed(expect, await strict.run({ strict: "true" }), "trust-risky");
  });

  test("asks the issuers unless it is offline", async ({ expect }) => {
    const scene = await newReview({ after: (file) => file.replace(/issuer: .*/, "issuer: https://localhost:9") });
    expect((await scene.run()).shown).toContain("https://localhost:9 cannot be reached");
    expect((await scene.run({ offline: "true" })).shown).not.toContain("cannot be reached");
  });

  test("without the base branch in the checkout says fetch-depth", async ({ expect }) => {
    const scene = await newReview({ after: other, depth: 1 });
    expect(failed(expect, await scene.run(), "run-refused")).toContain("fetch-depth: 0");
  });

  test("refuses a token, masked, wherever it comes from", async ({ expect }) => {
    const { oauthToken } = peers();
    const given: [Record<string, string>, Record<string, string>, string][] = [
      [{ QUAY_API_TOKEN: oauthToken }, {}, "QUAY_API_TOKEN is set"],
      [{ OTHER: oauthToken }, { "api-token-env": "OTHER" }, "OTHER is set"],
      [{}, { "api-token-file": "/run/token" }, "api-token-file is set"],
    ];
    for (const [env, inputs, says] of given) {
      for (const event of ["pull_request", "merge_group"] as const) {
        const scene = await newReview({ after: other, event, env });
        const main = await scene.run(inputs);
        expect(failed(expect, main, "run-refused")).toContain(says);
        expect([...new Set(main.masks)]).toEqual(Object.values(env));
        expect(main.outputs).toEqual({});
        expect(scene.requests()).toEqual([]);
      }
    }
  });
});
