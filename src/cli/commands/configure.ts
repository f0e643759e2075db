import { resolve } from "node:path";
import { helperName, removal } from "../../authfile/cred-helpers.ts";
import { forgetTokens } from "../../helper/cache-write.ts";
import { optionsForFile, originOf, parseHelperRequest } from "../../helper/configuration.ts";
import { type ConfigureRequest, configureHelper, removeConfiguration } from "../../helper/configure.ts";
import { program } from "../../helper/protocol.ts";
import { lasting, logout } from "../../login/logout.ts";
import { readOptions } from "../../options/reader.ts";
import { type OptionValues, optionsOf } from "../../options/table.ts";
import { systemClock } from "../../platform/clock.ts";
import { ExplainedError, invalidInput, oneOfTheTwo, reworded } from "../../platform/errors.ts";
import { isObject } from "../../platform/json.ts";
import type { LocalMachine } from "../../platform/platform.ts";
import { listed, oneLine, withoutSecrets } from "../../platform/text.ts";
import { mention, text } from "../../platform/wording.ts";
import { parseRegistry } from "../../quay/scope.ts";
import { readRoots } from "../../tools/certificates.ts";
import { ownHelper } from "../beside.ts";
import { aligned, type Call, type Outcome } from "../command.ts";

export async function configure(call: Call): Promise<Outcome> {
  const reader = readOptions(call.values);
  return reader.boolean("remove") ? remove(call) : enter(call);
}

/** Without signals: it is quick, and can be repeated. */
const machineOf = ({ env, terminal }: Call): LocalMachine => ({
  env,
  clock: systemClock,
  reporter: terminal,
  signal: AbortSignal.timeout(60_000),
});

async function enter(call: Call): Promise<Outcome> {
  const request = await parseConfigure(call.values);
  const { registry, options, session } = request;
  const { change, configuration, files, replaced } = await configureHelper(request, machineOf(call));
  warnOfVariables(call);
  warnOfReplaced(call, request, replaced);
  if (change === "none") {
    call.terminal.info(
      `The credential helper is configured for ${registry} already, with the same values: nothing was changed.`,
    );
  }
  sayWhatNext(call, request, files);
  const robot = options.robot ?? "";
  return {
    lines: aligned([
      ["registry", registry],
      ["robot", robot],
      ["credential-helper", helperName],
      ["configuration", configuration],
      ["files", files],
      ...(session ? [["session", session] as const] : []),
    ]),
    object: {
      configured: true,
      changed: change !== "none",
      registry,
      robot,
      "credential-helper": helperName,
      configuration,
      files,
      ...(session && { session }),
    },
  };
}

/** @throws ExplainedError `invalid-input` */
async function parseConfigure(values: OptionValues): Promise<ConfigureRequest> {
  const { optional, choice, list } = readOptions(values);
  const { registry, robot, caFile } = withLoginInstead(list("robot"), () => parseHelperRequest(values));
  await readRoots(caFile); // the helper would fail with it later
  const [authFile, session] = [optional("auth-file"), optional("session")];
  return {
    registry,
    options: { ...optionsForFile(values), robot },
    authFile: authFile && resolve(authFile),
    docker: choice("docker-config") !== "false",
    session: session && resolve(session),
    helper: ownHelper(),
  };
}

/** A helper gets the host alone: the way out for several robots is a login. */
function withLoginInstead<T>(robots: readonly string[], parse: () => T): T {
  try {
    return parse();
  } catch (error) {
    const isForLogin = robots.length > 1 || robots.some((robot) => robot.includes("="));
    if (!isForLogin || !(error instanceof ExplainedError)) {
      throw error;
    }
    const instead = "For several robots, or robots with scopes, log in instead: quay-keyless-login login --help";
    throw reworded(error, { remedy: (lines) => [...lines, instead] });
  }
}

function warnOfVariables({ env, terminal }: Call): void {
  if (originOf(env, undefined).kind === "environment") {
    terminal.warning(
      "Variables with QUAY_KEYLESS_ are set: where tools have them, the credential helper takes these and not this configuration.",
    );
  }
}

