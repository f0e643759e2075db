/**
 * Every option once, as data. The parsing and the command line's help read it; `script/generate` writes each `action.yml`,
 * the parameters of the Tekton Tasks, and the tables of docs/options.md and docs/outputs.md from it.
 */
import { loginOptions } from "./login-options.ts";
import { migrationOptions } from "./migration-options.ts";
import type { EntryPoint, Option } from "./option.ts";
import { outputOptions } from "./outputs.ts";
import { promotionOptions } from "./promotion-options.ts";
import { trustOptions } from "./trust-options.ts";

export { toolNames } from "./login-options.ts";
export { type Command, commands, type EntryPoint, type Option, type OptionGroup } from "./option.ts";
export {
  type FederationOutputName,
  federationOutputs,
  type OutputName,
  outputs,
  type PromotionOutputName,
  promotionOutputs,
} from "./outputs.ts";
export { findingNames } from "./trust-options.ts";

export const options = [
  ...loginOptions,
  ...promotionOptions,
  ...trustOptions,
  ...migrationOptions,
  ...outputOptions,
] as const;

export type OptionName = (typeof options)[number]["name"];

declare module "../platform/wording.ts" {
  // A text that mentions an option outside this table does not compile.
  interface MentionableOptions extends Record<OptionName, never> {}
}

/** The values that an option has in the table. */
export type ChoiceOf<Name extends OptionName> =
  Extract<(typeof options)[number], { readonly name: Name }> extends { readonly choices: infer Choices }
    ? Choices extends readonly (infer Choice extends string)[]
      ? Choice
      : never
    : never;

/** The options as text, from an entry point. An absent or blank option has its default. */
export type OptionValues = Partial<Record<OptionName, string | undefined>>;

/** An option as one entry point has it. */
export type OwnOption = Omit<Option, "required" | "withoutDefault" | "choicesOf"> & {
  readonly name: OptionName;
  readonly required: boolean;
};

/** The options of one entry point, in the table's order. */
export function optionsOf(entryPoint: EntryPoint): readonly OwnOption[] {
  const all: readonly (Option & { readonly name: OptionName })[] = options;
  return all
    .filter(({ entryPoints }) => entryPoints.includes(entryPoint))
    .map(({ required = [], withoutDefault = [], default: preset, choices, choicesOf = {}, ...option }) => ({
      ...option,
      ...(choices && { choices: choices.filter((choice) => choicesOf[choice]?.includes(entryPoint) ?? true) }),
      ...(preset !== undefined && !withoutDefault.includes(entryPoint) && { default: preset }),
      required: required.includes(entryPoint),
    }));
}
