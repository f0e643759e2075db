/** What docs/trust.md, organization.md, audit.md and migration.md show works: their commands, unchanged, one after the other, as a reader pastes them. */
import { spawn } from "node:child_process";
import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { parse } from "yaml";
import { SUBJECT } from "../quay-stand-in/issuer.ts";
import { type Peers, startPeers } from "../quay-stand-in/peers.ts";
import { addLogEntry, used } from "../quay-stand-in/quay/log.ts";
import { addRobot } from "../quay-stand-in/quay/store.ts";
import { answer } from "../quay-stand-in/scripted.ts";
import { kindsIn, type Secret, watch } from "../support/leaks.ts";
import { uses } from "../support/project.ts";
import { blocksUnder, documentBlock, substitute } from "../support/readme.ts";
import { type Finished, finish, systemPath } from "../support/runner.ts";

const page = "docs/trust.md";
const organization = "docs/organization.md";
const project = resolve(import.meta.dirname, "../..");
const node = join(project, "node_modules/node/bin");

let peers: Peers;
let folder: string;
beforeAll(async () => {
  [peers, folder] = await Promise.all([startPeers({ registry: false }), mkdtemp(join(tmpdir(), "quay-trust-page-"))]);
  watch(peers);
  await mkdir(join(folder, "bin"));
  // The page's commands mean quay.io: here, each of them goes to the stand-in.
  const program = `exec ${node}/node ${project}/dist/cli/index.js "$command" --registry ${peers.registryHost} "$@"`;
  await script("quay-keyless-login", `command="$1"; shift\n${program}`);
  // A pod is another process, with its own identity and without this shell's variables.
  await script("kubectl", 'while [ "$1" != -- ]; do shift; done; shift\nexec env --unset=QUAY_API_TOKEN "$@"');
});
afterAll(() => Promise.all([peers?.close(), rm(folder, { recursive: true, force: true })]));

const script = (name: string, text: string) =>
  writeFile(join(folder, "bin", name), `#!/bin/bash\n${text}\n`, { mode: 0o755 });

interface How {
  /** Default: with the API token, as `export QUAY_API_TOKEN` leaves it. */
  readonly env?: Record<string, string>;
  readonly input?: string;
  readonly code?: number;
}

/** Runs commands as a user does, in the folder work. */
async function bash(commands: string, { env = { QUAY_API_TOKEN: peers.oauthToken }, input = "", code = 0 }: How = {}) {
  const cwd = join(folder, "work");
  await mkdir(cwd, { recursive: true });
  const path = `${join(folder, "bin")}:${node}:${systemPath}`;
  const all = join(folder, "roots.pem");
  await writeFile(all, peers.authority.ca + peers.githubAuthority.ca);
  const own = { PATH: path, HOME: folder, LANG: "C.UTF-8", ...peers.githubEnv, NODE_EXTRA_CA_CERTS: all };
  const child = spawn("bash", ["--norc", "-euo", "pipefail", "-c", commands], {
    cwd,
    env: { ...own, SSL_CERT_FILE: peers.caFile, ...env },
    stdio: "pipe",
  });
  child.stdin.on("error", () => {}).end(input);
  const done: Finished = await finish(child);
  expect(done.code, done.stdout + done.stderr).toBe(code);
  expect([...kindsIn(done.stdout + done.stderr, secrets())]).toEqual([]);
  return done;
}

/** The API token, the robots' static tokens, and what was issued to jobs. */
const secrets = (): Secret[] =>
  [
    peers.oauthToken,
    ...[...peers.quay.store.robots.values()].map(({ token }) => token),
    ...peers.github.issued,
    ...watch(peers).robot,
  ].map((value) => ({ kind: "robot", value }));

const blocks = (heading: string, count: number): string[] => blocksUnder(page, heading, "sh", count);
const robot = (name: string) => peers.quay.store.robots.get(name) ?? expect.fail(`no robot ${name}`);
const role = (repository: string, name: string) => peers.quay.store.repositories.get(repository)?.permissions.get(name);
const here = () => ({ issuer: peers.issuer.url, subject: SUBJECT });
const github = "https://token.actions.githubusercontent.com";

