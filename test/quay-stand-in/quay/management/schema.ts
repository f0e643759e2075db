/** jsonschema's wording of what is wrong with a body, in Python's notation. */

export interface Schema {
  type?: "object" | "array" | "string";
  description?: string;
  properties?: Record<string, Schema>;
  required?: readonly string[];
  enum?: readonly (string | null)[];
  maxLength?: number;
}

/** @returns the complaint about a body, or undefined. `path` and `place` say where it is, in the schema and in the body. */
export function problemOf(body: unknown, schema: Schema, path = "", place = ""): string | undefined {
  const own = problemOfValue(body, schema, path, place);
  if (own !== undefined || typeof body !== "object" || body === null) return own;
  const values = body as Record<string, unknown>;
  for (const [name, property] of Object.entries(schema.properties ?? {})) {
    if (values[name] === undefined) continue;
    const problem = problemOf(values[name], property, `${path}['properties']['${name}']`, `${place}['${name}']`);
    if (problem !== undefined) return problem;
  }
  const missing = schema.required?.find((name) => values[name] === undefined);
  return missing && complain(`'${missing}' is a required property`, "required", schema, path, body, place);
}

function problemOfValue(value: unknown, schema: Schema, path: string, place: string): string | undefined {
  const say = (text: string, keyword: string) => complain(text, keyword, schema, path, value, place);
  if (schema.type !== undefined && typeOf(value) !== schema.type) {
    return say(`${python(value)} is not of type '${schema.type}'`, "type");
  }
  if (schema.enum !== undefined && !schema.enum.includes(value as string)) {
    return say(`${python(value)} is not one of ${python(schema.enum)}`, "enum");
  }
  const isLong = typeof value === "string" && schema.maxLength !== undefined && value.length > schema.maxLength;
  return isLong ? say(`${python(value)} is too long`, "maxLength") : undefined;
}

function complain(text: string, keyword: string, schema: Schema, path: string, value: unknown, place: string): string {
  const rule = `Failed validating '${keyword}' in schema${path}:\n${pretty(schema)}`;
  return `${text}\n\n${rule}\n\nOn instance${place}:\n${pretty(value)}`;
}

function typeOf(value: unknown): string {
  if (value === null) return "null";
  return Array.isArray(value) ? "array" : typeof value;
}

/** Python's `repr`. */
export function python(value: unknown): string {
  if (value === null) return "None";
  if (typeof value === "boolean") return value ? "True" : "False";
  if (typeof value === "string") return value.includes("'") ? JSON.stringify(value) : `'${value}'`;
  if (Array.isArray(value)) return `[${value.map(python).join(", ")}]`;
  if (typeof value !== "object") return String(value);
  const entries = Object.entries(value as object).map(([key, each]) => `${python(key)}: ${python(each)}`);
  return `{${entries.join(", ")}}`;
}

/** Python's `pprint`, indented by four: one line if it fits into 72 letters, else a line for each key. */
export function pretty(value: unknown): string {
  const line = python(value);
  if (line.length <= 72 || typeof value !== "object" || value === null || Array.isArray(value)) return `    ${line}`;
  return `    {${Object.entries(value)
    .map(([key, each]) => `${python(key)}: ${python(each)}`)
    .join(",\n     ")}}`;
}
