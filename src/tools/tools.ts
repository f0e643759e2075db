/** How each tool logs in: a table. All take the password on standard input and verify it against the registry. */
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import type { AuthContent, AuthEntry } from "../authfile/read.ts";
import type { Environment } from "../platform/environment.ts";
import { ExplainedError } from "../platform/errors.ts";
import { which } from "../platform/exec.ts";
import { maxSize, readTextWithin } from "../platform/files.ts";
import { replaceFile } from "../platform/replace.ts";

export const toolNames = ["skopeo", "buildah", "podman", "docker"] as const;
export type ToolName = (typeof toolNames)[number];

export interface Tool {
  readonly name: ToolName;
  /** Its executable. */
  readonly file: string;
}

interface Way {
  /** The file in the fresh folder that the tool is to write. */
  readonly writes: string;
  readonly args: (folder: string, user: string, scope: string) => readonly string[];
  /** Written into the fresh folder beforehand. */
  readonly prepare?: (scope: string) => AuthContent;
}

const containersWay: Way = {
  // Not there yet: an empty file is a parse error to these tools.
  writes: "auth.json",
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
};

const ways: Readonly<Record<ToolName, Way>> = {
  skopeo: containersWay,
  buildah: containersWay,
  podman: containersWay,
  docker: {
    writes: "config.json",
    args: (folder, user, scope) => ["--config", folder, "login", "--username", user, "--password-stdin", scope],
    // Without any entry docker looks for a credential helper on the machine and would keep the login there.
    prepare: (scope) => ({ auths: { [scope]: {} } }),
  },
};

/**
 * The tool asked for, or the first installed.
 * @throws ExplainedError `tool-not-found`
 */
export async function findTool(wanted: ToolName | "auto", namespaced: boolean, env: Environment): Promise<Tool> {
  // docker keeps one login per host, so it is no choice for a login to an organization.
  const names = wanted === "auto" ? toolNames.filter((name) => name !== "docker" || !namespaced) : [wanted];
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
  const way = ways[tool.name];
  await mkdir(folder, { recursive: true, mode: 0o700 });
  if (way.prepare) {
    await replaceFile(join(folder, way.writes), JSON.stringify(way.prepare(scope)), { mode: 0o600 });
  }
  return way.args(folder, user, scope);
}

/** The entry that the tool wrote; undefined where it wrote none. */
export async function readLogin(tool: Tool, folder: string, scope: string): Promise<AuthEntry | undefined> {
  try {
    const content: AuthContent = JSON.parse(await readTextWithin(join(folder, ways[tool.name].writes), maxSize.logins));
    return content.auths?.[scope];
  } catch {
    return undefined;
  }
}
