/**
 * The configuration of the credential helper: its variables, one for each option, or the file that `configure` writes. Only the helper
 * reads these variables: a step of a job could set them, and have an identity token sent to a host of its choice.
 */

import { dirname, isAbsolute, join, resolve } from "node:path";
import { type IdentityRequest, parseIdentityRequest } from "../identity/source.ts";
import type { ConfiguredOptions } from "../login/configured.ts";
import { closest } from "../options/closest.ts";
import { asInput } from "../options/input.ts";
import { type OptionReader, parseTimeout, readOptions, requireOptions } from "../options/reader.ts";
import { type OptionName, type OptionValues, optionsOf } from "../options/table.ts";
import type { Environment } from "../platform/environment.ts";
import { ExplainedError, invalidInput, unreachable } from "../platform/errors.ts";
import { isObject, parseObject } from "../platform/json.ts";
import { asGiven, oneLine, shellWord } from "../platform/text.ts";
import { readTrustedFile, whyWayUntrusted } from "../platform/trusted-file.ts";
import { type Mention, mention, type Syntax } from "../platform/wording.ts";
import { isHost, parseOptionalHost, parseRegistry, parseRobot, parseScope } from "../quay/scope.ts";
import { hostOf } from "./protocol.ts";
import { again, type ConfigurationFile, malformed, untrusted, unusable } from "./unusable.ts";

/** Where the configuration comes from. `job`: a wrapper names a file, which is private to its job. */
export type Origin = { readonly kind: "environment" } | ConfigurationFile | { readonly kind: "nowhere" };

/** What is said of one registry. */
export interface Entry {
  /** host or host:port, lower case */
  readonly registry: string;
  readonly values: OptionValues;
  /** Why it can't be used. Only a request for this registry fails with it. */
  readonly problem: ExplainedError | undefined;
}

export interface Configuration {
  readonly origin: Origin;
  /** By host, as `hostOf` gives it. */
  readonly registries: ReadonlyMap<string, Entry>;
}

/** What the helper does for one registry: a login of one robot, without a tool and without a file. */
export interface HelperRequest {
  /** host or host:port, lower case */
  readonly registry: string;
  /** host or host:port, besides the registry's, to which the registry may send logins */
  readonly tokenHost: string | undefined;
  readonly robot: string;
  readonly identity: IdentityRequest;
  readonly caFile: string | undefined;
  readonly timeoutSeconds: number;
}

const prefix = "QUAY_KEYLESS_";
const ownOptions = optionsOf("helper").map(({ name }) => name);

/** `ca-file` is QUAY_KEYLESS_CA_FILE. */
export const variableOf = (option: string): string => prefix + option.toUpperCase().replaceAll("-", "_");

/** Not an option: it says nothing of a registry, and counts beside a file too. */
const cacheVariable = variableOf("cache");

const variables: ReadonlyMap<string, OptionName> = new Map(ownOptions.map((name) => [variableOf(name), name]));

/** The file of a user. undefined: without a home there is none. A relative path would be one in the working folder. */
export function configurationPath({ XDG_CONFIG_HOME = "", HOME = "" }: Environment): string | undefined {
  const folder = [XDG_CONFIG_HOME, HOME && join(HOME, ".config")].find(isAbsolute);
  return folder === undefined ? undefined : join(folder, "quay-keyless", "config.json");
}

/**
 * Fails where `configure` would write a file that the helper does not trust.
 * @throws ExplainedError `configuration-unusable`
 */
export function assertTrustedPlace(path: string): void {
  const distrust = whyWayUntrusted(dirname(path));
  if (distrust) {
    throw untrusted({ kind: "file", path }, distrust);
  }
}

/**
 * The variables if any is set, and else the user's file. A wrapper's file excludes both.
 * @param file from a wrapper
 */
export function originOf(env: Environment, file: string | undefined): Origin {
  if (file !== undefined) {
    return { kind: "job", path: file };
  }
  if (variablesIn(env).length > 0) {
    return { kind: "environment" };
  }
  const path = configurationPath(env);
  return path === undefined ? { kind: "nowhere" } : { kind: "file", path };
}

/**
 * @returns undefined if there is none
 * @throws ExplainedError `configuration-unusable`, `invalid-input` if it can't be known which registries it is about
 */
