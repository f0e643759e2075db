/** Robots of an organization and of the token's user: `/organization/ORG/robots…` and `/user/robots…`. */
import { INTERNAL_ERROR, type Reply, ROBOT_UNKNOWN, refused, spacedJson } from "../pages.ts";
import { isMember } from "../rights.ts";
import { addRobot, type Robot, regenerate, removeRobot } from "../store.ts";
import {
  administers,
  avatar,
  type Call,
  forbidden,
  type Handler,
  has,
  invalid,
  NOTHING,
  nameProblem,
  type Route,
  readOptionalBody,
  record,
  split,
  timeText,
} from "./call.ts";

type OnRobots = (call: Call, namespace: string, short: string) => Reply;

const ofOrganization =
  (handle: OnRobots): Handler =>
  (call, organization = "", short = "") => {
    if (!administers(call, organization)) return forbidden(call);
    if (call.store.organizations.has(organization)) return handle(call, organization, short);
    return refused(`Organization does not exist: ${organization}`);
  };
const ofUser =
  (handle: OnRobots): Handler =>
  (call, short = "") =>
    has(call, "user:admin") ? handle(call, call.token.user, short) : forbidden(call);
/** The body's form comes before the right. */
const create =
  (owned: (handle: OnRobots) => Handler): Handler =>
  (call, ...parts) => {
    const body = readOptionalBody<NewRobot>(call, NEW_ROBOT);
    if (!body.ok) return body.reply;
    return owned((_, namespace, short) => createRobot(call, namespace, short, body.value))(call, ...parts);
  };

const one: OnRobots = (call, namespace, short) => {
  const robot = call.store.robots.get(`${namespace}+${short}`);
  return robot === undefined ? refused(ROBOT_UNKNOWN) : spacedJson(200, { ...describe(robot), ...metadata(robot, {}) });
};

const remove: OnRobots = (call, namespace, short) => {
  if (!removeRobot(call.store, `${namespace}+${short}`)) return refused(ROBOT_UNKNOWN);
  record(call, "delete_robot", namespace, { robot: short });
  return NOTHING;
};

const renew: OnRobots = (call, namespace, short) => {
  const robot = call.store.robots.get(`${namespace}+${short}`);
  if (robot === undefined) return refused(ROBOT_UNKNOWN);
  regenerate(robot);
  record(call, "regenerate_robot_token", namespace, { robot: short });
  return spacedJson(200, describe(robot));
};

/** Direct permissions only, not by team. */
const permissions: OnRobots = ({ store }, namespace, short) => {
  const name = `${namespace}+${short}`;
  if (!store.robots.has(name)) return refused(ROBOT_UNKNOWN);
  const own = [...store.repositories].flatMap(([repository, { visibility, permissions: roles }]) => {
    const role = roles.get(name);
    const described = { name: split(repository)[1], is_public: visibility === "public" };
    return role === undefined ? [] : [{ repository: described, role }];
  });
  return spacedJson(200, { permissions: own });
};

/** "Needs user:admin besides org:admin; without org right another 403." */
const permissionsOfOrganization: Handler = (call, organization = "", short = "") => {
  if (!has(call, "user:admin")) return forbidden(call);
  if (administers(call, organization)) return permissions(call, organization, short);
  return { ...refused(UNREADABLE), status: 403 };
};

export const robotRoutes: Route[] = [
  { path: "organization/{org}/robots", GET: (call, organization = "") => listOfOrganization(call, organization) },
  {
    path: "organization/{org}/robots/{short}",
    GET: ofOrganization(one),
    PUT: create(ofOrganization),
    DELETE: ofOrganization(remove),
  },
  { path: "organization/{org}/robots/{short}/regenerate", POST: ofOrganization(renew) },
  { path: "organization/{org}/robots/{short}/permissions", GET: permissionsOfOrganization },
  { path: "user/robots", GET: ofUser((call, namespace) => list(call, namespace, true)) },
  { path: "user/robots/{short}", GET: ofUser(one), PUT: create(ofUser), DELETE: ofUser(remove) },
  { path: "user/robots/{short}/regenerate", POST: ofUser(renew) },
  { path: "user/robots/{short}/permissions", GET: ofUser(permissions) },
];

interface NewRobot {
  description: string;
  unstructured_metadata: object;
}

const NEW_ROBOT = {
  type: "object",
  description: "Optional data for creating a robot",
  properties: {
    description: { type: "string", description: "Optional text description for the robot", maxLength: 255 },
    unstructured_metadata: { type: "object", description: "Optional unstructured metadata for the robot" },
  },
} as const;
const UNREADABLE =
  "You don't have the permission to access the requested resource. It is either read-protected or not readable by the server.";

