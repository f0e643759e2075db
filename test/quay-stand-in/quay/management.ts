/**
 * The management API, as far as setting a robot up goes: robots, federation, permissions (quay-answers.md sections A
 * and D). The token's scope comes first, then the body's form, then the rights, then the body's sense, then the robot.
 */
import { schemaProblem } from "./federation-schema.ts";
import {
  apiError,
  apiMethodNotAllowed,
  CSRF,
  NOT_JSON,
  NOT_JSON_TYPE,
  pythonJson,
  READ_ONLY,
  type Reply,
  ROBOT_UNKNOWN,
  refused,
  spacedJson,
} from "./pages.ts";
import { looksLikeJwt } from "./registry-auth.ts";
import type { Settings } from "./settings.ts";
import {
  addRepository,
  addRobot,
  type Binding,
  type OauthToken,
  owns,
  type Robot,
  type Role,
  removeRobot,
  type Store,
  withIdentity,
} from "./store.ts";

export interface ApiRequest {
  method: string;
  path: string;
  query: URLSearchParams;
  authorization: string | undefined;
  contentType: string | undefined;
  body: string;
}

type Parsed = { ok: true; value: unknown } | { ok: false; reply: Reply };

/** @returns undefined for a path that the API doesn't have. */
export function manage(request: ApiRequest, store: Store, settings: Settings): Reply | undefined {
  const handlers: [RegExp, string[], (token: OauthToken, ...parts: string[]) => Reply][] = [
    [/^organization\/([^/]+)\/robots$/, ["GET"], (token, org) => list(token, org)],
    [/^organization\/([^/]+)\/robots\/([^/]+)$/, ROBOT_METHODS, (token, org, short) => robot(token, org, short)],
    [/^user\/robots\/([^/]+)$/, ROBOT_METHODS, (token, short) => robot(token, undefined, short)],
    [/^organization\/([^/]+)\/robots\/([^/]+)\/federation$/, FEDERATION_METHODS, federation],
    [/^user\/robots\/([^/]+)\/federation$/, FEDERATION_METHODS, (token, short) => federation(token, undefined, short)],
    [/^repository$/, ["POST"], createRepository],
    [/^repository\/([^/]+)\/([^/]+)$/, ["GET", "DELETE"], repository],
    [/^repository\/([^/]+)\/([^/]+)\/permissions\/user\/([^/]+)$/, ["PUT", "GET", "DELETE"], permission],
  ];
  const path = request.path.replace("/api/v1/", "");
  const forbidden = apiError(settings.host, 403, "insufficient_scope", "Unauthorized");
  const invalid = (message: string) => apiError(settings.host, 400, "invalid_request", message);

  for (const [pattern, methods, handle] of handlers) {
    const match = pattern.exec(path);
    if (match === null) continue;
    const all = [...methods, "OPTIONS", ...(methods.includes("GET") ? ["HEAD"] : [])];
    if (!all.includes(request.method)) return apiMethodNotAllowed(all.join(", "));
    const token = authenticate();
    if ("status" in token) return token;
    return handle(token, ...match.slice(1).map(decodeURIComponent));
  }
  return undefined;

  function authenticate(): OauthToken | Reply {
    const [, bearer = ""] = /^bearer (.+)$/i.exec(request.authorization ?? "") ?? [];
    const token = store.oauthTokens.get(bearer);
    if (token !== undefined) return token;
    if (looksLikeJwt(bearer)) {
      const body = pythonJson({ error: "Issuer quay not configured" });
      return { status: 401, type: "text/html; charset=utf-8", body };
    }
    const reads = request.method === "GET" || request.method === "HEAD";
    return reads ? apiError(settings.host, 401, "invalid_token", "Requires authentication") : CSRF;
  }

  /** "Organization doesn't exist, scope too small, not yours: all 403." */
  function mayManage(token: OauthToken, org: string | undefined): boolean {
    if (org === undefined) return token.scopes.has("user:admin");
    return token.scopes.has("org:admin") && store.organizations.has(org) && owns(store, token.user, org);
  }

  function parse(): Parsed {
    if (!/^application\/(.+\+)?json\b/.test(request.contentType ?? "")) return { ok: false, reply: NOT_JSON_TYPE };
    try {
      return { ok: true, value: JSON.parse(request.body) };
    } catch {
      return { ok: false, reply: NOT_JSON };
    }
  }

  function list(token: OauthToken, org = ""): Reply {
    if (!mayManage(token, org)) return forbidden;
    const isOn = (name: string, preset: string) =>
      !["false", "False", "0", ""].includes(request.query.get(name) ?? preset);
    const robots = [...store.robots.values()].filter((each) => each.name.startsWith(`${org}+`)).reverse();
    return spacedJson(200, {
      robots: robots.map(({ name, created, description, token: secret }) => ({
        ...{ name, created, last_accessed: null },
        ...(isOn("permissions", "false") && { teams: [], repositories: repositoriesOf(name) }),
        description,
        ...(isOn("token", "true") && { token: secret }),
      })),
    });
  }

  /** Those that it has a permission for, without their organization. */
  function repositoriesOf(robot: string): string[] {
    const own = [...store.repositories].filter(([, { permissions }]) => permissions.has(robot));
    return own.map(([name]) => name.slice(name.indexOf("/") + 1));
  }

  function robot(token: OauthToken, org: string | undefined, short = ""): Reply {
    if (!mayManage(token, org)) return forbidden;
    const name = `${org ?? token.user}+${short}`;
    if (request.method === "PUT") return createRobot(name, short);
    const known = store.robots.get(name);
    if (known === undefined) return refused(ROBOT_UNKNOWN);
    if (request.method !== "DELETE") return spacedJson(200, describe(known, {}));
    removeRobot(store, name);
    return NOTHING;
  }

  function createRobot(name: string, short: string): Reply {
    if (settings.readOnly) return READ_ONLY;
    const parsed = request.body === "" ? ({ ok: true, value: {} } as const) : parse();
    if (!parsed.ok) return parsed.reply;
    if (settings.robotsDisallowed) {
      return invalid("Robot accounts have been disabled. Please contact your administrator.");
    }
    const problem =
      short.length < 2 || short.length > 255
        ? "Namespace must be between 2 and 255 characters in length"
        : !/^([a-z0-9]+(?:[._-][a-z0-9]+)*)$/.test(short) &&
          "Namespace must match expression ^([a-z0-9]+(?:[._-][a-z0-9]+)*)$";
    if (problem) return invalid(`The name for the robot '${short}' is invalid: ${problem}`);
    if (store.robots.has(name)) return invalid(`Existing robot with name: ${name}`);
    const { description = "" } = parsed.value as { description?: string };
    return spacedJson(201, describe(addRobot(store, name, [], description), null));
  }

  function federation(token: OauthToken, org: string | undefined, short = ""): Reply {
    if (!token.scopes.has(org === undefined ? "user:admin" : "org:admin")) return forbidden;
    let bindings: Binding[] = [];
    if (request.method === "POST") {
      const parsed = parse();
      if (!parsed.ok) return parsed.reply;
      const problem = schemaProblem(parsed.value);
      if (problem !== undefined) return invalid(problem);
      bindings = parsed.value as Binding[];
    }
    if (!mayManage(token, org)) return forbidden;
    const problem = bindingsProblem(bindings);
    if (problem !== undefined) return invalid(problem);
    const known = store.robots.get(`${org ?? token.user}+${short}`);
    if (known === undefined) return refused(ROBOT_UNKNOWN);
    const reads = request.method === "GET" || request.method === "HEAD";
    if (settings.readOnly && !reads) return READ_ONLY;
    if (request.method === "POST") known.bindings = bindings.map((each) => storedForm(each, known.bindings));
    if (request.method === "DELETE") known.bindings = [];
    return request.method === "DELETE" ? NOTHING : spacedJson(200, known.bindings);
  }

  /** "Unknown keys are dropped without a word (`audiences` too)"; kept in newer source. */
  function storedForm({ issuer, subject, audiences, id }: Binding, before: Binding[]): Binding {
    if (settings.release !== "newer") return { issuer, subject };
    const more = { ...(audiences === undefined ? {} : { audiences }), ...(id === undefined ? {} : { id }) };
    return withIdentity({ issuer, subject, ...more }, before);
  }

  function createRepository(token: OauthToken): Reply {
    const parsed = parse();
    if (!parsed.ok) return parsed.reply;
    const { namespace, repository, visibility } = parsed.value as Record<string, string>;
    const owned = owns(store, token.user, namespace ?? "");
    if (!token.scopes.has("repo:create") || !owned) return forbidden;
    const name = `${namespace}/${repository}`;
    if (store.repositories.has(name)) return invalid("Repository already exists");
    addRepository(store, name, {}, visibility === "public" ? "public" : "private");
    return spacedJson(201, { namespace, name: repository, kind: "image" });
  }

  function repository(token: OauthToken, namespace = "", name = ""): Reply {
    const known = store.repositories.get(`${namespace}/${name}`);
    if (!token.scopes.has("repo:admin") || !owns(store, token.user, namespace)) return forbidden;
    if (known === undefined) return apiError(settings.host, 404, "not_found", "Not Found");
    if (request.method !== "DELETE")
      return spacedJson(200, { namespace, name, is_public: known.visibility === "public" });
    store.repositories.delete(`${namespace}/${name}`);
    return NOTHING;
  }

  function permission(token: OauthToken, namespace = "", repository = "", account = ""): Reply {
    const known = store.repositories.get(`${namespace}/${repository}`);
    if (!token.scopes.has("repo:admin") || known === undefined || !owns(store, token.user, namespace)) return forbidden;
    if (request.method === "DELETE") {
      known.permissions.delete(account);
      return NOTHING;
    }
    if (request.method === "PUT") {
      const parsed = parse();
      if (!parsed.ok) return parsed.reply;
      if (!store.robots.has(account) && !store.users.has(account)) return invalid(`Invalid username: ${account}`);
      known.permissions.set(account, (parsed.value as { role: Role }).role);
    }
    const is_robot = account.includes("+");
    return spacedJson(200, { role: known.permissions.get(account), name: account, is_robot });
  }
}

