/** Options as text become one plain value, validated once, before anything is touched. Pure. */
import { invalidInput } from "./errors.ts";
import { type OptionName, type OptionValues, options } from "./options.ts";

export const toolNames = ["skopeo", "buildah", "podman", "docker"] as const;
export type ToolName = (typeof toolNames)[number];

/** One robot and the key that its login is stored under: `quay.io`, `quay.io/org` or `quay.io/org/repo`. */
export interface RobotLogin {
  readonly robot: string;
  readonly scope: string;
}

export interface AccessWanted {
  readonly repository: string;
  readonly actions: readonly Action[];
}

const actionNames = ["pull", "push"] as const;
export type Action = (typeof actionNames)[number];

/** Where the identity token is to come from, before looking at what is there. */
export type IdentityRequest =
  | { readonly source: "auto" }
  | { readonly source: "github" }
  | { readonly source: "file"; readonly path: string }
  | { readonly source: "environment"; readonly variable: string };

export interface LoginRequest {
  /** host or host:port, lower case */
  readonly registry: string;
  readonly robots: readonly RobotLogin[];
  readonly identity: IdentityRequest;
  readonly audience: string;
  readonly tool: ToolName | "auto";
  /** undefined: a private file of the job */
  readonly authFile: string | undefined;
  readonly authFileMode: number | undefined;
  readonly dockerConfig: boolean | "auto";
  readonly caFile: string | undefined;
  readonly access: readonly AccessWanted[];
  readonly timeoutSeconds: number;
  readonly logout: boolean;
  readonly withoutIdentity: "fail" | "skip";
  readonly exportToken: boolean;
  /** The workflow file that defines this job, where GitHub says so. */
  readonly workflowRef: string | undefined;
}

/** Where the kubelet puts a projected token that was given this project's conventional name. */
export const conventionalTokenFile = "/var/run/secrets/tokens/quay-token";

/** Quay's own rule for namespaces and robots (recorded answer to a robot named "Bad"), 2 to 255 characters. */
const quayName = /^(?=.{2,255}$)[a-z0-9]+(?:[._-][a-z0-9]+)*$/;
const repositoryName = /^[a-z0-9][a-z0-9._-]*(?:\/[a-z0-9][a-z0-9._-]*)+$/;

/** @throws LoginError `invalid-input`, naming the option, the value and an example that works */
export function parseRequest(values: OptionValues): LoginRequest {
  const text = (name: OptionName): string => values[name]?.trim() || defaults[name] || "";
  const optional = (name: OptionName): string | undefined => text(name) || undefined;
  const choice = <T extends string>(name: OptionName, allowed: readonly T[]): T =>
    parseChoice(name, text(name), allowed);
  const boolean = (name: OptionName): boolean => choice(name, ["true", "false"]) === "true";

  const registry = parseRegistry(text("registry"));
  const robots = parseRobots(text("robot"), registry);
  const tool = choice("tool", ["auto", ...toolNames]);
  const dockerConfig = choice("docker-config", ["auto", "true", "false"]);
  const request: LoginRequest = {
    registry,
    robots,
    identity: parseIdentity(
      choice("identity", ["auto", "github", "file", "environment"]),
      optional("token-file"),
      optional("token-env"),
    ),
    audience: parseAudience(text("audience")),
    tool,
    authFile: optional("auth-file"),
    authFileMode: parseMode(optional("auth-file-mode")),
    dockerConfig: dockerConfig === "auto" ? "auto" : dockerConfig === "true",
    caFile: optional("ca-file"),
    access: parseAccess(text("access"), registry, robots),
    timeoutSeconds: parseSeconds("timeout", text("timeout")),
    logout: boolean("logout"),
    withoutIdentity: choice("without-identity", ["fail", "skip"]),
    exportToken: boolean("export-token"),
    workflowRef: optional("workflow-ref"),
  };
  assertConsistent(request);
  return request;
}

const defaults: Partial<Record<OptionName, string>> = Object.fromEntries(
  options
    .filter((option) => !("internal" in option))
    .map((option) => [option.name, "default" in option ? option.default : undefined]),
);

