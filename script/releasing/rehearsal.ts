/**
 * A whole release on this machine. Two Quay stand-ins with a real registry each play staging and release, a bare repository
 * plays GitHub. Each step is a process of its own, with the login that its job has in the workflow.
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { addRepository, addRobot } from "../../test/quay-stand-in/quay/store.ts";
import { type PromotionWorld, startPromotionWorld } from "../../test/support/promotion.ts";
import { checkRelease } from "./check.ts";
import { type Release, readRelease, tagOf } from "./project.ts";
import { git, Refusal, run } from "./run.ts";
import { withScratch } from "./scratch.ts";
import { moveTags } from "./tags.ts";
import { tryFiles } from "./trial.ts";

type Environment = Record<string, string>;

/** The servers, and what a step needs to use them. */
interface Stage {
  readonly world: PromotionWorld;
  readonly staging: string;
  readonly image: string;
  /** For secrets; removed at the end. */
  readonly scratch: string;
  /** For each program that asks the servers. */
  readonly env: Environment;
  /** @returns a file with the identity token of a job in this environment of the repository */
  identity(environment: string): Promise<string>;
}

/** @param stay leaves the servers up until standard input ends */
export async function rehearse(folder: string, { stay }: { stay: boolean }): Promise<void> {
  const release = readRelease();
  await chapter("Check", () => checkRelease(release));
  await withScratch(async (scratch) => {
    const stage = await openStage(release, scratch);
    try {
      await perform({ ...release, image: stage.image }, folder, stage);
      if (stay) await waitForEnd(folder);
    } finally {
      await stage.world.close();
    }
  });
}

async function perform(release: Release, folder: string, stage: Stage): Promise<void> {
  const { staging, image, env, scratch } = stage;
  let base = "";
  await chapter("Make a base image, since there may be no registry here", async () => {
    base = (await run("test/image/base.sh", ["--layout"])).trim().split("\n").at(-1) ?? "";
  });
  await step("Make the files", ["files", folder, "--image", image, "--base", base]);
  await chapter("Run the programs", () => tryFiles(release, folder));
  await run("cosign", ["generate-key-pair", "--output-key-prefix", join(scratch, "cosign")], { env });
  const [key, publicKey] = [join(scratch, "cosign.key"), join(scratch, "cosign.pub")];
  await withLogin(stage, async (login) => {
    await step("Push to staging", ["push", folder, "--staging", staging], login);
    await step("Sign", ["sign", folder, "--staging", staging, "--key", key], login);
    // As a job that runs again.
    await step("Sign again, which changes nothing", ["sign", folder, "--staging", staging, "--key", key], login);
  });
  const robots = ["--source-robot", "acme+release", "--destination-robot", "acme+release"];
  const identity = ["--token-file", await stage.identity("release"), "--ca-file", stage.world.peers.caFile];
  const promote = ["promote", folder, "--staging", staging, "--key", publicKey, "--", ...robots, ...identity];
  await step("Promote", [...promote, "--registry", hostOf(staging)], env);
  const user = await asUser(release, folder, stage);
  await step("Verify", ["verify", folder, "--key", join(folder, "rehearsal/cosign.pub")], user);
  console.log(
    "\nNot rehearsed, since only GitHub and npm have it: provenance (actions/attest takes the subjects of SHA256SUMS),",
  );
  console.log("keyless signatures, the release's page, trusted publishing.");
}

/** Repositories and robots as docs/releasing.md sets them up. */
async function openStage(release: Release, scratch: string): Promise<Stage> {
  const world = await startPromotionWorld();
  const { staging, release: released, peers } = world;
  const subjectOf = (environment: string) =>
    `repo:${new URL(release.url).pathname.slice(1)}:environment:${environment}`;
  const robot = (side: typeof staging, name: string, environment: string) =>
    addRobot(side.quay.store, name, [{ issuer: peers.issuer.url, subject: subjectOf(environment) }]);
  robot(staging, "acme+staging", "staging");
  robot(staging, "acme+release", "release");
  robot(released, "acme+release", "release");
  const stagingName = `acme/${release.name}-staging`;
  addRepository(staging.quay.store, stagingName, { "acme+staging": "write", "acme+release": "read" });
  addRepository(released.quay.store, `acme/${release.name}`, { "acme+release": "write" }, "public");
  return {
    world,
    staging: `${staging.host}/${stagingName}`,
    image: `${released.host}/acme/${release.name}`,
    scratch,
    env: { SSL_CERT_FILE: peers.caFile, COSIGN_PASSWORD: "" },
    async identity(environment) {
      const file = join(scratch, `token-${environment}`);
      const exp = Math.floor(Date.now() / 1000) + 3600;
      writeFileSync(file, await peers.issuer.sign({ sub: subjectOf(environment), exp }), { mode: 0o600 });
      return file;
    },
  };
}

