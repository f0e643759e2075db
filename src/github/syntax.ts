/** How a workflow sets the inputs of an Action. Pure. */
import { asInput } from "../options/input.ts";
import { optionsOf } from "../options/table.ts";
import type { Syntax } from "../platform/wording.ts";

export type Action = "action" | "promote-action" | "federate-action";

export function workflowSyntax(action: Action): Syntax {
  const names = new Set<string>(optionsOf(action).map(({ name }) => name));
  return { has: (option) => names.has(option), write: asInput };
}