export function readConfiguration(origin: Origin, env: Environment): Configuration | undefined {
  switch (origin.kind) {
    case "environment":
      return readVariables(env);
    case "nowhere":
      return undefined;
    case "file":
    case "job": {
      const registries = readFile(origin);
      if (registries === undefined && origin.kind === "job") {
        const remedy = "Run the step again that has configured the credential helper.";
        throw unusable(origin.path, "does not exist", remedy);
      }
      return registries && { origin, registries };
    }
    default:
      return unreachable(origin);
  }
}

/** For a user who wonders why no host has a login. */
export function withoutConfiguration(env: Environment): string {
  const path = configurationPath(env);
  const file = path === undefined ? "HOME is not an absolute path" : `there is no ${oneLine(path, 4096)}`;
  return `The credential helper is not configured: no variable such as ${variableOf("robot")} is set, and ${file}. Type: ${again}`;
}

/** Those that are set, as names. A blank one is as good as absent, as for an option. */
const variablesIn = (env: Environment): readonly string[] =>
  Object.keys(env).filter((name) => name.startsWith(prefix) && name !== cacheVariable && env[name]?.trim());

function readVariables(env: Environment): Configuration {
  const given = variablesIn(env);
  // A token's own variable may have such a name too.
  const unknown = given.filter((name) => !variables.has(name) && name !== env[variableOf("token-env")]?.trim());
  const values: OptionValues = Object.fromEntries(
    [...variables].flatMap(([name, option]) => (given.includes(name) ? [[option, env[name]]] : [])),
  );
  const problem = unknown[0] === undefined ? undefined : unknownVariable(unknown[0], env);
  // Another registry may be meant, and its login must not look absent.
  const isMisspelt = unknown.some((name) => closest(wordOfVariable(name), ownOptions) === "registry");
  if (problem && isMisspelt && !values.registry) {
    throw problem;
  }
  const registry = parseRegistry(readOptions(values).text("registry"));
  return {
    origin: { kind: "environment" },
    registries: new Map([[hostOf(registry) ?? registry, { registry, values, problem }]]),
  };
}

const wordOfVariable = (name: string): string => name.slice(prefix.length).toLowerCase().replaceAll("_", "-");

function unknownVariable(name: string, env: Environment): ExplainedError {
  const close = closest(wordOfVariable(name), [...ownOptions, "cache"]);
  return new ExplainedError(
    "invalid-input",
    `The variable ${asGiven(name)} is set, and the credential helper has none of that name.`,
    {
      remedy: [
        close
          ? `Did you mean: ${variableOf(close)}=${shellWord(asGiven(env[name] ?? ""))}`
          : `Unset it. Its variables are ${[...variables.keys(), cacheVariable].join(", ")}.`,
      ],
    },
  );
}

/** @returns undefined if there is none */
function readFile(origin: ConfigurationFile): Configuration["registries"] | undefined {
  const { kind, path } = origin;
  const file = readTrustedFile(path);
  if (file.kind === "missing") {
    return undefined;
  }
  if (file.kind === "untrusted") {
    throw untrusted(origin, file);
  }
  if (kind === "file") {
    assertTrustedPlace(path); // a job's is beside the wrapper: who can replace it replaces that
  }
  const content = parseObject(file.text);
  if (content === undefined) {
    throw malformed(origin, "is not JSON");
  }
  if (content.version !== 1) {
    const version = asGiven(JSON.stringify(content.version) ?? "unknown");
    throw malformed(origin, `is of version ${version}, and this program reads version 1`);
  }
  if (!isObject(content.registries)) {
    throw malformed(origin, "has no registries");
  }
  const entries = Object.entries(content.registries).map(([key, value]) => {
    const host = hostOf(key);
    if (host === undefined || !isHost(host)) {
      const remedy =
        'Write a host there, with the port if it is not 443, as in "quay.example.com:8443": {"robot": "acme+ci"}';
      throw unusable(path, `names the registry ${JSON.stringify(asGiven(key))}, which is not a host`, remedy);
    }
    return [host, readEntry(path, host, value)] as const;
  });
  return new Map(entries);
}

function readEntry(path: string, host: string, value: unknown): Entry {
  const options = isObject(value) ? Object.entries(value) : [];
  const odd = options.find(([name, each]) => typeof each !== "string" || name === "registry" || !isOwn(name));
  const problem = odd || !isObject(value) ? oddEntry(path, host, odd?.[0]) : undefined;
  return {
    registry: host,
    values: { ...Object.fromEntries(options.filter(([name]) => name !== odd?.[0])), registry: host },
    problem,
  };
}