/**
 * `GET /api/v1/repository/<name>/tag/?specificTag=…` of a public repository, without a login.
 * @returns undefined for another path, and for a repository that is not public
 */
export function publicTag({ pathname, searchParams }: URL, store: Store): Reply | undefined {
  const [, repository = ""] = /^\/api\/v1\/repository\/(.+)\/tag\/$/.exec(pathname) ?? [];
  const known = store.repositories.get(repository);
  const name = searchParams.get("specificTag");
  if (known?.visibility !== "public" || name === null) return undefined;
  // The key exists if the feature is on.
  const tag = { name, reversion: false, ...(known.immutable && { immutable: known.immutable.has(name) }) };
  return spacedJson(200, { tags: [tag], page: 1, has_additional: false });
}

const ROBOT_METHODS = ["GET", "PUT", "DELETE"];
const FEDERATION_METHODS = ["POST", "DELETE", "GET"];
/** flask-restful's 204. */
const NOTHING: Reply = { status: 204, type: "application/json", body: "" };

function describe({ name, created, description, token }: Robot, unstructured_metadata: object | null) {
  return { name, created, last_accessed: null, description, token, unstructured_metadata };
}

/** `_parse_federation_config`: what the schema lets through and Quay does not. */
function bindingsProblem(bindings: Binding[]): string | undefined {
  const seen = new Set<string>();
  for (const { issuer, subject } of bindings) {
    if (!issuer || !subject) return "Missing one or more required fields (issuer, subject)";
    if (!/^https?:\/\//.test(issuer)) return "Issuer must be a URL (http:// or https://)";
    if (seen.has(`${issuer}:${subject}`)) return "Duplicate federation config entry";
    seen.add(`${issuer}:${subject}`);
  }
  return undefined;
}
