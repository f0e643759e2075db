/** The registry's side, row by row, as recorded on a running Quay. */
import { spoil } from "../quay-stand-in/issuer.ts";
import { basic, type Question } from "./ask.ts";
import type { World } from "./target.ts";
import * as say from "./wording.ts";

export interface RegistryCase {
  name: string;
  question(world: World): Question | Promise<Question>;
  expected(world: World): say.Expected;
}

const AUTH = "/v2/auth?service=";
const NO_CACHE = { "cache-control": "no-cache, no-store, must-revalidate" };
const granted: say.Expected = { ...say.token, headers: { ...say.token.headers, ...NO_CACHE } };
const wrongPassword = ({ host, robot }: World) =>
  say.unauthorized(host, `Could not find robot with username: ${robot} and supplied password.`);

/** A login: `/v2/auth` without a scope. */
const login = (
  name: string,
  credentials: (world: World) => [string, string] | Promise<[string, string]>,
  expected: RegistryCase["expected"],
): RegistryCase => ({
  name,
  question: async (world) => ({
    path: AUTH + world.host,
    headers: { authorization: basic(...(await credentials(world))) },
  }),
  expected,
});

export const loginCases: RegistryCase[] = [
  login(
    "robot token",
    async (world) => [world.robot, await world.robotToken()],
    () => granted,
  ),
  login(
    "robot without any permission",
    async (world) => [world.other, await world.robotToken(world.other)],
    () => granted,
  ),
  login(
    "static token",
    ({ robot, staticToken }) => [robot, staticToken],
    () => granted,
  ),
  login("wrong static token", ({ robot }) => [robot, "A".repeat(64)], wrongPassword),
  login("garbage", ({ robot }) => [robot, "garbage"], wrongPassword),
  login("empty password", ({ robot }) => [robot, ""], wrongPassword),
  login(
    "another robot's token",
    async (world) => [world.other, await world.robotToken()],
    ({ host }) => say.unauthorized(host, "Token does not match robot"),
  ),
  login(
    "robot that doesn't exist",
    async (world) => [`${world.robot}x`, await world.robotToken()],
    ({ host }) => say.unauthorized(host, "Could not find robot with specified username"),
  ),
  login(
    "organization that doesn't exist",
    async (world) => [`${world.prefix}+ci`, await world.robotToken()],
    ({ host }) => say.unauthorized(host, "Could not find robot with specified username"),
  ),
  login(
    "identity token",
    async ({ robot, issuer }) => [robot, await issuer.sign()],
    () => say.internalError,
  ),
  login(
    "spoiled robot token",
    async (world) => [world.robot, spoil(await world.robotToken())],
    () => say.internalError,
  ),
  login(
    "$oauthtoken with a robot token",
    async (world) => ["$oauthtoken", await world.robotToken()],
    ({ host }) => say.unauthorized(host, "Issuer quay not configured"),
  ),
  login(
    "user that isn't there",
    ({ prefix }) => [`${prefix}nobody`, "x"],
    ({ host }) => say.unauthorized(host, "Invalid Username or Password"),
  ),
];

/** Any request. */
const request = (
  name: string,
  question: RegistryCase["question"],
  expected: RegistryCase["expected"],
): RegistryCase => ({ name, question, expected });
const bearing = async (path: string, token: Promise<string> | string, method = "GET"): Promise<Question> => ({
  method,
  path,
  headers: { authorization: `Bearer ${await token}` },
});

