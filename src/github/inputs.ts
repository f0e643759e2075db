/** The Action's inputs, as text. */
import { getInput } from "@actions/core";
import { type OptionValues, optionsOf } from "../options/table.ts";
import type { Action } from "./syntax.ts";

/** Blanks are kept: each option decides what they mean. */
export function readInputs(action: Action = "action"): OptionValues {
  return Object.fromEntries(optionsOf(action).map(({ name }) => [name, getInput(name, { trimWhitespace: false })]));
}
