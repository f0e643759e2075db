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
