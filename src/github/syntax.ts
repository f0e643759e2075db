/** How a workflow sets the inputs of an Action. Pure. */
import { optionsOf } from "../options/table.ts";
import type { Mention, Syntax } from "../platform/wording.ts";

export type Action = "action" | "promote-action" | "federate-action";

export function workflowSyntax(action: Action): Syntax {
  const names = new Set<string>(optionsOf(action).map(({ name }) => name));
  return { has: (option) => names.has(option), write };
}

/** `ca-file: root.pem`; without a value `ca-file`. */
function write({ option, value }: Mention): string {
  if (value === undefined) {
    return option;
  }
  // YAML reads a number with a leading zero as another one: it needs quotes.
  const shown =
    typeof value !== "string" ? `\${{ env.${value.variable} }}` : /^0[0-9]/.test(value) ? `"${value}"` : value;
  return `${option}: ${shown}`;
}