/** The robot whose login the containers tools take for a repository: that of the longest scope that holds it. */
export function robotFor(repository: string, registry: string, robots: readonly RobotLogin[]): RobotLogin | undefined {
  const path = `${registry}/${repository}`;
  return robots
    .filter(({ scope }) => path === scope || path.startsWith(`${scope}/`))
    .sort((a, b) => b.scope.length - a.scope.length)[0];
}

/** docker reads host keys only: it would send a namespaced login for every repository of that host. */
export function hasNamespacedScope(request: Pick<LoginRequest, "registry" | "robots">): boolean {
  return request.robots.some(({ scope }) => scope !== request.registry);
}

function assertConsistent(request: LoginRequest): void {
  const namespaced = request.robots.find(({ scope }) => scope !== request.registry);
  if (namespaced && request.tool === "docker") {
    throw invalidInput(
      "tool",
      "docker",
      `docker keeps one login per host, not one for ${namespaced.scope}`,
      "tool: skopeo",
    );
  }
  if (namespaced && request.dockerConfig === true) {
    throw invalidInput(
      "docker-config",
      "true",
      `docker would send the login for ${namespaced.scope} to every repository of ${request.registry}`,
      "docker-config: false, or a single robot without a scope",
    );
  }
  if (request.tool === "docker" && request.dockerConfig === false) {
    throw invalidInput("docker-config", "false", "docker, the tool, reads its login from there", "docker-config: auto");
  }
  if (request.exportToken && request.robots.length > 1) {
    throw invalidInput(
      "export-token",
      "true",
      "it hands out one token, and there are several robots",
      "one step per robot",
    );
  }
}

