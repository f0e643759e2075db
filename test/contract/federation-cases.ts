/** A robot's bindings. */
import { SUBJECT } from "../quay-stand-in/issuer.ts";
import { basic } from "./ask.ts";
import {
  anonymous,
  anything,
  csrf,
  described,
  forbidden,
  invalid,
  misfit,
  noAuth,
  nothing,
  notUnderstood,
  ok,
  raw,
  robot,
  type Step,
  sending,
  step,
  uiNotFound,
  unknown,
  withAuth,
  wrongBearer,
} from "./management-steps.ts";
import type { World } from "./target.ts";
import * as say from "./wording.ts";

const ISSUER = "https://localhost:9443/main";
const ENTRY = { issuer: ISSUER, subject: SUBJECT };
const ENTRY_TEXT = `{"issuer": "${ISSUER}", "subject": "${SUBJECT}"}`;
const federation = (world: World) => `${robot("fed")(world)}/federation`;

const post = (name: string, body: unknown, expected: Step["expected"], change?: Step["change"]): Step => {
  return { name: `POST, ${name}`, method: "POST", path: federation, body, expected, ...(change ? { change } : {}) };
};
const get = (name: string, text: string): Step => {
  return { name: `GET, ${name}`, method: "GET", path: federation, expected: () => say.spaced(200, text) };
};
const stored = (text: string) => () => say.spaced(200, text);
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

const F = "organization/{O}/robots/{P}form/federation";
const pair = (subject: unknown, issuer: unknown = "https://a.example") => [{ issuer, subject }];
const asSent = (issuer: string, subject: string): Step => {
  const text = ascii(`[{"issuer": ${JSON.stringify(issuer)}, "subject": ${JSON.stringify(subject)}}]`);
  return sending(`POST ${F}`, [{ issuer, subject }], stored(text));
};
/** Everything but ASCII is escaped, as Python writes JSON. */
const ascii = (text: string) =>
  text.replace(/[\u0080-\uffff]/g, (letter) => `\\u${letter.charCodeAt(0).toString(16).padStart(4, "0")}`);
const tooBig = (): say.Expected => ({
  status: 413,
  type: "text/html",
  body: /^<html>\r\n<head><title>413 Request Entity Too Large<\/title>/,
});

/** What is stored as it comes, and what is refused. */
export const formSteps: Step[] = [
  step("PUT organization/{O}/robots/{P}form", anything(201)),
  asSent("https://a.example", "blank "),
  asSent("https://a.example", " blank"),
  asSent("https://a.example", "line\n"),
  asSent("https://A.example/", "Case"),
  asSent("https://", "x"),
  asSent("http://a", "\u0000"),
  asSent("https://a.example", "é"),
  asSent("https://a.example", "e\u0301"),
  asSent("https://a.example", "😀"),
  asSent("https://a.example", "s".repeat(10_000)),
  ...[" https://a", "HTTPS://a", "ftp://a"].map((issuer) => sending(`POST ${F}`, pair("x", issuer), notUrl)),
  sending(
    `POST ${F}`,
    [
      { ...pair("x")[0], audiences: ["a"] },
      { ...pair("x")[0], audiences: ["b"] },
    ],
    invalid("Duplicate federation config entry"),
  ),
  sending(`POST ${F}`, pair("x", ""), invalid("Missing one or more required fields (issuer, subject)")),
  sending(`POST ${F}`, pair(null), misfit("None is not of type 'string'", "type")),
  sending(`POST ${F}`, pair("x", 1), misfit("1 is not of type 'string'", "type")),
  sending(`POST ${F}`, {}, misfit("{} is not of type 'array'", "type")),
  sending(`POST ${F}`, "x", misfit("'x' is not of type 'array'", "type")),
  sending(`POST ${F}`, ["x"], misfit("'x' is not of type 'object'", "type")),
  sending(`POST ${F}`, [[]], misfit("[] is not of type 'object'", "type")),
  sending(`POST ${F}`, null, invalid("Missing JSON body")),
  sending(`POST ${F}`, [], stored("[]"), {
    name: "charset in the type",
    change: (question) => ({
      ...question,
      headers: { ...question.headers, "content-type": "application/json; charset=utf-8" },
    }),
  }),
  sending("POST organization/{P}/robots/x/federation", {}, misfit("{} is not of type 'array'", "type"), {
    name: "the body comes before the right",
  }),
  sending("POST organization/{O}/robots/Form/federation", [], unknown),
  step(`POST ${F}`, tooBig, { name: "over 1 MB", body: pair("s".repeat(1_100_000)) }),
  sending(
    `POST ${F}`,
    Array.from({ length: 5000 }, (_, index) => pair(`subject ${index}`)[0]),
    ok(() => Array.from({ length: 5000 }, (_, index) => pair(`subject ${index}`)[0])),
  ),
  step(`GET ${F}/`, uiNotFound),
  step(
    `OPTIONS ${F}`,
    () => ({
      ...{ status: 200, type: "text/html; charset=utf-8", body: "" },
      headers: { allow: "OPTIONS, GET, HEAD, DELETE, POST" },
    }),
    { name: "OPTIONS, no auth: there is federation", change: noAuth },
  ),
  step("DELETE organization/{O}/robots/{P}form", nothing),
  step("PUT organization/{O}/robots/{P}form", anything(201), { name: "(the same name again)" }),
  step(`GET ${F}`, stored("[]"), { name: "GET: a new robot has none" }),
  step("DELETE organization/{O}/robots/{P}form", nothing, { name: "(gone)" }),
];
