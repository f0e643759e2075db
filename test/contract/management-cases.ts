/**
 * Setting a robot up, step by step, as recorded on a running Quay. The steps of one table run in order: each
 * builds on those before it.
 */
import { SUBJECT } from "../quay-stand-in/issuer.ts";
import { basic, type Question } from "./ask.ts";
import type { World } from "./target.ts";
import * as say from "./wording.ts";

export interface Step {
  name: string;
  method: string;
  /** Under /api/v1/. */
  path(world: World): string;
  body?: unknown;
  /** Changes the request, which otherwise has the OAuth token and JSON. */
  change?(question: Question, world: World): Question;
  expected(world: World): say.Expected;
}

const ISSUER = "https://localhost:9443/main";
const ENTRY = { issuer: ISSUER, subject: SUBJECT };
const ENTRY_TEXT = `{"issuer": "${ISSUER}", "subject": "${SUBJECT}"}`;
const robots = ({ org }: World) => `organization/${org}/robots`;
const robot =
  (short: string) =>
  (world: World): string =>
    `${robots(world)}/${world.prefix}${short}`;
const federation = (world: World) => `${robot("fed")(world)}/federation`;

const unknown = () => say.unknownRobot;
const invalid = (text: string) => (world: World) => say.apiError(world.host, 400, "invalid_request", text);
const forbidden = ({ host }: World) => say.apiError(host, 403, "insufficient_scope", "Unauthorized");
const anonymous = ({ host }: World) => say.apiError(host, 401, "invalid_token", "Requires authentication");
const csrf = () => say.csrf;
const described =
  (status: number, short: string, description: string, metadata: string) =>
  ({ org, prefix }: World): say.Expected => ({
    status,
    type: "application/json",
    body: new RegExp(
      `^\\{"name": "${org}\\+${prefix}${short}", "created": "\\w{3}, \\d\\d \\w{3} \\d{4} [\\d:]{8} -0000", "last_accessed": null, "description": "${description}", "token": "[A-Z0-9]{64}", "unstructured_metadata": ${metadata}\\}\n$`,
    ),
  });

const without = ({ headers, ...question }: Question, ...names: string[]): Question => ({
  ...question,
  headers: Object.fromEntries(Object.entries(headers ?? {}).filter(([name]) => !names.includes(name))),
});
const noAuth = (question: Question) => without(question, "authorization");
const withAuth = (authorization: string) => (question: Question) => {
  return { ...question, headers: { ...question.headers, authorization } };
};
const wrongBearer = withAuth(`Bearer ${"X".repeat(40)}`);

const MEMBERSHIPS = ', "teams": \\[\\], "repositories": \\[\\]';
const SECRET = ', "token": "[A-Z0-9]{64}"';
const list = (query: string, memberships: string, secret: string): Step => ({
  name: `list${query}`,
  method: "GET",
  path: (world) => `${robots(world)}${query}`,
  expected: ({ org, prefix }) => ({
    status: 200,
    type: "application/json",
    body: new RegExp(
      `^\\{"robots": \\[.*\\{"name": "${org}\\+${prefix}tmp", "created": "[^"]+", "last_accessed": null${memberships}, "description": "d"${secret}\\}`,
    ),
  }),
});

