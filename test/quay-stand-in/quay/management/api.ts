/**
 * The management API, `/api/v1` (answers: the contract's rows). The route comes first, then the token, then the body's
 * form, then scope and right, then the rest.
 */
import { apiError, apiMethodNotAllowed, CSRF, options, pythonJson, type Reply } from "../pages.ts";
import { looksLikeJwt } from "../registry-auth.ts";
import type { Settings } from "../settings.ts";
import type { OauthToken, Store } from "../store.ts";
import { ANONYMOUS, type ApiRequest, isRead, type Route, suspended } from "./call.ts";
import { discoveryRoutes } from "./discovery.ts";
import { federationRoutes } from "./federation.ts";
import { logRoutes } from "./logs.ts";
import { organizationRoutes } from "./organizations.ts";
import { permissionRoutes } from "./permissions.ts";
import { prototypeRoutes } from "./prototypes.ts";
import { repositoryRoutes } from "./repositories.ts";
import { robotRoutes } from "./robots.ts";
import { teamRoutes } from "./teams.ts";

/** A repository's name may have slashes: its own route comes last. */
const ROUTES = [
  ...[robotRoutes, federationRoutes, organizationRoutes, teamRoutes, prototypeRoutes, permissionRoutes, logRoutes],
  ...[discoveryRoutes, repositoryRoutes],
]
  .flat()
  .map((route) => ({ ...route, pattern: patternOf(route.path) }));

/** @returns undefined for a path that the API doesn't have. */
export function manage(request: ApiRequest, store: Store, settings: Settings): Reply | undefined {
  const path = decode(request.path.replace("/api/v1/", ""));
  // Without the slash that a route ends with: redirected to it, as an unknown path is.
  if (ROUTES.some(({ pattern }) => pattern.test(`${path}/`))) return undefined;
  for (const route of ROUTES) {
    const match = route.pattern.exec(path);
    if (match === null || (settings.release === "without-federation" && federationRoutes.some(isSame(route)))) continue;
    return answer(route, match.slice(1), request, store, settings);
  }
  return undefined;
}

const isSame = (route: Route) => (each: Route) => each.path === route.path;

function answer(
  route: Route,
  parts: string[],
  request: ApiRequest,
  store: Store,
  settings: Settings,
): Reply | undefined {
  const methods = (["GET", "PUT", "POST", "DELETE"] as const).filter((method) => route[method] !== undefined);
  const allowed = [...methods, "OPTIONS", ...(route.GET ? ["HEAD"] : [])].join(", ");
  if (request.method === "OPTIONS") return options(allowed);
  const handler = route[(request.method === "HEAD" ? "GET" : request.method) as "GET"];
  if (handler === undefined) return isRead(request) ? undefined : apiMethodNotAllowed(allowed);
  const token = authenticate(request, store, settings);
  // An open route takes an unknown token for none; a JWT is refused everywhere.
  const isJwt = "status" in token && token.type !== "application/json";
  if ("status" in token && (isJwt || !route.open || !isRead(request))) return token;
  const call = { request, store, settings, token: "status" in token ? ANONYMOUS : token };
  return suspended(call) ?? handler(call, ...parts);
}

function authenticate(request: ApiRequest, store: Store, settings: Settings): OauthToken | Reply {
  const [, bearer = ""] = /^bearer (.+)$/i.exec(request.authorization ?? "") ?? [];
  const token = store.oauthTokens.get(bearer);
  if (token !== undefined && token.expires > Date.now()) return token;
  if (looksLikeJwt(bearer)) {
    const body = pythonJson({ error: "Issuer quay not configured" });
    return { status: 401, type: "text/html; charset=utf-8", body };
  }
  return isRead(request) ? apiError(settings.host, 401, "invalid_token", "Requires authentication") : CSRF;
}

function patternOf(path: string): RegExp {
  const parts = path.replace(/[.]/g, "\\.").replaceAll("{repository}", "([^/]+/.*?[^/])");
  return new RegExp(`^${parts.replace(/\{\w+\}/g, "([^/]+)")}$`);
}

/** Flask decodes the path before it looks for its route: `%2F` parts it as well. */
function decode(path: string): string {
  try {
    return decodeURIComponent(path);
  } catch {
    return path;
  }
}
