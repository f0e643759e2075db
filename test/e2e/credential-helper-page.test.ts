/** What docs/credential-helper.md shows works: its commands and files, unchanged but for addresses and paths. */
import { spawn } from "node:child_process";
import { chmod, mkdir, mkdtemp, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { parse } from "yaml";
import { type Peers, startPeers } from "../quay-stand-in/peers.ts";
import { act, commitRepository, runAct } from "../support/act.ts";
import { writeImage } from "../support/image.ts";
import { differences, kindsIn, readTree, type Secret, watch } from "../support/leaks.ts";
import { uses } from "../support/project.ts";
import { blocksUnder, substitute } from "../support/readme.ts";
import { type Finished, findTool, finish, systemPath } from "../support/runner.ts";

const page = "docs/credential-helper.md";
const project = resolve(import.meta.dirname, "../..");
const node = join(project, "node_modules/node/bin");
const helper = "docker-credential-quay-keyless";

let peers: Peers;
let folder: string;
let token: string;
beforeAll(async () => {
  [peers, folder] = await Promise.all([startPeers(), mkdtemp(join(tmpdir(), "quay-keyless-helper-page-"))]);
  watch(peers);
  token = await peers.issuer.sign();
  await writeFile(join(folder, "token"), token);
  await writeFile(join(folder, "roots.pem"), peers.authority.ca + peers.githubAuthority.ca);
  await mkdir(join(folder, "bin"));
  await symlink(join(project, "dist/helper/index.js"), join(folder, "bin", helper));
  // The page's commands mean quay.io: here, each of them goes to the stand-in.
  await script(
    "quay-keyless-login",
    `command="$1"; shift\nexec ${node}/node ${project}/dist/cli/index.js "$command" --registry ${peers.registryHost} "$@"`,
  );
});
afterAll(() => Promise.all([peers?.close(), rm(folder, { recursive: true, force: true })]));

const script = (name: string, text: string) =>
  writeFile(join(folder, "bin", name), `#!/bin/bash\n${text}\n`, { mode: 0o755 });

/** A program of a platform that prints a token, if it is called as the page says. */
const tokenProgram = (name: string, args: string) =>
  script(name, `[ "$*" = ${JSON.stringify(args)} ] || { echo "called with: $*" >&2; exit 1; }\ncat ${folder}/token`);

interface Home {
  readonly home: string;
  readonly work: string;
  readonly digest: string;
}

/** A user's home and a working folder with the image that the page pushes. */
async function newHome(): Promise<Home> {
  const home = await mkdtemp(join(folder, "home-"));
  const work = join(home, "work");
  await mkdir(work);
  await mkdir(join(home, "run"), { mode: 0o700 });
  const { digest } = await writeImage(join(work, "image"), { tag: "v1" });
  return { home, work, digest };
}

interface How {
  readonly env?: Record<string, string>;
  readonly cwd?: string;
  readonly path?: string;
  readonly code?: number;
}

async function bash(commands: string, { home, work }: Home, how: How = {}): Promise<Finished> {
  const { env = {}, cwd = work, path = `${join(folder, "bin")}:${node}:${systemPath}`, code = 0 } = how;
  const own = { HOME: home, LANG: "C.UTF-8", PATH: path, XDG_RUNTIME_DIR: join(home, "run") };
  const roots = { NODE_EXTRA_CA_CERTS: join(folder, "roots.pem"), SSL_CERT_FILE: peers.caFile };
  const child = spawn("bash", ["--norc", "-euo", "pipefail", "-c", commands], {
    cwd,
    env: { ...own, ...roots, ...env },
    stdio: ["ignore", "pipe", "pipe"],
  });
  const done = await finish(child);
  expect(done.code, done.stdout + done.stderr).toBe(code);
  expect([...kindsIn(done.stdout + done.stderr, secrets())]).toEqual([]);
  return done;
}

const secrets = (): Secret[] => [
  { kind: "identity", value: token },
  ...peers.github.issued.map((value): Secret => ({ kind: "identity", value })),
  ...watch(peers).robot.map((value): Secret => ({ kind: "robot", value })),
];

const blocks = (heading: string, count: number, language = "sh"): string[] =>
  blocksUnder(page, heading, language, count);
const here = (text: string) => substitute(text, [["quay.io", peers.registryHost]]);

/** The digest that the registry has under the page's tag. */
async function pushed(place: Home): Promise<string> {
  const credentials = `acme+ci:${peers.quay.store.robots.get("acme+ci")?.token}`;
  const image = `docker://${peers.registryHost}/acme/app:1.2.3`;
  const inspect = `skopeo inspect --cert-dir ${peers.certDir} --creds '${credentials}' --format '{{.Digest}}' ${image}`;
  return (await bash(inspect, place)).stdout.trim();
}

/** Without what skopeo remembers of registries, for a user other than root. */
async function treeOf({ home }: Home) {
  const own = join(home, ".local");
  return new Map([...(await readTree(home))].filter(([path]) => path !== own && !path.startsWith(`${own}/share`)));
}

describe.skipIf(act === undefined)("on GitHub", () => {
  test("the workflow, run by act", async () => {
    const place = await newHome();
    const [written = ""] = blocks("## On GitHub", 1, "yaml");
    const workflow = substitute(written, [
      [uses(), "./"],
      [
        "          robot: acme+ci\n",
        `          robot: acme+ci\n          registry: ${peers.registryHost}\n          ca-file: ${peers.caFile}\n`,
      ],
      ["make image # takes two hours", `cp -r ${place.work}/image image`],
      ["docker://quay.io/", `docker://${peers.registryHost}/`],
    ]);
    const { code, log } = await runAct(await commitRepository(place.home, workflow), { env: peers.githubEnv });
    expect(code, log).toBe(0);
    expect(log).toContain("The credential helper is in ");
    expect(await pushed(place)).toBe(place.digest);
  });
});

describe("in any pipeline", () => {
  test("GitLab's job configures, pushes, and leaves nothing", async () => {
    const place = await newHome();
    const before = await treeOf(place);
    const [yaml = ""] = blocks("## In GitLab, or in any other pipeline", 1, "yaml");
    const { publish } = parse(here(yaml));
    expect(publish.id_tokens).toEqual({ QUAY_ID_TOKEN: { aud: "quay" } });
    const env = { CI: "true", GITLAB_CI: "true", QUAY_ID_TOKEN: token };
    await bash(publish.script.join("\n"), place, { env });
    expect(await pushed(place)).toBe(place.digest);
    await bash(publish.after_script.join("\n"), place, { env });
    expect(differences(before, await treeOf(place))).toEqual([]);
  });

  test("two jobs with one home, each with a folder of its own", async () => {
    const place = await newHome();
    const before = await treeOf(place);
    const [, commands = ""] = blocks("## In GitLab, or in any other pipeline", 2);
    const [setting = "", configure = "", push = "", remove = ""] = here(commands).trim().split("\n");
    const jobs = ["one", "two"].map((name) => ({ ...place, work: join(place.home, name) }));
    const run = (job: Home, lines: string[]) =>
      bash([setting, ...lines].join("\n"), job, { env: { CI: "true", GITLAB_CI: "true", QUAY_ID_TOKEN: token } });
    for (const job of jobs) await mkdir(job.work);
    for (const job of jobs) expect((await run(job, [configure])).stderr).not.toContain("replaced");
    const [one, two] = jobs as [Home, Home];
    await run(one, [remove]);
    await run({ ...two, work: two.work }, [`cp -r ${place.work}/image .`, push, remove, "rm -r image"]);
    expect(await pushed(place)).toBe(place.digest);
    const left = differences(before, await treeOf(place));
    expect(left.filter((line) => !/\/(?:one|two)(?:\.tmp)?(?: |$)/.test(line))).toEqual([]);
  });

  test("a command prints the identity token", async () => {
    const place = await newHome();
    const before = await treeOf(place);
    await tokenProgram("buildkite-agent", "oidc request-token --audience quay --subject-claim pipeline_id");
    const [commands = ""] = blocks("## In GitLab, or in any other pipeline", 2);
    await bash(here(commands), place, { env: { CI: "true" } });
    expect(await pushed(place)).toBe(place.digest);
    expect(differences(before, await treeOf(place))).toEqual([]);
  });
});

test("on your machine: both programs on PATH, configured once, removed with everything", async () => {
  const place = await newHome();
  const [install = "", configure = ""] = blocks("## On your machine", 2);
  const path = `${join(place.home, ".local/bin")}:${join(folder, "platform")}:${node}:${systemPath}`;
  // In place of the program in one file, which is called by both names too.
  const built = `case "$0" in *${helper}) name=helper ;; *) name=cli ;; esac\nexec ${node}/node ${project}/dist/$name/index.js "$@"`;
  await writeFile(join(place.work, "quay-keyless-login"), `#!/bin/bash\n${built}\n`);
  await bash(install, place, { path });
  await mkdir(join(folder, "platform"));
  await tokenProgram("vault", "read -field=token identity/oidc/token/quay");
  await symlink(join(folder, "bin/vault"), join(folder, "platform/vault"));
  await bash(`${copyOfImage()}`, place);
  const before = await treeOf(place);
  const toHere = (text: string) => text.replaceAll("configure ", `configure --registry ${peers.registryHost} `);
  const { stdout } = await bash(toHere(here(configure)), place, { path });
  expect(stdout).toContain(place.digest);
  const [remove = ""] = blocks("## Remove it", 1);
  await bash(toHere(remove), place, { path });
  const after = await treeOf(place);
  // The cache itself stays, without a token.
  expect(differences(before, after).filter((line) => !line.includes("/run/quay-keyless"))).toEqual([]);
  expect([...after].filter(([, { content }]) => kindsIn(content, secrets()).size > 0)).toEqual([]);
});

/** Pushes the image that the page then looks at. */
const copyOfImage = () =>
  `skopeo copy --dest-creds 'acme+ci:${peers.quay.store.robots.get("acme+ci")?.token}' oci:image docker://${peers.registryHost}/acme/app:1.2.3`;

describe("in a pod", () => {
  const inPod = () => {
    const [commands = ""] = blocks("## In a pod", 1);
    return substitute(here(commands), [
      ["/var/run/secrets/tokens/quay-token", join(folder, "token")],
      ["QUAY_KEYLESS_ROBOT=", `QUAY_KEYLESS_REGISTRY=${peers.registryHost} QUAY_KEYLESS_ROBOT=`],
    ]);
  };

  test("variables and a file that names the helper", async () => {
    const place = await newHome();
    await bash(inPod(), place);
    expect(await pushed(place)).toBe(place.digest);
  });

  test("a Service of the helper's name, as the page shows it", async () => {
    const said = /`(The variable QUAY_KEYLESS_PORT .*?)`/.exec(await readFile(join(project, page), "utf8"))?.[1] ?? "?";
    const env = { QUAY_KEYLESS_PORT: "tcp://10.96.0.1:443" };
    expect((await bash(inPod(), await newHome(), { env, code: 1 })).stderr).toContain(said);
  });

  test.each(["skopeo", "docker"].filter((tool) => findTool(tool)))("%s logout drops the cached token", async (tool) => {
    const place = await newHome();
    const cached = async () => {
      const tree = await readTree(join(place.home, "run"));
      return [...tree.values()].filter(({ content }) => kindsIn(content, secrets()).size > 0).length;
    };
    await bash(inPod(), place);
    expect(await cached()).toBe(1);
    const setting = inPod()
      .split("\n")
      .filter((line) => line.startsWith("export"))
      .join("\n");
    const config = join(place.home, ".config/containers/auth.json");
    await bash(`mkdir .docker; cp ${config} .docker/config.json`, place);
    await bash(`${setting}\n${tool} logout ${peers.registryHost}`, place, {
      env: { DOCKER_CONFIG: join(place.work, ".docker") },
    });
    expect(await cached()).toBe(0);
  });

  test("what a user sees where the helper, or Node, is not on PATH", async () => {
    const place = await newHome();
    const rows = (await readFile(join(project, page), "utf8"))
      .split("\n")
      .filter((line) => /^\| `(?:exec|env): /.test(line));
    const [noHelper = [], [noNode] = []] = rows.map((row) =>
      [...(row.split(" | ")[0] ?? "").matchAll(/`(.*?)`/g)].map(([, said]) => said),
    );
    const only = join(place.home, "only");
    await mkdir(only);
    for (const name of ["skopeo", "mkdir", "env", "bash"]) await symlink(findTool(name) ?? "", join(only, name));
    const { stderr } = await bash(inPod(), place, { path: only, code: 1 });
    expect(
      noHelper.filter((said = "?") => stderr.replaceAll("\\", "").includes(said)),
      stderr,
    ).toHaveLength(1);
    await symlink(join(project, "dist/helper/index.js"), join(only, helper));
    expect((await bash(inPod(), place, { path: only, code: 1 })).stderr).toContain(noNode);
  });

  test("asked by hand, as a client does; the file that `configure` writes", async () => {
    const place = await newHome();
    const [file = ""] = blocks("## The file", 1, "json");
    const written = substitute(here(file), [["/var/run/secrets/tokens/quay-token", join(folder, "token")]]);
    const path = join(place.home, ".config/quay-keyless/config.json");
    await mkdir(join(place.home, ".config/quay-keyless"), { recursive: true, mode: 0o700 });
    await writeFile(path, written, { mode: 0o600 });
    await chmod(join(place.home, ".config/quay-keyless"), 0o700);
    const [ask = ""] = blocks("## What each client does", 1);
    expect((await bash(here(ask), place)).stdout).toBe("it works\n");
    const list = await bash(`${helper} list`, place);
    expect(JSON.parse(list.stdout)).toEqual({ [`https://${peers.registryHost}`]: "acme+ci" });
  });
});
