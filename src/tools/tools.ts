/** The tools that can log in, as a table. Each takes the password on standard input and verifies it against the registry. */
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { type AuthContent, type AuthEntry, getOwn } from "../authfile/read.ts";
import { toolNames } from "../options/table.ts";
import type { Environment } from "../platform/environment.ts";
import { ExplainedError } from "../platform/errors.ts";
import { which } from "../platform/exec.ts";
import { maxSize, readTextWithin } from "../platform/files.ts";
import { parseObject } from "../platform/json.ts";
import { replaceFile } from "../platform/replace.ts";

export type ToolName = (typeof toolNames)[number];

export interface Tool {
  readonly name: ToolName;
  /** Its executable. */
  readonly file: string;
}

/** Everything that differs between tools. */
interface Traits {
  /** The arguments for a login. */
  readonly args: (folder: string, user: string, scope: string) => readonly string[];
  /** The file that the login writes in the fresh folder. */
  readonly writes: string;
  /** Written into the fresh folder beforehand. */
  readonly prepare?: (scope: string) => AuthContent;
  /** Whether it can store a login for each organization and repository, or only one per host. */
  readonly knowsScopes: boolean;
  /** Where it looks for logins by default: the files of containers-auth.json(5), or docker's configuration alone. */
  readonly reads: "containers" | "docker";
  /** Whether it reads the user's own files before those of DOCKER_CONFIG (measured: skopeo 1.9.3, and the libraries of v5.42). */
  readonly readsOwnFilesFirst: boolean;
  /** Whether it may fail if HOME names no folder: podman before each command, buildah if the system does not know the user. */
  readonly needsHome: boolean;
}

const containers = {
  args: (folder, user, scope) => [
    "login",
    "--authfile",
    join(folder, "auth.json"),
    "--username",
    user,
    "--password-stdin",
    // registries.conf may say `insecure = true`.
    "--tls-verify=true",
    scope,
  ],
  // Does not exist beforehand: an empty file is a parse error to these tools.
  writes: "auth.json",
  knowsScopes: true,
  reads: "containers",
  readsOwnFilesFirst: false,
  needsHome: true,
} satisfies Traits;

export const tools: Readonly<Record<ToolName, Traits>> = {
  skopeo: { ...containers, readsOwnFilesFirst: true, needsHome: false },
  buildah: containers,
  podman: containers,
  docker: {
    args: (folder, user, scope) => ["--config", folder, "login", "--username", user, "--password-stdin", scope],
    writes: "config.json",
    // Without an entry docker looks for a credential helper on the machine and would store the login there.
    prepare: (scope) => ({ auths: { [scope]: {} } }),
    knowsScopes: false,
    reads: "docker",
    readsOwnFilesFirst: false,
    needsHome: true,
  },
};

/** The tools that can store a login for each organization and repository. */
export const scopedTools: readonly ToolName[] = toolNames.filter((name) => tools[name].knowsScopes);

/**
 * The tool that the user names, or the first installed.
 * @throws ExplainedError `tool-not-found`
 */
export async function findTool(wanted: ToolName | "auto", namespaced: boolean, env: Environment): Promise<Tool> {
  const names = wanted === "auto" ? (namespaced ? scopedTools : toolNames) : [wanted];
  for (const name of names) {
    const file = await which(name, env);
    if (file !== undefined) {
      return { name, file };
    }
  }
  throw new ExplainedError(
    "tool-not-found",
    `None of these is installed here: ${names.join(", ")} (looked for on PATH).`,
    {
      remedy: ["Install one in a step before this one: sudo apt-get install --yes skopeo"],
    },
  );
}

/** A fresh folder for one login, and the arguments for it. */
export async function prepareLogin(
  tool: Tool,
  folder: string,
  user: string,
  scope: string,
): Promise<readonly string[]> {
  const { args, prepare, writes } = tools[tool.name];
  await mkdir(folder, { recursive: true, mode: 0o700 });
  if (prepare) {
    await replaceFile(join(folder, writes), JSON.stringify(prepare(scope)), { mode: 0o600 });
  }
  return args(folder, user, scope);
}

/** The entry that the tool wrote; undefined if it wrote none. */
export async function readLogin(tool: Tool, folder: string, scope: string): Promise<AuthEntry | undefined> {
  try {
    const text = await readTextWithin(join(folder, tools[tool.name].writes), maxSize.logins);
    return getOwn((parseObject(text) as AuthContent | undefined)?.auths, scope);
  } catch {
    return undefined;
  }
}
