/**
 * The credential helper docker-credential-quay-keyless. It answers here what needs no network; an exchange
 * (credential-exchange.ts) is imported when it is needed: its modules take longer to load than such an answer.
 */
import {
  type Configuration,
  type Entry,
  oddSwitch,
  originOf,
  readCacheSwitch,
  readConfiguration,
  requestOf,
  withoutConfiguration,
} from "../helper/configuration.ts";
import {
  type Action,
  credentialLine,
  hostOf,
  notFound,
  parseCall,
  parseStored,
  withoutAddress,
  withoutUser,
} from "../helper/protocol.ts";
import { withoutTlsSwitch } from "../platform/environment.ts";
import { unreachable } from "../platform/errors.ts";
import { run } from "../platform/exit.ts";
import { asGiven, oneLine } from "../platform/text.ts";
import { createHelperReporter } from "./helper-reporter.ts";
import { readInput, writeLine } from "./streams.ts";

/** An address has a few hundred, and what `store` gets a few thousand. */
const maxInputBytes = 65_536;

const env = withoutTlsSwitch(process.env);

function print(line: string, failed = false): void {
  writeLine(1, line);
  if (failed) {
    process.exitCode = 1;
  }
}

/** Imports the part that talks to Quay. */
export type ImportExchange = () => Promise<typeof import("./credential-exchange.ts")>;

async function act(
  action: Action,
  configuration: Configuration | undefined,
  importExchange: ImportExchange,
): Promise<void> {
  switch (action) {
    case "get":
      return get(readInput(maxInputBytes).trim(), configuration, importExchange);
    case "store":
      return store(readInput(maxInputBytes), configuration);
    case "erase":
      return erase(readInput(maxInputBytes).trim(), configuration, importExchange);
    case "list":
      return list(configuration);
    default:
      return unreachable(action);
  }
}

function entryFor(address: string, configuration: Configuration | undefined): Entry | undefined {
  const host = hostOf(address);
  return host === undefined ? undefined : configuration?.registries.get(host);
}

async function get(
  address: string,
  configuration: Configuration | undefined,
  importExchange: ImportExchange,
): Promise<void> {
  const entry = entryFor(address, configuration);
  if (configuration === undefined) {
    writeLine(2, withoutConfiguration(env));
  }
  if (configuration === undefined || entry === undefined) {
    print(address === "" ? withoutAddress : notFound, true);
    return;
  }
  if (entry.problem) {
    throw entry.problem;
  }
  const request = requestOf(entry);
  const { origin } = configuration;
  const { isOn, odd } = readCacheSwitch(env);
  if (odd !== undefined) {
    createHelperReporter(origin).warning(oddSwitch(odd));
  }
  const { cachePath, findCached, keyOf } = await cacheModule();
  const cache = isOn ? cachePath(origin, env) : undefined;
  const key = cache === undefined ? undefined : keyOf(request, env);
  const cached = cache !== undefined && key && findCached(cache, key, Date.now());
  if (cached) {
    writeLine(1, credentialLine(address, request.robot, cached.token));
    return;
  }
  const { answerByExchange } = await importExchange();
  await answerByExchange({ address, request, origin, env, cache });
}

/** Loaded for our own hosts alone: node:crypto takes longer than all the rest of an answer to another one. */
const cacheModule = () => import(/* webpackMode: "eager" */ "../helper/cache.ts");

/** Succeeds for our hosts: a tool that logs in stores what it got, and fails if it can't. */
function store(input: string, configuration: Configuration | undefined): void {
  const { address = "", user = "" } = parseStored(input) ?? {};
  if (address === "" || user === "") {
    print(address === "" ? withoutAddress : withoutUser, true);
    return;
  }
  const host = hostOf(address) ?? oneLine(asGiven(address));
  const entry = entryFor(address, configuration);
  if (entry === undefined) {
    print(`${host} is not configured here; nothing was stored`, true);
    return;
  }
  const robot = robotOf(entry);
  const other = user === robot ? "" : ` The login of ${oneLine(asGiven(user))} is not used.`;
  writeLine(
    2,
    `Nothing was stored: the credential helper gets tokens of ${robot} for ${host} when a tool needs one.${other}`,
  );
}

/** As it is configured, also where that can't be used. */
const robotOf = ({ values }: Entry): string => oneLine(asGiven(values.robot?.split("=").at(-1)?.trim() ?? ""));

/** Drops what is cached. To the containers tools, success means that there was a login. */
async function erase(
  address: string,
  configuration: Configuration | undefined,
  importExchange: ImportExchange,
): Promise<void> {
  const entry = entryFor(address, configuration);
  if (configuration === undefined || entry === undefined) {
    print(address === "" ? withoutAddress : notFound, true);
    return;
  }
  const { origin } = configuration;
  const cache = (await cacheModule()).cachePlace(origin, env);
  if (cache !== undefined) {
    const { eraseCached } = await importExchange();
    await eraseCached({ cache, registry: entry.registry, origin });
  }
}

function list(configuration: Configuration | undefined): void {
  const entries = [...(configuration?.registries ?? [])];
  const users = entries.map(([host, entry]) => [`https://${host}`, robotOf(entry)]);
  print(JSON.stringify(Object.fromEntries(users)));
}

/** Clients show standard output. */
function sayBoth(line: string): void {
  writeLine(2, `Error: ${line}`);
  print(line, true);
}

/** Runs the program to its end. */
export const runHelper = (importExchange: ImportExchange): void =>
  run(async () => {
    const call = parseCall(process.argv.slice(2));
    if (call.kind === "print") {
      print(call.line, call.failed);
      return;
    }
    const origin = originOf(env, call.file);
    try {
      await act(call.action, readConfiguration(origin, env), importExchange);
    } catch (error) {
      createHelperReporter(origin).fail(error);
    }
  }, sayBoth);
