/** This repository at the tag of its version, where git finds it in place of GitHub. */
import { execFile } from "node:child_process";
import { cp, mkdir } from "node:fs/promises";
import { join, resolve } from "node:path";
import { promisify } from "node:util";
import { address, version } from "./project.ts";

const project = resolve(import.meta.dirname, "../..");

/**
 * Commits and tags what is in the tree now.
 * @param home of the user whose git finds it
 * @returns the commit
 */
export async function publish(folder: string, home: string): Promise<string> {
  await mkdir(home, { recursive: true });
  for (const each of ["kubernetes", "tekton"]) await cp(join(project, each), join(folder, each), { recursive: true });
  const git = async (...args: string[]) => {
    const own = ["-C", folder, "-c", "user.name=a", "-c", "user.email=a@example.org"];
    return (await promisify(execFile)("git", [...own, ...args], { env: { ...process.env, HOME: home } })).stdout.trim();
  };
  await git("init", "-q", "-b", "main");
  await git("add", "-A");
  await git("commit", "-qm", "release");
  await git("tag", `v${version}`);
  await git("config", "uploadpack.allowAnySHA1InWant", "true");
  await git("config", "--global", `url.file://${folder}.insteadOf`, address());
  const commit = await git("rev-parse", "HEAD");
  // What is not released has another content.
  await git("rm", "-rq", "kubernetes");
  await git("commit", "-qm", "after the release");
  return commit;
}
