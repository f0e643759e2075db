/** Teams of an organization: their roles there, and their permissions on repositories. */
import { isObject } from "../../platform/json.ts";
import { type Ask, listIn, type Owner, objectIn, part } from "./questions.ts";
import { unusable } from "./refusals.ts";
import { type Role, roleIn } from "./repositories.ts";

export interface Teams {
  /** The role of each team in the organization, by its name: member, creator or admin. A user has no teams. */
  teamRoles(owner: Owner): Promise<ReadonlyMap<string, string>>;
  /** The permissions of a team; `repository` as `acme/app`. */
  teamPermissions(owner: Owner, team: string): Promise<readonly { readonly repository: string; readonly role: Role }[]>;
}

export function createTeams(ask: Ask, registry: string): Teams {
  const pathOf = ({ name }: Owner) => `organization/${part(name)}`;
  const needing = ({ name }: Owner) => ({ scope: "org:admin", owner: name }) as const;
  return {
    async teamRoles(owner) {
      if (owner.kind === "user") {
        return new Map();
      }
      const what = `the teams of ${owner.name}`;
      const { teams } = objectIn(await ask({ what, path: pathOf(owner), needs: needing(owner) }), what, registry);
      if (!isObject(teams)) {
        throw unusable(registry, what, "it holds no teams");
      }
      return new Map(Object.entries(teams).map(([name, team]) => [name, String(Object(team).role)]));
    },
    async teamPermissions(owner, team) {
      const what = `the permissions of the team ${team}`;
      const path = `${pathOf(owner)}/team/${part(team)}/permissions`;
      const { permissions } = objectIn(await ask({ what, path, needs: needing(owner) }), what, registry);
      return listIn(permissions, what, registry).map(({ repository, role }) => ({
        repository: `${owner.name}/${String(Object(repository).name)}`,
        role: roleIn(role, what, registry),
      }));
    },
  };
}
