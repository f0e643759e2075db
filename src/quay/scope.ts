/** Scopes of logins (a host, or a part of it) and their robots. Pure. */

import { type OptionReader, readOptions } from "../options/reader.ts";
import type { OptionName, OptionValues } from "../options/table.ts";
import { invalidInput } from "../platform/errors.ts";
import { isJwt } from "../platform/jwt.ts";
import { mention, text, type Words } from "../platform/wording.ts";

/**
 * @returns host or host:port, lower case
 * @throws ExplainedError `invalid-input`
 */
export function parseRegistry(value: string, option: OptionName = "registry"): string {
  const example = mention(option, hostIn(value) ?? "quay.example.com:8443");
  if (/^[a-z][a-z0-9+.-]*:\/\//i.test(value)) {
    throw invalidInput(option, withoutUserinfo(value), "it must be a host, without a scheme such as https://", example);
  }
  if (value.includes("@")) {
    throw invalidInput(option, withoutUserinfo(value), "it must be a host, without a user or password", example);
  }
  if (value.includes("/")) {
    throw invalidInput(
      option,
      value,
      text`it must be a host, without a path; organizations go into ${mention("robot")}`,
      example,
    );
  }
  const host = value.toLowerCase();
  if (!isHost(host)) {
    throw invalidInput(option, value, "it is not a host with an optional port", example);
  }
  // A JWT would be a good name of a host, and be shown as one.
  if (value.startsWith("eyJ") && isJwt(value)) {
    throw invalidInput(option, value, "it has the form of a token", mention(option, "quay.example.com:8443"));
  }
  return host;
}

