/** JSON from outside, which may be anything. Pure. */
export type JsonObject = Readonly<Record<string, unknown>>;

/** Not a list, and not null. */
export const isObject = (value: unknown): value is JsonObject =>
  typeof value === "object" && value !== null && !Array.isArray(value);

/** @returns undefined where the text is not JSON, or is another value than an object */
export function parseObject(text: string): JsonObject | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return isObject(value) ? value : undefined;
  } catch {
    return undefined; // the parser's message quotes the text, which may hold secrets
  }
}

/** What JavaScript gives a reviver and the library's types do not know yet (ECMAScript, "JSON.parse source text access"). */
const rawJson = JSON as unknown as { rawJSON(source: string): unknown };

/**
 * A JSON text as a value that `JSON.stringify` writes as it came: a number that JavaScript would round or write otherwise
 * (`9007199254740993`, `1.0`) keeps its characters.
 * @throws SyntaxError, whose message quotes the text
 */
export function parseExactly(text: string): unknown {
  const exactly = (_key: string, value: unknown, context?: { readonly source?: string }) =>
    typeof value === "number" && context?.source !== undefined && context.source !== String(value)
      ? rawJson.rawJSON(context.source)
      : value;
  return JSON.parse(text, exactly);
}
