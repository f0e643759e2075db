/** What README.md shows works: its examples, unchanged but for addresses, against the peers. */
import { execFile, type SpawnOptions, spawn } from "node:child_process";
import { mkdir, mkdtemp, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { parse } from "yaml";
import { type Peers, startPeers } from "../quay-stand-in/peers.ts";
import { act, commitRepository, runAct } from "../support/act.ts";
import { type Image, writeImage } from "../support/image.ts";
import { kindsIn, readTree, type Secret, watch } from "../support/leaks.ts";
import { readmeBlock, readmeBlocks, substitute } from "../support/readme.ts";
import { type Finished, finish, systemPath } from "../support/runner.ts";
import { parseActionFile } from "../support/workflow-commands.ts";
import { startWorkloadApi, type WorkloadApi } from "../support/workload-api.ts";
import { referenceProblems } from "../tekton/references.ts";
import { type Binding, resources } from "../tekton/resources.ts";

const project = resolve(import.meta.dirname, "../..");
const node = join(project, "node_modules/node/bin");

let peers: Peers;
let folder: string;
beforeAll(async () => {
  [peers, folder] = await Promise.all([startPeers(), mkdtemp(join(tmpdir(), "quay-keyless-readme-"))]);
  watch(peers);
});
afterAll(async () => {
  await Promise.all([peers.close(), rm(folder, { recursive: true, force: true })]);
});

/** A working folder with the image that the examples push, and that no test has pushed before. */
async function prepare(name: string): Promise<{ root: string; work: string; home: string; image: Image }> {
  const root = join(folder, name);
  const [work, home] = [join(root, "work"), join(root, "home")];
  for (const each of [work, home]) await mkdir(each, { recursive: true });
  return { root, work, home, image: await writeImage(join(work, "image")) };
}

/** The digest that the registry has under the examples' tag. */
async function pushed(): Promise<string> {
  const credentials = `acme+ci:${peers.quay.store.robots.get("acme+ci")?.token}`;
  const options = ["--cert-dir", peers.certDir, "--creds", credentials, "--format", "{{.Digest}}"];
  const reference = `docker://${peers.registryHost}/acme/app:1.2.3`;
  return (await promisify(execFile)("skopeo", ["inspect", ...options, reference])).stdout.trim();
}

const secrets = (): Secret[] => [
  ...peers.github.issued.map((value): Secret => ({ kind: "identity", value })),
  ...watch(peers).robot.map((value): Secret => ({ kind: "robot", value })),
];

describe.skipIf(act === undefined)("GitHub Actions", () => {
  test("the workflow, run by act", async () => {
    const { root, image } = await prepare("act");
    const workflow = substitute(readmeBlock("### GitHub Actions", "yaml"), [
      ["OWNER/quay-keyless-login@v1", "./"],
      [
        "          robot: acme+ci\n",
        `          robot: acme+ci\n          registry: ${peers.registryHost}\n          ca-file: ${peers.caFile}\n`,
      ],
      ["docker://quay.io/", `docker://${peers.registryHost}/`],
    ]);
    const { code, log } = await runAct(await commitRepository(root, workflow), { env: peers.githubEnv });
    expect(code, log).toBe(0);
    expect(log).toContain(`Logged out of ${peers.registryHost}.`);
    expect(await pushed()).toBe(image.digest);
  });

  test("the recipes use existing inputs", async () => {
    const action = parseActionFile(await readFile(join(project, "action.yml"), "utf8"));
    const given = readmeBlocks("yaml").flatMap((block) => inputsIn(parse(block)));
    expect(given).toEqual(expect.arrayContaining(["robot", "access", "ca-file", "without-identity"]));
    expect(given.filter((name) => !(name in action.inputs))).toEqual([]);
  });
});

/** The names under each `with`. */
function inputsIn(value: unknown): string[] {
  if (typeof value !== "object" || value === null) return [];
  return Object.entries(value).flatMap(([key, inner]) =>
    key === "with" ? Object.keys(inner as object) : inputsIn(inner),
  );
}

describe("the command line", () => {
  const spiffeId = "spiffe://example.org/ns/acme/sa/app";
  let workloadApi: WorkloadApi;
  let bin: string;
  beforeAll(async () => {
    bin = join(folder, "bin");
    await mkdir(bin);
    await symlink(join(project, "dist/cli/index.js"), join(bin, "quay-keyless-login"));
    const { issuer, quay } = peers;
    quay.store.robots.get("acme+ci")?.bindings.push({ issuer: issuer.url, subject: spiffeId });
    const token = await issuer.sign({ sub: spiffeId });
    workloadApi = await startWorkloadApi(join(folder, "workload.sock"), { svids: [{ id: spiffeId, token }] });
  });
  afterAll(() => workloadApi.close());

  /** A shell that trusts the stand-in's root as it would trust a public one. */
  async function bash(
    script: string,
    { work, home }: { work: string; home: string },
    identity: Record<string, string>,
  ) {
    const path = `${bin}:${node}:${systemPath}`;
    const run = join(dirname(home), "run");
    const all = join(dirname(home), "roots.pem");
    await writeFile(all, peers.authority.ca + peers.githubAuthority.ca);
    const roots = { NODE_EXTRA_CA_CERTS: all, SSL_CERT_FILE: peers.caFile };
    const env = { PATH: path, HOME: home, XDG_RUNTIME_DIR: run, LANG: "C.UTF-8", ...identity, ...roots };
    const options: SpawnOptions = { cwd: work, env, stdio: ["ignore", "pipe", "pipe"] };
    const done: Finished = await finish(spawn("bash", ["-euo", "pipefail", "-c", script], options));
    expect(done.code, done.stdout + done.stderr).toBe(0);
    return { ...done, run };
  }

  test("the first example, with GitHub's identity", async () => {
    const place = await prepare("first");
    const script = substitute(readmeBlock("### Command line", "sh"), [["quay.io", peers.registryHost]]);
    const { stdout, stderr, run } = await bash(script, place, peers.githubEnv);
    expect(stderr).toContain(`Logged out of ${peers.registryHost}: ${join(run, "containers/auth.json")}`);
    expect(await pushed()).toBe(place.image.digest);
    expect([...kindsIn(stdout + stderr, secrets())]).toEqual([]);
    const left = [...(await readTree(run)).values(), ...(await readTree(place.home)).values()];
    expect(left.filter(({ content }) => kindsIn(content, secrets()).size > 0)).toEqual([]);
  });

  test("the example with a session, with SPIFFE's identity", async () => {
    const place = await prepare("session");
    const script = substitute(readmeBlock("## The command line", "sh"), [
      ["quay.io", peers.registryHost],
      ["login --robot", `login --registry ${peers.registryHost} --robot`],
    ]);
    const { stdout, stderr } = await bash(script, place, { SPIFFE_ENDPOINT_SOCKET: workloadApi.address });
    expect(stdout).toMatch(/^issuer +https:\S+\nsubject +spiffe:\/\/example\.org\/ns\/acme\/sa\/app$/m);
    expect(stderr).toContain(`Logged out of ${peers.registryHost}.`);
    expect(await pushed()).toBe(place.image.digest);
    expect([...kindsIn(stdout + stderr, secrets())]).toEqual([]);
    const left = [...(await readTree(place.work)).keys()].filter((path) => !path.startsWith(join(place.work, "image")));
    expect(left).toEqual([place.work]);
  });

  test("the command that sets up Quay", async () => {
    const place = await prepare("setup");
    const script = substitute(readmeBlock("## Set up Quay, once", "sh"), [
      ["federate --robot", `federate --registry ${peers.registryHost} --robot`],
    ]);
    expect((await bash(script, place, { QUAY_API_TOKEN: peers.oauthToken })).stdout).toContain("1 added");
    expect(peers.quay.store.robots.get("acme+ci")?.bindings.at(-1)).toMatchObject({
      issuer: "https://token.actions.githubusercontent.com",
      subject: "repo:acme/app:ref:refs/heads/main",
    });
  });

  test("identity prints what the README shows", async () => {
    const place = await prepare("identity");
    await writeFile(join(place.work, "token"), await peers.issuer.sign());
    const { stdout } = await bash("quay-keyless-login identity --token-file token", place, {});
    const block = readmeBlocks("console").find((text) => text.startsWith("$ quay-keyless-login identity\n")) ?? "";
    const shown = block.split("\n").slice(1);
    const names = (lines: readonly string[]) => lines.slice(0, lines.indexOf("")).map((line) => line.split(" ")[0]);
    expect(names(stdout.split("\n"))).toEqual(names(shown));
    expect(stdout).toContain(shown.find((line) => line.startsWith("acceptable")));
    expect(stdout).toContain(shown.find((line) => line.startsWith("To let a robot")));
  });

  test("the robot token itself", async () => {
    const place = await prepare("export");
    const [line = ""] = /TOKEN="\$\(.*\)"/.exec(await readFile(join(project, "README.md"), "utf8")) ?? [];
    const script = substitute(line, [["login --robot", `login --registry ${peers.registryHost} --robot`]]);
    const { stdout } = await bash(`${script}\necho "[$TOKEN]"`, place, peers.githubEnv);
    expect(stdout).toBe(`[${watch(peers).robot.at(-1)}]\n`);
  });
});

describe("Tekton", () => {
  interface Task {
    readonly name: string;
    readonly taskRef: { readonly name: string };
    readonly runAfter?: readonly string[];
    readonly params?: readonly Binding[];
    readonly workspaces?: readonly Binding[];
  }

  test("the Pipeline gives our Tasks what they need, and uses what it declares", () => {
    const { spec } = parse(readmeBlock("### Tekton", "yaml"));
    const tasks: Task[] = [...spec.tasks, ...spec.finally];
    expect(tasks.map(({ taskRef }) => taskRef.name)).toEqual(["quay-keyless-login", "buildah", "quay-keyless-logout"]);
    const known = new Map(resources("tekton/task/*/*/*.yaml").map((task) => [task.metadata.name, task.spec]));
    for (const task of tasks.filter(({ taskRef }) => taskRef.name !== "buildah")) {
      expect(referenceProblems({ place: task.name, ...task }, known.get(task.taskRef.name) ?? {})).toEqual([]);
      expect(known.has(task.taskRef.name)).toBe(true);
    }
    const used = tasks.flatMap(({ workspaces = [] }) => workspaces.map(({ workspace }) => workspace));
    const declared: Binding[] = spec.workspaces;
    expect([...new Set(used)].sort()).toEqual(declared.map(({ name }) => name).sort());
    const names = tasks.map(({ name }) => name);
    expect(tasks.flatMap(({ runAfter = [] }) => runAfter).filter((name) => !names.includes(name))).toEqual([]);
  });
});
