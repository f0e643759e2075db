/** Options as text, and the values that each kind accepts. Pure. */
import { ExplainedError, invalidInput } from "../platform/errors.ts";
import { joined, mention, text } from "../platform/wording.ts";
import { type ChoiceOf, type Option, type OptionName, type OptionValues, options } from "./table.ts";

export interface OptionReader {
  /** The value. Absent or blank: its default, or "" without one. */
  text(name: OptionName): string;
  optional(name: OptionName): string | undefined;
  /** @param allowed the entry point has only these values of the table's */
  choice<Name extends OptionName>(name: Name, allowed?: readonly string[]): ChoiceOf<Name>;
  boolean(name: OptionName): boolean;
  /** One entry per line, without blank ones. */
  list(name: OptionName): readonly string[];
}

const defaults: ReadonlyMap<OptionName, string | undefined> = new Map(
  options.map(({ name, ...option }: Option & { name: OptionName }) => [
    name,
    option.internal ? undefined : option.default,
  ]),
);

const choices: ReadonlyMap<OptionName, readonly string[] | undefined> = new Map(
  options.map(({ name, ...option }: Option & { name: OptionName }) => [name, option.choices]),
);

export const defaultOf = (name: OptionName): string | undefined => defaults.get(name);

export function readOptions(values: OptionValues): OptionReader {
  const text = (name: OptionName): string => values[name]?.trim() || defaults.get(name) || "";
  const oneOf = (name: OptionName, allowed: readonly string[]): string => {
    const value = text(name);
    const found = allowed.find((candidate) => candidate === value.toLowerCase());
    if (found === undefined) {
      throw invalidInput(name, value, `it must be one of ${allowed.join(", ")}`, mention(name, defaults.get(name)));
    }
    return found;
  };
  return {
    text,
    optional: (name) => text(name) || undefined,
    choice: <Name extends OptionName>(name: Name, allowed = choices.get(name) ?? []) =>
      oneOf(name, allowed) as ChoiceOf<Name>,
    boolean: (name) => oneOf(name, ["true", "false"]) === "true",
    list: (name) =>
      text(name)
        .split(/\r?\n/)
        .map((line) => line.trim())
        .filter(Boolean),
  };
}

/**
 * @param examples the required options, each with a value that works
 * @throws ExplainedError `invalid-input`, naming all missing ones
 */
export function requireOptions({ optional }: OptionReader, examples: Partial<Record<OptionName, string>>): void {
  const missing = (Object.entries(examples) as [OptionName, string][]).filter(([name]) => optional(name) === undefined);
  if (missing.length > 0) {
    const names = joined(
      missing.map(([name]) => mention(name)),
      ", ",
    );
    throw new ExplainedError(
      "invalid-input",
      text`Missing required ${missing.length > 1 ? "options" : "option"} ${names}.`,
      {
        remedy: missing.map(([name, example]) => text`Write, for example, ${mention(name, example)}`),
      },
    );
  }
}

/** @returns seconds. @throws ExplainedError `invalid-input` */
export function parseTimeout({ text }: OptionReader): number {
  const value = text("timeout");
  const seconds = Number(value);
  if (!/^[0-9]+$/.test(value) || seconds < 1 || seconds > 3600) {
    throw invalidInput("timeout", value, "it must be a whole number of seconds, 1 to 3600", mention("timeout", "120"));
  }
  return seconds;
}