/** What the file holds of the options that were given: as text, without the registry, paths absolute. */
export function optionsForFile(values: OptionValues): ConfiguredOptions {
  const given = ownOptions.flatMap((name): [OptionName, string][] => {
    const value = values[name]?.trim();
    return value && name !== "registry" ? [[name, value]] : [];
  });
  return Object.fromEntries(
    given.map(([name, value]) => [name, name === "token-file" || name === "ca-file" ? resolve(value) : value]),
  );
}

const isOwn = (name: string): boolean => ownOptions.some((option) => option === name);

function oddEntry(path: string, host: string, name: string | undefined): ExplainedError {
  if (name === undefined || isOwn(name)) {
    const what = name === undefined ? host : `${host}: ${name}`;
    return unusable(
      path,
      `has something else than text for ${what}`,
      `Write, for example, "${host}": {"robot": "acme+ci"}`,
    );
  }
  const close = closest(name, ownOptions);
  const remedy = close ? `Did you mean: ${close}` : `The options are ${ownOptions.join(", ")}.`;
  return unusable(
    path,
    `has the option ${JSON.stringify(asGiven(name))} for ${host}, which the credential helper does not have`,
    remedy,
  );
}

/**
 * What the helper does for an entry.
 * @throws ExplainedError `invalid-input`
 */
export function requestOf({ values }: Entry): HelperRequest {
  for (const option of ["token-file", "ca-file"] as const) {
    const path = values[option]?.trim();
    if (path && !isAbsolute(path)) {
      const problem = "it depends on the folder where the tool runs, in which a checkout may have put another file";
      throw invalidInput(option, path, problem, mention(option, `/absolute/path/${option}`));
    }
  }
  return parseHelperRequest(values);
}

/**
 * The options of one registry, validated. `configure` checks what it writes with it too.
 * @throws ExplainedError `invalid-input`
 */
export function parseHelperRequest(values: OptionValues): HelperRequest {
  const reader = readOptions(values);
  requireOptions(reader, { robot: "acme+ci" });
  const registry = parseRegistry(reader.text("registry"));
  const caFile = reader.optional("ca-file");
  return {
    registry,
    tokenHost: parseOptionalHost(reader, "token-host"),
    robot: parseOnlyRobot(reader, registry),
    identity: parseIdentityRequest(reader),
    caFile: caFile && resolve(caFile),
    timeoutSeconds: parseTimeout(reader),
  };
}

/** A client names the host alone: a scope could never be told apart. */
function parseOnlyRobot({ list, text: whole }: OptionReader, registry: string): string {
  const [entry = "", another] = list("robot");
  const example = mention("robot", "acme+ci");
  if (another !== undefined) {
    const problem = "a credential helper is asked for a host, and takes one robot for it";
    throw invalidInput("robot", whole("robot"), problem, example);
  }
  const separator = entry.indexOf("=");
  const robot = parseRobot(entry.slice(separator + 1).trim());
  const given = separator < 0 ? registry : entry.slice(0, separator).trim();
  const scope = parseScope({
    option: "robot",
    scope: given,
    registry,
    rest: separator < 0 ? "" : `=${robot}`,
    example,
  });
  if (scope !== registry) {
    const problem = `a credential helper is asked for a host, and can't tell ${scope} from other repositories`;
    throw invalidInput("robot", entry, problem, mention("robot", robot));
  }
  return robot;
}

/** The switch of the cache, which only a `get` reads. @returns `odd`: what is neither on nor off */
export function readCacheSwitch(env: Environment): { readonly isOn: boolean; readonly odd?: string } {
  const value = env[cacheVariable]?.trim() ?? "";
  const isKnown = ["", "on", "off"].includes(value.toLowerCase());
  return isKnown ? { isOn: value.toLowerCase() !== "off" } : { isOn: false, odd: asGiven(value) };
}

export const oddSwitch = (value: string): string =>
  `${cacheVariable} is ${JSON.stringify(value)}: it must be on or off. The cache is not used.`;

/** Options in the syntax of what configures the helper: a variable, a line of the user's file, an input of the Action. */
export function helperSyntax({ kind }: Origin): Syntax {
  const write = kind === "file" ? asLine : kind === "job" ? asInput : asVariable;
  return { has: isOwn, write };
}

const asVariable = ({ option, value }: Mention): string =>
  variableOf(option) +
  (value === undefined ? "" : `=${typeof value === "string" ? shellWord(value) : `"$${value.variable}"`}`);

const asLine = ({ option, value }: Mention): string =>
  value === undefined
    ? option
    : `"${option}": ${JSON.stringify(typeof value === "string" ? value : `$${value.variable}`)}`;
