/** What tells a Quay's version, without a token: `/api/v1/discovery`, cut to what matters here, and error types. */
import { type Reply, spacedJson } from "../pages.ts";
import type { Settings } from "../settings.ts";
import type { Route } from "./call.ts";

export const discoveryRoutes: Route[] = [
  { path: "discovery", open: true, GET: ({ settings }) => discovery(settings) },
  {
    path: "error/{type}",
    open: true,
    GET: ({ settings }, type = "") => {
      const url = `https://${settings.host}/api/v1/error/${type}`;
      return spacedJson(200, { type: url, title: type, description: DESCRIPTIONS[type] ?? "" });
    },
  },
];

const DESCRIPTIONS: Record<string, string> = {
  insufficient_scope: "The access token did not have sufficient scope to access the requested resource.",
};

/** "Whether `audiences` is in the body's definition tells newer Quay." */
function discovery({ release, host }: Settings): Reply {
  const federation = {
    "/api/v1/organization/{orgname}/robots/{robot_shortname}/federation": operations("OrgRobot", "org:admin"),
    "/api/v1/user/robots/{robot_shortname}/federation": operations("UserRobot", "user:admin"),
  };
  return spacedJson(200, {
    swagger: "2.0",
    host,
    basePath: "/",
    schemes: ["https"],
    info: {
      version: "v1",
      title: "Quay Frontend",
      description: "This API allows you to perform many of the operations",
    },
    securityDefinitions: {
      oauth2_implicit: {
        type: "oauth2",
        flow: "implicit",
        authorizationUrl: `https://${host}/oauth/authorize`,
        scopes: SCOPES,
      },
    },
    paths: {
      "/api/v1/organization/{orgname}/robots": { get: operation("getOrgRobots", "org:admin") },
      ...(release === "without-federation" ? {} : federation),
    },
    definitions: release === "without-federation" ? {} : { CreateRobotFederation: definition(release === "newer") },
  });
}

const SCOPES = Object.fromEntries(
  ["repo:read", "repo:write", "repo:admin", "repo:create", "user:read", "user:admin", "org:admin", "super:user"].map(
    (scope) => [scope, scope],
  ),
);

const operation = (operationId: string, scope: string) => ({ operationId, security: [{ oauth2_implicit: [scope] }] });

function operations(of: string, scope: string) {
  const body = { name: "body", in: "body", required: true, schema: { $ref: "#/definitions/CreateRobotFederation" } };
  return {
    get: operation(`get${of}Federation`, scope),
    post: { ...operation(`create${of}Federation`, scope), parameters: [body] },
    delete: operation(`delete${of}Federation`, scope),
  };
}

function definition(isNewer: boolean) {
  const text = (description: string) => ({ type: "string", description });
  const audiences = { type: "array", items: { type: "string" }, description: "The audiences that a token may have" };
  return {
    type: "array",
    description: "Federation configuration for the robot",
    items: {
      type: "object",
      properties: {
        issuer: text("The issuer of the token"),
        subject: text("The subject of the token"),
        ...(isNewer && { audiences }),
      },
      required: ["issuer", "subject"],
    },
  };
}

/** `/config`, as far as it tells anything: no feature names federation, and the version is wrong. */
export function config({ host, logRotationDays }: Settings): object {
  return {
    config: { SERVER_HOSTNAME: host, AUTHENTICATION_TYPE: "Database" },
    features: {
      ...{ IMMUTABLE_TAGS: false, QUOTA_MANAGEMENT: false, REPO_MIRROR: false, USER_LAST_ACCESSED: true },
      ...{ ACTION_LOG_ROTATION: logRotationDays !== undefined, AGGREGATED_LOG_COUNT_RETRIEVAL: true, LOG_EXPORT: true },
      ...{ DISABLE_PULL_LOGS_FOR_FREE_NAMESPACES: false, RATE_LIMITS: false, SUPERUSERS_FULL_ACCESS: false },
      EXTENDED_ACTION_LOGGING: false,
    },
    registry_state: "normal",
    version_number: "Quay v3.11.0",
  };
}
