/** Teams of an organization, their members and permissions. */
import { type Reply, refused, spacedJson } from "../pages.ts";
import { addTeam, type Team } from "../store.ts";
import {
  administers,
  avatar,
  type Call,
  forbidden,
  type Handler,
  invalid,
  isRobot,
  NOTHING,
  nameProblem,
  notFound,
  type Route,
  readBody,
  record,
  split,
} from "./call.ts";

const NEW_TEAM = {
  type: "object",
  description: "Description of a team",
  required: ["role"],
  properties: {
    role: { enum: ["member", "creator", "admin"], description: "Org wide permissions that should apply to the team" },
    description: { type: "string", description: "Markdown description for the team" },
  },
} as const;

interface Place {
  organization: string;
  name: string;
  teams: Map<string, Team>;
  account: string;
}

const administered =
  (handle: (call: Call, place: Place) => Reply): Handler =>
  (call, organization = "", name = "", account = "") => {
    const { teams } = call.store.organizations.get(organization) ?? {};
    if (teams === undefined || !administers(call, organization)) return forbidden(call);
    return handle(call, { organization, name, teams, account });
  };

const ofTeam = (handle: (call: Call, place: Place & { team: Team }) => Reply): Handler =>
  administered((call, place) => {
    const team = place.teams.get(place.name);
    return team === undefined ? notFound(call) : handle(call, { ...place, team });
  });

export const teamRoutes: Route[] = [
  { path: "organization/{org}/team/{team}", PUT: put, DELETE: administered(remove) },
  { path: "organization/{org}/team/{team}/members", GET: ofTeam(members) },
  { path: "organization/{org}/team/{team}/members/{account}", PUT: ofTeam(addMember), DELETE: ofTeam(removeMember) },
  { path: "organization/{org}/team/{team}/permissions", GET: ofTeam(permissions) },
];

/** "Again 200 with new_team false, the role is set to what was sent." */
function put(call: Call, ...parts: string[]): Reply {
  const body = readBody<Pick<Team, "role"> & { description?: string }>(call, NEW_TEAM);
  if (!body.ok) return body.reply;
  const { role, description } = body.value;
  return administered((_, { organization, name, teams }) => {
    const known = teams.get(name);
    const problem = nameProblem(name);
    if (known === undefined && problem) return refused(`Invalid team name ${name}: ${problem}`);
    const team = known ?? addTeam(call.store, organization, name, { role });
    Object.assign(team, { role, ...(description !== undefined && { description }) });
    if (known === undefined) record(call, "org_create_team", organization, { team: name });
    return spacedJson(200, {
      ...{ name, description: team.description, can_view: true, role, avatar: avatar(name, "team") },
      new_team: known === undefined,
    });
  })(call, ...parts);
}

function remove(call: Call, { organization, name, teams }: Place): Reply {
  if (!teams.delete(name)) return refused(`Team '${name}' is not a team in org '${organization}'`);
  for (const { teamPermissions } of call.store.repositories.values()) teamPermissions?.delete(name);
  return NOTHING;
}

function members(_: Call, { name, team }: Place & { team: Team }): Reply {
  return spacedJson(200, { name, members: [...team.members].map(member), can_edit: true });
}

const member = (name: string) => ({
  ...{ name, kind: "user", is_robot: isRobot(name), avatar: avatar(name), invited: false },
});

/** "A robot of another organization is accepted." */
function addMember(call: Call, { organization, name, team, account }: Place & { team: Team }): Reply {
  if (!call.store.robots.has(account) && !call.store.users.has(account)) return invalid(call, "Unknown user");
  if (team.members.has(account)) return refused(`User ${account} is already a member of team ${name}`);
  team.members.add(account);
  record(call, "org_add_team_member", organization, { member: account, team: name });
  return spacedJson(200, member(account));
}

function removeMember(call: Call, { organization, name, team, account }: Place & { team: Team }): Reply {
  if (!call.store.robots.has(account) && !call.store.users.has(account)) return notFound(call);
  if (!team.members.delete(account)) return refused(`User ${account} does not belong to team ${name}`);
  record(call, "org_remove_team_member", organization, { member: account, team: name });
  return NOTHING;
}

function permissions({ store }: Call, { organization, name }: Place): Reply {
  const own = [...store.repositories].flatMap(([full, { visibility, teamPermissions }]) => {
    const [namespace, repository] = split(full);
    const role = namespace === organization ? teamPermissions?.get(name) : undefined;
    return role ? [{ repository: { name: repository, is_public: visibility === "public" }, role }] : [];
  });
  return spacedJson(200, { permissions: own });
}
