/** Repositories, and who has which permission on them. */
import { isObject } from "../../platform/json.ts";
import { type Ask, objectIn, part } from "./questions.ts";
import { unusable } from "./refusals.ts";

/** Quay's roles of a permission on a repository, the lowest first. */
export const roles = ["read", "write", "admin"] as const;
export type Role = (typeof roles)[number];

export interface Repositories {
  /** Whether there is such a repository (`acme/app`). */
  hasRepository(repository: string): Promise<boolean>;
  /** A private one. @returns false: there is one already, which is unchanged */
  createRepository(repository: string): Promise<boolean>;
  /** The direct permissions on a repository (`acme/app`), by the name of the user or robot. A missing repository has none. */
  permissions(repository: string): Promise<ReadonlyMap<string, Role>>;
  /** undefined: it has none there, or one of the two does not exist */
  permission(repository: string, robot: string): Promise<Role | undefined>;
  /** The repository must exist: Quay answers 500 otherwise. */
  setPermission(repository: string, robot: string, role: Role): Promise<void>;
  removePermission(repository: string, robot: string): Promise<void>;
}

const noPermission = [400, /^User does not have permission for repo/] as const;

const pathOf = (repository: string): string => `repository/${repository.split("/").map(part).join("/")}`;

const needing = (repository: string) => ({ scope: "repo:admin", owner: ownerOf(repository) }) as const;

export const createRepositories = (ask: Ask, registry: string): Repositories => ({
  async hasRepository(repository) {
    const { status } = await ask({
      what: `the repository ${repository}`,
      path: pathOf(repository),
      query: { includeTags: "false" },
      needs: needing(repository),
      expects: [[404, /^Not Found/i]],
    });
    return status !== 404;
  },
  async createRepository(repository) {
    const namespace = ownerOf(repository);
    const { status } = await ask({
      what: `the new repository ${repository}`,
      path: "repository",
      method: "POST",
      body: { namespace, repository: repository.slice(namespace.length + 1), visibility: "private", description: "" },
      needs: { scope: "repo:create", owner: namespace },
      expects: [[400, /^Repository already exists/]],
      repeatable: true,
    });
    return status !== 400;
  },
  ...permissionOperations(ask, registry),
});

type PermissionOperations = Pick<Repositories, "permissions" | "permission" | "setPermission" | "removePermission">;

function permissionOperations(ask: Ask, registry: string): PermissionOperations {
  const pathTo = (repository: string, robot = "") => `${pathOf(repository)}/permissions/user/${part(robot)}`;
  return {
    async permissions(repository) {
      const what = `the permissions on ${repository}`;
      const answered = await ask({ what, path: pathTo(repository), needs: needing(repository) });
      const { permissions } = objectIn(answered, what, registry);
      if (!isObject(permissions)) {
        throw unusable(registry, what, "it holds no permissions");
      }
      const entries = Object.entries(permissions);
      return new Map(entries.map(([name, entry]) => [name, roleIn(Object(entry).role, what, registry)]));
    },
    async permission(repository, robot) {
      const what = `the permission of ${robot} on ${repository}`;
      const path = pathTo(repository, robot);
      const answered = await ask({ what, path, needs: needing(repository), expects: [noPermission] });
      return answered.status === 400 ? undefined : roleIn(objectIn(answered, what, registry).role, what, registry);
    },
    async setPermission(repository, robot, role) {
      await ask({
        what: `the new permission of ${robot} on ${repository}`,
        path: pathTo(repository, robot),
        method: "PUT",
        body: { role },
        needs: needing(repository),
        repeatable: true,
      });
    },
    async removePermission(repository, robot) {
      await ask({
        what: `the end of the permission of ${robot} on ${repository}`,
        path: pathTo(repository, robot),
        method: "DELETE",
        needs: needing(repository),
        expects: [noPermission],
        repeatable: true,
      });
    },
  };
}

const ownerOf = (repository: string): string => repository.slice(0, repository.indexOf("/"));

/** @throws ExplainedError `quay-answer-unusable` */
export function roleIn(role: unknown, what: string, registry: string): Role {
  const known = roles.find((candidate) => candidate === role);
  if (known === undefined) {
    throw unusable(registry, what, "it holds a role other than read, write, admin");
  }
  return known;
}
