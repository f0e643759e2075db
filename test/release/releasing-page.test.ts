/** The commands of docs/releasing.md: Quay as it sets it up, and the tags. */
import { spawn, spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type Peers, startPeers } from "../quay-stand-in/peers.ts";
import { removeRobot } from "../quay-stand-in/quay/store.ts";
import { version } from "../support/project.ts";
import { documentBlock } from "../support/readme.ts";
import { finish, systemPath } from "../support/runner.ts";
import { gitIn } from "./copy.ts";

const page = "docs/releasing.md";
const project = resolve(import.meta.dirname, "../..");

let peers: Peers;
let folder: string;
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "quay-keyless-releasing-"));
  peers = await startPeers({ registry: false });
  removeRobot(peers.quay.store, "acme+release"); // an organization without robots
});
afterAll(async () => {
  await peers?.close();
  rmSync(folder, { recursive: true });
});

test("makes the two robots that a release needs, with the least permissions", async () => {
  const commands = documentBlock(page, "### Quay", "sh");
  const node = join(project, "node_modules/node/bin");
  mkdirSync(join(folder, "bin"));
  const program = `#!/bin/bash\nexec ${node}/node ${project}/dist/cli/index.js "$@" --registry ${peers.registryHost} --ca-file ${peers.caFile}\n`;
  writeFileSync(join(folder, "bin/quay-keyless-login"), program, { mode: 0o755 });
  const env = { PATH: `${folder}/bin:${systemPath}`, HOME: folder, QUAY_API_TOKEN: peers.oauthToken };
  const done = await finish(spawn("bash", ["-euo", "pipefail", "-c", commands], { cwd: folder, env, stdio: "pipe" }));
  expect(done.code, done.stdout + done.stderr).toBe(0);
  const { robots, repositories } = peers.quay.store;
  const roles = (name: string) => Object.fromEntries(repositories.get(`acme/${name}`)?.permissions ?? []);
  // The robot that builds can't release, and the one that releases can't change what it was given.
  expect(roles("quay-keyless-login-staging")).toEqual({ "acme+staging": "write", "acme+release": "read" });
  expect(roles("quay-keyless-login")).toEqual({ "acme+release": "write" });
  for (const name of ["staging", "release"]) {
    expect(robots.get(`acme+${name}`)?.bindings).toMatchObject([
      { subject: `repo:acme/quay-keyless-login:environment:${name}` },
    ]);
  }
});

test("tags a version, and moves v1 back", () => {
  const [clone, bare] = [join(folder, "clone"), join(folder, "bare.git")];
  for (const args of [["--bare", bare], [clone]]) spawnSync("git", ["init", "--quiet", ...args]);
  const git = gitIn(clone);
  git("remote", "add", "origin", bare);
  const bash = (text: string) => {
    const env = { ...process.env, GIT_COMMITTER_NAME: "A", GIT_COMMITTER_EMAIL: "a@example.com" };
    const { status, stderr } = spawnSync("bash", ["-euo", "pipefail", "-c", text], {
      cwd: clone,
      env,
      encoding: "utf8",
    });
    expect([status, stderr]).toEqual([0, expect.any(String)]);
  };
  const remote = (tag: string) => git("ls-remote", bare, `refs/tags/${tag}`).split("\t")[0];
  const tag = documentBlock(page, "## Each release", "sh");
  const back = documentBlock(page, "## Roll back", "sh");
  const commits = [version, "999.0.0"].map((each) => {
    writeFileSync(join(clone, "package.json"), JSON.stringify({ version: each }));
    git("add", ".");
    git("commit", "--quiet", "--message", each);
    bash(tag);
    return git("rev-parse", "HEAD");
  });
  expect([remote(`v${version}^{}`), remote("v999.0.0^{}")]).toEqual(commits);
  git("push", "--quiet", "origin", `${commits[1]}:refs/tags/v1`);
  bash(back);
  expect(remote("v1")).toBe(commits[0]);
});
