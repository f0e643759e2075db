/** Workflows run by act: a repository with the Actions in it, on an independent runner. */
import { execFile, spawn } from "node:child_process";
import { cp, mkdir, writeFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { promisify } from "node:util";
import { findBuilt } from "../quay-stand-in/built.ts";
import { finish, systemPath } from "./runner.ts";

const project = resolve(import.meta.dirname, "../..");
const node = join(project, "node_modules/node/bin");

/** undefined: `need_act` of script/lib.sh has not run */
export const act = findBuilt("act");

export interface Repository {
  root: string;
  /** The checkout, with the caller's files. */
  work: string;
  home: string;
  /** What the job's run is of, if not of a branch. */
  tag: string | undefined;
}

/** Commits the files in `root`/work, with the workflow and, if it says `uses: ./`, the Actions. */
export async function commitRepository(root: string, workflow: string, tag?: string): Promise<Repository> {
  const [work, home] = [join(root, "work"), join(root, "home")];
  for (const each of [join(work, ".github/workflows"), home]) await mkdir(each, { recursive: true });
  await writeFile(join(work, ".github/workflows/test.yml"), workflow);
  const own = workflow.includes("uses: ./") ? ["action.yml", "promote", "federate", "dist"] : [];
  for (const each of own) {
    await cp(join(project, each), join(work, each), { recursive: true });
  }
  const git = (...args: string[]) =>
    promisify(execFile)("git", ["-C", work, "-c", "user.name=t", "-c", "user.email=t@example.org", ...args]);
  await git("init", "-q", "-b", "main");
  await git("add", "-A");
  await git("commit", "-qm", "test");
  if (tag !== undefined) await git("tag", tag);
  await git("remote", "add", "origin", "https://github.com/acme/app.git");
  return { root, work, home, tag };
}

export interface ActOptions {
  /** Variables besides those of every job: the identity's source, for example. */
  env?: Record<string, string>;
  /** A folder whose programs come before the system's. */
  tools?: string;
  /** Default: a push. */
  event?: { name: string; payload: unknown };
  secrets?: Record<string, string>;
  /** The repository's variables. */
  variables?: Readonly<Record<string, string>>;
  /** Folders with an action.yml, by `owner/name@ref`, in place of Actions that would have to be fetched. */
  actions?: Readonly<Record<string, string>>;
}

/** Runs the workflow for an event. */
export async function runAct(
  { root, work, home, tag }: Repository,
  { env = {}, tools, event, secrets = {}, variables = {}, actions = {} }: ActOptions = {},
): Promise<{ code: number | null; log: string }> {
  const { name, payload } = event ?? { name: "push", payload: tag && { ref: `refs/tags/${tag}` } };
  const args = [name, "--no-cache-server", "--action-offline-mode"];
  for (const label of ["ubuntu-latest", "ubuntu-24.04", "ubuntu-22.04"]) args.push("-P", `${label}=-self-hosted`);
  for (const [action, folder] of Object.entries(actions)) args.push("--local-repository", `${action}=${folder}`);
  for (const [variable, value] of Object.entries(variables)) args.push("--var", `${variable}=${value}`);
  const files = [
    ["--eventpath", "event.json", payload ? JSON.stringify(payload) : ""],
    [
      "--secret-file",
      "secrets",
      Object.entries(secrets)
        .map(([key, value]) => `${key}=${value}\n`)
        .join(""),
    ],
  ] as const;
  for (const [option, file, content] of files) {
    if (content === "") continue;
    await writeFile(join(root, file), content);
    args.push(option, join(root, file));
  }
  const child = spawn(act ?? "act", [...args, "--use-gitignore=false"], {
    cwd: work,
    env: {
      PATH: `${tools ? `${tools}:` : ""}${node}:${systemPath}`,
      HOME: home,
      XDG_CACHE_HOME: join(root, "cache"),
      XDG_CONFIG_HOME: join(root, "config"),
      XDG_DATA_HOME: join(root, "data"),
      XDG_RUNTIME_DIR: join(root, "run"),
      ...env,
    },
    stdio: ["ignore", "pipe", "pipe"],
  });
  const { code, stdout, stderr } = await finish(child);
  return { code, log: stdout + stderr };
}
