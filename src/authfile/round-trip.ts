/** Whether a JSON text keeps its meaning when it is parsed and formatted again. Pure. */

/** Levels of nesting. Go's encoding/json, which the tools use, reads 10,000; JSON.stringify fails at some thousands. */
const deepest = 1_000;

/**
 * What a valid JSON text loses when this program rewrites it; undefined: nothing.
 * Never quotes a value: it may be a secret.
 */
export function lossOf(text: string): string | undefined {
  /** The keys of each object that is open; undefined for a list. */
  const open: (Set<string> | undefined)[] = [];
  for (const [token, string, colon] of text.matchAll(/[{}[\]]|("[^"\\]*(?:\\.[^"\\]*)*")(\s*:)?|-?[0-9][0-9.eE+-]*/g)) {
    if (token === "{" || token === "[") {
      if (open.push(token === "{" ? new Set() : undefined) > deepest) {
        return `is nested more than ${deepest} deep`;
      }
    } else if (token === "}" || token === "]") {
      open.pop();
    } else if (string === undefined) {
      if (normal(token) !== normal(String(Number(token)))) {
        return "holds a number that JavaScript can't keep exactly (such as a whole number over 2^53)";
      }
    } else if (colon !== undefined) {
      const key: string = JSON.parse(string);
      const keys = open.at(-1);
      if (keys?.has(key)) {
        return `holds the key ${JSON.stringify(key.slice(0, 100))} twice in one object`;
      }
      keys?.add(key);
    }
  }
  return undefined;
}

/** One text for one number: sign, digits without zeros around them, exponent. */
function normal(number: string): string {
  const [, sign = "", whole = "", part = "", exponent = "0"] =
    /^(-?)([0-9]+)(?:\.([0-9]+))?(?:[eE]([+-]?[0-9]+))?$/.exec(number) ?? [];
  const digits = (whole + part).replace(/^0+/, "");
  const significant = digits.replace(/0+$/, "");
  if (significant === "") {
    return whole === "" ? number : `${sign}0`; // Infinity is none; of -0, JSON.stringify makes 0
  }
  return `${sign}${significant}e${Number(exponent) - part.length + digits.length - significant.length}`;
}
