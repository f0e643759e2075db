/** What a shell can complete, as data: from the table of options, for the scripts of the three shells. Pure. */
import { describe } from "../../options/descriptions.ts";
import { type Command, commands, type OwnOption, optionsOf, outputs, promotionOutputs } from "../../options/table.ts";
import { errorCodes } from "../../platform/errors.ts";
import { shells, type Topic, topics, type verbs } from "../arguments.ts";
import { lineOf } from "../help.ts";

/** The values of an option or an argument. `results`: a name, `=`, and a file. `text`: any. */
export type Values =
  | { readonly kind: "text" | "file" | "folder" | "variable" }
  | { readonly kind: "choices" | "results"; readonly of: readonly string[] };

export interface Flag {
  /** With its dashes. */
  readonly name: string;
  readonly short?: string;
  readonly about: string;
  readonly isRepeated: boolean;
  /** undefined: it takes no value. */
  readonly values: Values | undefined;
  /** The value's placeholder. */
  readonly placeholder: string;
}

export interface CompletedCommand {
  readonly name: (typeof verbs)[number];
  readonly about: string;
  readonly flags: readonly Flag[];
  /** Of its plain arguments. */
  readonly words: Values;
}

/** All commands, in the order of the help. */
export const completedCommands = (): readonly CompletedCommand[] => [
  ...topics.map((name) => ({ name, about: lineOf(name), flags: [...flagsOf(name), help], words: wordsOf(name) })),
  { name: "licenses", about: "print the licenses of what is inside", flags: [], words: { kind: "text" } },
  { name: "help", about: "show a command's options", flags: [], words: choices(topics) },
  { name: "version", about: "show the version", flags: [], words: { kind: "text" } },
];

const choices = (of: readonly string[]): Values => ({ kind: "choices", of });

const help: Flag = {
  name: "--help",
  short: "-h",
  about: "show the options",
  isRepeated: false,
  values: undefined,
  placeholder: "",
};

const flagsOf = (topic: Topic): readonly Flag[] =>
  commands.filter((command) => command === topic).flatMap((command) => optionsOf(command).map(flagOf(command)));

const flagOf =
  (command: Command) =>
  (option: OwnOption): Flag => ({
    name: `--${option.name}`,
    ...(option.short && { short: `-${option.short}` }),
    about: firstSentence(describe(option.name, command)),
    isRepeated: option.takes === "list",
    values: option.takes === "flag" ? undefined : valuesOf(option, command),
    placeholder: option.value ?? "",
  });

function valuesOf({ name, choices: allowed, value }: OwnOption, command: Command): Values {
  if (allowed) {
    return choices(allowed);
  }
  if (name === "result") {
    return { kind: "results", of: (command === "promote" ? promotionOutputs : outputs).map((output) => output.name) };
  }
  if (name === "token-env" || name === "api-token-env") {
    return { kind: "variable" };
  }
  return { kind: value === "FILE" ? "file" : value === "FOLDER" ? "folder" : "text" };
}

function wordsOf(topic: Topic): Values {
  switch (topic) {
    case "explain":
      return choices(Object.keys(errorCodes));
    case "completion":
      return choices(shells);
    case "migrate":
      return { kind: "file" };
    default:
      return { kind: "text" };
  }
}

/** Up to the point that a capital follows (others are in names), or the colon before the values. */
const firstSentence = (text: string): string =>
  /^(?:With [a-z-]+: )?.*?(?=\.(?: [A-Z]|$)|: |$)/.exec(text)?.[0] ?? text;
