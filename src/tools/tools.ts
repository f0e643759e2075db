/**
 * What can log in, as a table. A program takes the password on standard input, verifies it against the registry and writes the login.
 * Without one, this program does that itself (`none`).
 */
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
import { mention, text } from "../platform/wording.ts";
import type { ScopeKind } from "../quay/scope.ts";

export type ToolName = (typeof toolNames)[number];
export type ProgramName = Exclude<ToolName, "none">;

export interface Program {
  readonly name: ProgramName;
  /** Its executable. */
  readonly file: string;
}

export type Tool = Program | { readonly name: "none" };

/** What differs in where a login goes. */
interface Traits {
  /** Whether its file can hold a login for each organization and repository, or only one per host. */
  readonly knowsScopes: boolean;
  /** Where the login is looked for by default: in the files of containers-auth.json(5), or in docker's configuration alone. */
  readonly reads: "containers" | "docker";
  /**
   * Whether it is looked for in the user's own files before those of DOCKER_CONFIG (measured: skopeo 1.9.3, and the libraries of
   * v5.42).
   */
  readonly readsOwnFilesFirst: boolean;
}

/** What differs in how a program logs in. */
interface ProgramTraits extends Traits {
  /** The arguments for a login. */
  readonly args: (folder: string, user: string, scope: string) => readonly string[];
  /** The file that the login writes in the fresh folder. */
  readonly writes: string;
  /** Written into the fresh folder beforehand. */
  readonly prepare?: (scope: string) => AuthContent;
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
} satisfies ProgramTraits;

export const tools: Readonly<Record<ProgramName, ProgramTraits> & Record<"none", Traits>> = {
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
  // Any tool may read the login later, skopeo too.
  none: { knowsScopes: true, reads: "containers", readsOwnFilesFirst: true },
};

export const programNames: readonly ProgramName[] = toolNames.filter((name) => name !== "none");

/** The programs whose file can hold a login for each organization and repository. */
export const scopedTools = programNames.filter((name) => tools[name].knowsScopes);

/**
 * Whether a tool can log in for such a scope. docker does for its builder, which reads a file for each repository and action, and
 * knows no organization. Without a tool, this program writes either tool's files.
 */
export const findsLogin = (name: ToolName, kind: ScopeKind): boolean =>
  name === "none" || kind !== (tools[name].knowsScopes ? "action" : "organization");

/**
 * The tool that the user names; for `auto` the first one installed, or `none`.
 * @param kinds what the logins are for
 * @throws ExplainedError `tool-not-found`
 */
export async function findTool(
  wanted: ToolName | "auto",
  kinds: readonly ScopeKind[],
  env: Environment,
): Promise<Tool> {
  if (wanted !== "auto") {
    return wanted === "none" ? { name: "none" } : findProgram(wanted, env);
  }
  const findsAll = (name: ToolName) => kinds.every((kind) => findsLogin(name, kind));
  for (const name of programNames.filter(findsAll)) {
    const file = await which(name, env);
    if (file !== undefined) {
      return { name, file };
    }
  }
  return { name: "none" };
}

/** @throws ExplainedError `tool-not-found` */
export async function findProgram(name: ProgramName, env: Environment): Promise<Program> {
  const file = await which(name, env);
  if (file === undefined) {
    throw new ExplainedError("tool-not-found", `${name} is not installed here (looked for on PATH).`, {
      remedy: [
        `Install it in a step before this one: sudo apt-get install --yes ${packages[name] ?? name}`,
        text`Or log in without one: ${mention("tool", "none")}`,
      ],
    });
  }
  return { name, file };
}

/** Debian's and Ubuntu's, where the name differs. */
const packages: Readonly<Partial<Record<ProgramName, string>>> = { docker: "docker.io" };

/** A fresh folder for one login, and the arguments for it. */
export async function prepareLogin(
  tool: Program,
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
export async function readLogin(tool: Program, folder: string, scope: string): Promise<AuthEntry | undefined> {
  try {
    const written = await readTextWithin(join(folder, tools[tool.name].writes), maxSize.logins);
    return getOwn((parseObject(written) as AuthContent | undefined)?.auths, scope);
  } catch {
    return undefined;
  }
}
