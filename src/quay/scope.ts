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
  /** The value as the error shows it. */
  readonly shown: string;
  readonly example: Words;
}

const whatAScopeIs = "a scope is a host, host/organization or host/organization/repository";

/**
 * @returns the scope with its host in lower case, as registry is
 * @throws ExplainedError `invalid-input`
 */
export function parseScope({ option, scope: given, registry, shown, example }: ScopeText): string {
  const scope = given.replace(/^[^/]*/, (host) => host.toLowerCase());
  if (scope !== registry && !scope.startsWith(`${registry}/`)) {
    throw invalidInput(
      option,
      withoutUserinfo(shown),
      text`the scope is on another host than ${mention("registry")} (${registry})`,
      example,
    );
  }
  if (!/^(?:\/[a-z0-9][a-z0-9._-]*)*$/.test(scope.slice(registry.length))) {
    throw invalidInput(option, withoutUserinfo(shown), whatAScopeIs, example);
  }
  return scope;
}

/**
 * The options registry and scope of a command that searches for logins. Without a registry, the scope's host counts.
 * @throws ExplainedError `invalid-input`
 */
export function parseScopes(values: OptionValues): { readonly registry: string; readonly scopes: readonly string[] } {
  const reader = readOptions(values);
  const entries = reader.list("scope");
  const [first = ""] = entries;
  const host = first.replace(/\/.*/s, "").toLowerCase();
  const given = values.registry?.trim();
  if (!given && first !== "" && !isHost(host)) {
    const example = mention("scope", hostIn(first) === undefined ? "quay.io/acme" : bare(first));
    throw invalidInput("scope", withoutUserinfo(first), whatAScopeIs, example);
  }
  const registry = parseRegistry(given || host || reader.text("registry"));
  const example = mention("scope", `${registry}/acme`);
  const scopes = entries.map((scope) => parseScope({ option: "scope", scope, registry, shown: scope, example }));
  return { registry, scopes };
}

/** One robot and the key that its login is stored under: `quay.io`, `quay.io/org` or `quay.io/org/repo`. */
export interface RobotLogin {
  readonly robot: string;
  readonly scope: string;
}

/** The robot whose login the containers tools use for a repository: the one with the longest matching scope. */
export function robotFor(repository: string, registry: string, robots: readonly RobotLogin[]): RobotLogin | undefined {
  const path = `${registry}/${repository}`;
  return robots
    .filter(({ scope }) => path === scope || path.startsWith(`${scope}/`))
    .sort((a, b) => b.scope.length - a.scope.length)[0];
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
