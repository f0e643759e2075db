/** What README.md, docs/command-line.md and docs/long-builds.md show works: their commands, unchanged but for addresses, against the peers. */
import { execFile, type SpawnOptions, spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdir, mkdtemp, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { promisify, stripVTControlCharacters } from "node:util";
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from "vitest";
import { parse } from "yaml";
import { type Peers, startPeers } from "../quay-stand-in/peers.ts";
import { type Image, writeImage } from "../support/image.ts";
import { kindsIn, readTree, type Secret, watch } from "../support/leaks.ts";
import { blocksUnder, documentBlock, substitute } from "../support/readme.ts";
import { storageIn } from "../support/recipes.ts";
import { type Finished, findTool, finish, removeStorage, systemPath } from "../support/runner.ts";
import { startWorkloadApi, type WorkloadApi } from "../support/workload-api.ts";
import { until } from "./world.ts";

const project = resolve(import.meta.dirname, "../..");
const node = join(project, "node_modules/node/bin");
const commandLine = "docs/command-line.md";
const spiffeId = "spiffe://example.org/ns/acme/sa/app";

let peers: Peers;
let folder: string;
let workloadApi: WorkloadApi;
beforeAll(async () => {
  [peers, folder] = await Promise.all([startPeers(), mkdtemp(join(tmpdir(), "quay-keyless-readme-"))]);
  watch(peers);
  await mkdir(join(folder, "bin"));
  // The pages' commands mean quay.io: here, each of them goes to the stand-in.
  const start = `exec ${node}/node ${project}/dist/cli/index.js`;
  const program = `#!/bin/bash
case "$*" in
  identity* | "logout --session"*) ${start} "$@" ;;
  *) command="$1"; shift; ${start} "$command" --registry ${peers.registryHost} "$@" ;;
esac
`;
  await writeFile(join(folder, "bin/quay-keyless-login"), program, { mode: 0o755 });
  const { issuer, quay } = peers;
  quay.store.robots.get("acme+ci")?.bindings.push({ issuer: issuer.url, subject: spiffeId });
  const token = await issuer.sign({ sub: spiffeId });
  workloadApi = await startWorkloadApi(join(folder, "workload.sock"), { svids: [{ id: spiffeId, token }] });
});
afterAll(async () => {
  await Promise.all([peers.close(), workloadApi.close(), removeStorage(folder)]);
});

interface Place {
  readonly root: string;
  readonly work: string;
  readonly run: string;
  readonly image: Image;
}

/** A working folder with the image that the examples push, and that no test has pushed before. */
async function prepare(): Promise<Place> {
  const root = await mkdtemp(join(folder, "place-"));
  const work = join(root, "work");
  for (const each of [work, join(root, "home")]) await mkdir(each, { recursive: true });
  await mkdir(join(root, "run"), { mode: 0o700 });
  return { root, work, run: join(root, "run"), image: await writeImage(join(work, "image")) };
}

const here = (text: string): string => text.replaceAll("docker://quay.io/", `docker://${peers.registryHost}/`);

/** A shell that trusts the stand-in's root as it would trust a public one, and the process in it. */
async function startBash(script: string, { root, work, run }: Place, env: Record<string, string>) {
  const all = join(root, "roots.pem");
  await writeFile(all, peers.authority.ca + peers.githubAuthority.ca);
  const own = { PATH: `${join(folder, "bin")}:${node}:${systemPath}`, HOME: join(root, "home"), LANG: "C.UTF-8" };
  const roots = { NODE_EXTRA_CA_CERTS: all, SSL_CERT_FILE: peers.caFile };
  const options: SpawnOptions = {
    cwd: work,
    env: { ...own, XDG_RUNTIME_DIR: run, ...(await storageIn(root)), ...env, ...roots },
    stdio: ["ignore", "pipe", "pipe"],
  };
  return spawn("bash", ["--norc", "-euo", "pipefail", "-c", here(script)], options);
}

async function bash(script: string, place: Place, env: Record<string, string>): Promise<Finished> {
  const done = await finish(await startBash(script, place, env));
  expect(done.code, done.stdout + done.stderr).toBe(0);
  return done;
}

async function skopeo(verb: "copy" | "inspect", ...args: string[]): Promise<string> {
  const credentials = `acme+ci:${peers.quay.store.robots.get("acme+ci")?.token}`;
  const to = verb === "copy" ? "dest-" : "";
  const access = [`--${to}cert-dir`, peers.certDir, `--${to}creds`, credentials];
  return (await promisify(execFile)("skopeo", [verb, ...access, ...args])).stdout.trim();
}

/** The digest that the registry has under a tag. */
const digestOf = (tag: string) =>
  skopeo("inspect", "--format", "{{.Digest}}", `docker://${peers.registryHost}/acme/app:${tag}`);

const secrets = (): Secret[] => [
  ...peers.github.issued.map((value): Secret => ({ kind: "identity", value })),
  ...watch(peers).robot.map((value): Secret => ({ kind: "robot", value })),
];

async function expectNothingLeft({ stdout, stderr }: Finished, { root, run }: Place): Promise<void> {
  expect([...kindsIn(stdout + stderr, secrets())]).toEqual([]);
  const left = [...(await readTree(run)).values(), ...(await readTree(join(root, "home"))).values()];
  expect(left.filter(({ content }) => kindsIn(content, secrets()).size > 0)).toEqual([]);
}

describe("the README", () => {
  test.skipIf(findTool("buildah") === undefined)("the command line, with GitHub's identity", async () => {
    const place = await prepare();
    await writeFile(join(place.work, "Containerfile"), "FROM scratch\nCOPY Containerfile /\n");
    const script = documentBlock("README.md", "## Get started", "sh").replaceAll("quay.io/", `${peers.registryHost}/`);
    const done = await bash(script, place, peers.githubEnv);
    expect(done.stderr).toContain(`Logged out of ${peers.registryHost}: ${join(place.run, "containers/auth.json")}`);
    expect(await digestOf("1.2.3")).toMatch(/^sha256:/);
    await expectNothingLeft(done, place);
  });

  test("GitLab's job", async () => {
    const place = await prepare();
    await skopeo("copy", place.image.reference, `docker://${peers.registryHost}/acme/app:1.2.3`);
    const { publish } = parse(blocksUnder("README.md", "## Get started", "yaml", 3)[2] ?? "");
    expect([publish.id_tokens, publish.image.entrypoint]).toEqual([{ QUAY_ID_TOKEN: { aud: "quay" } }, [""]]);
    const env = { CI: "true", GITLAB_CI: "true", QUAY_ID_TOKEN: await peers.issuer.sign() };
    await bash(publish.script.join("\n"), place, env);
    expect(await digestOf("stable")).toBe(place.image.digest);
    await expectNothingLeft(await bash(publish.after_script.join("\n"), place, env), place);
  });

  test("the command that sets up Quay", async () => {
    const script = documentBlock("README.md", "## Set up Quay, once", "sh");
    expect((await bash(script, await prepare(), { QUAY_API_TOKEN: peers.oauthToken })).stdout).toContain("1 added");
    expect(peers.quay.store.robots.get("acme+ci")?.bindings.at(-1)).toMatchObject({
      issuer: "https://token.actions.githubusercontent.com",
      subject: "repo:acme/app:ref:refs/heads/main",
    });
  });
});

describe("the page of the command line", () => {
  test("a login on a terminal, as the page shows it", async () => {
    const [command = "", ...shown] = documentBlock(commandLine, "## Log in and out", "console").trim().split("\n");
    const script = `script --quiet --return --command '${command.replace("$ ", "")}' /dev/null`;
    const place = await prepare();
    const { stdout } = await bash(script, place, peers.githubEnv);
    const printed = stripVTControlCharacters(stdout)
      .replaceAll("\r", "")
      .trim()
      .replaceAll(peers.registryHost, "quay.io")
      .replaceAll(place.run, "/run/user/1000")
      .replaceAll(/\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ/g, "2026-11-24T11:50:16Z");
    expect(printed.split("\n").slice(-shown.length)).toEqual(shown);
  });

  test("a session, with SPIFFE's identity", async () => {
    const place = await prepare();
    const [script = ""] = blocksUnder(commandLine, "## Log in and out", "sh", 2);
    const { stdout, stderr } = await bash(script, place, { SPIFFE_ENDPOINT_SOCKET: workloadApi.address });
    expect(stdout).toMatch(/^issuer +https:\S+\nsubject +spiffe:\/\/example\.org\/ns\/acme\/sa\/app$/m);
    expect(stderr).toContain(`Logged out of ${peers.registryHost}.`);
    expect(await digestOf("1.2.3")).toBe(place.image.digest);
    expect([...kindsIn(stdout + stderr, secrets())]).toEqual([]);
    const left = [...(await readTree(place.work)).keys()].filter((path) => !path.startsWith(join(place.work, "image")));
    expect(left).toEqual([place.work]);
  });

  test("the robot token itself", async () => {
    const [, script = ""] = blocksUnder(commandLine, "## Log in and out", "sh", 2);
    const { stdout } = await bash(`${script}\necho "[$TOKEN]"`, await prepare(), peers.githubEnv);
    expect(stdout).toBe(`[${watch(peers).robot.at(-1)}]\n`);
  });

  test("identity prints what the page shows", async () => {
    const place = await prepare();
    await writeFile(join(place.work, "token"), await peers.issuer.sign());
    const { stdout } = await bash("quay-keyless-login identity --token-file token", place, {});
    const shown = documentBlock(commandLine, "## Which identity is it?", "console").split("\n").slice(1);
    const names = (lines: readonly string[]) => lines.slice(0, lines.indexOf("")).map((line) => line.split(" ")[0]);
    expect(names(stdout.split("\n"))).toEqual(names(shown));
    expect(stdout).toContain(shown.find((line) => line.startsWith("acceptable")));
    expect(stdout).toContain(shown.find((line) => line.startsWith("To let a robot")));
  });
});

test("the page of long builds: a login that stays, until SIGTERM", async () => {
  const place = await prepare();
  const authFile = join(place.run, "auth.json");
  const script = substitute(documentBlock("docs/long-builds.md", "## In the background, elsewhere", "sh"), [
    ["/run/quay/auth.json", authFile],
    ["quay-keyless-login", "exec quay-keyless-login"],
  ]);
  const child = await startBash(script, place, peers.githubEnv);
  onTestFinished(() => void child.kill("SIGKILL"));
  const ended = finish(child);
  await until(() => existsSync(authFile), "a login");
  child.kill("SIGTERM");
  expect((await ended).code).toBe(0);
});
