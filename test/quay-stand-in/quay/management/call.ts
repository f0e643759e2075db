/** A request to the management API as its handlers see it, and what they have in common. */
import { createHash } from "node:crypto";
import { addLogEntry } from "../log.ts";
import { apiError, CSRF, NOT_JSON, NOT_JSON_TYPE, READ_ONLY, type Reply } from "../pages.ts";
import { owns } from "../rights.ts";
import type { Settings } from "../settings.ts";
import type { OauthToken, Store } from "../store.ts";
import { problemOf, type Schema } from "./schema.ts";

export interface ApiRequest {
  method: string;
  path: string;
  query: URLSearchParams;
  authorization: string | undefined;
  contentType: string | undefined;
  body: string;
}

export interface Call {
  request: ApiRequest;
  store: Store;
  settings: Settings;
  /** `ANONYMOUS` only where a route is open. */
  token: OauthToken;
}

/** @param parts the parts of the path that the route names */
export type Handler = (call: Call, ...parts: string[]) => Reply;

export interface Route {
  /** `{repository}` is a namespace and a name, which may have slashes; every other `{…}` one part. */
  path: string;
  /** Answers without a token, or with a wrong one, too. */
  open?: true;
  GET?: Handler;
  PUT?: Handler;
  POST?: Handler;
  DELETE?: Handler;
}

export const ANONYMOUS: OauthToken = {
  ...{ user: "", scopes: new Set<string>(), id: 0, application: "", applicationId: "", expires: 0 },
};

/** flask-restful's 204. */
export const NOTHING: Reply = { status: 204, type: "application/json", body: "" };

/** "A lack of the user's right and a lack of the scope are the same." */
export function forbidden({ token, settings, request }: Call): Reply {
  if (token !== ANONYMOUS) return apiError(settings.host, 403, "insufficient_scope", "Unauthorized");
  return isRead(request) ? apiError(settings.host, 401, "invalid_token", "Requires authentication") : CSRF;
}

export const invalid = ({ settings }: Call, text: string): Reply =>
  apiError(settings.host, 400, "invalid_request", text);

export const notFound = ({ settings }: Call): Reply => apiError(settings.host, 404, "not_found", "Not Found");

export const isRead = ({ method }: ApiRequest): boolean => method === "GET" || method === "HEAD";

export const has = ({ token }: Call, ...scopes: string[]): boolean => scopes.some((scope) => token.scopes.has(scope));

/** The right and the scope to administer an organization, or the user's own namespace where that is accepted. */
export function administers(call: Call, namespace: string): boolean {
  const exists = call.store.organizations.has(namespace) || call.token.user === namespace;
  return exists && has(call, "org:admin") && owns(call.store, call.token.user, namespace);
}

export type Body<T> = { ok: true; value: T } | { ok: false; reply: Reply };

/** The body, which must be JSON and fit. */
export function readBody<T>(call: Call, schema?: Schema): Body<T> {
  const { contentType, body } = call.request;
  if (!isJsonType(contentType)) return { ok: false, reply: NOT_JSON_TYPE };
  const parsed = parse(body);
  if (parsed === undefined) return { ok: false, reply: NOT_JSON };
  if (parsed.value === null) return { ok: false, reply: invalid(call, "Missing JSON body") };
  return checked(call, parsed.value, schema);
}

/** A body that may be missing: one that isn't JSON is lost without a word. */
export function readOptionalBody<T>(call: Call, schema: Schema): Body<Partial<T>> {
  const { contentType, body } = call.request;
  const { value = null } = (isJsonType(contentType) ? parse(body) : undefined) ?? {};
  return value === null ? { ok: true, value: {} } : checked(call, value, schema);
}

function checked<T>(call: Call, value: unknown, schema: Schema | undefined): Body<T> {
  const problem = schema && problemOf(value, schema);
  return problem === undefined ? { ok: true, value: value as T } : { ok: false, reply: invalid(call, problem) };
}

const isJsonType = (contentType: string | undefined) => /^application\/(.+\+)?json\b/.test(contentType ?? "");

function parse(text: string): { value: unknown } | undefined {
  try {
    return { value: JSON.parse(text) };
  } catch {
    return undefined;
  }
}

/** Every write waits while Quay is read-only. */
export const suspended = ({ settings, request }: Call): Reply | undefined =>
  settings.readOnly && !isRead(request) ? READ_ONLY : undefined;

/** Logs a change by the token's user. */
export function record(
  call: Call,
  kind: string,
  namespace: string,
  metadata: Record<string, unknown>,
  repository?: string,
): void {
  const { user, id, applicationId, application } = call.token;
  const oauth = {
    ...{ oauth_token_id: id, oauth_token_application_id: applicationId, oauth_token_application: application },
  };
  addLogEntry(call.store, {
    ...{ kind, namespace, metadata: { ...metadata, ...oauth }, performer: user },
    ...(repository === undefined ? {} : { repository }),
  });
}

export type AvatarKind = "user" | "robot" | "team";

export function avatar(name: string, kind: AvatarKind = kindOf(name)): object {
  const hash = createHash("sha256").update(`${kind} ${name}`).digest("hex");
  return { name, hash, color: COLORS[Number.parseInt(hash.slice(0, 2), 16) % COLORS.length], kind };
}

export const isRobot = (name: string): boolean => name.includes("+");
const kindOf = (name: string): AvatarKind => (isRobot(name) ? "robot" : "user");
const COLORS = ["#aec7e8", "#e377c2", "#1f77b4", "#ff7f0e", "#2ca02c", "#9467bd", "#8c564b", "#17becf"];

/** Quay's times in bodies: `Sat, 28 Nov 2026 08:16:20 -0000`. */
export const timeText = (time: Date): string => time.toUTCString().replace("GMT", "-0000");

/** `NS/REPO` in its parts: a name may have slashes. */
export function split(name: string): [namespace: string, repository: string] {
  const slash = name.indexOf("/");
  return [name.slice(0, slash), name.slice(slash + 1)];
}

/** `^([a-z0-9]+(?:[._-][a-z0-9]+)*)$`, the names of robots and teams. */
export function nameProblem(name: string): string | undefined {
  if (name.length < 2 || name.length > 255) return "Namespace must be between 2 and 255 characters in length";
  const fits = /^([a-z0-9]+(?:[._-][a-z0-9]+)*)$/.test(name);
  return fits ? undefined : "Namespace must match expression ^([a-z0-9]+(?:[._-][a-z0-9]+)*)$";
}
