/** Turns arguments into a command and its options. Pure. */
import { parseArgs } from "node:util";
import { closest } from "../options/closest.ts";
import {
  type Command,
  commands,
  type Option,
  type OptionName,
  type OptionValues,
  type OwnOption,
  options,
  optionsOf,
} from "../options/table.ts";
import { ExplainedError, invalidInput, oneOfTheTwo } from "../platform/errors.ts";
import { asGiven } from "../platform/text.ts";

/** The topics of help. */
export const topics = [...commands, "explain", "completion"] as const;
export type Topic = (typeof topics)[number];

export const shells = ["bash", "zsh", "fish"] as const;
export type Shell = (typeof shells)[number];

/** The possible first words. */
export const verbs = [...topics, "licenses", "help", "version"] as const;

export type Invocation =
  | { readonly kind: "help"; readonly topic: Topic | undefined }
  | { readonly kind: "version" }
  | { readonly kind: "licenses" }
  | { readonly kind: "explain"; readonly code: string | undefined }
  | { readonly kind: "completion"; readonly shell: Shell }
  | { readonly kind: "run"; readonly command: Command; readonly values: OptionValues };

type Token = ReturnType<typeof tokenize>[number];
type OptionToken = Extract<Token, { kind: "option" }>;

/** @throws ExplainedError `invalid-input` */
export function parseArguments(args: readonly string[]): Invocation {
  const tokens = tokenize(args);
  const words = tokens.filter((token) => token.kind === "positional").map(({ value }) => value);
  const flags = tokens.filter((token) => token.kind === "option");
  const [name, ...rest] = words;
  const asksFor = (what: "help" | "version") => name === what || flags.some((flag) => flag.name === what);
  if (asksFor("help")) {
    return { kind: "help", topic: findTopic(name === "help" ? rest[0] : name) };
  }
  if (asksFor("version")) {
    return { kind: "version" };
  }
  if (name === "licenses") {
    return { kind: "licenses" };
  }
  if (name === "explain") {
    return { kind: "explain", code: onlyWord(name, rest, flags) };
  }
  if (name === "completion") {
    return { kind: "completion", shell: shellOf(onlyWord(name, rest, flags)) };
  }
  const command = commands.find((candidate) => candidate === name);
  if (command === undefined) {
    throw unknownCommand(name, flags);
  }
  const values: OptionValues = {};
  for (const flag of flags) {
    add(values, findOption(flag, command), flag);
  }
  const [word] = rest;
  if (word !== undefined) {
    const list = listOfWords(word, command);
    values[list] = [values[list] ?? [], rest].flat().join("\n");
  }
  return { kind: "run", command, values };
}

function tokenize(args: readonly string[]) {
  const known = Object.fromEntries(
    options.map(({ name, takes, short }: Option) => [
      name,
      { type: takes === "flag" ? "boolean" : "string", ...(short && { short }) } as const,
    ]),
  );
  return parseArgs({
    args: [...args],
    options: { ...known, help: { type: "boolean", short: "h" }, version: { type: "boolean", short: "V" } },
    strict: false,
    tokens: true,
    allowPositionals: true,
  }).tokens;
}

function findTopic(word: string | undefined): Topic | undefined {
  const topic = topics.find((candidate) => candidate === word);
  if (topic === undefined && word !== undefined && !verbs.some((verb) => verb === word)) {
    throw unknownCommand(word, []);
  }
  return topic;
}

/** The one argument of a command without options. */
function onlyWord(
  name: "explain" | "completion",
  [word, extra]: readonly string[],
  [flag]: readonly OptionToken[],
): string | undefined {
  const problem = flag
    ? `has no option ${asGiven(flag.rawName)}`
    : `takes one ${name === "explain" ? "code" : "shell"}, and got ${JSON.stringify(asGiven(extra ?? ""))} too`;
  if (flag !== undefined || extra !== undefined) {
    throw new ExplainedError("invalid-input", `${name} ${problem}.`, {
      remedy: [`For help: quay-keyless-login ${name} --help`],
    });
  }
  return word;
}

function shellOf(word: string | undefined): Shell {
  const shell = shells.find((candidate) => candidate === word);
  if (shell === undefined) {
    const got = word === undefined ? "got none" : `got ${JSON.stringify(asGiven(word))}`;
    throw new ExplainedError("invalid-input", `completion needs a shell, ${shells.join(", ")}, and ${got}.`, {
      remedy: ["Write, for example, quay-keyless-login completion bash"],
    });
  }
  return shell;
}

function unknownCommand(name: string | undefined, flags: readonly OptionToken[]): ExplainedError {
  const [flag] = flags;
  const what =
    name !== undefined
      ? `There is no command ${JSON.stringify(asGiven(name))}.`
      : flag
        ? `${asGiven(flag.rawName)} was given without a command.`
        : "No command was given.";
  const close = name && closest(name, verbs);
  return new ExplainedError("invalid-input", what, {
    remedy: [
      close ? `Did you mean: quay-keyless-login ${close}` : `The commands are ${topics.join(", ")}.`,
      "For help: quay-keyless-login --help",
    ],
  });
}

function findOption(flag: OptionToken, command: Command): OwnOption {
  const known = optionsOf(command);
  const found = known.find(({ name }) => name === flag.name);
  if (found) {
    return found;
  }
  const elsewhere = commands.filter((other) => optionsOf(other).some(({ name }) => name === flag.name));
  const names = known.map(({ name }) => name);
  const close = closest(flag.name, names);
  throw new ExplainedError("invalid-input", `${command} has no option ${asGiven(flag.rawName)}.`, {
    remedy: [
      elsewhere.length > 0
        ? `It belongs to ${elsewhere.join(", ")}.`
        : close
          ? `Did you mean: --${close}`
          : `Its options are ${names.map((name) => `--${name}`).join(", ")}.`,
      `For help: quay-keyless-login ${command} --help`,
    ],
  });
}

function add(values: OptionValues, option: OwnOption, flag: OptionToken): void {
  const { name, takes, value = "VALUE" } = option;
  const before = values[name];
  if (takes === "flag") {
    values[name] = flag.value ?? "true";
    return;
  }
  // A separate argument that looks like an option is one: the value is missing. A dash alone is standard input.
  if (flag.value === undefined || (!flag.inlineValue && /^-./.test(flag.value))) {
    throw new ExplainedError("invalid-input", `${asGiven(flag.rawName)} needs a value.`, {
      remedy: [
        `Write, for example, --${name} ${value}${flag.value ? `; if it begins with a dash: --${name}=${asGiven(flag.value)}` : ""}`,
      ],
    });
  }
  if (before !== undefined && takes !== "list") {
    throw invalidInput(
      name,
      flag.value,
      `it was already given (${JSON.stringify(asGiven(before))}), and takes one value`,
      oneOfTheTwo,
    );
  }
  values[name] = before === undefined ? flag.value : `${before}\n${flag.value}`;
}

/** The option that plain arguments of a command are for. Tekton passes an array only as whole arguments. */
function listOfWords(word: string, command: Command): OptionName {
  const all: readonly (Option & { readonly name: OptionName })[] = options;
  const list = all.find(({ argumentsOf }) => argumentsOf?.includes(command));
  if (list) {
    return list.name;
  }
  throw new ExplainedError(
    "invalid-input",
    `${command} takes no arguments, and got ${JSON.stringify(asGiven(word))}.`,
    {
      remedy: [`Options begin with --. For help: quay-keyless-login ${command} --help`],
    },
  );
}