const hostOf = (repository: string): string => repository.replace(/\/.*/, "");

/** Logs in as the job that builds does, with the program itself, and out again. */
async function withLogin({ env, scratch, ...stage }: Stage, use: (env: Environment) => Promise<void>): Promise<void> {
  const file = join(scratch, "login/config.json");
  const session = join(scratch, "session");
  const program = resolve("dist/cli/index.js");
  const place = ["--registry", hostOf(stage.staging), "--auth-file", file];
  const identity = ["--token-file", await stage.identity("staging"), "--ca-file", stage.world.peers.caFile];
  mkdirSync(join(scratch, "login"));
  const login = ["login", "--robot", "acme+staging", "--tool", "none", ...place, ...identity, "--session", session];
  await run(process.execPath, [program, ...login]);
  try {
    await use({ ...env, REGISTRY_AUTH_FILE: file, DOCKER_CONFIG: join(scratch, "login") });
  } finally {
    await run(process.execPath, [program, "logout", "--session", session]);
  }
}

/** Tags the commit in a bare repository. @returns the environment of a user, whose git finds it at the project's address */
async function asUser(release: Release, folder: string, { env, scratch }: Stage): Promise<Environment> {
  const rehearsal = join(folder, "rehearsal");
  mkdirSync(rehearsal, { recursive: true });
  const [bare, clone] = [join(rehearsal, "repository.git"), join(scratch, "clone")];
  await git(["clone", "--quiet", "--no-local", "--bare", "--no-tags", ".", bare]);
  await git(["clone", "--quiet", "--no-local", "--no-tags", ".", clone]);
  const by = ["-c", "user.name=Release", "-c", "user.email=release@example.com"];
  await chapter("Tags", async () => {
    await git([...by, "tag", "--annotate", "--message", tagOf(release), tagOf(release)], { cwd: clone });
    await git(["push", "--quiet", bare, tagOf(release)], { cwd: clone });
    await moveTags(release, bare, clone);
  });
  await run("cp", [join(scratch, "cosign.pub"), rehearsal]);
  const user = {
    SSL_CERT_FILE: env.SSL_CERT_FILE ?? "",
    GIT_CONFIG_COUNT: "1",
    GIT_CONFIG_KEY_0: `url.${bare}.insteadOf`,
    GIT_CONFIG_VALUE_0: release.url,
  };
  const lines = Object.entries(user).map(([name, value]) => `${name}='${value}'\n`);
  writeFileSync(join(rehearsal, "environment"), lines.join(""));
  return user;
}

async function chapter(title: string, act: () => Promise<void>): Promise<void> {
  const began = performance.now();
  console.log(`\n== ${title}`);
  await act();
  console.log(`(${((performance.now() - began) / 1000).toFixed(1)} s)`);
}

/** One of script/release's own, in a process of its own. */
const step = (title: string, args: readonly string[], env: Environment = {}): Promise<void> =>
  chapter(title, async () => {
    const child = spawn(process.execPath, ["script/release.ts", ...args], {
      env: { ...process.env, ...env },
      stdio: ["ignore", "inherit", "inherit"],
    });
    const [code] = await once(child, "exit");
    if (code !== 0) throw new Refusal(`the step ${args[0]} failed`);
  });

async function waitForEnd(folder: string): Promise<void> {
  const environment = join(folder, "rehearsal/environment");
  console.log("\nThe servers stay until you press Ctrl-D. In another shell you can type:");
  console.log(
    `  set -a; . ${environment}; set +a; script/release verify ${folder} --key ${folder}/rehearsal/cosign.pub`,
  );
  for await (const _ of process.stdin);
}
