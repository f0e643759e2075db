/**
 * What the tables of the management API share. They go step by step, as recorded on a running Quay: the steps of one
 * table run in order, each builds on those before it.
 */
import { expect } from "vitest";
import type { Question } from "./ask.ts";
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

export const robots = ({ org }: World) => `organization/${org}/robots`;
export const robot =
  (short: string) =>
  (world: World): string =>
    `${robots(world)}/${world.prefix}${short}`;

export const unknown = () => say.unknownRobot;
export const invalid = (text: string) => (world: World) => say.apiError(world.host, 400, "invalid_request", text);
export const forbidden = ({ host }: World) => say.apiError(host, 403, "insufficient_scope", "Unauthorized");
export const anonymous = ({ host }: World) => say.apiError(host, 401, "invalid_token", "Requires authentication");
export const csrf = () => say.csrf;
export const described =
  (status: number, short: string, description: string, metadata: string) =>
  ({ org, prefix }: World): say.Expected => ({
    status,
    type: "application/json",
    body: new RegExp(
      `^\\{"name": "${org}\\+${prefix}${short}", "created": "\\w{3}, \\d\\d \\w{3} \\d{4} [\\d:]{8} -0000", "last_accessed": null, "description": "${description}", "token": "[A-Z0-9]{64}", "unstructured_metadata": ${metadata}\\}\n$`,
    ),
  });

export const without = ({ headers, ...question }: Question, ...names: string[]): Question => ({
  ...question,
  headers: Object.fromEntries(Object.entries(headers ?? {}).filter(([name]) => !names.includes(name))),
});
export const noAuth = (question: Question) => without(question, "authorization");
export const withAuth = (authorization: string) => (question: Question) => {
  return { ...question, headers: { ...question.headers, authorization } };
};
export const wrongBearer = withAuth(`Bearer ${"X".repeat(40)}`);
export const raw =
  (body: string | undefined) =>
  ({ body: _, ...question }: Question) =>
    body === undefined ? question : { ...question, body };
export const notUnderstood = () =>
  say.spaced(400, '{"message": "The browser (or proxy) sent a request that this server could not understand."}');

/** A step with the method and the path in its name. `{O}` is the organization, `{P}` the prefix of this run's names. */
export function step(request: string, expected: Step["expected"], more: Partial<Step> = {}): Step {
  const [method = "GET", path = ""] = request.split(" ");
  return { name: request, method, path: (world) => fill(path, world), expected, ...more };
}

/** The same for a step that sends JSON. */
export const sending = (request: string, body: unknown, expected: Step["expected"], more: Partial<Step> = {}): Step =>
  step(request, expected, { name: `${request} ${JSON.stringify(body)}`.slice(0, 150), body, ...more });

const fill = (text: string, { org, prefix }: World): string => text.replaceAll("{O}", org).replaceAll("{P}", prefix);

export const ok = (json: (world: World) => unknown, status = 200): Step["expected"] => {
  return (world) => ({ status, type: "application/json", body: { json: json(world) } });
};
export const anything = (status: number): Step["expected"] => {
  return () => ({ status, type: "application/json", body: /^/ });
};
export const nothing = () => say.empty(204, "application/json");
export const refusal = (text: string) => (world: World) => say.message(fill(text, world));
export const notFound = ({ host }: World) => say.apiError(host, 404, "not_found", "Not Found");
export const wrong = (text: string) => (world: World) => invalid(fill(text, world))(world);
export const internalError = () => say.internalError;
export const slashAdded = (path: string) => (world: World) =>
  say.slashAdded(`https://${world.host}/api/v1/${fill(path, world)}`);
export const uiNotFound = () => say.uiNotFound;
export const notAllowed = () => say.notAllowed;
export const noJsonType = () =>
  say.spaced(
    415,
    `{"message": "Did not attempt to load JSON data because the request Content-Type was not 'application/json'."}`,
  );
export const notAllowedHere =
  (...methods: string[]) =>
  (): say.Expected => ({
    ...say.spaced(405, '{"message": "The method is not allowed for the requested URL."}'),
    headers: { allow: methods.join(", ") },
  });

/** jsonschema's complaint; only its first line and the keyword are compared. */
export const misfit =
  (text: string, keyword: string): Step["expected"] =>
  ({ host }) => ({
    status: 400,
    type: "application/json",
    body: new RegExp(
      `^\\{"detail": "${literally(text)}\\\\n\\\\nFailed validating '${keyword}' in schema.*"type": "https://${host}/api/v1/error/invalid_request", "status": 400\\}\n$`,
    ),
  });

const literally = (text: string) =>
  JSON.stringify(text)
    .slice(1, -1)
    .replace(/[\\^$.*+?()[\]{}|]/g, "\\$&");

/** Any avatar of this name. */
export const avatar = (name: string, kind: "user" | "robot" | "team") => ({
  ...{ name, kind, hash: expect.stringMatching(/^[0-9a-f]{64}$/), color: expect.stringMatching(/^#[0-9a-f]{6}$/) },
});
