/** A repository's permissions, of users and robots and of teams: `/repository/NS/REPO/permissions/…`. */
import { INTERNAL_ERROR, type Reply, refused, spacedJson } from "../pages.ts";
import { isMember, roleOf, rolesOf } from "../rights.ts";
import type { Repository, Role } from "../store.ts";
import {
  avatar,
  type Call,
  forbidden,
  type Handler,
  has,
  invalid,
  isRobot,
  NOTHING,
  notFound,
  type Route,
  readBody,
  record,
  split,
} from "./call.ts";

const ROLE = {
  type: "object",
  description: "Description of a permission.",
  required: ["role"],
  properties: { role: { enum: ["read", "write", "admin"], description: "Role to use" } },
} as const;

/** With scope and right; the repository may be missing. */
const administered =
  (handle: (call: Call, repository: string, who: string) => Reply): Handler =>
  (call, repository = "", who = "") => {
    const { store, token } = call;
    const isAdmin = roleOf(store, token.user, repository) === "admin";
    return has(call, "repo:admin") && isAdmin ? handle(call, repository, who) : forbidden(call);
  };

/** The body's form comes before the right. */
const changed =
  (handle: (call: Call, repository: string, who: string, role: Role) => Reply): Handler =>
  (call, ...parts) => {
    const body = readBody<{ role: Role }>(call, ROLE);
    if (!body.ok) return body.reply;
    return administered((_, repository, who) => handle(call, repository, who, body.value.role))(call, ...parts);
  };

const users = "repository/{repository}/permissions/user";
const teams = "repository/{repository}/permissions/team";

export const permissionRoutes: Route[] = [
  {
    path: `${users}/`,
    GET: administered((call, repository) => {
      const roles = [...(call.store.repositories.get(repository)?.permissions ?? [])];
      return spacedJson(200, {
        permissions: Object.fromEntries(roles.map(([n, r]) => [n, ofUser(call, repository, n, r)])),
      });
    }),
  },
  { path: `${users}/{account}`, GET: administered(oneUser), PUT: changed(setUser), DELETE: administered(removeUser) },
  {
    path: `${users}/{account}/transitive`,
    GET: administered((call, repository, account) => {
      const roles = rolesOf(call.store, account, repository);
      return roles.length === 0 ? notFound(call) : spacedJson(200, { permissions: roles.map((role) => ({ role })) });
    }),
  },
  {
    path: `${teams}/`,
    GET: administered((call, repository) => {
      const roles = [...(call.store.repositories.get(repository)?.teamPermissions ?? [])];
      return spacedJson(200, {
        permissions: Object.fromEntries(roles.map(([name, role]) => [name, ofTeam(name, role)])),
      });
    }),
  },
  { path: `${teams}/{team}`, GET: administered(oneTeam), PUT: changed(setTeam), DELETE: administered(removeTeam) },
];

const NO_USER = "User does not have permission for repo.";
const NO_TEAM = "Team does not have permission for repo.";

function ofUser({ store }: Call, repository: string, name: string, role: Role): object {
  const [namespace] = split(repository);
  const member = store.organizations.has(namespace) ? { is_org_member: isMember(store, name, namespace) } : {};
  return { role, name, is_robot: isRobot(name), avatar: avatar(name), ...member };
}

const ofTeam = (name: string, role: Role) => ({ role, name, avatar: avatar(name, "team") });

function oneUser(call: Call, repository: string, account: string): Reply {
  const role = call.store.repositories.get(repository)?.permissions.get(account);
  return role === undefined ? refused(NO_USER) : spacedJson(200, ofUser(call, repository, account, role));
}

/** "A missing repository: 500." */
function setUser(call: Call, repository: string, account: string, role: Role): Reply {
  const { store } = call;
  const [namespace, repo] = split(repository);
  if (!store.robots.has(account) && !store.users.has(account)) return invalid(call, `Invalid username: ${account}`);
  if (isRobot(account) && !account.startsWith(`${namespace}+`)) {
    return invalid(call, `Cannot add robot ${account} under namespace ${namespace}`);
  }
  const known = store.repositories.get(repository);
  if (known === undefined) return INTERNAL_ERROR;
  known.permissions.set(account, role);
  record(call, "change_repo_permission", namespace, { username: account, repo, namespace, role }, repo);
  return spacedJson(200, ofUser(call, repository, account, role));
}

function removeUser(call: Call, repository: string, account: string): Reply {
  if (!call.store.repositories.get(repository)?.permissions.delete(account)) return invalid(call, NO_USER);
  const [namespace, repo] = split(repository);
  record(call, "delete_repo_permission", namespace, { username: account, repo, namespace }, repo);
  return NOTHING;
}

function oneTeam({ store }: Call, repository: string, team: string): Reply {
  const role = store.repositories.get(repository)?.teamPermissions?.get(team);
  return role === undefined ? refused(NO_TEAM) : spacedJson(200, { role });
}

function setTeam(call: Call, repository: string, team: string, role: Role): Reply {
  const [namespace, repo] = split(repository);
  if (!call.store.organizations.get(namespace)?.teams.has(team)) {
    return invalid(call, `No team ${team} in organization ${namespace}`);
  }
  const known: Repository | undefined = call.store.repositories.get(repository);
  if (known === undefined) return INTERNAL_ERROR;
  known.teamPermissions ??= new Map();
  known.teamPermissions.set(team, role);
  record(call, "change_repo_permission", namespace, { team, repo, role }, repo);
  return spacedJson(200, ofTeam(team, role));
}

function removeTeam(call: Call, repository: string, team: string): Reply {
  if (!call.store.repositories.get(repository)?.teamPermissions?.delete(team)) return invalid(call, NO_TEAM);
  const [namespace, repo] = split(repository);
  record(call, "delete_repo_permission", namespace, { team, repo }, repo);
  return NOTHING;
}
