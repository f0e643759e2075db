/** A workflow of the recipes, run by act with the real tools against the peers. */
import { execFile } from "node:child_process";
import { cp, mkdir, mkdtemp, readFile, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { promisify } from "node:util";
import { gunzipSync } from "node:zlib";
import { expect } from "vitest";
import { findBuilt } from "../quay-stand-in/built.ts";
import { type Peers, startPeers } from "../quay-stand-in/peers.ts";
import { addRepository, addRobot } from "../quay-stand-in/quay/store.ts";
import { commitRepository, type Repository, runAct } from "./act.ts";
import { type Image, writeImage } from "./image.ts";
import { type Entry, kindsIn, readTree, type Secret, watch } from "./leaks.ts";
import { substitute } from "./readme.ts";
import { actionsIn, folderOf, isWorkflow, ours, workflowsUnder } from "./recipe-page.ts";
import { endPodman, removeStorage, systemPath } from "./runner.ts";

const project = resolve(import.meta.dirname, "../..");

export interface RecipeWorld {
  readonly peers: Peers;
  /** Secrets of all recipes so far. */
  secrets(): Secret[];
  run(recipe: Recipe): Promise<RecipeRun>;
  /** The digest that the registry has. */
  digest(reference: string): Promise<string>;
  /** What `skopeo inspect` says. */
  inspect(reference: string): Promise<{ Labels?: Record<string, string> }>;
  /** The manifest, and the content of its layers. */
  content(reference: string): Promise<{ manifest: Manifest; layers: string[] }>;
  /** Makes a repository that acme+ci may read, with an image in it: a random one, or `image`, as skopeo names it. @returns its digest */
  furnish(reference: string, image?: string): Promise<string>;
  /** Runs commands of the page in a shell, with the API token and this command line. */
  bash(commands: string): Promise<void>;
  /** An image with crane where its authors have it, for a user who is not root, and with the peers' roots. @returns it as skopeo names it */
  buildCrane(): Promise<string>;
  close(): Promise<void>;
}

interface Manifest {
  layers?: { digest: string }[];
  manifests?: { platform: { architecture: string } }[];
}

export interface Recipe {
  /** Of a recipe's workflow. */
  heading?: string;
  /** Instead: a workflow of another page. */
  workflow?: string;
  /** Which of the heading's workflows; default the first. */
  index?: number;
  /** With `credential-helper: true` at each of our steps. */
  helper?: boolean;
  /** Parts that a test can't have as they are. */
  replace?: readonly (readonly [said: string, instead: string])[];
  /** Files of the checkout, with quay.io in place of the stand-in's host. */
  files?: Record<string, string>;
  /** Programs that `need_…` of script/lib.sh has built, by name, and others by their path. */
  programs?: readonly string[];
  env?: Record<string, string> | ((home: string) => Record<string, string>);
  /** The event's name, if not a push. */
  event?: string;
  /** The event's content. */
  payload?: object;
  /** Variables of the repository. */
  variables?: Readonly<Record<string, string>>;
  /** Whether GitHub gives the job an identity. Default true. */
  identity?: boolean;
  /** The run is of this tag. */
  tag?: string;
  /** Default 0. */
  code?: number;
}

export interface RecipeRun {
  log: string;
  /** The image in the checkout's folder `image`. */
  image: Image;
  /** What the registry saw meanwhile: `acme+ci pushed acme/app:1.2.3`. */
  uses: string[];
}

/** What the parts of a world share. */
interface Place {
  peers: Peers;
  folder: string;
  /** The Action, with the peers' host as its default registry. */
  action: string;
  /** A file with the roots of the peers. */
  roots: string;
  secrets(): Secret[];
}

/** Peers that the machine trusts as it trusts quay.io, and the Action with their host as its default registry. */
export async function startRecipeWorld(): Promise<RecipeWorld> {
  const [peers, folder] = await Promise.all([startPeers(), mkdtemp(join(tmpdir(), "quay-keyless-recipes-"))]);
  const { robot } = watch(peers);
  const roots = join(folder, "roots.pem");
  await writeFile(roots, peers.authority.ca + peers.githubAuthority.ca);
  const secrets = (): Secret[] => [
    ...peers.github.issued.map((value): Secret => ({ kind: "identity", value })),
    ...robot.map((value): Secret => ({ kind: "robot", value })),
  ];
  const place: Place = { peers, folder, roots, secrets, action: await adapt(folder, peers.registryHost) };
  return {
    peers,
    secrets,
    ...(await openRegistry(place)),
    bash: (commands) => bash(place, commands),
    buildCrane: () => buildCrane(place),
    run: (recipe) => runRecipe(place, recipe),
    close: async () => {
      await Promise.all([peers.close(), removeStorage(folder)]);
    },
  };
}

/** The environment of a program that trusts the peers as it would trust quay.io. */
const trusting = ({ roots }: Place) => ({ NODE_EXTRA_CA_CERTS: roots, SSL_CERT_FILE: roots });

/** A text of the page, for the peers. */
const here = ({ peers }: Place, text: string) => text.replaceAll("quay.io", peers.registryHost);

/** The test's own access to the registry, as a robot that no recipe uses. */
async function openRegistry(place: Place): Promise<Pick<RecipeWorld, "digest" | "inspect" | "content" | "furnish">> {
  const { peers, folder } = place;
  const { token } = addRobot(peers.quay.store, "acme+furnisher");
  addRepository(peers.quay.store, "acme/app", { "acme+furnisher": "write" });
  const authFile = join(folder, "furnisher.json");
  const auth = Buffer.from(`acme+furnisher:${token}`).toString("base64");
  await writeFile(authFile, JSON.stringify({ auths: { [peers.registryHost]: { auth } } }));
  const at = (reference: string) => `docker://${peers.registryHost}/${reference}`;
  const skopeo = async (subcommand: string, args: readonly string[]) => {
    const env = { PATH: systemPath, HOME: folder, ...trusting(place) };
    const { stdout } = await promisify(execFile)("skopeo", [subcommand, "--authfile", authFile, ...args], { env });
    return stdout.trim();
  };
  const digest = (reference: string) => skopeo("inspect", ["--no-tags", "--format", "{{.Digest}}", at(reference)]);
  return {
    digest,
    inspect: async (reference) => JSON.parse(await skopeo("inspect", ["--no-tags", at(reference)])),
    async content(reference) {
      const manifest: Manifest = JSON.parse(await skopeo("inspect", ["--raw", at(reference)]));
      const copy = await mkdtemp(join(folder, "copy-"));
      // Of an index, the image of this machine.
      await skopeo("copy", [at(reference), `dir:${copy}`]);
      const { layers = [] }: Manifest = JSON.parse(await readFile(join(copy, "manifest.json"), "utf8"));
      const files = layers.map(({ digest: hash }) => readFile(join(copy, hash.replace("sha256:", ""))));
      return { manifest, layers: (await Promise.all(files)).map((bytes) => gunzipSync(bytes).toString("latin1")) };
    },
    async furnish(reference, image) {
      const [repository = ""] = reference.split(":");
      addRepository(peers.quay.store, repository, { "acme+furnisher": "write", "acme+ci": "read" });
      const source = image ?? (await writeImage(await mkdtemp(join(folder, "image-")))).reference;
      await skopeo("copy", [source, at(reference)]);
      return digest(reference);
    },
  };
}

/** Runs commands of the page in a shell. */
async function bash(place: Place, commands: string): Promise<void> {
  const [node, program] = [join(project, "node_modules/node/bin/node"), join(project, "dist/cli/index.js")];
  const command = `"${node}" "${program}" "$1" --registry ${place.peers.registryHost} "\${@:2}"`;
  const script = `quay-keyless-login() { ${command}; }\n${here(place, commands)}`;
  const own = { PATH: systemPath, HOME: place.folder, QUAY_API_TOKEN: place.peers.oauthToken };
  await promisify(execFile)("bash", ["-euo", "pipefail", "-c", script], { env: { ...own, ...trusting(place) } });
}

async function buildCrane({ folder, roots }: Place): Promise<string> {
  const context = await mkdtemp(join(folder, "crane-"));
  await cp(findBuilt("crane") ?? "crane is missing", join(context, "crane"));
  await cp(roots, join(context, "roots.pem"));
  const lines = ["FROM scratch", "COPY crane /ko-app/", "COPY roots.pem /", "ENV SSL_CERT_FILE=/roots.pem"];
  const text = [...lines, "USER 65532", 'ENTRYPOINT ["/ko-app/crane"]'].join("\n");
  await writeFile(join(context, "Containerfile"), text);
  const env = { PATH: systemPath, HOME: folder, ...(await storageIn(context)) };
  const image = `oci:${join(context, "image")}:latest`;
  await promisify(execFile)("buildah", ["bud", "--tag", image, context], { env });
  return image;
}

async function runRecipe(place: Place, recipe: Recipe): Promise<RecipeRun> {
  const { peers, folder } = place;
  const { programs = [], env = {}, event, payload = {}, variables = {}, identity = true, code = 0 } = recipe;
  const root = await mkdtemp(join(folder, "recipe-"));
  const image = await writeImage(join(root, "work/image"), { tag: "latest" });
  const { repository, actions } = await checkOut(place, root, recipe);
  const before = uses(peers).length;
  const done = await runAct(repository, {
    tools: await gather(root, programs),
    actions,
    variables,
    ...(event && { event: { name: event, payload } }),
    secrets: { GITHUB_TOKEN: "of the workflow", RENOVATE_TOKEN: "of Renovate" },
    env: {
      ...{ ...(identity && peers.githubEnv), ...trusting(place), ...(await storageIn(root)) },
      RUNNER_ENVIRONMENT: "github-hosted",
      CHECKOUT: repository.work,
      ...(typeof env === "function" ? env(repository.home) : env),
    },
  });
  await endPodman(join(root, "run"));
  const log = done.log.replaceAll(/::add-mask::\S+/g, "");
  expect(done.code, log).toBe(code);
  expect([...kindsIn(log, place.secrets())], log).toEqual([]);
  expect(await filesWithSecrets(root, place.secrets())).toEqual([]);
  return { log, image, uses: uses(peers).slice(before) };
}

/** Commits the recipe's workflow and files. @returns the repository, and where each Action is that it uses */
async function checkOut(
  place: Place,
  root: string,
  { heading = "", workflow: given, index = 0, replace = [], files = {}, helper, tag }: Recipe,
): Promise<{ repository: Repository; actions: Record<string, string> }> {
  const text = given ?? workflowsUnder(heading)[index] ?? expect.fail(`no workflow under ${heading}`);
  const option = helper ? "\n          credential-helper: true" : "";
  const workflow = here(place, substitute(text, replace).replaceAll(/^ {10}robot: \S+$/gm, `$&${option}`));
  for (const [path, content] of Object.entries(files)) {
    await mkdir(dirname(join(root, "work", path)), { recursive: true });
    await writeFile(join(root, "work", path), here(place, content));
  }
  const actions: Record<string, string> = {};
  for (const { uses: name } of [workflow, ...Object.values(files).filter(isWorkflow)].flatMap(actionsIn)) {
    const folder = name.startsWith(`${ours}@`) ? place.action : folderOf(name);
    if (folder !== undefined) actions[name] = folder;
  }
  return { repository: await commitRepository(root, workflow, tag), actions };
}

/** Everything but the checkout and the images. */
async function filesWithSecrets(root: string, secrets: readonly Secret[]): Promise<string[]> {
  const none = () => new Map<string, Entry>();
  const trees = await Promise.all(
    ["home", "cache", "config", "run"].map((each) => readTree(join(root, each)).catch(none)),
  );
  return trees
    .flatMap((tree) => [...tree.values()])
    .filter(({ content }) => kindsIn(content, secrets).size > 0)
    .map(({ path }) => path);
}

/** The usage log, oldest first. */
const uses = ({ quay }: Peers): string[] =>
  [...quay.store.logs.values()].flat().flatMap(({ kind, performer = "nobody", metadata }) => {
    const verb = { push_repo: "pushed", pull_repo: "pulled" }[kind];
    const { namespace, repo, tag, manifest_digest: digest } = metadata as Record<string, string>;
    return verb === undefined ? [] : [`${performer} ${verb} ${namespace}/${repo}${tag ? `:${tag}` : `@${digest}`}`];
  });

/** The built Action, as a runner fetches it, with another default registry. */
export async function adapt(folder: string, host: string): Promise<string> {
  const action = join(folder, "action");
  await cp(join(project, "dist"), join(action, "dist"), { recursive: true });
  const text = await readFile(join(project, "action.yml"), "utf8");
  await writeFile(join(action, "action.yml"), substitute(text, [['default: "quay.io"', `default: "${host}"`]]));
  return action;
}

/** A folder for PATH with these programs. */
async function gather(root: string, programs: readonly string[]): Promise<string> {
  const folder = join(root, "bin");
  await mkdir(folder, { recursive: true });
  for (const program of programs) {
    const path = program.startsWith("/") ? program : findBuilt(program);
    if (path === undefined) throw new Error(`${program} is missing: script/test builds it, or script/test --real`);
    await symlink(path, join(folder, program.split("/").at(-1) ?? program));
  }
  return folder;
}

/** Where the containers tools keep images, without rights that a container has not. */
export async function storageIn(root: string): Promise<Record<string, string>> {
  const storage = { driver: "vfs", graphroot: join(root, "storage/graph"), runroot: join(root, "storage/run") };
  const lines = Object.entries(storage).map(([key, value]) => `${key} = ${JSON.stringify(value)}`);
  const file = join(root, "storage.conf");
  await writeFile(file, `[storage]\n${lines.join("\n")}\n`);
  return { CONTAINERS_STORAGE_CONF: file, BUILDAH_ISOLATION: "chroot" };
}

/** Files of a Go program without dependencies, and what Go needs to build it in a new home without a network. */
export async function goProgram(): Promise<{ files: Record<string, string>; env: Record<string, string> }> {
  const { stdout } = await promisify(execFile)("go", ["env", "GOCACHE", "GOMODCACHE"]);
  const [GOCACHE = "", GOMODCACHE = ""] = stdout.trim().split("\n");
  return {
    files: {
      "go.mod": "module example.com/app\n\ngo 1.24\n",
      "main.go": 'package main\n\nfunc main() { println("hello") }\n',
    },
    env: { GOCACHE, GOMODCACHE, GOPROXY: "off", GOTOOLCHAIN: "local" },
  };
}

/** The path of the go command. */
export async function findGo(): Promise<string> {
  const { stdout } = await promisify(execFile)("go", ["env", "GOROOT"]);
  return join(stdout.trim(), "bin/go");
}