/** Without a scheme, and without a user before the last at sign. */
const bare = (value: string): string => value.replace(/^[a-z][a-z0-9+.-]*:\/\//i, "").replace(/^.*@/s, "");

/** The host in a value that contains more than a host. */
function hostIn(value: string): string | undefined {
  const host = bare(value).replace(/[/?#].*/s, "");
  return isHost(host.toLowerCase()) ? host : undefined;
}

/** @throws ExplainedError `invalid-input` */
export function parseOptionalHost({ optional }: OptionReader, option: OptionName): string | undefined {
  const value = optional(option);
  return value === undefined ? undefined : parseRegistry(value, option);
}

/** A DNS name has at most 253 characters; a port may follow. */
export const isHost = (host: string): boolean =>
  host.length <= 259 &&
  /^(?:[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?|\[[0-9a-f:.]+\])(?::[0-9]{1,5})?$/.test(host) &&
  URL.canParse(`https://${host}/`);

/** A value for a message, without a user and password before the host. */
export const withoutUserinfo = (value: string): string => value.replace(/^([a-z][a-z0-9+.-]*:\/\/)?.*@/is, "$1…@");

export interface ScopeText {
  readonly option: OptionName;
  readonly scope: string;
  readonly registry: string;
  /** What the option has behind the scope: `=robot`. */
  readonly rest?: string;
  /** By default, a scope like the given one. */
  readonly example?: Words;
}

const whatAScopeIs = "a scope is a host, host/organization or host/organization/repository";
const whatAnActionIs =
  "with @pull or @push, a scope is a host or host/organization/repository, since docker's builder knows no organization";

/**
 * @returns the scope with its host in lower case, as registry is, and its actions in one order
 * @throws ExplainedError `invalid-input`
 */
export function parseScope({ option, scope: given, registry, rest = "", ...other }: ScopeText): string {
  const fail = (problem: Words) => {
    const shown = mayHoldUserinfo(given, registry) ? withoutUserinfo(given) : given;
    const example = other.example ?? mention(option, scopeLike(given, registry) + rest);
    return invalidInput(option, shown + rest, problem, example);
  };
  const at = given.lastIndexOf("@");
  const place = (at < 0 ? given : given.slice(0, at)).replace(/^[^/]*/, (host) => host.toLowerCase());
  if (place !== registry && !place.startsWith(`${registry}/`)) {
    throw fail(text`the scope is on another host than ${mention("registry")} (${registry})`);
  }
  // No part begins with a dot: a scope is also the path of a folder of docker's builder.
  if (!/^(?:\/[a-z0-9][a-z0-9._-]*)*$/.test(place.slice(registry.length))) {
    throw fail(whatAScopeIs);
  }
  if (at < 0) {
    return place;
  }
  const actions = given.slice(at + 1);
  if (!/^(?:pull|push)(?:,(?:pull|push))*$/.test(actions)) {
    throw fail("the action of a scope, behind the @, is pull, push or both (push,pull)");
  }
  if (kindOf(place) === "organization") {
    throw fail(whatAnActionIs);
  }
  return `${place}@${[...new Set(actions.split(","))].sort().join(",")}`;
}

/** Whether what is before the last @ may be a user and password. No host is a single word, as an action is. */
function mayHoldUserinfo(given: string, registry: string): boolean {
  const at = given.lastIndexOf("@");
  const [before, after] = [given.slice(0, Math.max(at, 0)).toLowerCase(), given.slice(at + 1)];
  const isAction = /^(?:pull|push|,)+$/i.test(after);
  if (before === registry || before.startsWith(`${registry}/`)) {
    return before.slice(registry.length).includes(":") && !isAction;
  }
  return at >= 0 && (before.includes(":") || !/^[a-z,]*$/i.test(after));
}

/** A valid scope for an example: for an action, that of the given repository. */
function scopeLike(given: string, registry: string): string {
  const at = given.lastIndexOf("@");
  if (at < 0 || mayHoldUserinfo(given, registry)) {
    return `${registry}/acme`;
  }
  const place = given.slice(0, at).toLowerCase();
  const path = place.startsWith(registry) ? place.slice(registry.length) : place.replace(/^[^/]*[.:][^/]*/, "");
  const [organization = "acme", ...names] = path
    .replace(/[:@].*/s, "")
    .split("/")
    .filter(Boolean);
  const repository = [organization, ...(names.length > 0 ? names : ["app"])].join("/");
  const actions = ["pull", "push"].filter((action) => given.slice(at).toLowerCase().includes(action));
  return `${registry}/${isRepository(repository) ? repository : "acme/app"}@${actions.join(",") || "push"}`;
}

/** What a scope covers. Tools differ in which of these they keep a login for. */
export type ScopeKind = "host" | "organization" | "repository" | "action";

interface ScopeParts {
  readonly host: string;
  /** organization, or organization/repository; empty: all */
  readonly path: string;
  /** `pull`, `push`; none: all */
  readonly actions: readonly string[];
}

/** @param scope from `parseScope` */
export function scopeParts(scope: string): ScopeParts {
  const [place = "", actions] = scope.split("@");
  const [host = "", ...path] = place.split("/");
  return { host, path: path.join("/"), actions: actions === undefined ? [] : actions.split(",") };
}

/** @param scope from `parseScope` */
export function kindOf(scope: string): ScopeKind {
  const { path, actions } = scopeParts(scope);
  if (actions.length > 0) {
    return "action";
  }
  return path === "" ? "host" : path.includes("/") ? "repository" : "organization";
}

/**
 * The options registry and scope of a command that searches for logins. Without a registry, the scope's host counts.
 * @throws ExplainedError `invalid-input`
 */
export function parseScopes(values: OptionValues): { readonly registry: string; readonly scopes: readonly string[] } {
  const reader = readOptions(values);
  const entries = reader.list("scope");
  const [first = ""] = entries;
  const host = first.replace(/\/.*|@[a-z,]*$/s, "").toLowerCase();
  const given = values.registry?.trim();
  if (!given && first !== "" && !isHost(host)) {
    const example = mention("scope", hostIn(first) === undefined ? "quay.io/acme" : bare(first));
    throw invalidInput("scope", withoutUserinfo(first), whatAScopeIs, example);
  }
  const registry = parseRegistry(given || host || reader.text("registry"));
  const scopes = entries.map((scope) => parseScope({ option: "scope", scope, registry }));
  return { registry, scopes };
}

/**
 * The scopes of the same place whose login docker's builder takes instead. It takes the one with the most actions, and either of
 * two with as many. Each push asks for pull and push (buildx, util/dockerutil/dockerconfig): `@pull` takes pushes too.
 * @param scope from `parseScope`
 */
export function scopesThatHide(scope: string): readonly string[] {
  const [place = "", actions = ""] = scope.split("@");
  const hiding: Readonly<Record<string, readonly string[]>> = {
    "": ["pull"],
    pull: ["push"],
    push: ["pull", "pull,push", "push,pull"],
    "pull,push": ["push,pull"],
  };
  return (hiding[actions] ?? []).map((others) => `${place}@${others}`);
}

/** One robot and what its login is for: `quay.io`, `quay.io/org`, `quay.io/org/repo` or, for docker's builder, `quay.io/org/repo@push`. */
export interface RobotLogin {
  readonly robot: string;
  readonly scope: string;
}

/**
 * The robot whose login clients use for a repository: the one with the longest matching scope, and of these the one with the
 * most matching actions (buildx, util/dockerutil/dockerconfig).
 * @param wanted `pull`, `push`; a client that pushes asks for both
 */
export function robotFor(
  repository: string,
  robots: readonly RobotLogin[],
  wanted: readonly string[],
): RobotLogin | undefined {
  const isWanted = (action: string) => wanted.includes(action) || (action === "pull" && wanted.includes("push"));
  return robots
    .map((robot) => ({ robot, ...scopeParts(robot.scope) }))
    .filter(({ path }) => path === "" || repository === path || repository.startsWith(`${path}/`))
    .filter(({ actions }) => actions.every(isWanted))
    .sort((a, b) => b.path.length - a.path.length || b.actions.length - a.actions.length)[0]?.robot;
}

/** docker reads only keys that are hosts: it would send a namespaced login for every repository of that host. */
export const hasNamespacedScope = (registry: string, robots: readonly RobotLogin[]): boolean =>
  robots.some(({ scope }) => scope !== registry);

/** organization/repository, of any depth. */
export const isRepository = (path: string): boolean =>
  path.length <= 255 && /^[a-z0-9][a-z0-9._-]*(?:\/[a-z0-9][a-z0-9._-]*)+$/.test(path);

/** Quay's own rule for namespaces and robots (from its answer to a robot named "Bad"), 2 to 255 characters. */
export const quayName = /^(?=.{2,255}$)[a-z0-9]+(?:[._-][a-z0-9]+)*$/;

/**
 * The option organization.
 * @throws ExplainedError `invalid-input`
 */
export function parseOrganization(organization: string): string {
  if (!quayName.test(organization)) {
    const problem = organization.includes("+")
      ? "it is a robot's name, and the organization is the part before the +"
      : "it is not the name of an organization or a user in Quay";
    const before = organization.toLowerCase().split("+")[0] ?? "";
    const example = mention("organization", quayName.test(before) ? before : "acme");
    throw invalidInput("organization", organization, problem, example);
  }
  return organization;
}

/**
 * @param option the option that names the robot
 * @throws ExplainedError `invalid-input`
 */
export function parseRobot(robot: string, option: OptionName = "robot"): string {
  const [organization = "", name, ...rest] = robot.split("+");
  const fail = (problem: string, example = "acme+ci") => invalidInput(option, robot, problem, mention(option, example));
  if (/[\s,;]/.test(robot)) {
    const several = option === "robot" ? "write one robot per line" : "this option takes one robot";
    throw fail(`a name contains no space, comma or semicolon; ${several}`);
  }
  if (name === undefined) {
    throw fail("a robot's full name has a +: organization+name", quayName.test(robot) ? `${robot}+ci` : undefined);
  }
  if (robot !== robot.toLowerCase()) {
    throw fail("names in Quay are lower case", robot.toLowerCase());
  }
  if (rest.length > 0 || !quayName.test(organization) || !quayName.test(name)) {
    throw fail("organization and name are 2 to 255 lower-case letters and digits, with single . _ - between them");
  }
  return robot;
}
