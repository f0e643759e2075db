/** The Action's inputs, as text. */
import { getInput } from "@actions/core";
import { type OptionValues, optionsOf } from "../options/table.ts";

/** Blanks stay: what they mean is up to each option. */
export function readInputs(action: "action" | "promote-action" = "action"): OptionValues {
  return Object.fromEntries(optionsOf(action).map(({ name }) => [name, getInput(name, { trimWhitespace: false })]));
}