/** Another job with the same home may need what was there. A command in it may hold a password: only names are shown. */
function warnOfReplaced({ terminal }: Call, { registry, options }: ConfigureRequest, replaced: unknown): void {
  if (!isObject(replaced)) {
    return;
  }
  const names = [...new Set([...Object.keys(replaced), ...Object.keys(options)])];
  const changed = names.filter((name) => name !== "robot" && replaced[name] !== options[name]);
  const before = withoutSecrets(oneLine(String(replaced.robot)));
  terminal.warning(
    [
      `This replaced the configuration of ${registry}, which all jobs and shells with this home share.`,
      before === options.robot
        ? `The robot is ${before} as before.`
        : `The robot was ${before}, and is ${options.robot} now.`,
      ...(changed.length > 0 ? [`Other values: ${changed.join(", ")}.`] : []),
    ].join(" "),
  );
}

function sayWhatNext({ terminal }: Call, { registry, session }: ConfigureRequest, files: readonly string[]): void {
  terminal.info(`The tools that read ${listed(files)} ask ${program} for the logins of ${registry}.`);
  terminal.info(`To try it: echo ${registry} | ${program} get > /dev/null && echo it works`);
  terminal.info(`To remove it: ${session ? `quay-keyless-login logout --session ${session}` : removal(registry)}`);
}

async function remove(call: Call): Promise<Outcome> {
  const { optional, text: whole } = readOptions(call.values);
  assertOfRemoval(call.values);
  const session = optional("session");
  if (session !== undefined) {
    return removeSession(resolve(session), call);
  }
  const registry = parseRegistry(whole("registry"));
  const authFile = optional("auth-file");
  const machine = machineOf(call);
  const removed = await removeConfiguration({ registry, authFile: authFile && resolve(authFile) }, machine);
  const { files, wasConfigured, others } = removed;
  if (wasConfigured || files.length > 0) {
    const where = [...files, ...(wasConfigured ? [removed.configuration] : [])];
    call.terminal.info(`Removed the credential helper for ${registry} from ${listed(where)}. ${lasting}`);
  } else {
    call.terminal.info(`The credential helper is not configured for ${registry}: nothing was removed.`);
  }
  for (const other of others) {
    call.terminal.info(`It is configured for ${other} still. To remove that: ${removal(other)}`);
  }
  return { lines: [], object: { removed: wasConfigured || files.length > 0, registry, files } };
}

/** `a`, `a and b`, `a, b and c` */
/** The record alone says what to remove. */
async function removeSession(folder: string, call: Call): Promise<Outcome> {
  const machine = machineOf(call);
  const session = await logout(folder, machine, { named: true });
  if (session?.configured) {
    await forgetTokens(session.configured.path, session.configured.registry, machine);
  }
  if (session === undefined) {
    call.terminal.info(`There is no session in ${withoutSecrets(folder)}: nothing was removed.`);
  }
  const files = session?.files.map(({ path }) => path) ?? [];
  return {
    lines: [],
    object: { removed: session !== undefined, registry: session?.configured?.registry ?? null, files },
  };
}

/** @throws ExplainedError `invalid-input` */
function assertOfRemoval(values: OptionValues): void {
  const known = new Set<string>(["remove", "registry", "auth-file", "session", "output", "verbose", "quiet"]);
  const given = optionsOf("configure").filter(({ name }) => values[name]?.trim());
  const extra = given.find(({ name }) => !known.has(name));
  if (extra) {
    throw invalidInput(
      extra.name,
      values[extra.name] ?? "",
      text`${mention("remove")} removes what is there, and takes no such option`,
      oneOfTheTwo,
    );
  }
  const other = given.find(({ name }) => name === "registry" || name === "auth-file");
  if (values.session?.trim() && other) {
    throw invalidInput(other.name, values[other.name] ?? "", "the session records what to remove", oneOfTheTwo);
  }
}
