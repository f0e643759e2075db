/**
 * The stand-in's database: users, organizations with teams, robots with their bindings, repositories with permissions,
 * OAuth tokens, the usage log (log.ts). Tests may set anything directly, also what the recorded version's API can't
 * (`audiences`).
 */
import { randomInt, randomUUID } from "node:crypto";
import { isDeepStrictEqual } from "node:util";

/** "issuer + subject (+ audiences) entered at a robot". */
export interface Binding {
  issuer: string;
  subject: string;
  /** A string, which the database could hold as well, makes the exchange fail (section B). */
  audiences?: string[] | string;
  /** Release `newer` only. */
  id?: string;
  version?: number;
  api_scopes?: string[];
  /** Whatever else a test enters is given back as it is. */
  [key: string]: unknown;
}

export interface Robot {
  name: string;
  description: string;
  /** The static token, 64 of A-Z0-9. */
  token: string;
  created: string;
  bindings: Binding[];
  /** Set by a login at `/v2/auth`, at most once in 60 s. */
  lastAccessed?: Date;
  /** The JSON object that it was made with. */
  metadata?: object;
}

export interface Team {
  role: "member" | "creator" | "admin";
  description: string;
  /** Users and robots, those of other organizations too. */
  members: Set<string>;
}

export interface Organization {
  /** The members of its team `owners`: the same set. */
  admins: Set<string>;
  /** Accounts that may create repositories without a team. */
  creators: Set<string>;
  teams: Map<string, Team>;
  quotaIsReached?: boolean;
  prototypes: Map<string, Prototype>;
}

/** A default permission of repositories made later. */
export interface Prototype {
  role: Role;
  delegate: { kind: "user" | "team"; name: string };
  activatingUser: string | null;
}

export type Role = "read" | "write" | "admin";

export interface Repository {
  visibility: "public" | "private";
  permissions: Map<string, Role>;
  /** By a team's name. */
  teamPermissions?: Map<string, Role>;
  /** null: made by a robot's push. */
  description?: string | null;
  /** Default NORMAL. The other states accept no push, regardless of the role. */
  state?: "READ_ONLY" | "MIRROR";
  /** Immutable tags. */
  immutable?: Set<string>;
}

/** It acts as its user: a request needs both the user's right and the scope. */
export interface OauthToken {
  user: string;
  scopes: Set<string>;
  /** The token's and its application's names in the usage log. */
  id: number;
  application: string;
  applicationId: string;
  /** Milliseconds since 1970; an expired token is answered as an unknown one is. */
  expires: number;
}

export interface LogEntry {
  kind: string;
  /** The repository's namespace for a pull or push, the robot's for an exchange or login. */
  namespace: string;
  /** Short name, for what `/repository/…/logs` shows too. */
  repository?: string;
  metadata: Record<string, unknown>;
  /** Full name. None for an exchange, an anonymous pull, and everything that a since deleted robot did. */
  performer?: string;
  /** Default now. */
  time?: Date;
  ip?: string;
}

export interface StoredEntry extends Omit<LogEntry, "time"> {
  /** Microseconds since 1970. */
  time: number;
  /** Entries of the same time are in the order in which they were written. */
  id: number;
}

export interface Store {
  /** Name -> password. */
  users: Map<string, string>;
  organizations: Map<string, Organization>;
  /** By full name, `acme+ci`. */
  robots: Map<string, Robot>;
  /** By `namespace/name`. */
  repositories: Map<string, Repository>;
  oauthTokens: Map<string, OauthToken>;
  /** By namespace, oldest first. `addLogEntry` (log.ts) writes it. */
  logs: Map<string, StoredEntry[]>;
}

export function createStore(): Store {
  return {
    users: new Map(),
    organizations: new Map(),
    robots: new Map(),
    repositories: new Map(),
    oauthTokens: new Map(),
    logs: new Map(),
  };
}

export function addUser(store: Store, name: string, password = "password"): void {
  store.users.set(name, password);
}

/** @param admins users, who form its team `owners` */
export function addOrganization(store: Store, name: string, admins: string[] = []): void {
  const owners: Team = { role: "admin", description: "", members: new Set(admins) };
  const teams = new Map([["owners", owners]]);
  store.organizations.set(name, { admins: owners.members, creators: new Set(), teams, prototypes: new Map() });
}

