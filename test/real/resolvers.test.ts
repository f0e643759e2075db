/**
 * The resolvers of tekton/README.md, word for word but for addresses and digests: Tekton's own fetch the Task and the StepAction
 * from a git server, from a bundle in a registry, and from another namespace, and each logs in.
 */
import { execFile, spawn } from "node:child_process";
import { cp, mkdtemp, readFile, rm } from "node:fs/promises";
import { connect, createServer, type Server } from "node:net";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { parse, parseAllDocuments } from "yaml";
import { addRobot } from "../quay-stand-in/quay/store.ts";
import { type Registry, startWithReferrers } from "../quay-stand-in/registry.ts";
import {
  CLUSTER_ISSUER,
  clusterScript,
  createNamespace,
  enterNamespace,
  importImages,
  type Manifest,
  type Namespace,
  NODE_ADDRESS,
  type QuayForPods,
  startQuayForPods,
} from "../support/cluster.ts";
import { address, image, ownBuild, version } from "../support/project.ts";
import { blocksUnder, documentBlock, substitute } from "../support/readme.ts";
import { CA_WORKSPACE, caConfigMap, params, serviceAccount, taskRun, tokenVolume } from "./tekton.ts";

const root = resolve(import.meta.dirname, "../..");
const call = promisify(execFile);
const readme = "tekton/README.md";

let folder: string;
let peers: QuayForPods;
let namespace: Namespace;
let shared: Namespace;
/** The image as a release stamps it, by its digest. */
let loginImage: string;
let bundle: string;
const closers: (() => unknown)[] = [];

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "quay-keyless-resolvers-"));
  closers.push(() => rm(folder, { recursive: true }));
  await importImages();
  loginImage = await clusterScript("image.sh", "--by-digest");
  await clusterScript("resolvers.sh", "up");
  closers.push(() => clusterScript("resolvers.sh", "down"));
  peers = await startQuayForPods();
  closers.push(() => peers.close());
  namespace = await createNamespace("resolvers");
  closers.push(() => namespace.remove());
  const subject = `system:serviceaccount:${namespace.name}:quay-ci`;
  addRobot(peers.quay.store, "acme+ci", [{ issuer: CLUSTER_ISSUER, subject }]);
  await namespace.apply(serviceAccount("quay-ci"), caConfigMap(peers));
  await serveGit();
  await pushBundle();
  shared = await enterNamespace("openshift-pipelines", "privileged");
  closers.push(() => shared.remove());
  const release = parseAllDocuments(await readFile(join(folder, "tekton.yaml"), "utf8"));
  await shared.apply(...release.map((each) => each.toJS() as Manifest));
}, 480_000);

afterAll(async () => {
  for (const close of closers.toReversed()) await close();
});

/** Where pods reach it. @returns the port */
async function listen(server: Server): Promise<number> {
  await new Promise<void>((done) => server.listen(0, NODE_ADDRESS, done));
  const at = server.address();
  return at !== null && typeof at === "object" ? at.port : 0;
}

let gitServer: string;

/** The working tree's tekton/ as a repository with a release's tag, on git's own server. */
async function serveGit(): Promise<void> {
  const work = join(folder, "work");
  const git = (...args: string[]) =>
    call("git", ["-C", work, "-c", "user.name=test", "-c", "user.email=test@example.com", ...args]);
  await cp(join(root, "tekton"), join(work, "tekton"), { recursive: true });
  await git("init", "--quiet", "--initial-branch=main");
  await git("add", "--all");
  await git("commit", "--quiet", "--message=release");
  await git("tag", `v${version}`);
  await call("git", ["clone", "--quiet", "--bare", work, join(folder, "served", "quay-keyless-login.git")]);
  const probe = createServer();
  const port = await listen(probe);
  await new Promise((done) => probe.close(done));
  const { stdout } = await call("git", ["--exec-path"]);
  const options = ["--export-all", "--reuseaddr", `--listen=${NODE_ADDRESS}`, `--port=${port}`];
  const daemon = spawn(join(stdout.trim(), "git-daemon"), [...options, `--base-path=${join(folder, "served")}`], {
    stdio: "ignore",
  });
  closers.push(() => daemon.kill());
  gitServer = `git://${NODE_ADDRESS}:${port}/quay-keyless-login.git`;
  await vi.waitFor(() => call("git", ["ls-remote", gitServer]), { timeout: 20_000, interval: 200 });
}

