/** An option as an input of one of the Actions. Pure. */
import type { Mention } from "../platform/wording.ts";

/** `ca-file: root.pem`; without a value `ca-file`. */
export function asInput({ option, value }: Mention): string {
  if (value === undefined) {
    return option;
  }
  // YAML reads a number with a leading zero as another one: it needs quotes.
  const shown =
    typeof value !== "string" ? `\${{ env.${value.variable} }}` : /^0[0-9]/.test(value) ? `"${value}"` : value;
  return `${option}: ${shown}`;
}
