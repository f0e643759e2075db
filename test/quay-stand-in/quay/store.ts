/**
 * The stand-in's database: users, organizations, robots with their bindings, repositories with permissions,
 * OAuth tokens. Tests may set anything directly, also what the recorded version's API can't (`audiences`).
 */
import { randomInt, randomUUID } from "node:crypto";

/** "issuer + subject (+ audiences) entered at a robot". */
export interface Binding {
  issuer: string;
  subject: string;
  /** A string, which the database could hold as well, makes the exchange fail (section B). */
  audiences?: string[] | string;
  /** Release `newer` only. */
  id?: string;
  version?: number;
}

export interface Robot {
  name: string;
  description: string;
  /** The static token, 64 of A-Z0-9. */
  token: string;
  created: string;
  bindings: Binding[];
}

export type Role = "read" | "write" | "admin";

export interface Repository {
  visibility: "public" | "private";
  permissions: Map<string, Role>;
  /** Default NORMAL. The other states accept no push, regardless of the role. */
  state?: "READ_ONLY" | "MIRROR";
  /** Immutable tags. */
  immutable?: Set<string>;
}

export interface OauthToken {
  user: string;
  scopes: Set<string>;
}

export interface Store {
  /** Name -> password. */
  users: Map<string, string>;
  organizations: Map<string, { admins: Set<string>; creators: Set<string>; quotaIsReached?: boolean }>;
  /** By full name, `acme+ci`. */
  robots: Map<string, Robot>;
  /** By `namespace/name`. */
  repositories: Map<string, Repository>;
  oauthTokens: Map<string, OauthToken>;
}

export function createStore(): Store {
  return {
    users: new Map(),
    organizations: new Map(),
    robots: new Map(),
    repositories: new Map(),
    oauthTokens: new Map(),
  };
}

export function addOrganization(store: Store, name: string, admins: string[] = []): void {
  store.organizations.set(name, { admins: new Set(admins), creators: new Set() });
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

/** An OAuth application's token; by default with all scopes that matter here. */
export function addOauthToken(store: Store, user: string, scopes: string[] = ALL_SCOPES): string {
  const token = randomToken(40);
  store.oauthTokens.set(token, { user, scopes: new Set(scopes) });
  return token;
}

const ALL_SCOPES = ["org:admin", "user:admin", "repo:admin", "repo:create", "repo:read", "repo:write"];

/** Deletes a robot and its permissions: a new one of its name has none. */
export function removeRobot(store: Store, name: string): boolean {
  for (const repository of store.repositories.values()) repository.permissions.delete(name);
  for (const organization of store.organizations.values()) organization.creators.delete(name);
  return store.robots.delete(name);
}

/** An account's actions on a repository: robots by permission, users by owning the namespace. */
export function mayPull(store: Store, account: string | undefined, repository: string): boolean {
  const known = store.repositories.get(repository);
  if (known === undefined) return false;
  return known.visibility === "public" || (account !== undefined && roleOf(store, account, repository) !== undefined);
}
export function mayPush(store: Store, account: string, repository: string): boolean {
  const role = roleOf(store, account, repository);
  const known = store.repositories.get(repository);
  return known !== undefined && known.state === undefined && (role === "write" || role === "admin");
}
export function mayAdminister(store: Store, account: string, repository: string): boolean {
  return store.repositories.has(repository) && roleOf(store, account, repository) === "admin";
}

/** "Pushing to a repository that doesn't exist needs the right to create in the organization." */
export function mayCreate(store: Store, account: string, namespace: string): boolean {
  return owns(store, account, namespace) || (store.organizations.get(namespace)?.creators.has(account) ?? false);
}

/** Whether a user is the namespace, or an admin of it. */
export function owns(store: Store, user: string, namespace: string): boolean {
  return user === namespace || (store.organizations.get(namespace)?.admins.has(user) ?? false);
}

function roleOf(store: Store, account: string, repository: string): Role | undefined {
  if (owns(store, account, repository.split("/")[0] ?? "")) return "admin";
  return store.repositories.get(repository)?.permissions.get(account);
}

/** Release `newer`: each binding has an id, and audiences by default. */
export function withIdentity(binding: Binding, before: Binding[]): Binding {
  const known = before.find((each) => each.id !== undefined && each.id === binding.id);
  return {
    ...binding,
    audiences: binding.audiences ?? ["quay"],
    id: known?.id ?? randomUUID(),
    version: known === undefined ? 1 : (known.version ?? 0) + 1,
  };
}

function randomToken(length = 64): string {
  const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
  return Array.from({ length }, () => letters[randomInt(letters.length)]).join("");
}