/** By the commands of the README. */
async function pushBundle(): Promise<void> {
  const registry: Registry = await startWithReferrers();
  closers.push(() => registry.close());
  const forward = createServer((socket) => {
    const onward = connect(registry.port, "127.0.0.1");
    socket.on("error", () => onward.destroy());
    onward.on("error", () => socket.destroy());
    socket.pipe(onward).pipe(socket);
  });
  closers.push(() => forward.close());
  const repository = `${NODE_ADDRESS}:${await listen(forward)}/tools/tekton-tasks`;
  const [name = ""] = ownBuild.split(":");
  const lines = documentBlock(readme, "## The image", "sh").split("\n");
  const commands = lines.filter((line) => !line.startsWith("kubectl")).join("\n");
  const script = substitute(commands, [
    ["script/bundle", join(root, "script/bundle")],
    [`${name}@sha256:DIGEST`, loginImage],
    ["docker://registry.example.com/tools/tekton-tasks", `--dest-tls-verify=false docker://${repository}`],
  ]);
  const { stdout } = await call("bash", ["-ec", script], { cwd: folder });
  const digest = /^sha256:[0-9a-f]{64}$/m.exec(stdout)?.[0];
  bundle = `${repository}@${digest}`;
}

type Reference = { taskRef?: object; ref?: object };
/** @param kind `taskRef` or `ref` */
function reference(heading: string, kind: keyof Reference): Reference {
  const block = blocksUnder(readme, heading, "yaml", 2).find((text) => text.startsWith(`${kind}:`));
  const text = (block ?? "").replaceAll(address(), gitServer).replaceAll(`${image}@sha256:DIGEST`, bundle);
  return parse(text);
}

const resolvers = [
  { heading: "### git", stamped: false },
  { heading: "### Bundle", stamped: true },
  { heading: "### Cluster", stamped: true },
];
const slug = (heading: string) => heading.replace("### ", "").toLowerCase();
const toQuay = (stamped: boolean, caFile: string) => ({
  ...(stamped ? {} : { image: ownBuild }),
  registry: peers.registryHost,
  robots: ["acme+ci"],
  "ca-file": caFile,
});

test.each(resolvers)("resolves the Task of $heading, which logs in", async ({ heading, stamped }) => {
  const manifest = taskRun(`task-${slug(heading)}`, peers, {
    task: "replaced",
    params: toQuay(stamped, "ca.crt"),
    workspaces: { dockerconfig: { emptyDir: {} }, ...CA_WORKSPACE },
  });
  Object.assign(manifest.spec as object, reference(heading, "taskRef"));
  const run = await namespace.run(manifest);
  expect(run, `${run.message}\n${run.log}`).toMatchObject({ succeeded: true, results: { robot: "acme+ci" } });
});

test.each(resolvers)("resolves the StepAction of $heading, which logs in", async ({ heading, stamped }) => {
  const step = {
    name: "login",
    ...reference(heading, "ref"),
    params: params(toQuay(stamped, "$(workspaces.ca.path)/ca.crt")),
  };
  const run = await namespace.run(
    taskRun(`step-${slug(heading)}`, peers, {
      task: {
        results: [{ name: "robot", value: "$(steps.login.results.robot)" }],
        workspaces: [{ name: "ca" }],
        volumes: [tokenVolume("quay-token")],
        steps: [step],
      },
      workspaces: CA_WORKSPACE,
    }),
  );
  expect(run, `${run.message}\n${run.log}`).toMatchObject({ succeeded: true, results: { robot: "acme+ci" } });
});

test("runs no Task from git without its image", async () => {
  const { image: _, ...rest } = toQuay(false, "ca.crt") as Record<string, string | string[]>;
  const manifest = taskRun("without-image", peers, {
    task: "replaced",
    params: rest,
    workspaces: { dockerconfig: { emptyDir: {} }, ...CA_WORKSPACE },
  });
  Object.assign(manifest.spec as object, reference("### git", "taskRef"));
  expect(await namespace.run(manifest)).toMatchObject({
    succeeded: false,
    message: expect.stringMatching(/missing.*\[image\]/s),
  });
});
