/**
 * .github/workflows/release.yml, run by act as far as act goes: from the files of a release to the moved tag v1, with the real Actions of
 * this project, the real script/release and skopeo, a Quay stand-in and a bare repository. Stand-ins take the place of what needs GitHub's,
 * npm's or Sigstore's servers: artifacts, attestations, `gh`, `npm publish`, cosign. Left out are the tests (ci.yml), and what makes and
 * checks the files: test/release has that.
 */
import { execFile } from "node:child_process";
import { cp, mkdir, mkdtemp, readdir, readFile, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { parse, stringify } from "yaml";
import { sha256, writeSums } from "../../script/releasing/sums.ts";
import { SUBJECT } from "../quay-stand-in/issuer.ts";
import { type Peers, startPeers } from "../quay-stand-in/peers.ts";
import { addRepository, addRobot } from "../quay-stand-in/quay/store.ts";
import { act, commitRepository, runAct } from "../support/act.ts";
import {
  allOf,
  cosignTag,
  type Made,
  makeCosign,
  makeImage,
  makeTwoPlatforms,
  writeLayout,
} from "../support/images.ts";
import { kindsIn, type Secret, watch } from "../support/leaks.ts";
import { version } from "../support/project.ts";
import { actionsIn, folderOf } from "../support/recipe-page.ts";
import { findGo } from "../support/recipes.ts";
import { removeStorage } from "../support/runner.ts";

vi.setConfig({ testTimeout: 240_000, hookTimeout: 60_000 });

const project = resolve(import.meta.dirname, "../..");
const programs = join(project, "test/support/recipes/programs");
const text = await readFile(join(project, ".github/workflows/release.yml"), "utf8");

interface Step {
  name?: string;
  uses?: string;
  run?: string;
}
interface Job {
  needs?: string | string[];
  steps?: Step[];
}
const workflow = () => parse(text) as { jobs: Record<string, Job> };

let peers: Peers;
let folder: string;
beforeAll(async () => {
  [peers, folder] = await Promise.all([startPeers(), mkdtemp(join(tmpdir(), "quay-keyless-release-"))]);
  watch(peers);
  const binding = [{ issuer: peers.issuer.url, subject: SUBJECT }];
  for (const name of ["acme+staging", "acme+release"]) addRobot(peers.quay.store, name, binding);
  addRepository(peers.quay.store, "acme/staging", { "acme+staging": "write", "acme+release": "read" });
  addRepository(peers.quay.store, "acme/tool", { "acme+release": "write" });
});
afterAll(async () => {
  await Promise.all([peers.close(), removeStorage(folder)]);
});

const git = async (cwd: string, ...args: string[]) => {
  const user = ["-c", "user.name=t", "-c", "user.email=t@example.org"];
  return (await promisify(execFile)("git", ["-C", cwd, ...user, ...args])).stdout.trim();
};

/** The jobs that act can run; the artifacts of `build` are there already. */
function runnable(): string {
  const { jobs, ...rest } = workflow();
  const { test: _, ...others } = jobs;
  const leave = ({ run = "" }: Step) => !/script\/(release (check|files)|build)/.test(run);
  for (const name of ["check", "build"]) {
    const job = others[name];
    if (job)
      job.steps = job.steps?.filter((step) => leave(step) && !step.uses?.startsWith("actions/upload-artifact")) ?? [];
  }
  for (const job of Object.values(others)) job.needs = [job.needs ?? []].flat().filter((each) => each !== "test");
  return stringify({ ...rest, jobs: others });
}

/** An index with all that it holds. */
async function writeAll(place: string, made: Made) {
  for (const each of allOf(made)) await writeLayout(place, each);
}

/** What `script/release files` has made on a machine, as far as the workflow looks into it. */
async function writeRelease(place: string, image: Made, bundle: Made) {
  await Promise.all([writeAll(join(place, "oci/image"), image), writeAll(join(place, "oci/bundle"), bundle)]);
  const name = `${peers.registryHost}/acme/tool`;
  const packed = join(place, "package");
  await mkdir(packed);
  await writeFile(join(packed, "package.json"), JSON.stringify({ name: "quay-keyless-login", version }));
  await promisify(execFile)("tar", ["-C", place, "-czf", join(place, `quay-keyless-login-${version}.tgz`), "package"]);
  await promisify(execFile)("rm", ["-r", packed]);
  const sboms = ["package", "action", "linux-x64", "linux-arm64", "image-amd64", "image-arm64"];
  const files = {
    ...Object.fromEntries(sboms.map((what) => [`sbom-${what}.cdx.json`, "{}"])),
    [`quay-keyless-login-action-${version}.tar.gz`]: "action",
    "quay-keyless-login-linux-x64": "x64",
    "quay-keyless-login-linux-arm64": "arm64",
    "images.txt": `image ${name}@${image.digest}\nbundle ${name}@${bundle.digest}\n`,
    "notes.md": "notes\n",
  };
  for (const [file, content] of Object.entries(files)) await writeFile(join(place, file), content);
  writeSums(place);
}

/** The checkout of the version's tag, what it needs to run, and the servers as folders. */
async function prepare(name: string) {
  const root = join(folder, name);
  const place = (...path: string[]) => join(root, ...path);
  for (const each of ["work", "artifacts", "hub", "signatures", "bin"]) await mkdir(place(each), { recursive: true });
  const files =
    "git ls-files -z --cached --others --exclude-standard -- :!.github/workflows | tar --create --null --files-from - --ignore-failed-read";
  await promisify(execFile)("bash", ["-c", `${files} 2>/dev/null | tar --extract --directory "$0"`, place("work")], {
    cwd: project,
  });
  const image = makeTwoPlatforms(`image ${name}`);
  const bundle = makeImage(`bundle ${name}`);
  await writeRelease(place("artifacts/release-ubuntu-24.04"), image, bundle);
  await cp(place("artifacts/release-ubuntu-24.04"), place("artifacts/release-ubuntu-22.04"), { recursive: true });
  for (const made of [...allOf(image), bundle]) {
    await writeLayout(place("signatures", made.digest.replace("sha256:", "")), makeCosign(made, "sig"));
  }
  for (const each of ["cosign", "gh", "npm"]) await cp(join(programs, each), place("bin", each));
  await symlink(await findGo(), place("bin/go"));
  // Where script/lib.sh would build it.
  const [, pinned = ""] = /cosign\/v3\/cmd\/cosign@(v[\d.]+)/.exec(await readFile("script/lib.sh", "utf8")) ?? [];
  await cp(join(programs, "cosign"), place(`cache/quay-keyless-login/cosign@${pinned}/cosign`));
  await writeFile(place("roots.pem"), peers.authority.ca + peers.githubAuthority.ca);
  const repository = await commitRepository(root, runnable(), `v${version}`);
  await git(root, "clone", "-q", "--bare", repository.work, "origin.git");
  await git(place("origin.git"), "tag", "-f", "-a", `v${version}`, "-m", "release", "HEAD");
  return { ...repository, place, image, bundle };
}

type Place = Awaited<ReturnType<typeof prepare>>;

function run({ place, ...repository }: Place, variables: Record<string, string> = {}) {
  const actions = Object.fromEntries(
    actionsIn(runnable()).flatMap(({ uses }) => {
      const found = uses.startsWith("./") ? undefined : folderOf(uses);
      return found ? [[uses, found]] : [];
    }),
  );
  return runAct(repository, {
    actions,
    tools: place("bin"),
    variables: {
      QUAY_STAGING: `${peers.registryHost}/acme/staging`,
      QUAY_STAGING_ROBOT: "acme+staging",
      QUAY_RELEASE_ROBOT: "acme+release",
      ...variables,
    },
    secrets: { GITHUB_TOKEN: "of the workflow" },
    env: {
      ...peers.githubEnv,
      RUNNER_ENVIRONMENT: "github-hosted",
      NODE_EXTRA_CA_CERTS: place("roots.pem"),
      SSL_CERT_FILE: place("roots.pem"),
      ARTIFACTS: place("artifacts"),
      SIGNATURES: place("signatures"),
      HUB: place("hub"),
      GIT_CONFIG_COUNT: "1",
      GIT_CONFIG_KEY_0: `url.${place("origin.git")}.insteadOf`,
      GIT_CONFIG_VALUE_0: "https://github.com/acme/app.git",
    },
  });
}

const secrets = (): Secret[] => [
  ...peers.github.issued.map((value): Secret => ({ kind: "identity", value })),
  ...watch(peers).robot.map((value): Secret => ({ kind: "robot", value })),
];
/** The digest that the registry has, asked with the release robot's static token. */
async function digestOf(reference: string): Promise<string> {
  const credentials = `acme+release:${peers.quay.store.robots.get("acme+release")?.token}`;
  const args = [
    "inspect",
    "--raw",
    "--cert-dir",
    peers.certDir,
    "--creds",
    credentials,
    `docker://${peers.registryHost}/${reference}`,
  ];
  const { stdout } = await promisify(execFile)("skopeo", args, { encoding: "buffer" });
  return `sha256:${sha256(stdout)}`;
}

describe.skipIf(act === undefined)("run by act", () => {
  test("stages, signs, attests, promotes, publishes, and moves v1; a second run changes nothing", async () => {
    const place = await prepare("whole");
    const { image, bundle } = place;
    const hub = (file: string) => readFile(place.place("hub", file), "utf8");
    const { code, log } = await run(place);
    expect(code, log).toBe(0);
    expect([...kindsIn(log.replaceAll(/::add-mask::\S+/g, ""), secrets())]).toEqual([]);

    // No job installs packages: there is no node_modules.
    expect(log).not.toContain("Installing npm packages");

    // Image and bundle, each with its signature.
    expect(await digestOf(`acme/tool:${version}`)).toBe(image.digest);
    expect(await digestOf(`acme/tool:tekton-${version}`)).toBe(bundle.digest);
    for (const made of [...allOf(image), bundle]) {
      expect(await digestOf(`acme/tool:${cosignTag(made, "sig")}`)).toBe(makeCosign(made, "sig").digest);
    }

    // Each file has its provenance; each thing that holds code of others has its SBOM.
    const name = `${peers.registryHost}/acme/tool`;
    const [amd64, arm64] = image.children.map(({ digest }) => `${name}@${digest}`);
    expect([...log.matchAll(/\| attested ((?:provenance|SBOM) .*)/g)].map(([, what]) => what)).toEqual([
      "provenance of all in SHA256SUMS",
      `provenance of ${name}@${image.digest}`,
      `provenance of ${name}@${bundle.digest}`,
      `SBOM sbom-package.cdx.json of quay-keyless-login-${version}.tgz`,
      `SBOM sbom-action.cdx.json of quay-keyless-login-action-${version}.tar.gz`,
      "SBOM sbom-linux-x64.cdx.json of quay-keyless-login-linux-x64",
      "SBOM sbom-linux-arm64.cdx.json of quay-keyless-login-linux-arm64",
      `SBOM sbom-image-amd64.cdx.json of ${amd64}`,
      `SBOM sbom-image-arm64.cdx.json of ${arm64}`,
    ]);

    // All files and the signature of their sums, in a draft that is published then.
    const files = (await readdir(place.place("artifacts/release-ubuntu-24.04"))).filter((file) => file !== "oci");
    expect(await readdir(place.place("hub/assets"))).toEqual([...files, "SHA256SUMS.sigstore.json"].sort());
    const verbs = (await hub("log")).match(/^gh \w+ \w+(?= )/gm);
    expect(verbs).toEqual([
      "gh release view",
      "gh release view",
      "gh release create",
      "gh release upload",
      "gh release edit",
    ]);
    expect(await hub("log")).toMatch(/^gh release edit .* --draft=false .*--latest$/m);
    expect(await hub("npm")).toBe(`${version} latest\n`);

    // Artifact Hub's branch: the release and one commit more, in which the Tasks have the image.
    const task = await git(
      place.place("origin.git"),
      "show",
      "catalog:tekton/task/quay-keyless-login/0.1/quay-keyless-login.yaml",
    );
    expect(task).toContain(`${name}@${image.digest}`);
    const head = await git(place.work, "rev-parse", "HEAD");
    expect(await git(place.place("origin.git"), "rev-parse", "catalog^")).toBe(head);
    expect(await git(place.place("origin.git"), "rev-parse", "v1")).toBe(head);

    const again = await run(place);
    expect(again.code, again.log).toBe(0);
    expect(again.log).toContain(`quay-keyless-login@${version} is published already.`);
    expect(again.log).toContain(`The release v${version} is published already.`);
    expect(again.log).toContain(`v1 points to v${version} already.`);
    expect(await hub("npm")).toBe(`${version} latest\n`);
  });

  test("pushes nothing if the two machines made different files", async () => {
    const place = await prepare("different");
    await writeFile(place.place("artifacts/release-ubuntu-22.04/quay-keyless-login-linux-x64"), "other");
    const { code, log } = await run(place);
    expect(code).toBe(1);
    expect(log).toMatch(/quay-keyless-login-linux-x64 and \S+ differ/);
    expect(log).not.toMatch(/Main Log in to staging|Main Push to staging/);
  });

  test("says which variable of the repository is missing", async () => {
    const { code, log } = await run(await prepare("unset"), { QUAY_STAGING_ROBOT: "" });
    expect(code).toBe(1);
    expect(log).toContain("The repository variable QUAY_STAGING_ROBOT is not set.");
    expect(log).not.toContain("Main Log in to staging");
  });
});
