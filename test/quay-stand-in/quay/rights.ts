/** Who may do what: by permission, by team, or by owning the namespace. */
import type { Role, Store } from "./store.ts";

/** An account's actions on a repository. */
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
  const { creators, teams } = store.organizations.get(namespace) ?? {};
  const byTeam = [...(teams?.values() ?? [])].some(({ role, members }) => role !== "member" && members.has(account));
  return owns(store, account, namespace) || (creators?.has(account) ?? false) || byTeam;
}

/** Whether an account is the namespace, or an admin of it. */
export function owns(store: Store, account: string, namespace: string): boolean {
  if (account === namespace) return true;
  const teams = store.organizations.get(namespace)?.teams.values() ?? [];
  return [...teams].some(({ role, members }) => role === "admin" && members.has(account));
}

/** Whether an account is a robot of the organization, or in one of its teams. */
export function isMember(store: Store, account: string, organization: string): boolean {
  const teams = store.organizations.get(organization)?.teams.values() ?? [];
  return account.startsWith(`${organization}+`) || [...teams].some(({ members }) => members.has(account));
}

/** The highest role by permission, by team, and by owning the namespace. */
export function roleOf(store: Store, account: string, repository: string): Role | undefined {
  if (owns(store, account, repository.split("/")[0] ?? "")) return "admin";
  const roles = rolesOf(store, account, repository);
  return (["admin", "write", "read"] as const).find((role) => roles.includes(role));
}

/** The direct role, then those by team. */
export function rolesOf(store: Store, account: string, repository: string): Role[] {
  const { permissions, teamPermissions = [] } = store.repositories.get(repository) ?? {};
  const teams = store.organizations.get(repository.split("/")[0] ?? "")?.teams;
  const byTeam = [...teamPermissions].filter(([team]) => teams?.get(team)?.members.has(account));
  return [permissions?.get(account), ...byTeam.map(([, role]) => role)].filter((role) => role !== undefined);
}
