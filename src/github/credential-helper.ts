/** `credential-helper: true`: the options that go with it, and the program that later steps' tools ask. */
import { access, constants, rm } from "node:fs/promises";
import { join, resolve } from "node:path";
import { helperOfSession } from "../authfile/cred-helpers.ts";
import { cachePlace, keyOf } from "../helper/cache.ts";
import { keepToken } from "../helper/cache-write.ts";
import { type HelperRequest, optionsForFile } from "../helper/configuration.ts";
import type { IdentityChoice } from "../identity/index.ts";
import type { LoginRequest } from "../login/request.ts";
import { programOf } from "../login/session.ts";
import type { FirstLogin } from "../login/workplace.ts";
import type { OptionReader } from "../options/reader.ts";
import type { OptionName, OptionValues } from "../options/table.ts";
import { ExplainedError, invalidInput, unreachable } from "../platform/errors.ts";
import type { LocalMachine } from "../platform/platform.ts";
import { replaceFile } from "../platform/replace.ts";
import { shellWord } from "../platform/text.ts";
import { mention, text, type Words } from "../platform/wording.ts";
import type { RobotToken } from "../quay/exchange.ts";

/**
 * A helper is asked for a host, and has this job's identity: what does not go with that is refused.
 * @throws ExplainedError `invalid-input`
 */
export function assertGoWithHelper({ text: whole, optional, boolean, list }: OptionReader): void {
  const fail = (option: OptionName, problem: string, example: Words) =>
    invalidInput(option, whole(option), problem, text`${example}. Or leave ${mention("credential-helper")} out`);
  const [first = "", second] = list("robot");
  const robot = mention("robot", first.slice(first.indexOf("=") + 1).trim());
  if (second !== undefined) {
    throw fail("robot", "the tools ask a credential helper for a host, which has one robot", robot);
  }
  if (first.split("=")[0]?.includes("/")) {
    throw fail("robot", "the tools ask a credential helper for a host, not for an organization or a repository", robot);
  }
  const tool = whole("tool").toLowerCase();
  if (tool !== "auto" && tool !== "none") {
    const instead = tool === "docker" ? mention("docker-config", "true") : mention("tool", "auto");
    throw fail("tool", "no tool logs in: each asks the credential helper", instead);
  }
  if (boolean("refresh")) {
    const problem = "a credential helper gets a new robot token when a tool needs one: there is nothing to renew";
    throw fail("refresh", problem, mention("refresh", "false"));
  }
  if (!boolean("logout")) {
    const problem = "the credential helper is in the job's temporary folder, which does not outlast the job";
    throw fail("logout", problem, mention("logout", "true"));
  }
  if (optional("auth-file-mode") !== undefined) {
    const problem = "the file holds no login, and another user can't run this user's credential helper";
    throw fail("auth-file-mode", problem, text`no ${mention("auth-file-mode")}`);
  }
}

/**
 * The tools find the helper by PATH, which a colon splits; the runner splits its list of folders at line ends.
 * @throws ExplainedError `credential-helper`
 */
export function assertCanBeOnPath(folder: string): void {
  if (/[:\r\n]/.test(folder)) {
    throw new ExplainedError(
      "credential-helper",
      `The temporary folder ${JSON.stringify(folder)} can't be on PATH, since its name has a colon or a line end: no tool would find the credential helper.`,
      {
        remedy: [
          "Give the runner a work folder whose name has neither.",
          text`Or leave ${mention("credential-helper")} out.`,
        ],
      },
    );
  }
}

/** Where the helper's parts are. */
const parts = (folder: string) => ({
  configuration: join(folder, "config.json"),
  roots: join(folder, "ca.pem"),
});

/**
 * Makes the program in the session's private folder, with its configuration.
 * @param roots of the option ca-file: a copy, which no later step replaces by accident
 * @returns the helper's name
 * @throws ExplainedError `credential-helper` if no program can run in that folder
 */
export async function installHelper(
  { session, source, token }: FirstLogin,
  { registry, identity }: LoginRequest,
  { inputs, roots }: { readonly inputs: OptionValues; readonly roots: string | undefined },
  machine: LocalMachine,
): Promise<string> {
  const { folder, id } = session;
  const { configuration, roots: caFile } = parts(folder);
  if (roots !== undefined) {
    await replaceFile(caFile, roots, { mode: 0o600 });
  }
  const options: OptionValues = {
    ...optionsForFile(inputs),
    ...(roots !== undefined && { "ca-file": caFile }),
    // What was found here is what later steps use, whatever they set.
    ...optionsOfSource(source),
  };
  await keepFirst(configuration, { registry, robot: token.robot, identity }, token, machine);
  const content = { version: 1, registries: { [registry]: options } };
  await replaceFile(configuration, JSON.stringify(content, undefined, 2), { mode: 0o600 });
  const name = helperOfSession(id);
  await installProgram(programOf(folder, name), configuration);
  return name;
}

function optionsOfSource(source: IdentityChoice): OptionValues {
  switch (source.source) {
    case "github":
    case "command": // only an option names it
      return { identity: source.source };
    case "file":
      return { identity: source.source, "token-file": resolve(source.path) };
    case "environment":
      return { identity: source.source, "token-env": source.variable };
    case "spiffe":
      return { identity: source.source, "spiffe-socket": source.address };
    default:
      return unreachable(source);
  }
}

/** The first robot token, for the first tool that asks. */
async function keepFirst(
  configuration: string,
  asked: Pick<HelperRequest, "registry" | "robot" | "identity">,
  token: RobotToken,
  machine: LocalMachine,
): Promise<void> {
  const path = cachePlace({ kind: "job", path: configuration }, machine.env);
  const key = keyOf(asked, machine.env);
  if (path !== undefined && key !== undefined) {
    await keepToken(path, key, token, machine);
  }
}

/** PATH's node may be of another version, or none: this runs the runner's own. */
async function installProgram(path: string, configuration: string): Promise<void> {
  const words = [process.execPath, join(import.meta.dirname, "../helper/index.js"), "--configuration", configuration];
  await replaceFile(path, `#!/bin/sh\nexec ${words.map(shellWord).join(" ")} "$@"\n`, { mode: 0o700 });
  try {
    await access(path, constants.X_OK);
  } catch (cause) {
    await rm(path);
    throw new ExplainedError("credential-helper", `No program can run in ${path} (noexec): no tool could ask it.`, {
      remedy: [
        "Set the temporary folder of the runner (its work folder) to one where programs can run.",
        text`Or leave ${mention("credential-helper")} out.`,
      ],
      cause,
    });
  }
}
