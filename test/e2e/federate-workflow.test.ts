/** The workflow of federate/README.md, unchanged but for addresses, run by act: each event runs its job, with its token or none. */
import { execFile } from "node:child_process";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { parse } from "yaml";
import { type Peers, startPeers } from "../quay-stand-in/peers.ts";
import { act, commitRepository, type Repository, runAct } from "../support/act.ts";
import { uses } from "../support/project.ts";
import { documentBlock, substitute } from "../support/readme.ts";
import { parseActionFile } from "../support/workflow-commands.ts";

const sample = documentBlock("federate/README.md", "## The workflow", "yaml");

let peers: Peers;
let folder: string;
beforeAll(async () => {
  [peers, folder] = await Promise.all([
    startPeers({ registry: false }),
    mkdtemp(join(tmpdir(), "quay-keyless-trust-")),
  ]);
});
afterAll(() => Promise.all([peers.close(), rm(folder, { recursive: true, force: true })]));

interface Job {
  readonly if: string;
  readonly environment?: string;
  readonly permissions: unknown;
  readonly steps: readonly { readonly uses: string; readonly with: object; readonly env?: object }[];
}

describe("the workflow", () => {
  const { jobs, permissions } = parse(sample) as { jobs: Record<string, Job>; permissions: object };

  test("gives the token to jobs of an environment only, and never to a pull request", () => {
    for (const [name, job] of Object.entries(jobs)) {
      expect(
        job.steps.some(({ env }) => env !== undefined),
        name,
      ).toBe(job.environment !== undefined);
      expect(job.if.includes("pull_request"), name).toBe(job.environment === undefined);
    }
    expect(jobs.apply).toMatchObject({ if: "github.event_name == 'push'", environment: "quay-trust" });
  });

  test("has no permission but to read the file", () => {
    expect(permissions).toEqual({});
    for (const job of Object.values(jobs)) {
      expect(job.permissions).toEqual({ contents: "read" });
      expect(job.steps[0]?.with).toMatchObject({ "persist-credentials": false });
    }
  });

  test("uses existing inputs", async () => {
    const { inputs } = parseActionFile(await readFile(resolve("federate/action.yml"), "utf8"));
    const given = Object.values(jobs).flatMap(({ steps }) => Object.keys(steps[1]?.with ?? {}));
    expect(given.filter((name) => !(name in inputs))).toEqual([]);
  });
});

/** A repository with the workflow and a file that binds acme+ci to another subject. */
async function prepare(name: string): Promise<Repository & { git(...args: string[]): Promise<string> }> {
  const root = join(folder, name);
  const workflow = substitute(sample, [
    [uses("/federate"), "./federate"],
    [
      "file: quay-trust.yaml\n",
      `file: quay-trust.yaml\n          registry: ${peers.registryHost}\n          ca-file: ${peers.caFile}\n`,
    ],
  ]);
  const repository = await commitRepository(root, workflow);
  const git = async (...args: string[]) => {
    const user = ["-C", repository.work, "-c", "user.name=t", "-c", "user.email=t@example.org"];
    return (await promisify(execFile)("git", [...user, ...args])).stdout.trim();
  };
  await writeFile(join(repository.work, "quay-trust.yaml"), trust("release"));
  await git("add", "-A");
  await git("commit", "-qm", "trust");
  return { ...repository, git };
}

const trust = (environment: string) => `organization: acme
robots:
  ci:
    permissions: { app: write }
    bindings: [{ issuer: "${peers.issuer.url}", subject: "repo:acme/app:environment:${environment}" }]
`;

const subjects = () => peers.quay.store.robots.get("acme+ci")?.bindings.map(({ subject }) => subject) ?? [];
const repository = { full_name: "acme/app", default_branch: "main" };

describe.skipIf(act === undefined)("run by act", () => {
  const secrets = () => ({ QUAY_API_TOKEN: peers.oauthToken });

  test("reviews a pull request without a token", async () => {
    const place = await prepare("review");
    const base = await place.git("rev-parse", "HEAD");
    await place.git("checkout", "-qb", "change");
    await writeFile(join(place.work, "quay-trust.yaml"), trust("production"));
    await place.git("commit", "-qam", "change");
    const head = await place.git("rev-parse", "HEAD");
    await place.git("checkout", "-q", "main");
    await place.git("merge", "-q", "--no-ff", "--no-edit", "change");
    const before = peers.quay.requests.length;
    const payload = {
      repository,
      pull_request: { base: { sha: base, ref: "main" }, head: { sha: head, ref: "change" } },
    };
    const { code, log } = await runAct(place, { event: { name: "pull_request", payload }, secrets: secrets() });
    expect(code, log).toBe(0);
    expect(log).toMatch(/- {3}binding repo:acme\/app:environment:release /);
    expect(log).toMatch(/\+ {3}binding repo:acme\/app:environment:production /);
    expect(peers.quay.requests.slice(before)).toEqual([]);
  });

  test("finds the difference on a schedule, applies on a push, and finds none then", async () => {
    const place = await prepare("apply");
    const schedule = { event: { name: "schedule", payload: { schedule: "17 5 * * *" } }, secrets: secrets() };
    const push = { event: { name: "push", payload: { ref: "refs/heads/main", repository } }, secrets: secrets() };
    const drift = await runAct(place, schedule);
    expect(drift.log).toContain("docs/troubleshooting.md#trust-drift");
    expect([drift.code, subjects()]).toEqual([1, expect.not.arrayContaining(["repo:acme/app:environment:release"])]);
    const applied = await runAct(place, push);
    expect(applied.code, applied.log).toBe(0);
    expect(subjects()).toContain("repo:acme/app:environment:release");
    const same = await runAct(place, schedule);
    expect(same.code, same.log).toBe(0);
    for (const { log } of [drift, applied, same]) expect(log).not.toContain(peers.oauthToken);
  });
});