function createRobot(call: Call, namespace: string, short: string, body: Partial<NewRobot>): Reply {
  const { store, settings } = call;
  if (settings.robotsDisallowed) {
    return invalid(call, "Robot accounts have been disabled. Please contact your administrator.");
  }
  const problem = nameProblem(short);
  if (problem) return invalid(call, `The name for the robot '${short}' is invalid: ${problem}`);
  const name = `${namespace}+${short}`;
  if (store.robots.has(name)) return invalid(call, `Existing robot with name: ${name}`);
  if (name.length > 255) return refused("value too long for type character varying(255)\n");
  const { description, unstructured_metadata = null } = body;
  const robot = addRobot(store, name, [], description);
  if (unstructured_metadata !== null) robot.metadata = unstructured_metadata;
  record(call, "create_robot", namespace, { robot: short, description: description ?? null, unstructured_metadata });
  return spacedJson(201, { ...describe(robot), ...metadata(robot, null) });
}

/** Members that don't administer it, and tokens that may only create repositories, see no token and no memberships. */
function listOfOrganization(call: Call, organization: string): Reply {
  if (administers(call, organization)) return list(call, organization, true);
  const sees = has(call, "org:admin", "repo:create") && isMember(call.store, call.token.user, organization);
  return sees ? list(call, organization, false) : forbidden(call);
}

function list(call: Call, namespace: string, isAdmin: boolean): Reply {
  const { query } = call.request;
  const isOn = (name: string, preset: string) =>
    isAdmin && !["false", "False", "0", ""].includes(query.get(name) ?? preset);
  const [withToken, withPermissions] = [isOn("token", "true"), isOn("permissions", "false")];
  const limit = query.get("limit") ?? "0";
  if (!/^-?\d+$/.test(limit)) {
    return { ...spacedJson(400, { message: { limit: "If specified, the number of robots to return." } }) };
  }
  if (Number(limit) < 0) return INTERNAL_ERROR;
  const robots = [...call.store.robots.values()].filter(({ name }) => name.startsWith(`${namespace}+`)).sort(byUse);
  let left = Number(limit) || Number.POSITIVE_INFINITY;
  const shown: object[] = [];
  for (const robot of robots) {
    if (left <= 0) break;
    const { token, description, unstructured_metadata: _, ...first } = { ...describe(robot), ...metadata(robot, null) };
    const memberships = withPermissions ? membershipsOf(call, namespace, robot.name, left) : undefined;
    left -= memberships?.rows ?? 1;
    const more = memberships && { teams: memberships.teams, repositories: memberships.repositories };
    shown.push({ ...first, ...more, description, ...(withToken && { token }) });
  }
  return spacedJson(200, { robots: shown });
}

/** Never used ones first, then the newest use. */
const byUse = (a: Robot, b: Robot) =>
  (b.lastAccessed?.getTime() ?? Number.MAX_SAFE_INTEGER) - (a.lastAccessed?.getTime() ?? Number.MAX_SAFE_INTEGER);

/** Quay joins robots, teams and repositories, and `limit` limits the rows: robots come out with some of them missing. */
function membershipsOf({ store }: Call, namespace: string, robot: string, limit: number) {
  const teams = [...(store.organizations.get(namespace)?.teams ?? [])].filter(([, { members }]) => members.has(robot));
  const repositories = [...store.repositories].filter(([, { permissions: roles }]) => roles.has(robot));
  const rows: [team: string | undefined, repository: string | undefined][] = [];
  for (const [team] of teams.length > 0 ? teams : [[undefined] as const]) {
    for (const [repository] of repositories.length > 0 ? repositories : [[undefined] as const]) {
      if (rows.length < limit) rows.push([team, repository]);
    }
  }
  const unique = (names: (string | undefined)[]) => [...new Set(names)].filter((each) => each !== undefined);
  return {
    rows: rows.length,
    teams: unique(rows.map(([team]) => team)).map((name) => ({ name, avatar: avatar(name, "team") })),
    repositories: unique(rows.map(([, repository]) => repository)).map((name) => split(name)[1]),
  };
}

function describe({ name, created, lastAccessed, description, token }: Robot) {
  const last_accessed = lastAccessed === undefined ? null : timeText(lastAccessed);
  return { name, created, last_accessed, description, token };
}

const metadata = (robot: Robot, none: object | null) => ({ unstructured_metadata: robot.metadata ?? none });
