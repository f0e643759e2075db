/** Turns options from text into one plain value, validated once, before anything is changed. Pure. */

import { type IdentityRequest, parseIdentityRequest } from "../identity/source.ts";
import { readOptions, requireOptions } from "../options/reader.ts";
import type { OptionValues } from "../options/table.ts";
import { invalidInput } from "../platform/errors.ts";
import { joined, mention, text } from "../platform/wording.ts";
import {
  kindOf,
  parseOptionalHost,
  parseRegistry,
  parseRobot,
  parseScope,
  type RobotLogin,
  robotFor,
  type ScopeKind,
  scopesThatHide,
} from "../quay/scope.ts";
import type { AccessWanted } from "../registry/access.ts";
import { actionNames } from "../registry/types.ts";
import { findsLogin, type ToolName } from "../tools/tools.ts";

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
  const dockerConfig = choice("docker-config");
  const request: LoginRequest = {
    registry,
    tokenHost: parseOptionalHost(reader, "token-host"),
    robots,
    identity: parseIdentityRequest(reader),
    tool: choice("tool"),
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

/** The tool, and docker's configuration, must be able to keep each login. */
function assertConsistent({ registry, robots, tool, store }: LoginRequest): void {
  const ofKind = (kind: ScopeKind) => robots.find(({ scope }) => kindOf(scope) === kind);
  const ofOrganization = ofKind("organization");
  const [organization, action] = [ofOrganization?.scope, ofKind("action")?.scope];
  const robot = ofOrganization?.robot ?? "";
  const byRepository = `${organization}/app=${robot}`;
  const forAll = robots.some(({ scope }) => scope === registry) ? [] : [mention("robot", `${registry}=${robot}`)];
  const others = joined([...forAll, mention("robot", byRepository)], ", or ");
  if (organization !== undefined && action !== undefined) {
    throw invalidInput(
      "robot",
      `${organization}=${robot}`,
      `docker's builder, which alone reads the login for ${action}, knows no login for an organization`,
      others,
    );
  }
  if (tool !== "auto" && action !== undefined && !findsLogin(tool, "action")) {
    throw invalidInput(
      "tool",
      tool,
      `the login for ${action} is one that docker's builder alone reads`,
      text`${mention("tool", "docker")}, or ${mention("tool", "none")}`,
    );
  }
  if (tool !== "auto" && organization !== undefined && !findsLogin(tool, "organization")) {
    throw invalidInput(
      "tool",
      tool,
      `${tool} knows logins for a host, and its builder for a repository, but none for an organization, ${organization}`,
      text`${mention("tool", "skopeo")}, or ${others}`,
    );
  }
  if (action !== undefined && store.dockerConfig === false) {
    throw invalidInput(
      "docker-config",
      "false",
      `the login for ${action} goes to docker's builder, which alone reads it`,
      mention("docker-config", "auto"),
    );
  }
  if (organization !== undefined && store.dockerConfig === true) {
    throw invalidInput(
      "docker-config",
      "true",
      `docker would send the login for ${organization} to every repository of ${registry}`,
      text`${mention("docker-config", "false")}, or ${others}`,
    );
  }
  if (store.authFile !== undefined && robots.every(({ scope }) => kindOf(scope) === "action")) {
    throw invalidInput(
      "auth-file",
      store.authFile,
      `the login for ${action} goes to docker's builder, which reads no other file than its own`,
      text`${mention("tool", "auto")}, without ${mention("auth-file")}`,
    );
  }
}

function parseRobots(entries: readonly string[], registry: string): readonly RobotLogin[] {
  const given = entries.map((entry) => {
    const separator = entry.indexOf("=");
    const robot = parseRobot(entry.slice(separator + 1).trim());
    const scope = entry.slice(0, Math.max(separator, 0)).trim();
    return {
      robot,
      own: separator < 0 ? undefined : parseScope({ option: "robot", scope, registry, rest: `=${robot}` }),
    };
  });
  // docker's builder, which alone reads the login for an action, knows none for an organization.
  const isWhole = given.length === 1 || given.some(({ own }) => own !== undefined && kindOf(own) === "action");
  const robots = given.map(
    ({ robot, own }): RobotLogin => ({
      robot,
      scope: own ?? (isWhole ? registry : `${registry}/${organizationOf(robot)}`),
    }),
  );
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
    assertNoneHides(scope, robots);
  }
  return robots;
}

/** @throws ExplainedError `invalid-input` if docker's builder would never use the login for this scope, or not for each push */
function assertNoneHides(scope: string, robots: readonly RobotLogin[]): void {
  const hiding = scopesThatHide(scope);
  const hider = robots.find((other) => hiding.includes(other.scope));
  if (hider) {
    const [place] = scope.split("@");
    throw invalidInput(
      "robot",
      `${hider.scope}=${hider.robot}`,
      `docker's builder asks for pull and push when it pushes, and would not use the login for ${scope}`,
      `a scope for all, and one for push: ${place}=acme+read and ${place}@push=acme+ci`,
    );
  }
}

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
  return entries.flatMap((line) => {
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
    // A pull and a push may be two robots'.
    const checks = robots.some(({ scope }) => kindOf(scope) === "action") ? actions.map((each) => [each]) : [actions];
    if (checks.some((each) => !robotFor(repository, robots, each))) {
      throw invalidInput(
        "access",
        line,
        "none of the robots logs in for this repository",
        `a robot with the scope ${registry}/${repository}`,
      );
    }
    return checks.map((each) => ({ repository, actions: each }));
  });
}
