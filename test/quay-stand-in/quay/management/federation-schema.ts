/** The management API's check of a federation request: jsonschema's wording, Python's notation (section A). */
import { pretty, python } from "./schema.ts";

const ISSUER = { description: "The issuer of the token", type: "string" };
const SUBJECT = { description: "The subject of the token", type: "string" };
const PROPERTIES: Record<string, { description: string }> = { issuer: ISSUER, subject: SUBJECT };

const ITEMS = `    {'properties': {'issuer': {'description': 'The issuer of the token',
                               'type': 'string'},
                    'subject': {'description': 'The subject of the token',
                                'type': 'string'}},
     'required': ['issuer', 'subject'],
     'type': 'object'}`;
const ARRAY = `    {'description': 'Federation configuration for the robot',
     'items': {'properties': {'issuer': {'description': 'The issuer of the '
                                                        'token',
                                         'type': 'string'},
                              'subject': {'description': 'The subject of '
                                                         'the token',
                                          'type': 'string'}},
               'required': ['issuer', 'subject'],
               'type': 'object'},
     'type': 'array'}`;

/** @returns the complaint about a body that isn't an array of `{issuer, subject}`, or undefined. */
export function schemaProblem(body: unknown): string | undefined {
  if (!Array.isArray(body)) {
    return `${python(body)} is not of type 'array'\n\nFailed validating 'type' in schema:\n${ARRAY}\n\nOn instance:\n${pretty(body)}`;
  }
  for (const [index, item] of body.entries()) {
    const on = `\n\nOn instance[${index}]`;
    if (typeof item !== "object" || item === null || Array.isArray(item)) {
      return `${python(item)} is not of type 'object'\n\nFailed validating 'type' in schema['items']:\n${ITEMS}${on}:\n${pretty(item)}`;
    }
    for (const [name, property] of Object.entries(PROPERTIES)) {
      const value = (item as Record<string, unknown>)[name];
      if (value === undefined || typeof value === "string") continue;
      const place = `schema['items']['properties']['${name}']`;
      return `${python(value)} is not of type 'string'\n\nFailed validating 'type' in ${place}:\n${pretty(property)}${on}['${name}']:\n${pretty(value)}`;
    }
    const missing = Object.keys(PROPERTIES).find((name) => (item as Record<string, unknown>)[name] === undefined);
    if (missing !== undefined) {
      return `'${missing}' is a required property\n\nFailed validating 'required' in schema['items']:\n${ITEMS}${on}:\n${pretty(item)}`;
    }
  }
  return undefined;
}
