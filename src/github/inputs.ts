/** The Action's inputs, as text. */
import { getInput } from "@actions/core";
import { type OptionValues, optionsOf } from "../options/table.ts";

/** Blanks are kept: each option decides what they mean. */
export function readInputs(action: "action" | "promote-action" = "action"): OptionValues {
  return Object.fromEntries(optionsOf(action).map(({ name }) => [name, getInput(name, { trimWhitespace: false })]));
}