export const robotSteps: Step[] = [
  {
    name: "PUT, new",
    method: "PUT",
    path: robot("tmp"),
    body: { description: "d" },
    expected: described(201, "tmp", "d", "null"),
  },
  {
    name: "PUT, same name again",
    method: "PUT",
    path: robot("tmp"),
    body: { description: "d" },
    expected: (world) => invalid(`Existing robot with name: ${world.org}+${world.prefix}tmp`)(world),
  },
  {
    name: "PUT, no body",
    method: "PUT",
    path: robot("tmp2"),
    change: (each) => without(each, "content-type"),
    expected: described(201, "tmp2", "", "null"),
  },
  { name: "PUT, {}", method: "PUT", path: robot("tmp3"), body: {}, expected: described(201, "tmp3", "", "null") },
  {
    name: "PUT, unknown key",
    method: "PUT",
    path: robot("tmp4"),
    body: { description: "d", nonsense: 1 },
    expected: described(201, "tmp4", "d", "null"),
  },
  {
    name: "PUT, name with a dash",
    method: "PUT",
    path: robot("-b"),
    body: {},
    expected: described(201, "-b", "", "null"),
  },
  {
    name: "PUT, name with a capital",
    method: "PUT",
    path: (world) => `${robots(world)}/Bad`,
    body: {},
    expected: invalid(
      "The name for the robot 'Bad' is invalid: Namespace must match expression ^([a-z0-9]+(?:[._-][a-z0-9]+)*)$",
    ),
  },
  {
    name: "PUT, name of one letter",
    method: "PUT",
    path: (world) => `${robots(world)}/x`,
    body: {},
    expected: invalid(
      "The name for the robot 'x' is invalid: Namespace must be between 2 and 255 characters in length",
    ),
  },
  {
    name: "PUT, no such organization",
    method: "PUT",
    path: ({ prefix }) => `organization/${prefix}/robots/ci`,
    body: {},
    expected: forbidden,
  },
  { name: "PUT, no auth", method: "PUT", path: robot("tmp"), body: {}, change: noAuth, expected: csrf },
  { name: "PUT, wrong bearer", method: "PUT", path: robot("tmp"), body: {}, change: wrongBearer, expected: csrf },
  { name: "GET, no auth", method: "GET", path: robot("tmp"), change: noAuth, expected: anonymous },
  { name: "GET, wrong bearer", method: "GET", path: robot("tmp"), change: wrongBearer, expected: anonymous },
  { name: "GET", method: "GET", path: robot("tmp"), expected: described(200, "tmp", "d", "\\{\\}") },
  { name: "GET, doesn't exist", method: "GET", path: robot("none"), expected: unknown },
  // Without a query it returns every robot's static token.
  ...["", "?token=true", "?token=no"].map((query) => list(query, "", SECRET)),
  ...["?token=false", "?token=False", "?token=0", "?token="].map((query) => list(query, "", "")),
  list("?permissions=true", MEMBERSHIPS, SECRET),
  list("?permissions=true&token=false", MEMBERSHIPS, ""),
  ...["tmp", "tmp2", "tmp3", "tmp4", "-b"].map((short): Step => {
    return {
      name: `DELETE ${short}`,
      method: "DELETE",
      path: robot(short),
      expected: () => say.empty(204, "application/json"),
    };
  }),
  { name: "DELETE again", method: "DELETE", path: robot("tmp"), expected: unknown },
];

const post = (name: string, body: unknown, expected: Step["expected"], change?: Step["change"]): Step => {
  return { name: `POST, ${name}`, method: "POST", path: federation, body, expected, ...(change ? { change } : {}) };
};
const get = (name: string, text: string): Step => {
  return { name: `GET, ${name}`, method: "GET", path: federation, expected: () => say.spaced(200, text) };
};
const stored = (text: string) => () => say.spaced(200, text);
const raw =
  (body: string | undefined) =>
  ({ body: _, ...question }: Question) =>
    body === undefined ? question : { ...question, body };
const notUnderstood = () =>
  say.spaced(400, '{"message": "The browser (or proxy) sent a request that this server could not understand."}');
const methodNotAllowed = (): say.Expected => ({
  ...say.spaced(405, '{"message": "The method is not allowed for the requested URL."}'),
  headers: { allow: "POST, DELETE, GET, OPTIONS, HEAD" },
});
const notUrl = invalid("Issuer must be a URL (http:// or https://)");
const ITEMS = `    {'properties': {'issuer': {'description': 'The issuer of the token',
                               'type': 'string'},
                    'subject': {'description': 'The subject of the token',
                                'type': 'string'}},
     'required': ['issuer', 'subject'],
     'type': 'object'}`;
const schema = (problem: string, keyword: string, item: string) =>
  invalid(`${problem}\n\nFailed validating '${keyword}' in schema['items']:\n${ITEMS}\n\nOn instance[0]:\n    ${item}`);