describe("the first minute", () => {
  test("in the pipeline itself: the token is pasted, the plan is shown, and then carried out", async () => {
    const [paste = ""] = blocks("## The first minute", 1);
    const [plan = "", inPod = ""] = blocks("### In the pipeline itself", 2);
    robot("acme+ci").bindings = [];
    const [dryRun = "", apply = ""] = plan.trim().split("\n");
    const input = `${peers.oauthToken}\n`;
    const shown = await bash(`${paste}\n${dryRun}`, { env: {}, input });
    expect(shown.stdout).toContain(`+   binding ${SUBJECT} of ${peers.issuer.url}`);
    expect(robot("acme+ci").bindings).toEqual([]);
    expect((await bash(`${paste}\n${apply}`, { env: {}, input })).stdout).toContain("1 added, 0 changed, 0 removed");
    expect(robot("acme+ci").bindings).toMatchObject([here()]);
    robot("acme+ci").bindings = [];
    await bash(inPod);
    expect(robot("acme+ci").bindings).toMatchObject([here()]);
    expect((await bash(inPod)).stdout).toContain("Nothing to change");
  });

  test("from anywhere", async () => {
    const [commands = ""] = blocks("### From anywhere", 1);
    await bash(commands);
    expect(robot("acme+release").bindings).toContainEqual(
      expect.objectContaining({ issuer: github, subject: "repo:acme/app:environment:release" }),
    );
    expect(role("acme/app", "acme+release")).toBe("write");
    expect(robot("acme+deploy").bindings).toMatchObject([
      { issuer: "https://oidc.example.com/cluster", subject: "system:serviceaccount:team:deployer" },
    ]);
    expect(role("acme/app", "acme+deploy")).toBe("read");
  });

  test("from a file: what is exported is no difference, and the example makes what it says", async () => {
    const [toFile = "", commands = ""] = blocksUnder(organization, "## From a file in git", "sh", 2);
    const [, , check = ""] = commands.trim().split("\n");
    await bash(`${toFile}\n${check}`);
    const file = documentBlock(organization, "## From a file in git", "yaml");
    await writeFile(join(folder, "work/quay-trust.yaml"), file);
    await bash(check, { code: 3 });
    await bash(commands);
    expect(role("acme/staging", "acme+ci")).toBe("write");
    expect(robot("acme+release").bindings).toContainEqual(
      expect.objectContaining({ issuer: github, subject: "repo:acme/app:environment:production" }),
    );
    // The export's first line names the schema as the example's does.
    await bash(toFile);
    const exported = await readFile(join(folder, "work/quay-trust.yaml"), "utf8");
    expect(exported.split("\n")[0]).toBe(file.split("\n")[0]);
  });
});

test("a service account, as the page of the Task shows it", async () => {
  const [, command = ""] = blocksUnder("tekton/task/quay-keyless-login/0.1/README.md", "## Set up Quay, once", "sh", 2);
  const issuer = "https://oidc.example.com/cluster";
  const account = { NAMESPACE: "build", SERVICEACCOUNT: "pipeline", ISSUER: issuer };
  await bash(substitute(command, Object.entries(account)));
  expect(robot("acme+ci").bindings).toContainEqual(
    expect.objectContaining({ issuer, subject: "system:serviceaccount:build:pipeline" }),
  );
});

test("the plan is as the page shows it", async () => {
  const shown = documentBlock(page, "## What it changes", "console");
  const [command = "", ...plan] = shown.trimEnd().split("\n");
  peers.quay.store.repositories.delete("acme/staging");
  robot("acme+ci").bindings = [{ issuer: github, subject: "repo:acme/app:ref:refs/heads/main" }];
  const { stdout } = await bash(command.replace(/^\$ /, ""));
  expect(stdout.replaceAll(peers.registryHost, "quay.io").trimEnd().split("\n")).toEqual(plan);
});

test("a token that expires is asked for as newer Quays take it", async () => {
  const [command = ""] = blocks("## The API token", 1);
  const [, body = ""] = /--json '(.*)'/.exec(command) ?? [];
  expect(JSON.parse(body)).toEqual({ name: "one day", scope: "org:admin repo:admin", expiration: 86400 });
  const path = "/api/v1/organization/acme/applications/CLIENT_ID/tokens";
  const headers = { "content-type": "application/json", "content-length": String(body.length) };
  const undo = peers.quay.managementScript.always(
    answer(200, { expires_at: "2026-11-29T08:25:10Z", token: "NEW" }),
    (request) => {
      expect(request).toMatchObject({ method: "POST", url: path, headers });
      return true;
    },
  );
  const { stdout } = await bash(
    substitute(command, [
      ["quay.io", peers.registryHost],
      ["--silent", `--silent --cacert ${peers.caFile}`],
    ]),
  );
  undo();
  expect(stdout).toBe("2026-11-29T08:25:10Z\nNEW\n");
  expect(peers.quay.seen(peers.oauthToken)).toContainEqual(expect.objectContaining({ method: "POST", path }));
});

