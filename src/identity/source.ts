/** The options for the identity token, validated, as a plain value. Pure. */

import type { OptionReader } from "../options/reader.ts";
import type { OptionName } from "../options/table.ts";
import { type ExplainedError, invalidInput, oneOfTheTwo, unreachable } from "../platform/errors.ts";
import { isJwt } from "../platform/jwt.ts";
import { asGiven, shellWord } from "../platform/text.ts";
import { mention, text, type Variable } from "../platform/wording.ts";
import { wordsOf } from "./command-words.ts";
import { parseEndpoint, type SvidRequest } from "./spiffe/endpoint.ts";

/** The requested source of the identity token, before checking what exists. */
export type IdentitySource =
  | { readonly source: "auto" }
  | { readonly source: "github" }
  | { readonly source: "file"; readonly path: string }
  | { readonly source: "environment"; readonly variable: string }
  | TokenCommand
  /** `socket`: the Workload API's address; undefined: the address in SPIFFE_ENDPOINT_SOCKET. */
  | { readonly source: "spiffe"; readonly socket: WorkloadSocket | undefined };

/** A command that prints the token. */
export interface TokenCommand {
  readonly source: "command";
  readonly words: readonly [program: string, ...args: string[]];
  /** The variables that options name as places of secrets: it gets none of them. */
  readonly withheld: readonly string[];
}

type WorkloadSocket = Omit<SvidRequest, "id">;

export interface IdentityRequest {
  readonly wanted: IdentitySource;
  /** Which SVID to take if SPIFFE issues several: a SPIFFE ID, or a hint. */
  readonly spiffeId: string | undefined;
  readonly audience: string;
  /** The workflow file that defines this job, if GitHub names it. */
  readonly workflowRef: string | undefined;
}

/** The path of a projected token that is mounted by this project's convention. */
export const conventionalTokenFile = "/var/run/secrets/tokens/quay-token";

/** The convention `<AUDIENCE>_ID_TOKEN` for the token of a job, which GitLab's users know from sigstore. */
export const conventionalVariable = "QUAY_ID_TOKEN";

/** The options that belong to one source, each with the source that it selects. */
const sourceOptions = [
  ["token-file", "file"],
  ["token-env", "environment"],
  ["token-command", "command"],
  ["spiffe-socket", "spiffe"],
] as const;

/** @throws ExplainedError `invalid-input` */
export function parseIdentityRequest(reader: OptionReader): IdentityRequest {
  const wanted = parseSource(reader);
  const spiffeId = reader.optional("spiffe-id");
  if (spiffeId !== undefined && wanted.source !== "spiffe" && wanted.source !== "auto") {
    throw unused("spiffe-id", spiffeId, wanted.source);
  }
  return {
    wanted,
    spiffeId,
    audience: parseAudience(reader.text("audience")),
    workflowRef: reader.optional("workflow-ref"),
  };
}

function parseSource(reader: OptionReader): IdentitySource {
  const wanted = reader.choice("identity");
  const [given, another] = sourceOptions.flatMap(([option, source]) => {
    const value = reader.optional(option);
    return value === undefined ? [] : [{ option, source, value, shown: option === "token-env" ? named(value) : value }];
  });
  if (given && another) {
    throw invalidInput(
      another.option,
      another.shown,
      text`${mention(given.option)} is set too (${JSON.stringify(asGiven(given.shown))})`,
      oneOfTheTwo,
    );
  }
  if (given && wanted !== "auto" && wanted !== given.source) {
    throw unused(given.option, given.shown, wanted);
  }
  const source = given?.source ?? wanted;
  switch (source) {
    case "auto":
    case "github":
      return { source };
    case "file":
      return { source, path: given?.value ?? conventionalTokenFile };
    case "environment":
      return { source, variable: parseVariable(given?.value) };
    case "command":
      return parseCommand(given?.value, reader);
    case "spiffe":
      return { source, socket: given && parseSocket("spiffe-socket", given.value) };
    default:
      return unreachable(source);
  }
}

function unused(option: OptionName, shown: string, source: IdentitySource["source"]): ExplainedError {
  return invalidInput(
    option,
    shown,
    text`${mention("identity")} is ${source}, which does not use it`,
    mention("identity", "auto"),
  );
}

export const isVariable = (text: string): boolean => /^[A-Za-z_][A-Za-z0-9_]*$/.test(text);

/** A user may have put the token itself in place of the variable's name: it must not reach a log. */
const named = (variable: string): string => (isVariable(variable) ? variable : "…");

function parseVariable(variable = ""): string {
  const example = mention("token-env", "QUAY_ID_TOKEN");
  if (variable === "") {
    throw invalidInput("token-env", "", text`${mention("identity", "environment")} needs it`, example);
  }
  if (!isVariable(variable)) {
    throw invalidInput("token-env", "…", "it must be the name of a variable, not the token", example);
  }
  return variable;
}

const exampleCommand = mention("token-command", "buildkite-agent oidc request-token --audience quay");

function parseCommand(command = "", reader: OptionReader): TokenCommand {
  if (command === "") {
    throw invalidInput("token-command", "", text`${mention("identity", "command")} needs it`, exampleCommand);
  }
  const read = wordsOf(command);
  if (!read.ok) {
    // An error is printed as one line: several lines would become another command.
    const script = command.includes("\n") ? "'…'" : shellWord(command);
    const example = read.needsShell ? mention("token-command", `sh -c ${script}`) : exampleCommand;
    throw invalidInput("token-command", command, read.problem, example);
  }
  const [program] = read.words;
  if (isJwt(program)) {
    throw invalidInput(
      "token-command",
      "…",
      "it must be a command that prints the token, not the token",
      exampleCommand,
    );
  }
  if (program.includes("/") && !program.startsWith("/")) {
    const problem = `${program} depends on the current folder, where a checkout may have put another file`;
    throw invalidInput("token-command", command, problem, mention("token-command", "/usr/local/bin/print-token"));
  }
  const named = (["token-env", "api-token-env"] as const).map((option) => reader.optional(option));
  return { source: "command", words: read.words, withheld: named.filter((name) => name !== undefined) };
}

/**
 * @param from the option or variable that gave the address, for the error
 * @throws ExplainedError `invalid-input`
 */
export function parseSocket(from: "spiffe-socket" | Variable, address: string): WorkloadSocket {
  const endpoint = parseEndpoint(address);
  if ("problem" in endpoint) {
    const { example } = endpoint;
    const set = typeof from === "string" ? mention(from, example) : `${from.variable}=${example}`;
    throw invalidInput(from, address, endpoint.problem, set);
  }
  return { endpoint, address };
}

/** @throws ExplainedError `invalid-input` */
export function parseAudience(value: string): string {
  if (/\s/.test(value)) {
    throw invalidInput("audience", value, "an audience contains no spaces", mention("audience", "quay"));
  }
  return value;
}
