/** The syntax of options on the command line. Pure. */
import { type Command, commands, type Option, options, optionsOf } from "../options/table.ts";
import { shellWord } from "../platform/text.ts";
import type { Mention, Syntax } from "../platform/wording.ts";

const all: readonly Option[] = options;
const flags = new Set(all.filter(({ takes }) => takes === "flag").map(({ name }) => name));

/** @param command undefined: not known yet, and the options of all commands count */
export function flagSyntax(command: Command | undefined): Syntax {
  const isTyped = ({ entryPoints }: Option) => commands.some((each) => entryPoints.includes(each));
  const mentioned = command === undefined ? all.filter(isTyped) : optionsOf(command);
  const names = new Set(mentioned.map(({ name }) => name));
  return { has: (option) => names.has(option), write };
}

/** `--ca-file root.pem`; without a value, and for a flag that is set, `--ca-file`. */
function write({ option, value }: Mention): string {
  if (value === undefined || (flags.has(option) && value === "true")) {
    return `--${option}`;
  }
  const typed = typeof value === "string" ? shellWord(value) : `"$${value.variable}"`;
  return `--${option}${flags.has(option) ? "=" : " "}${typed}`;
}
