/** What GitHub's runner gives a step: variables, inputs, tools on PATH; here, tools that record what they get. */
import { type ChildProcess, execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { readdir, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { findBuilt } from "../quay-stand-in/built.ts";
import type { ActionFile } from "./workflow-commands.ts";

/** Folders whose tools come before the system's: another generation of them (vitest.config.ts), or unpacked ones (script/lib.sh). */
const { TOOLS_FIRST: first, TODAYS_TOOLS: today } = process.env;
/** Whether skopeo and buildah are today's, not those of 2022. */
export const areToolsOfToday = today !== undefined && first?.split(":")[0] === today;
export const systemPath = `${first ? `${first}:` : ""}/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin`;
/** The tools that can log in, in the order in which auto takes them, and whose files each reads by default. */
export const readBy = { skopeo: "containers", buildah: "containers", podman: "containers", docker: "docker" } as const;
export type ToolName = keyof typeof readBy;
export const toolNames = Object.keys(readBy) as readonly ToolName[];

/** The path of the real tool; undefined: not on this machine. */
export const findTool = (name: string): string | undefined =>
  systemPath
    .split(":")
    .map((folder) => join(folder, name))
    .find(existsSync);

/**
 * Where today's skopeo is, whatever generation is first on PATH: skopeo's options over containers/image 5.42
 * (test/support/containers-today). Debian's is of 2022.
 */
export function todaysSkopeo(): string {
  const file = findBuilt("containers-today", "skopeo");
  if (file === undefined) throw new Error("today's skopeo is not here: script/bootstrap builds it");
  return file;
}

export type Inputs = Record<string, string>;

export interface Finished {
  code: number | null;
  stdout: string;
  stderr: string;
}

export interface Child {
  argv: string[];
  env: string;
}

export function runnerVariables(place: Record<"home" | "temp" | "workspace" | "path" | "event" | "action", string>) {
  return {
    CI: "true",
    GITHUB_ACTIONS: "true",
    GITHUB_ACTION: "__quay-keyless-login",
    GITHUB_ACTION_PATH: place.action,
    GITHUB_ACTOR: "octocat",
    GITHUB_EVENT_NAME: "push",
    GITHUB_EVENT_PATH: place.event,
    GITHUB_JOB: "publish",
    GITHUB_REF: "refs/heads/main",
    GITHUB_REPOSITORY: "acme/app",
    GITHUB_REPOSITORY_OWNER: "acme",
    GITHUB_RUN_ID: "1",
    GITHUB_SERVER_URL: "https://github.com",
    GITHUB_WORKFLOW: "release",
    GITHUB_WORKFLOW_REF: "acme/app/.github/workflows/release.yml@refs/heads/main",
    GITHUB_WORKSPACE: place.workspace,
    HOME: place.home,
    LANG: "C.UTF-8",
    PATH: place.path,
    RUNNER_ARCH: "X64",
    RUNNER_ENVIRONMENT: "github-hosted",
    RUNNER_NAME: "test",
    RUNNER_OS: "Linux",
    RUNNER_TEMP: place.temp,
    RUNNER_TRACKING_ID: "github_7b4cf03c-3a0e-4d8c-9b0e-2a5f7d1c9e60",
  };
}

/** Every input has a variable, an empty one if neither the workflow nor action.yml gives a value. */
export function inputVariables(action: ActionFile, given: Inputs, workflowRef: string): Record<string, string> {
  for (const name of Object.keys(given)) {
    if (!(name in action.inputs)) throw new Error(`action.yml has no input ${name}`);
  }
  const evaluate = (text: string) => {
    const value = text.replace(/\$\{\{ job\.workflow_ref \}\}/, workflowRef);
    if (value.includes("{{")) throw new Error(`an expression that this harness does not know: ${value}`);
    return value;
  };
  return Object.fromEntries(
    Object.entries(action.inputs).map(([name, fallback]) => [
      `INPUT_${name.toUpperCase()}`,
      given[name] ?? evaluate(fallback),
    ]),
  );
}

/**
 * docker's files that a login may write: its configuration, and its builder's for each scope that a robot names.
 * @param robots SCOPE=organization+name, or without a scope
 */
export function dockerFiles(env: Record<string, string | undefined>, robots: readonly string[]): string[] {
  const folder = env.DOCKER_CONFIG || join(env.HOME ?? "", ".docker");
  const builder = join(env.BUILDX_CONFIG || join(folder, "buildx"), "config");
  const scopes = robots.flatMap((robot) => /^(.+)=/.exec(robot.trim())?.[1] ?? []);
  return [folder, ...scopes.map((scope) => join(builder, scope))].map((each) => join(each, "config.json"));
}

/** Wrappers, first on PATH, that record what a tool gets, then become the tool. */
export async function spyOnTools(folder: string, record: string, tools?: readonly ToolName[]): Promise<string> {
  for (const name of tools ?? toolNames) {
    const file = findTool(name);
    if (file === undefined) continue;
    const script = [
      "#!/bin/sh",
      `/bin/cat /proc/$$/cmdline > '${record}/'$$.argv`,
      `/bin/cat /proc/$$/environ > '${record}/'$$.env`,
      `exec '${file}' "$@"`,
    ];
    await writeFile(join(folder, name), `${script.join("\n")}\n`, { mode: 0o755 });
  }
  if (tools === undefined) return `${folder}:${systemPath}`;
  // buildah and podman need these for their namespace if the user is not root.
  for (const name of ["newuidmap", "newgidmap"]) {
    if (existsSync(`/usr/bin/${name}`)) await symlink(`/usr/bin/${name}`, join(folder, name));
  }
  return folder;
}

/** What the wrappers have recorded since the last time. The shell comes before the wrapper's path in argv. */
export async function readChildren(record: string): Promise<Child[]> {
  const children: Child[] = [];
  for (const name of (await readdir(record)).filter((each) => each.endsWith(".argv")).toSorted()) {
    const path = join(record, name);
    const argv = (await readFile(path, "utf8")).split("\0").slice(1, -1);
    const env = await readFile(path.replace(/argv$/, "env"), "utf8").catch(() => "");
    children.push({ argv, env });
    await rm(path);
    await rm(path.replace(/argv$/, "env"), { force: true });
  }
  return children;
}

/**
 * For a user who is not root, podman's first command leaves a sleeping process, which keeps a namespace for the next
 * ones: no process needs it once the job is gone.
 * @param runtime XDG_RUNTIME_DIR of those commands
 */
export async function endPodman(runtime: string): Promise<void> {
  const pid = await readFile(join(runtime, "libpod/tmp/pause.pid"), "utf8").catch(() => "");
  if (pid === "") return;
  try {
    process.kill(Number(pid), "SIGKILL");
  } catch {
    // It has ended already.
  }
}

/** Deletes a folder in which buildah may have built: only root can write to the root folder of an image. */
export async function removeStorage(folder: string): Promise<void> {
  await promisify(execFile)("chmod", ["-R", "u+rwX", folder]);
  await rm(folder, { recursive: true, force: true });
}

export function finish(child: ChildProcess): Promise<Finished> {
  let stdout = "";
  let stderr = "";
  child.stdout?.setEncoding("utf8").on("data", (chunk) => {
    stdout += chunk;
  });
  child.stderr?.setEncoding("utf8").on("data", (chunk) => {
    stderr += chunk;
  });
  return new Promise((done, failed) => {
    child.on("error", failed);
    child.on("close", (code) => done({ code, stdout, stderr }));
  });
}