export const federationSteps: Step[] = [
  {
    name: "(a robot for it)",
    method: "PUT",
    path: robot("fed"),
    body: {},
    expected: described(201, "fed", "", "null"),
  },
  get("never set", "[]"),
  post("one entry", [ENTRY], stored(`[${ENTRY_TEXT}]`)),
  get("after it", `[${ENTRY_TEXT}]`),
  post("same entry twice", [ENTRY, ENTRY], invalid("Duplicate federation config entry")),
  post(
    "two subjects",
    [ENTRY, { ...ENTRY, subject: "other" }],
    stored(`[${ENTRY_TEXT}, {"issuer": "${ISSUER}", "subject": "other"}]`),
  ),
  post("replaces", [{ ...ENTRY, subject: "third" }], stored(`[{"issuer": "${ISSUER}", "subject": "third"}]`)),
  get("after it", `[{"issuer": "${ISSUER}", "subject": "third"}]`),
  post(
    "http://",
    [{ ...ENTRY, issuer: "http://localhost/main" }],
    stored(`[{"issuer": "http://localhost/main", "subject": "${SUBJECT}"}]`),
  ),
  post("no scheme", [{ ...ENTRY, issuer: "localhost/main" }], notUrl),
  post("spiffe://", [{ ...ENTRY, issuer: "spiffe://example.org" }], notUrl),
  post(
    "trailing blank",
    [{ ...ENTRY, issuer: `${ISSUER} ` }],
    stored(`[{"issuer": "${ISSUER} ", "subject": "${SUBJECT}"}]`),
  ),
  post(
    "no subject",
    [{ issuer: ISSUER }],
    schema("'subject' is a required property", "required", `{'issuer': '${ISSUER}'}`),
  ),
  post(
    "no issuer",
    [{ subject: SUBJECT }],
    schema("'issuer' is a required property", "required", `{'subject': '${SUBJECT}'}`),
  ),
  post("empty subject", [{ ...ENTRY, subject: "" }], invalid("Missing one or more required fields (issuer, subject)")),
  post(
    "subject a number",
    [{ ...ENTRY, subject: 1 }],
    invalid(
      "1 is not of type 'string'\n\nFailed validating 'type' in schema['items']['properties']['subject']:\n    {'description': 'The subject of the token', 'type': 'string'}\n\nOn instance[0]['subject']:\n    1",
    ),
  ),
  post("unknown key", [{ ...ENTRY, nonsense: "x" }], stored(`[${ENTRY_TEXT}]`)),
  post("audiences: silently dropped", [{ ...ENTRY, audiences: ["quay"] }], stored(`[${ENTRY_TEXT}]`)),
  get("after it", `[${ENTRY_TEXT}]`),
  post("audience (singular)", [{ ...ENTRY, audience: "quay" }], stored(`[${ENTRY_TEXT}]`)),
  post("empty list", [], stored("[]")),
  get("after it", "[]"),
  post("object instead of list", ENTRY, ({ host }) => ({
    status: 400,
    type: "application/json",
    body: new RegExp(
      `^\\{"detail": "\\{'issuer': '${ISSUER}', 'subject': '${SUBJECT}'\\} is not of type 'array'\\\\n\\\\nFailed validating 'type' in schema:\\\\n    \\{'description': 'Federation configuration for the robot',\\\\n     'items': \\{'properties'.*https://${host}/api/v1/error/invalid_request", "status": 400\\}\n$`,
    ),
  })),
  post("[{}]", [{}], schema("'issuer' is a required property", "required", "{}")),
  post("[null]", [null], schema("None is not of type 'object'", "type", "None")),
  post("not JSON", undefined, notUnderstood, raw("nonsense")),
  post("no body", undefined, notUnderstood, raw(undefined)),
  post(
    "text/plain",
    [ENTRY],
    () =>
      say.spaced(
        415,
        `{"message": "Did not attempt to load JSON data because the request Content-Type was not 'application/json'."}`,
      ),
    (question) => ({ ...question, headers: { ...question.headers, "content-type": "text/plain" } }),
  ),
  { name: "PUT", method: "PUT", path: federation, body: [ENTRY], expected: methodNotAllowed },
  { name: "PATCH", method: "PATCH", path: federation, body: [ENTRY], expected: methodNotAllowed },
  ...(["POST", "GET", "DELETE"] as const).flatMap((method): Step[] => {
    const body = method === "POST" ? { body: [ENTRY] } : {};
    const none = (world: World) => `${robot("none")(world)}/federation`;
    const elsewhere = ({ prefix }: World) => `organization/${prefix}/robots/ci/federation`;
    const refused = method === "GET" ? anonymous : csrf;
    return [
      { name: `${method}, robot doesn't exist`, method, path: none, ...body, expected: unknown },
      { name: `${method}, organization doesn't exist`, method, path: elsewhere, ...body, expected: forbidden },
      { name: `${method}, no auth`, method, path: federation, ...body, change: noAuth, expected: refused },
      { name: `${method}, wrong bearer`, method, path: federation, ...body, change: wrongBearer, expected: refused },
    ];
  }),
  post("Basic of the robot", [ENTRY], csrf, (question, world) =>
    withAuth(basic(world.robot, world.staticToken))(question),
  ),
  { name: "DELETE", method: "DELETE", path: federation, expected: () => say.empty(204, "application/json") },
  { name: "DELETE again", method: "DELETE", path: federation, expected: () => say.empty(204, "application/json") },
  get("after DELETE", "[]"),
  {
    name: "POST, a user's robot that doesn't exist",
    method: "POST",
    path: ({ prefix }) => `user/robots/${prefix}none/federation`,
    body: [ENTRY],
    expected: unknown,
  },
  {
    name: "(the robot again)",
    method: "DELETE",
    path: robot("fed"),
    expected: () => say.empty(204, "application/json"),
  },
];
