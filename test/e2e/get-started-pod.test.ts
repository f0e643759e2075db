/**
 * What docs/get-started/pod.md and openshift.md show of a single container and of refusals, and before-the-first-release.md.
 * test/real/get-started.test.ts walks the rest in a cluster.
 */
import { execFile } from "node:child_process";
import { cp, mkdtemp, readFile, writeFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { addRepository, addRobot } from "../quay-stand-in/quay/store.ts";
import { type Desk, openDesk } from "../support/desk.ts";
import { writeImage } from "../support/image.ts";
import { expectShown, shownUnder, walk } from "../support/page.ts";
import { address, image, version } from "../support/project.ts";
import { documentBlock, substitute } from "../support/readme.ts";
import { copyTree } from "../support/tree.ts";

const project = resolve(import.meta.dirname, "../..");
const failures = "## What goes wrong most often";
const [otherAccount = "", noVolume = "", internal = ""] = shownUnder("docs/get-started/pod.md", failures);
const [internalToo = "", otherAccountToo = ""] = shownUnder("docs/get-started/openshift.md", failures);
const account = (name: string) => `system:serviceaccount:quay-demo:${name}`;

/** In place of podman, which can't start a container here: the program sees the mount and the variables that are passed, and nothing else. */
const podman = `set -euo pipefail
passed=(PATH="$PATH" HOME=/nonexistent SSL_CERT_FILE="$SSL_CERT_FILE" NODE_EXTRA_CA_CERTS="$NODE_EXTRA_CA_CERTS")
[ "$1 $2 $3 $4" = "run --rm --user 0" ] || exit 2
shift 4
while [[ $1 == --* ]]; do
  case "$1" in
    --volume) IFS=: read -r outside inside _ <<<"$2" ;;
    --env) passed+=("$2=\${!2}") ;;
    *) exit 2 ;;
  esac
  shift 2
done
[ "$1" = ${image}:${version} ] || exit 2
shift
[ -d "$outside" ] || exit 125
exec env --ignore-environment "\${passed[@]}" quay-keyless-login "\${@//"$inside/"/"$outside/"}"
`;

let desk: Desk;
beforeAll(async () => {
  desk = await openDesk({ issuer: "https://oidc.example.com/cluster", programs: { podman } });
  const { store } = desk.peers.quay;
  addRobot(store, "acme+ci", [{ issuer: desk.peers.issuer.url, subject: account("quay-ci") }]);
  addRepository(store, "acme/app", { "acme+ci": "write" });
});
afterAll(() => desk?.close());

test("a login in a container stays in the folder that is mounted", async () => {
  const { peers, work, env } = desk;
  const { reference } = await writeImage(join(work, "image"));
  const credentials = `acme+ci:${peers.quay.store.robots.get("acme+ci")?.token}`;
  const to = `docker://${peers.registryHost}/acme/app:1.2.3`;
  await promisify(execFile)("skopeo", ["copy", "--dest-creds", credentials, reference, to], { env });
  const token = await peers.issuer.sign({ sub: account("quay-ci") });
  const type = (command: string) => desk.type(`export QUAY_ID_TOKEN=${token}\n${command}`);
  const names = [...desk.names, [join(work, "login"), "/login"]] as const;
  await walk("docs/get-started/pod.md", { ...desk, type, names }, (heading) => heading.includes("podman"));
});

test("before the first release, the program is built as the page says", { timeout: 240_000 }, async () => {
  const block = documentBlock("docs/get-started/before-the-first-release.md", "## The program", "sh");
  // With this machine's npm and caches, and into the working folder instead of the system's.
  const script = substitute(block, [
    ["script/executable", join(project, "script/executable")],
    ["sudo install quay-keyless-login /usr/local/bin", "mkdir bin && install quay-keyless-login bin"],
  ]);
  await promisify(execFile)("bash", ["-euc", script], { cwd: desk.work });
  const { stdout } = await promisify(execFile)(join(desk.work, "bin/quay-keyless-login"), ["--version"]);
  expect(stdout).toContain(version);
});

test("before the first release, your copy has your account, the tags, and what the tags name", {
  timeout: 240_000,
}, async () => {
  const tree = await copyTree(await mkdtemp(join(desk.root, "tree-")));
  await cp(join(project, "dist"), join(tree.folder, "dist"), { recursive: true });
  tree.git("add", "--force", "dist");
  tree.git("commit", "--quiet", "--message=dist");
  const [ours, theirs] = [join(desk.root, "ours/quay-keyless-login"), join(desk.root, "theirs.git")];
  tree.git("clone", "--quiet", "--bare", tree.folder, ours);
  tree.git("init", "--quiet", "--bare", "--initial-branch=main", theirs);
  const block = documentBlock("docs/get-started/before-the-first-release.md", "## Your copy", "sh");
  const script = substitute(block, [
    [`git clone ${address()}`, `git clone --quiet ${ours}`],
    // With this machine's packages.
    ["cd quay-keyless-login\n", `cd quay-keyless-login\nln -s ${join(project, "node_modules")} .\n`],
    ["git push --tags https://github.com/acme/quay-keyless-login", `git push --tags ${theirs}`],
  ]);
  const author = {
    GIT_AUTHOR_NAME: "x",
    GIT_AUTHOR_EMAIL: "x@example.com",
    GIT_COMMITTER_NAME: "x",
    GIT_COMMITTER_EMAIL: "x@example.com",
  };
  const env = { ...process.env, ...author, BOOTSTRAPPED: "1" };
  await promisify(execFile)("bash", ["-euc", script], {
    cwd: await mkdtemp(join(desk.root, "copy-")),
    env,
    maxBuffer: 2 ** 26,
  });
  const git = (...args: string[]) => tree.git("--git-dir", theirs, ...args);
  expect(git("tag").split("\n").filter(Boolean)).toEqual(["v1", `v${version}`]);
  for (const revision of ["main", "v1", `v${version}`]) {
    const workflow = git("show", `${revision}:.github/workflows/build-and-push.yml`);
    expect(workflow).toContain(`uses: acme/quay-keyless-login@v${version}`);
    expect(git("show", `${revision}:README.md`)).toContain("uses: acme/quay-keyless-login@v1");
    expect(git("show", `${revision}:dist/cli/index.js`)).not.toBe("");
  }
  await tree.remove();
});

test("the folder that OpenShift builds the image from has all that the Containerfile copies", async () => {
  const heading = "## The image on OpenShift, without another registry";
  const commands = documentBlock("docs/get-started/before-the-first-release.md", heading, "sh");
  const [, given = ""] = /^cp --parents (.*) context$/m.exec(commands) ?? [];
  const file = await readFile(join(project, "Containerfile"), "utf8");
  const copied = [...file.matchAll(/^COPY (?!--from)(?:--\S+ )*(.*) \S+$/gm)].flatMap(([, sources = ""]) =>
    sources.split(" "),
  );
  const patterns = given
    .split(" ")
    .map((each) => new RegExp(`^${each.replaceAll(".", "\\.").replaceAll("*", "[^/]+")}$`));
  expect(copied).not.toEqual([]);
  for (const each of ["Containerfile", ...copied])
    expect(
      patterns.some((pattern) => pattern.test(each)),
      each,
    ).toBe(true);
  for (const pattern of patterns)
    expect(
      ["Containerfile", ...copied].some((each) => pattern.test(each)),
      `${pattern}`,
    ).toBe(true);
});

describe("prints what the pages show:", () => {
  /** A login that fails, with the token in a file as a pod has it. */
  async function refusal(claims: Record<string, unknown> | undefined): Promise<string> {
    const file = join(desk.root, "quay-token");
    if (claims === undefined) return desk.type("quay-keyless-login login --robot acme+ci || [ $? = 1 ]");
    await writeFile(file, await desk.peers.issuer.sign(claims));
    const said = await desk.type(`quay-keyless-login login --robot acme+ci --token-file ${file} || [ $? = 1 ]`);
    return said.replaceAll(file, "/var/run/secrets/tokens/quay-token");
  }

  test.each([
    ["another service account", { sub: account("default") }, otherAccount],
    ["the service account that OpenShift Pipelines makes", { sub: account("pipeline") }, otherAccountToo],
    ["no volume with a token", undefined, noVolume],
    ["an issuer inside the cluster", { iss: "https://kubernetes.default.svc", sub: account("quay-ci") }, internal],
  ])("%s", async (_, claims, shown) => {
    expect(shown).not.toBe("");
    expectShown(await refusal(claims), shown, desk.names, { part: true });
  });

  test("federate refuses an issuer inside the cluster", async () => {
    const command = "quay-keyless-login federate --robot acme+ci --service-account quay-demo/quay-ci";
    const said = await desk.type(`${command} --issuer https://kubernetes.default.svc || [ $? = 1 ]`);
    expectShown(said, internalToo, desk.names, { part: true });
  });
});
