/** Turns options from text into one plain value, validated once, before anything is changed. Pure. */

import { type IdentityRequest, parseIdentityRequest } from "../identity/source.ts";
import { readOptions, requireOptions } from "../options/reader.ts";
import { type OptionValues, toolNames } from "../options/table.ts";
import { invalidInput } from "../platform/errors.ts";
import { mention, text } from "../platform/wording.ts";
import { parseOptionalHost, parseRegistry, parseRobot, parseScope, type RobotLogin, robotFor } from "../quay/scope.ts";
import type { AccessWanted } from "../registry/access.ts";
import { actionNames } from "../registry/types.ts";
import { type ToolName, tools } from "../tools/tools.ts";

/** What a login is to do. Its timeout, its logout and what is printed are the entry point's. */
export interface LoginRequest {
  /** host or host:port, lower case */
  readonly registry: string;
  /** host or host:port, besides the registry's, to which the registry may send logins */
  readonly tokenHost: string | undefined;
  readonly robots: readonly RobotLogin[];
  readonly identity: IdentityRequest;
  readonly tool: ToolName | "auto";
  readonly store: StoreRequest;
  readonly access: readonly AccessWanted[];
}

/** The files that a login goes into. */
export interface StoreRequest {
  /** undefined: the entry point's default */
  readonly authFile: string | undefined;
  readonly authFileMode: number | undefined;
  readonly dockerConfig: boolean | "auto";
}

const repositoryName = /^[a-z0-9][a-z0-9._-]*(?:\/[a-z0-9][a-z0-9._-]*)+$/;

/** @throws ExplainedError `invalid-input`, naming the option, the value and an example that works */
export function parseRequest(values: OptionValues): LoginRequest {
  const reader = readOptions(values);
  const { text, optional, choice, list } = reader;
  requireOptions(reader, { robot: "acme+ci" });
  const registry = parseRegistry(text("registry"));
  const robots = parseRobots(list("robot"), registry);
  const dockerConfig = choice("docker-config", ["auto", "true", "false"]);
  const request: LoginRequest = {
    registry,
    tokenHost: parseOptionalHost(reader, "token-host"),
    robots,
    identity: parseIdentityRequest(reader),
    tool: choice("tool", ["auto", ...toolNames]),
    store: {
      authFile: optional("auth-file"),
      authFileMode: parseMode(optional("auth-file-mode")),
      dockerConfig: dockerConfig === "auto" ? "auto" : dockerConfig === "true",
    },
    access: parseAccess(list("access"), registry, robots),
  };
  assertConsistent(request);
  return request;
}

function assertConsistent(request: LoginRequest): void {
  const namespaced = request.robots.find(({ scope }) => scope !== request.registry);
  if (namespaced && request.tool !== "auto" && !tools[request.tool].knowsScopes) {
    throw invalidInput(
      "tool",
      request.tool,
      `${request.tool} keeps one login per host, not one for ${namespaced.scope}`,
      mention("tool", "skopeo"),
    );
  }
  if (namespaced && request.store.dockerConfig === true) {
    throw invalidInput(
      "docker-config",
      "true",
      `docker would send the login for ${namespaced.scope} to every repository of ${request.registry}`,
      text`${mention("docker-config", "false")}, or a single robot without a scope`,
    );
  }
}

function parseRobots(entries: readonly string[], registry: string): readonly RobotLogin[] {
  const robots = entries.map((entry): RobotLogin => {
    const separator = entry.indexOf("=");
    const robot = parseRobot(entry.slice(separator + 1).trim());
    const own = separator < 0 ? undefined : robotScope(entry.slice(0, separator).trim(), registry);
    return { robot, scope: own ?? (entries.length === 1 ? registry : `${registry}/${organizationOf(robot)}`) };
  });
  for (const [index, { robot, scope }] of robots.entries()) {
    const twin = robots.slice(0, index).find((other) => other.scope === scope);
    if (twin) {
      throw invalidInput(
        "robot",
        robot,
        `${twin.robot} logs in for ${scope} already, and a scope has one login`,
        `a scope of its own: ${registry}/${organizationOf(robot)}/app=${robot}`,
      );
    }
  }
  return robots;
}

const robotScope = (scope: string, registry: string): string =>
  parseScope({ option: "robot", scope, registry, shown: `${scope}=…`, example: `${registry}/acme=acme+ci` });

const organizationOf = (robot: string): string => robot.slice(0, robot.indexOf("+"));

function parseMode(value: string | undefined): number | undefined {
  if (value === undefined) {
    return undefined;
  }
  const mode = Number.parseInt(value.replace("0o", ""), 8);
  if (!/^(?:0o?)?[0-7]{3}$/.test(value) || (mode & 0o600) !== 0o600 || (mode & 0o111) !== 0) {
    throw invalidInput(
      "auth-file-mode",
      value,
      "it must be octal, let the owner read and write, and let no user execute",
      mention("auth-file-mode", "0640"),
    );
  }
  return mode;
}

function parseAccess(
  entries: readonly string[],
  registry: string,
  robots: readonly RobotLogin[],
): readonly AccessWanted[] {
  return entries.map((line) => {
    const example = mention("access", "acme/app:pull,push");
    const separator = line.lastIndexOf(":");
    const [name, wanted] = separator < 0 ? [line, ""] : [line.slice(0, separator), line.slice(separator + 1)];
    const repository = name.startsWith(`${registry}/`) ? name.slice(registry.length + 1) : name;
    if (!repositoryName.test(repository)) {
      throw invalidInput("access", line, `${JSON.stringify(name)} is not organization/repository`, example);
    }
    const actions = wanted.split(",").map((action) => {
      const found = actionNames.find((candidate) => candidate === action.trim());
      if (!found) {
        throw invalidInput("access", line, `${JSON.stringify(action)} is neither pull nor push`, example);
      }
      return found;
    });
    if (!robotFor(repository, registry, robots)) {
      throw invalidInput(
        "access",
        line,
        "none of the robots logs in for this repository",
        `a robot with the scope ${registry}/${repository}`,
      );
    }
    return { repository, actions };
  });
}
