/** Robots of an organization, and of the token's user. */
import {
  anonymous,
  anything,
  csrf,
  described,
  forbidden,
  internalError,
  invalid,
  misfit,
  noAuth,
  notAllowed,
  notAllowedHere,
  nothing,
  ok,
  raw,
  refusal,
  robot,
  robots,
  type Step,
  sending,
  step,
  uiNotFound,
  unknown,
  without,
  wrong,
  wrongBearer,
} from "./management-steps.ts";
import * as say from "./wording.ts";

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

const R = "organization/{O}/robots";
const made = (short: string, description = "", metadata = "null") => described(201, short, description, metadata);
const badName = (name: string) =>
  wrong(
    `The name for the robot '${name}' is invalid: Namespace must match expression ^([a-z0-9]+(?:[._-][a-z0-9]+)*)$`,
  );
const wrongLength = (name: string) =>
  wrong(`The name for the robot '${name}' is invalid: Namespace must be between 2 and 255 characters in length`);

/** Bodies and names of new robots. What isn't JSON is lost without a word. */
export const newRobotSteps: Step[] = [
  step(`PUT ${R}/{P}raw`, made("raw"), { name: "a body that isn't JSON", change: raw("nonsense"), body: {} }),
  step(`PUT ${R}/{P}null`, made("null"), { name: "null", body: null }),
  sending(`PUT ${R}/{P}text`, { description: "lost" }, made("text"), {
    change: (question) => ({ ...question, headers: { ...question.headers, "content-type": "text/plain" } }),
  }),
  sending(
    `PUT ${R}/{P}meta`,
    { unstructured_metadata: { "managed-by": "x", n: 1, deep: { a: [1] } } },
    made("meta", "", '\\{"managed-by": "x", "n": 1, "deep": \\{"a": \\[1\\]\\}\\}'),
  ),
  sending(`PUT ${R}/{P}umlaut`, { description: "ä" }, made("umlaut", "\\\\u00e4")),
  sending(`PUT ${R}/{P}no`, { description: 1 }, misfit("1 is not of type 'string'", "type")),
  sending(`PUT ${R}/{P}no`, { description: "d".repeat(256) }, misfit(`'${"d".repeat(256)}' is too long`, "maxLength")),
  sending(`PUT ${R}/{P}no`, { unstructured_metadata: "x" }, misfit("'x' is not of type 'object'", "type")),
  sending(`PUT ${R}/{P}no`, [], misfit("[] is not of type 'object'", "type")),
  sending("PUT organization/{P}/robots/no", { description: 1 }, misfit("1 is not of type 'string'", "type"), {
    name: "the body comes before the right",
  }),
  ...["Upper", "a+b", "a--b", "-a", "a-"].map((name) => step(`PUT ${R}/${name}`, badName(name))),
  step(`PUT ${R}/a%20b`, badName("a b")),
  step(`PUT ${R}/${"a".repeat(256)}`, wrongLength("a".repeat(256)), { name: "256 letters" }),
  step(`PUT ${R}/${"a".repeat(255)}`, refusal("value too long for type character varying(255)\n"), {
    name: "255 letters",
  }),
  step(`PUT ${R}/a%2Fb`, notAllowed),
  ...["POST", "PATCH"].map((method) =>
    step(`${method} ${R}/{P}meta`, notAllowedHere("GET", "HEAD", "OPTIONS", "PUT", "DELETE")),
  ),
  step(`OPTIONS ${R}/{P}meta`, () => ({ status: 200, type: "text/html; charset=utf-8", body: "" }), { change: noAuth }),
  step(`HEAD ${R}/{P}meta`, () => say.empty(200, "application/json")),
  step(`GET ${R}/{P}meta/`, uiNotFound),
  step(`POST ${R}/{P}meta/regenerate`, ({ org, prefix }) => ({
    status: 200,
    type: "application/json",
    body: new RegExp(
      `^\\{"name": "${org}\\+${prefix}meta", "created": "[^"]+", "last_accessed": null, "description": "", "token": "[A-Z0-9]{64}"\\}\n$`,
    ),
  })),
  step(`POST ${R}/{P}none/regenerate`, unknown),
  step(`POST ${R}/{P}meta/regenerate`, csrf, { name: "regenerate, no auth", change: noAuth }),
  step(
    `GET ${R}/{P}meta/permissions`,
    ok(() => ({ permissions: [] })),
  ),
  step(
    `GET ${R}/{P}ci/permissions`,
    ok(({ prefix }) => ({
      permissions: [{ repository: { name: `${prefix}app`, is_public: false }, role: "write" }],
    })),
  ),
  step(`GET ${R}?limit=x`, () =>
    say.spaced(400, '{"message": {"limit": "If specified, the number of robots to return."}}'),
  ),
  step(`GET ${R}?limit=-1`, internalError),
  step("GET organization/{P}/robots", forbidden),
  ...["raw", "null", "text", "meta", "umlaut"].map((name) => step(`DELETE ${R}/{P}${name}`, nothing)),
];

/** A robot of the token's user: the same answers. */
export const userRobotSteps: Step[] = [
  sending("PUT user/robots/{P}mine", { description: "d" }, anything(201)),
  step("GET user/robots/{P}mine", anything(200)),
  sending("POST user/robots/{P}mine/federation", [], () => say.spaced(200, "[]")),
  step("GET user/robots/{P}mine/federation", () => say.spaced(200, "[]")),
  step(
    "GET user/robots/{P}mine/permissions",
    ok(() => ({ permissions: [] })),
  ),
  step("POST user/robots/{P}mine/regenerate", anything(200)),
  step("GET user/robots?token=false", ({ prefix }) => ({
    ...{ status: 200, type: "application/json" },
    body: new RegExp(
      `"name": "[^"]+\\+${prefix}mine", "created": "[^"]+", "last_accessed": null, "description": "d"\\}`,
    ),
  })),
  step("DELETE user/robots/{P}mine", nothing),
  step("DELETE user/robots/{P}mine", unknown, { name: "DELETE again" }),
];
