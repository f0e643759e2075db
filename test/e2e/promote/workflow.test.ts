/**
 * Runs what docs/promotion.md shows: the release workflow with act, with two identities, and the command lines, unchanged
 * but for addresses.
 */

import { execFile, spawn } from "node:child_process";
import { cp, mkdir, mkdtemp, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { parse } from "yaml";
import { promotionOutputs } from "../../../src/options/table.ts";
import { type Github, startGithub } from "../../quay-stand-in/github.ts";
import { type Peers, RELEASE_SUBJECT, startPeers } from "../../quay-stand-in/peers.ts";
import { addRepository, addRobot } from "../../quay-stand-in/quay/store.ts";
import { pass } from "../../quay-stand-in/scripted.ts";
import { act, commitRepository, runAct } from "../../support/act.ts";
import { commandLine } from "../../support/built.ts";
import { type Image, writeImage } from "../../support/image.ts";
import { makeCosign, writeLayout } from "../../support/images.ts";
import { kindsIn, readTree, type Secret, watch } from "../../support/leaks.ts";
import { uses } from "../../support/project.ts";
import { documentBlock, substitute } from "../../support/readme.ts";
import { finish, systemPath } from "../../support/runner.ts";
import { parseActionFile } from "../../support/workflow-commands.ts";
import { referenceProblems } from "../../tekton/references.ts";
import { resources } from "../../tekton/resources.ts";

const project = resolve(import.meta.dirname, "../../..");
const node = join(project, "node_modules/node/bin");
const document = "docs/promotion.md";
const BUILD_SUBJECT = "repo:acme/app:environment:build";

/** With the identity of a job that runs in the environment `build`. */
let peers: Peers;
/** GitHub, for a job that runs in the environment `production`. */
let production: Github;
let folder: string;
beforeAll(async () => {
  [peers, folder] = await Promise.all([
    startPeers({ claims: { sub: BUILD_SUBJECT } }),
    mkdtemp(join(tmpdir(), "quay-keyless-release-")),
  ]);
  watch(peers);
  production = await startGithub(peers.githubAuthority, peers.issuer, { claims: { sub: RELEASE_SUBJECT } });
  peers.quay.authScript.always(pass(), ({ url = "", headers: { authorization = "" } }) => {
    const [user = ""] = Buffer.from(authorization.replace("Basic ", ""), "base64").toString().split(":");
    const { searchParams } = new URL(url, peers.quay.url);
    scopes.push(...searchParams.getAll("scope").map((scope) => ({ user, scope })));
    return false; // it changes nothing
  });
  // The robots of the document's table, each with the permissions in it and no others.
  const { store } = peers.quay;
  const binding = (subject: string) => [{ issuer: peers.issuer.url, subject }];
  addRobot(store, "acme+ci", binding(BUILD_SUBJECT));
  addRobot(store, "acme+reader", binding(RELEASE_SUBJECT));
  addRobot(store, "acme+release", binding(RELEASE_SUBJECT));
  store.repositories.delete("acme/app");
  addRepository(store, "acme/staging", { "acme+ci": "write", "acme+reader": "read" });
  addRepository(store, "acme/app", { "acme+release": "write" });
});
afterAll(async () => {
  await production?.close();
  await Promise.all([peers.close(), rm(folder, { recursive: true, force: true })]);
});

const secrets = (): Secret[] => [
  ...[peers.github, production].flatMap(({ issued }) => issued).map((value): Secret => ({ kind: "identity", value })),
  ...watch(peers).robot.map((value): Secret => ({ kind: "robot", value })),
];

/** With the robot's static token, without the program. */
async function skopeo(...args: string[]): Promise<string> {
  const robot = args.some((arg) => arg.includes("/acme/app")) ? "acme+release" : "acme+ci";
  const credentials = `${robot}:${peers.quay.store.robots.get(robot)?.token}`;
  const [verb = "", ...rest] = args;
  const how = verb === "copy" ? ["--dest-cert-dir", peers.certDir, "--dest-creds", credentials] : [];
  const look = verb === "copy" ? [] : ["--cert-dir", peers.certDir, "--creds", credentials];
  return (await promisify(execFile)("skopeo", [verb, ...how, ...look, ...rest])).stdout.trim();
}

const digestOf = (image: string) =>
  skopeo("inspect", "--format", "{{.Digest}}", `docker://${peers.registryHost}/${image}`);
const signatureTag = ({ digest }: Image) => `${digest.replace(":", "-")}.sig`;

/** The workflow in a repository, the image that it builds, and a stand-in for cosign. */
async function prepare(name: string, text: string) {
  const root = join(folder, name);
  const [work, tools] = [join(root, "work"), join(root, "tools")];
  const image = await writeImage(join(work, "built"));
  await writeFile(join(work, "Makefile"), "image:\n\tcp -r built image\n");
  const signature = makeCosign(image, "sig");
  await writeLayout(join(root, "signature"), signature);
  await cp(join(import.meta.dirname, "../../support/act/cosign"), join(tools, "cosign"));
  return { ...(await commitRepository(root, text, "v1.2.3")), tools, log: join(root, "cosign.log"), image, signature };
}

const run = (place: Awaited<ReturnType<typeof prepare>>) => runAct(place, { tools: place.tools, env: peers.githubEnv });

/** The workflow of the document, at the peers' addresses. Its second job has the identity of the environment. */
function workflow({ isProtected = true } = {}): string {
  const where = `registry: ${peers.registryHost}\n          ca-file: ${peers.caFile}\n          `;
  const { ACTIONS_ID_TOKEN_REQUEST_URL: url, ACTIONS_ID_TOKEN_REQUEST_TOKEN: token } = production.env;
  return substitute(documentBlock(document, "## GitHub Actions", "yaml"), [
    ["      - uses: sigstore/cosign-installer@v4\n", ""],
    [uses("/promote"), "./promote"],
    [uses(), "./"],
    ["robot: acme+ci\n", `${where}robot: acme+ci\n`],
    ["source: quay.io/", `${where}source: ${peers.registryHost}/`],
    ["quay.io/", `${peers.registryHost}/`],
    // A local Action is in the checkout, which the job needs only for that.
    ["      id-token: write\n    steps:\n", "      id-token: write\n    steps:\n      - uses: actions/checkout@v5\n"],
    ...(isProtected
      ? ([
          [
            "    environment: production\n",
            `    environment: production\n    env:\n      ACTIONS_ID_TOKEN_REQUEST_URL: ${url}\n      ACTIONS_ID_TOKEN_REQUEST_TOKEN: ${token}\n`,
          ],
        ] as const)
      : []),
  ]);
}

/** A workflow with the steps of the document, at the peers' addresses. */
const workflowOf = (steps: string): string => `on: push
permissions:
  contents: read
  id-token: write
jobs:
  promote:
    runs-on: ubuntu-latest
    steps:
      - uses: actions/checkout@v5
${substitute(steps.replaceAll(/^(?=.)/gm, "      "), [
  [uses("/promote"), "./promote"],
  [
    "source: quay.io/",
    `registry: ${peers.registryHost}\n          ca-file: ${peers.caFile}\n          source: quay.io/`,
  ],
  ["quay.io/", `${peers.registryHost}/`],
])}`;

/** The scopes that each robot requested: `repository:acme/app:pull,push`. */
const scopes: { readonly user: string; readonly scope: string }[] = [];
const scopesOf = (robot: string): string[] => scopes.flatMap(({ user, scope }) => (user === robot ? [scope] : []));
const writtenBy = (robot: string): string[] => [
  ...new Set(scopesOf(robot).flatMap((scope) => (/push/.test(scope) ? [scope.split(":")[1] ?? ""] : []))),
];

describe.skipIf(act === undefined)("GitHub Actions", () => {
  test("builds, pushes and signs under one identity, promotes under the other", async () => {
    const place = await prepare("release", workflow());
    const { code, log } = await run(place);
    expect(code, log).toBe(0);
    const { image, signature } = place;
    expect(await digestOf("acme/app:v1.2.3")).toBe(image.digest);
    expect(await digestOf(`acme/app:${signatureTag(image)}`)).toBe(signature.digest);
    expect(log).toContain(`Released ${peers.registryHost}/acme/app@${image.digest}`);

    const reference = `${peers.registryHost}/acme/staging@${image.digest}`;
    const [signed = "", verified = "", ...more] = (await readFile(place.log, "utf8")).trim().split("\n");
    expect([signed, more]).toEqual([`sign --yes ${reference}`, []]);
    expect(verified).toMatch(
      /^verify --certificate-oidc-issuer https:\S+ --certificate-identity https:\/\/github.com\//,
    );
    expect(verified.endsWith(` ${reference}`)).toBe(true);
    const seen = await readFile(`${place.log}.env`, "utf8");
    expect(seen).toMatch(/^REGISTRY_AUTH_FILE=/m);
    expect(seen).not.toMatch(/ACTIONS_ID_TOKEN_REQUEST_TOKEN/);

    // Each robot as the document's table says. As the writer, skopeo also asks for pull on the source's repository, to mount
    // a layer from it.
    expect(writtenBy("acme+ci")).toEqual(["acme/staging"]);
    expect(writtenBy("acme+reader")).toEqual([]);
    expect(writtenBy("acme+release")).toEqual(["acme/app"]);
    expect(scopesOf("acme+ci").filter((scope) => scope.includes("acme/app"))).toEqual([]);

    const hidden = log.replaceAll(/::add-mask::\S+/g, "");
    expect([...kindsIn(hidden + seen, secrets())]).toEqual([]);
    const left = [...(await readTree(place.home)).values(), ...(await readTree(join(place.root, "cache"))).values()];
    expect(left.filter(({ content }) => kindsIn(content, secrets()).size > 0).map(({ path }) => path)).toEqual([]);
  });

  test("the identity that builds can't promote", async () => {
    const before = peers.quay.requests.length;
    const place = await prepare(
      "unprotected",
      substitute(workflow({ isProtected: false }), [["ref_name }}\n", "ref_name }}-x\n"]]),
    );
    const { code, log } = await run(place);
    expect(code, log).toBe(1);
    // The build and its push succeeded. The robots of the release trust another subject, which the error names.
    expect(await digestOf("acme/staging:v1.2.3")).toBe(place.image.digest);
    expect(log).toContain("#subject-not-bound");
    expect(log).toContain(BUILD_SUBJECT);
    expect(peers.quay.requests.slice(before).filter(({ path }) => path.startsWith("/v2/acme/app/"))).toEqual([]);
    await expect(digestOf("acme/app:v1.2.3-x")).rejects.toThrow(/unknown/);
  });

  test("uses existing inputs and outputs, and no expression in a shell", async () => {
    const read = (file: string) => readFile(join(project, file), "utf8");
    const [login, promote] = (await Promise.all(["action.yml", "promote/action.yml"].map(read))).map(parseActionFile);
    const { jobs } = parse(documentBlock(document, "## GitHub Actions", "yaml"));
    const steps: { uses?: string; run?: string; with?: Record<string, unknown> }[] = [
      ...jobs.build.steps,
      ...jobs.promote.steps,
    ];
    for (const { uses = "", run: script = "", with: inputs = {} } of steps) {
      const action = uses.includes("/promote@") ? promote : uses.includes("quay-keyless-login@") ? login : undefined;
      if (action) expect(Object.keys(inputs).filter((name) => !(name in action.inputs))).toEqual([]);
      expect(`${script}${inputs["verify-command"] ?? ""}`).not.toContain("${{");
    }
    const [, output = ""] =
      /^\$\{\{ steps\.promote\.outputs\.(\w+) \}\}$/.exec(jobs.promote.steps.at(-1).env.IMAGE) ?? [];
    expect(promotionOutputs.map(({ name }) => name)).toContain(output);
  });

  test("the separate step for tags that move", async () => {
    const place = await prepare(
      "moving",
      workflowOf(documentBlock(document, "## Tags", "yaml")).replace(" latest\n", " edge\n"),
    );
    const target = `docker://${peers.registryHost}/acme/app`;
    await skopeo("copy", (await writeImage(join(folder, "older"))).reference, `${target}:edge`);
    await skopeo("copy", place.image.reference, `${target}:1.2.3`);
    const { code, log } = await runAct(place, { env: { ...peers.githubEnv, ...production.env } });
    expect(code, log).toBe(0);
    for (const tag of ["1.2", "edge"]) expect(await digestOf(`acme/app:${tag}`)).toBe(place.image.digest);
  });
});

describe("the command line", () => {
  let bin: string;
  beforeAll(async () => {
    bin = join(folder, "bin");
    await mkdir(bin);
    await symlink(commandLine.at(-1) ?? "", join(bin, "quay-keyless-login"));
    await writeFile(
      join(bin, "cosign"),
      '#!/bin/sh\n[ "$1 $2 $3" = "verify --key release.pub" ] && echo "checked $4"\n',
      {
        mode: 0o755,
      },
    );
  });

  /** An image in staging, with a signature. */
  async function stage(name: string, ...tags: string[]) {
    const image = await writeImage(join(folder, name));
    const signature = await writeLayout(join(folder, `${name}-signature`), makeCosign(image, "sig"));
    for (const tag of tags) await skopeo("copy", image.reference, `docker://${peers.registryHost}/acme/staging:${tag}`);
    await skopeo("copy", signature, `docker://${peers.registryHost}/acme/staging:${signatureTag(image)}`);
    return image;
  }

  async function bash(script: string, work: string) {
    const all = join(folder, "roots.pem");
    await writeFile(all, peers.authority.ca + peers.githubAuthority.ca);
    const roots = { NODE_EXTRA_CA_CERTS: all, SSL_CERT_FILE: peers.caFile };
    const env = { PATH: `${bin}:${node}:${systemPath}`, HOME: work, LANG: "C.UTF-8", ...roots, ...production.env };
    const child = spawn("bash", ["-euo", "pipefail", "-c", script], {
      cwd: work,
      env,
      stdio: ["ignore", "pipe", "pipe"],
    });
    const done = await finish(child);
    expect(done.code, done.stdout + done.stderr).toBe(0);
    expect([...kindsIn(done.stdout + done.stderr, secrets())]).toEqual([]);
    return done;
  }

  const at = (script: string, tag: string) =>
    substitute(script, [
      ["quay.io/", `${peers.registryHost}/`],
      ["--tag 1.2.3", `--tag ${tag}`],
    ]);

  test("the first example, by digest", async () => {
    const image = await stage("first", "first");
    const example = documentBlock(document, "# Promoting a release", "sh");
    const script = at(example, "first");
    await bash(substitute(script, [["sha256:DIGEST", image.digest]]), folder);
    expect(await digestOf("acme/app:first")).toBe(image.digest);
  });

  test("moves several tags", async () => {
    const image = await stage("several", "nightly");
    // That image has one platform.
    const script = substitute(documentBlock(document, "## The command line", "sh"), [[" --platform linux/arm64", ""]]);
    const { stdout } = await bash(at(script, "several"), folder);
    expect(stdout).toContain("several");
    for (const tag of ["several", "1.2"]) expect(await digestOf(`acme/app:${tag}`)).toBe(image.digest);
  });

  test("a dry run prints what the document shows", async () => {
    await stage("planned", "nightly");
    const taken = await writeImage(join(folder, "taken"));
    await skopeo("copy", taken.reference, `docker://${peers.registryHost}/acme/app:1.2`);
    const shown = documentBlock(document, "## Dry run", "console").split("\n");
    const [, command = ""] = /^\$ (.*)$/.exec(shown[0] ?? "") ?? [];
    const robots = "--source-robot acme+reader --destination-robot acme+release";
    const { stdout } = await bash(at(substitute(command, [["…", robots]]), "9.9.9"), folder);
    // Each line is the same but for names and numbers. The document omits the line with the whole reference.
    const words = (lines: readonly string[]) =>
      lines.filter((line) => line.trim() !== "").map((line) => line.match(/(?<!\S)[a-z(][a-z-]*[):,;]?(?!\S)/g) ?? []);
    const printed = stdout
      .split("\n")
      .filter((line) => !line.startsWith(`${peers.registryHost}/acme/app@sha256:`) || / {2}9\.9\.9 /.test(line));
    expect(words(printed)).toEqual(words(shown.slice(1).filter((line) => line !== "…")));
    expect(stdout).toMatch(/ {2}9\.9\.9 +would be new /);
    await expect(digestOf("acme/app:9.9.9")).rejects.toThrow(/unknown/);
  });

  test("runs a check of the user", async () => {
    const image = await stage("checked", "nightly");
    const { stderr } = await bash(
      at(documentBlock("docs/signatures.md", "## Your own check", "sh"), "checked"),
      folder,
    );
    expect(await digestOf("acme/app:checked")).toBe(image.digest);
    expect(stderr).toContain(image.digest);
    expect(await digestOf(`acme/app:${signatureTag(image)}`)).toMatch(/^sha256:/);
  });

  test("many images, from a file, then again", async () => {
    const image = await stage("many", "many", "nightly");
    addRepository(peers.quay.store, "acme/staging-worker", { "acme+ci": "write", "acme+reader": "read" });
    addRepository(peers.quay.store, "acme/worker", { "acme+release": "write" });
    await skopeo("copy", image.reference, `docker://${peers.registryHost}/acme/staging-worker:nightly`);
    const file = substitute(documentBlock(document, "## Many images", "yaml"), [
      ["quay.io/", `${peers.registryHost}/`],
      ["sha256:DIGEST", image.digest],
    ]);
    await writeFile(join(folder, "release.yaml"), file);
    const robots = "--source-robot acme+reader --destination-robot acme+release --output json";
    const script = `quay-keyless-login promote --file release.yaml ${robots}`;
    const [first, second] = [await bash(script, folder), await bash(script, folder)];
    const tags = parse(file).flatMap(({ tags }: { tags: string[] }) => tags.length);
    expect(JSON.parse(first.stdout).promotions.map(({ tags }: { tags: unknown[] }) => tags.length)).toEqual(tags);
    expect([JSON.parse(first.stdout).changed, JSON.parse(second.stdout).changed]).toEqual([true, false]);
    expect(await digestOf("acme/app:1.10")).toBe(image.digest);
  });

  test("goes back to an older image, by digest", async () => {
    const [older, newer] = await Promise.all(["older", "newer"].map((name) => writeImage(join(folder, name))));
    const tag = (image: Image | undefined, name: string) =>
      skopeo("copy", image?.reference ?? "", `docker://${peers.registryHost}/acme/app:${name}`);
    await tag(older, "1.2.2");
    for (const name of ["1.2.3", "latest"]) await tag(newer, name);
    const example = documentBlock(document, "## Back to an older image", "sh");
    const script = substitute(example, [
      ["quay.io/", `${peers.registryHost}/`],
      ["sha256:DIGEST", older?.digest ?? ""],
    ]);
    await bash(script, folder);
    expect([await digestOf("acme/app:latest"), await digestOf("acme/app:1.2.3")]).toEqual([
      older?.digest,
      newer?.digest,
    ]);
  });
});

describe("Tekton", () => {
  test("the TaskRun sets what the Task requires", () => {
    const { spec } = parse(documentBlock(document, "## Tekton", "yaml"));
    const task = resources("tekton/task/*/*/*.yaml").find(({ metadata }) => metadata.name === spec.taskRef.name);
    expect(referenceProblems({ place: document, ...spec }, task?.spec ?? {})).toEqual([]);
    const accounts = resources("tekton/task/quay-promote/*/samples/service-account.yaml");
    expect(accounts.map(({ metadata }) => metadata.name)).toContain(spec.serviceAccountName);
  });
});