export const requestCases: RegistryCase[] = [
  request(
    "/v2/ without auth",
    () => ({ path: "/v2/" }),
    ({ host }) => ({ status: 401, type: "text/html; charset=utf-8", body: "true", headers: say.challenged(host) }),
  ),
  request(
    "/v2 without the slash",
    () => ({ path: "/v2" }),
    ({ host }) => say.slashAdded(`https://${host}/v2`),
  ),
  request(
    "/v2/ with Basic",
    async (world) => ({ path: "/v2/", headers: { authorization: basic(world.robot, await world.robotToken()) } }),
    ({ host }) => say.bearerRefused(host, "Invalid bearer token format"),
  ),
  request(
    "/v2/ with the robot token as bearer",
    (world) => bearing("/v2/", world.robotToken()),
    ({ host }) => say.bearerRefused(host, "Token contained invalid or malformed access grants"),
  ),
  request(
    "/v2/ with a bearer",
    (world) => bearing("/v2/", world.bearer()),
    ({ host }) => ({ status: 200, type: "text/html; charset=utf-8", body: "true", headers: say.challenged(host) }),
  ),
  request(
    "/v2/auth, malformed scope",
    async (world) => {
      const headers = { authorization: basic(world.robot, await world.robotToken()) };
      return { path: `${AUTH}${world.host}&scope=nonsense`, headers };
    },
    () => ({
      status: 400,
      type: "application/json",
      body: '{"errors":[{"code":"INVALID_REQUEST","detail":{},"message":"Unable to decode repository and actions: nonsense"}]}\n',
    }),
  ),
  request(
    "/v2/auth without anything",
    () => ({ path: "/v2/auth" }),
    ({ host }) => say.unauthorized(host, say.notAuthorized),
  ),
  request(
    "/v2/auth, anonymous with a scope",
    ({ host, secret }) => ({ path: `${AUTH}${host}&scope=repository:${secret}:pull` }),
    () => granted,
  ),
  request(
    "/v2/auth, POST",
    () => ({ method: "POST", path: "/v2/auth" }),
    () => say.notAllowed,
  ),
  request(
    "/v2/auth, broken Basic header",
    () => ({ path: "/v2/auth", headers: { authorization: "Basic A" } }),
    ({ host }) => say.unauthorized(host, "Specified credentials are invalid"),
  ),
  request(
    "start an upload",
    (world) => bearing(`/v2/${world.app}/blobs/uploads/`, world.bearer(`repository:${world.app}:pull,push`), "POST"),
    ({ host, app }) => ({
      status: 202,
      type: "text/html; charset=utf-8",
      body: "",
      headers: { location: new RegExp(`^https://${host}/v2/${app}/blobs/uploads/[0-9a-f-]{36}`) },
    }),
  ),
  request(
    "start an upload, bearer without access",
    (world) => bearing(`/v2/${world.app}/blobs/uploads/`, world.bearer(), "POST"),
    ({ host, app }) => say.unauthorized(host, say.notAuthorized, `repository:${app}:pull,push`),
  ),
  request(
    "start an upload, no auth",
    ({ app }) => ({ method: "POST", path: `/v2/${app}/blobs/uploads/` }),
    ({ host, app }) => say.unauthorized(host, say.notAuthorized, `repository:${app}:pull,push`),
  ),
  request(
    "manifest, no auth",
    ({ app }) => ({ path: `/v2/${app}/manifests/v1` }),
    ({ host, app }) => say.unauthorized(host, say.notAuthorized, `repository:${app}:pull`),
  ),
  request(
    "manifest, tag that isn't there",
    (world) => bearing(`/v2/${world.app}/manifests/nothing`, world.bearer(`repository:${world.app}:pull`)),
    () => ({
      status: 404,
      type: "application/json",
      body: '{"errors":[{"code":"MANIFEST_UNKNOWN","detail":{},"message":"manifest unknown"}]}\n',
    }),
  ),
  request(
    "tags of an empty repository",
    (world) => bearing(`/v2/${world.app}/tags/list`, world.bearer(`repository:${world.app}:pull`)),
    ({ app }) => ({ status: 200, type: "application/json", body: { json: { name: app, tags: [] } } }),
  ),
  request(
    "tags, bearer garbage",
    ({ app }) => bearing(`/v2/${app}/tags/list`, "garbage"),
    ({ host, app }) => say.bearerRefused(host, "Invalid bearer token format", `repository:${app}:pull`),
  ),
  request(
    "management API with the robot token as bearer",
    async (world) => bearing(`/api/v1/repository/${world.app}`, world.robotToken()),
    () => ({ status: 401, type: "text/html; charset=utf-8", body: '{"error": "Issuer quay not configured"}' }),
  ),
  request(
    "management API with Basic",
    async (world) => ({
      path: `/api/v1/repository/${world.app}`,
      headers: { authorization: basic(world.robot, await world.robotToken()) },
    }),
    ({ host }) => say.apiError(host, 401, "invalid_token", "Requires authentication"),
  ),
  request(
    "/sts/token POST",
    () => ({ method: "POST", path: "/sts/token" }),
    () => say.nginxNotAllowed,
  ),
];

/** Scopes asked for, and what the bearer's `access` then lists: "200 with fewer actions", never a refusal. */
export const accessCases: { name: string; robot?: "other"; scope(world: World): string; actions: string[] }[] = [
  { name: "with write", scope: ({ app }) => `repository:${app}:pull,push`, actions: ["push", "pull"] },
  { name: "with write, pull only", scope: ({ app }) => `repository:${app}:pull`, actions: ["pull"] },
  { name: "with write, as admin", scope: ({ app }) => `repository:${app}:*`, actions: [] },
  { name: "no permission", scope: ({ secret }) => `repository:${secret}:pull,push`, actions: [] },
  { name: "no permission, pull only", scope: ({ secret }) => `repository:${secret}:pull`, actions: [] },
  { name: "a repository that doesn't exist", scope: ({ app }) => `repository:${app}new:pull,push`, actions: [] },
  { name: "another's", scope: ({ prefix }) => `repository:${prefix}/app:pull,push`, actions: [] },
];