function parseRegistry(value: string): string {
  const example = "registry: quay.example.com:8443";
  if (/^[a-z][a-z0-9+.-]*:\/\//i.test(value)) {
    throw invalidInput("registry", withoutUserinfo(value), "it is a host, without a scheme such as https://", example);
  }
  if (value.includes("@")) {
    throw invalidInput("registry", withoutUserinfo(value), "it is a host, without a user or password", example);
  }
  if (value.includes("/")) {
    throw invalidInput("registry", value, "it is a host, without a path; organizations go into robot", example);
  }
  const host = value.toLowerCase();
  if (
    !/^(?:[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?|\[[0-9a-f:.]+\])(?::[0-9]{1,5})?$/.test(host) ||
    !URL.canParse(`https://${host}/`)
  ) {
    throw invalidInput("registry", value, "it is not a host with an optional port", example);
  }
  return host;
}

const withoutUserinfo = (value: string): string => value.replace(/^([a-z][a-z0-9+.-]*:\/\/)?.*@/i, "$1…@");

function lines(value: string): string[] {
  return value
    .split(/\r?\n/)
    .map((line) => line.trim())
    .filter(Boolean);
}

function parseRobots(value: string, registry: string): readonly RobotLogin[] {
  const entries = lines(value);
  if (entries.length === 0) {
    throw invalidInput("robot", value, "it is required", "robot: acme+ci");
  }
  const robots = entries.map((entry): RobotLogin => {
    const separator = entry.indexOf("=");
    const robot = parseRobot(entry.slice(separator + 1).trim());
    const own = separator < 0 ? undefined : parseScope(entry.slice(0, separator).trim(), registry);
    return { robot, scope: own ?? (entries.length === 1 ? registry : `${registry}/${organizationOf(robot)}`) };
  });
  for (const [index, { robot, scope }] of robots.entries()) {
    const twin = robots.slice(0, index).find((other) => other.scope === scope);
    if (twin) {
      throw invalidInput(
        "robot",
        robot,
        `${twin.robot} logs in for ${scope} already, and only one login can stand there`,
        `a scope of its own: ${registry}/${organizationOf(robot)}/app=${robot}`,
      );
    }
  }
  return robots;
}

const organizationOf = (robot: string): string => robot.slice(0, robot.indexOf("+"));

function parseRobot(robot: string): string {
  const [organization = "", name, ...rest] = robot.split("+");
  const fail = (problem: string, example = "robot: acme+ci") => invalidInput("robot", robot, problem, example);
  if (/[\s,;]/.test(robot)) {
    throw fail("a name has no blank, comma or semicolon; several robots stand on a line each");
  }
  if (name === undefined) {
    throw fail(
      "a robot's full name has a +: organization+name",
      `robot: ${quayName.test(robot) ? `${robot}+ci` : "acme+ci"}`,
    );
  }
  if (robot !== robot.toLowerCase()) {
    throw fail("names in Quay are lower case", `robot: ${robot.toLowerCase()}`);
  }
  if (rest.length > 0 || !quayName.test(organization) || !quayName.test(name)) {
    throw fail("organization and name are 2 to 255 lower-case letters and digits, with single . _ - between them");
  }
  return robot;
}

function parseScope(text: string, registry: string): string {
  const scope = text.replace(/^[^/]*/, (host) => host.toLowerCase()); // as registry is
  const example = `${registry}/acme=acme+ci`;
  if (scope !== registry && !scope.startsWith(`${registry}/`)) {
    throw invalidInput("robot", `${scope}=…`, `the scope is on another host than registry (${registry})`, example);
  }
  if (!/^(?:\/[a-z0-9][a-z0-9._-]*)*$/.test(scope.slice(registry.length))) {
    throw invalidInput(
      "robot",
      `${scope}=…`,
      "a scope is a host, host/organization or host/organization/repository",
      example,
    );
  }
  return scope;
}

function parseIdentity(
  source: IdentityRequest["source"],
  file: string | undefined,
  variable: string | undefined,
): IdentityRequest {
  if (file !== undefined && variable !== undefined) {
    throw invalidInput("token-env", variable, `token-file is set too (${file})`, "one of the two");
  }
  const misfit = source === "github" || (source === "file" && variable) || (source === "environment" && file);
  if (misfit && (file ?? variable) !== undefined) {
    const option = file === undefined ? "token-env" : "token-file";
    throw invalidInput(
      option,
      file ?? variable ?? "",
      `identity is ${source}, which does not use it`,
      "identity: auto",
    );
  }
  if (variable !== undefined && !/^[A-Za-z_][A-Za-z0-9_]*$/.test(variable)) {
    // Someone may have put the token itself here: the value must not reach a log.
    throw invalidInput("token-env", "…", "it is the name of a variable, not the token", "token-env: QUAY_ID_TOKEN");
  }
  if (source === "environment" && variable === undefined) {
    throw invalidInput("token-env", "", "identity: environment needs it", "token-env: QUAY_ID_TOKEN");
  }
  if (variable !== undefined) {
    return { source: "environment", variable };
  }
  if (file !== undefined || source === "file") {
    return { source: "file", path: file ?? conventionalTokenFile };
  }
  return { source: source === "github" ? "github" : "auto" };
}

function parseAudience(value: string): string {
  if (/\s/.test(value)) {
    throw invalidInput("audience", value, "an audience has no blanks", "audience: quay");
  }
  return value;
}

function parseChoice<T extends string>(name: OptionName, value: string, allowed: readonly T[]): T {
  const found = allowed.find((candidate) => candidate === value.toLowerCase());
  if (found === undefined) {
    throw invalidInput(name, value, `it is one of ${allowed.join(", ")}`, `${name}: ${defaults[name]}`);
  }
  return found;
}

function parseSeconds(name: OptionName, value: string): number {
  const seconds = Number(value);
  if (!/^[0-9]+$/.test(value) || seconds < 1 || seconds > 3600) {
    throw invalidInput(name, value, "it is a whole number of seconds, 1 to 3600", `${name}: ${defaults[name]}`);
  }
  return seconds;
}

function parseMode(value: string | undefined): number | undefined {
  if (value === undefined) {
    return undefined;
  }
  const mode = Number.parseInt(value.replace("0o", ""), 8);
  if (!/^(?:0o?)?[0-7]{3}$/.test(value) || (mode & 0o600) !== 0o600 || (mode & 0o111) !== 0) {
    throw invalidInput(
      "auth-file-mode",
      value,
      "it is octal, lets the owner read and write, and nobody execute",
      'auth-file-mode: "0640"',
    );
  }
  return mode;
}

function parseAccess(value: string, registry: string, robots: readonly RobotLogin[]): readonly AccessWanted[] {
  return lines(value).map((line) => {
    const example = "access: acme/app:pull,push";
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