test("an organization in a day: from a stored password to none", async () => {
  const steps = blocksUnder(organization, "## An organization in a day", "sh", 9);
  const [see = "", writeDown = "", find = "", trust = "", change = "", works = ""] = steps;
  const [retire = "", force = "", watchOver = ""] = steps.slice(6).map((step) => step.trim());
  const { store } = peers.quay;
  for (const name of store.robots.keys()) if (name !== "acme+ci") store.robots.delete(name);
  const ci = robot("acme+ci");
  ci.bindings = [];
  const time = new Date(Date.now() - 40 * 3_600_000);
  store.logs.clear();
  addLogEntry(store, { ...used.push("acme+ci", "acme/app", { tag: "v1" }), time });
  const workflow = await checkOut();

  expect((await bash(see)).stdout).toMatch(/^acme\+ci +static-token +1 push/m);
  await bash(writeDown);
  const found = (await bash(find)).stdout;
  const federate = /^ +(quay-keyless-login federate .*)$/m.exec(found)?.[1] ?? "";
  expect(federate).toContain("--robot acme+ci --github acme/app --branch main");
  expect(found).toContain("Secrets that nothing in this checkout uses after the change: QUAY_PASSWORD");
  expect(found).toContain(`+      - uses: ${uses()}`);

  const file = join(folder, "work/quay-trust.yaml");
  const binding = `    bindings:\n      - issuer: ${peers.issuer.url}\n        subject: ${SUBJECT}\n`;
  await writeFile(file, substitute(await readFile(file, "utf8"), [["  ci:\n", `  ci:\n${binding}`]]));
  await bash(trust);
  expect(ci.bindings).toMatchObject([here()]);
  await bash(substitute(federate, [[` --registry ${peers.registryHost}`, ""]]));
  expect(ci.bindings).toMatchObject([here(), { issuer: github, subject: "repo:acme/app:ref:refs/heads/main" }]);
  expect((await bash(change)).stdout).toContain(`+      - uses: ${uses()}`);
  expect(await readFile(workflow, "utf8")).not.toContain("secrets.");
  await bash("quay-keyless-login login --robot acme+ci --auth-file auth.json");

  await bash(works);
  const before = ci.token;
  await bash(retire, { code: 2 }); // there is no terminal to ask on
  const yes = "--yes acme+ci";
  expect((await bash(`${retire} ${yes}`, { code: 1 })).stderr).toContain("keyless or with the static token");
  expect(ci.token).toBe(before);
  expect((await bash(`${force} ${yes}`)).stdout).toContain("only keyless logins work now");
  expect(ci.token).not.toBe(before);
  await bash(watchOver);
});

describe("the page of the audit", () => {
  const unbound = () => addRobot(peers.quay.store, "acme+old", []);

  test("its commands report, and fail on what they are told to", async () => {
    unbound();
    const [token = "", text = "", json = "", failing = ""] = documentBlock("docs/audit.md", "# Audit", "sh")
      .trim()
      .split("\n");
    expect((await bash(`${token}\n${text}`)).stdout).toMatch(/^acme\+old +no-binding /m);
    expect(JSON.parse((await bash(json)).stdout)).toMatchObject({ organization: "acme" });
    await bash(failing, { code: 3 });
  });

  test("its scheduled job fails, with the report in the summary", async () => {
    unbound();
    const { jobs } = parse(documentBlock("docs/audit.md", "## In a scheduled job", "yaml"));
    const command = substitute(jobs.audit.steps.at(-1).run, [["node dist/cli/index.js", "quay-keyless-login"]]);
    await bash(command, { env: { QUAY_API_TOKEN: peers.oauthToken, GITHUB_STEP_SUMMARY: "summary.md" }, code: 3 });
    expect(await readFile(join(folder, "work/summary.md"), "utf8")).toContain("acme+old");
  });

  test("its last step asks on a terminal, and there is none", async () => {
    const [look = "", retire = ""] = documentBlock("docs/audit.md", "## The last step of a migration", "sh")
      .trim()
      .split("\n");
    await bash(look);
    const before = robot("acme+ci").token;
    expect((await bash(retire, { code: 2 })).stderr).toContain("--yes acme+ci");
    expect(robot("acme+ci").token).toBe(before);
  });
});

test("the page of the migration: it shows the change, git applies it, it writes it", async () => {
  const workflow = join(folder, "work/.github/workflows/build.yml");
  const restore = async () => {
    await bash("git checkout --quiet -- .");
    expect(await readFile(workflow, "utf8")).toContain("secrets.QUAY_PASSWORD");
  };
  await restore();
  const [find = "", show = "", write = ""] = documentBlock(
    "docs/migration.md",
    "# From stored passwords to keyless logins",
    "sh",
  )
    .trim()
    .split("\n");
  expect((await bash(find)).stdout).toContain(".github/workflows/build.yml");
  expect((await bash(show)).stdout).toContain(`+      - uses: ${uses()}`);
  for (const command of [write, documentBlock("docs/migration.md", "## The output", "sh")]) {
    await restore();
    await bash(command);
    expect(await readFile(workflow, "utf8")).not.toContain("secrets.");
  }
});

/** A repository whose workflow logs in with a stored password. @returns the workflow's path */
async function checkOut(): Promise<string> {
  const workflow = ".github/workflows/build.yml";
  await mkdir(join(folder, "work/.github/workflows"), { recursive: true });
  await writeFile(
    join(folder, "work", workflow),
    `on:
  push:
    branches: [main]
permissions:
  contents: read
jobs:
  build:
    runs-on: ubuntu-latest
    steps:
      - uses: actions/checkout@v5
      - uses: docker/login-action@v3
        with:
          registry: ${peers.registryHost}
          username: acme+ci
          password: \${{ secrets.QUAY_PASSWORD }}
      - run: make push
`,
  );
  await bash(`git init --quiet --initial-branch main
git remote add origin https://github.com/acme/app
git add ${workflow}
git -c user.name=dev -c user.email=dev@example.com commit --quiet --message workflow`);
  return join(folder, "work", workflow);
}