/** A team of an organization; `permissions` by full repository name. One of the same name is replaced. */
export function addTeam(
  store: Store,
  organization: string,
  name: string,
  options: Partial<Omit<Team, "members">> & { members?: string[]; permissions?: Record<string, Role> } = {},
): Team {
  const { role = "member", description = "", members = [], permissions = {} } = options;
  const known = store.organizations.get(organization);
  if (known === undefined) throw new Error(`there is no organization ${organization}: addOrganization makes one`);
  const team: Team = { role, description, members: new Set(members) };
  known.teams.set(name, team);
  for (const [repository, each] of Object.entries(permissions)) {
    const made = addRepository(store, repository);
    made.teamPermissions ??= new Map();
    made.teamPermissions.set(name, each);
  }
  return team;
}

/** @returns the new robot; one of the same name is replaced. */
export function addRobot(store: Store, name: string, bindings: Binding[] = [], description = ""): Robot {
  const created = new Date().toUTCString().replace("GMT", "-0000");
  const robot = { name, description, token: randomToken(), created, bindings };
  store.robots.set(name, robot);
  return robot;
}

/** Gives robots their roles; creates a missing repository. */
export function addRepository(
  store: Store,
  name: string,
  permissions: Record<string, Role> = {},
  visibility: Repository["visibility"] = "private",
): Repository {
  const repository = store.repositories.get(name) ?? { visibility, permissions: new Map() };
  for (const [robot, role] of Object.entries(permissions)) repository.permissions.set(robot, role);
  store.repositories.set(name, repository);
  return repository;
}

/**
 * An OAuth application's token; by default with all scopes that matter here.
 * @returns the token, 40 of A-Z0-9. `revokeApiToken` ends it.
 */
export function addApiToken(
  store: Store,
  options: { user: string; scopes?: readonly string[]; application?: string; expires?: Date },
): string {
  const token = randomToken(40);
  const { user, scopes = ALL_SCOPES, application = "t", expires } = options;
  store.oauthTokens.set(token, {
    ...{ user, scopes: new Set(scopes), application },
    ...{ id: store.oauthTokens.size + 1, applicationId: randomToken(20) },
    expires: expires?.getTime() ?? Date.now() + TEN_YEARS,
  });
  return token;
}

export function revokeApiToken(store: Store, token: string): void {
  store.oauthTokens.delete(token);
}

/** Those of Quay, without super:user. */
const ALL_SCOPES = ["org:admin", "user:admin", "user:read", "repo:admin", "repo:create", "repo:read", "repo:write"];
const TEN_YEARS = 10 * 365 * 24 * 3600_000;

/**
 * Deletes a robot, its permissions and memberships: a new one of its name has none. What it did stays in the log,
 * without its name.
 */
export function removeRobot(store: Store, name: string): boolean {
  for (const repository of store.repositories.values()) repository.permissions.delete(name);
  for (const { creators, teams, prototypes } of store.organizations.values()) {
    creators.delete(name);
    for (const { members } of teams.values()) members.delete(name);
    for (const [id, { delegate }] of prototypes) if (delegate.name === name) prototypes.delete(id);
  }
  for (const entries of store.logs.values()) {
    for (const entry of entries) if (entry.performer === name) delete entry.performer;
  }
  return store.robots.delete(name);
}

/** A new static token; the bindings and permissions stay. */
export function regenerate(robot: Robot): void {
  robot.token = randomToken();
}

/** Release `newer`: each binding has an id and audiences by default; one that comes back changed is a new version. */
export function withIdentity(binding: Binding, before: Binding[]): Binding {
  const known = before.find((each) => each.id !== undefined && each.id === binding.id);
  const { version = 0, id = randomUUID() } = known ?? {};
  const stored = { ...binding, audiences: binding.audiences ?? ["quay"], id };
  return { ...stored, version: isDeepStrictEqual({ ...stored, version }, known) ? version : version + 1 };
}

function randomToken(length = 64): string {
  const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
  return Array.from({ length }, () => letters[randomInt(letters.length)]).join("");
}
