/** Reads from Quay what a trust is compared with. */
import { mapLimit } from "../platform/concurrency.ts";
import type { Role } from "../quay/management.ts";
import {
  type Management,
  maxConcurrentRequests,
  type Owner,
  type Robot,
  type RobotWithRights,
} from "../quay/management.ts";
import type { FoundOrganization, FoundRobot } from "./export.ts";
import type { Trust, WantedRobot } from "./trust.ts";

export interface Found {
  readonly owner: Owner;
  /** undefined: unknown */
  readonly keepsAudiences: boolean | undefined;
  /** Those of the trust that exist, by name. Lists that nothing is said about are empty. */
  readonly robots: ReadonlyMap<string, FoundRobot>;
  /** Wanted repositories that do not exist. */
  readonly missingRepositories: ReadonlySet<string>;
}

/** Whether a list of the robot is compared at all: otherwise, its permissions need no further scope. */
const isCompared = (robot: WantedRobot, list: "bindings" | "permissions", prune: boolean): boolean =>
  robot[list].length > 0 || (prune && !robot.unlisted?.includes(list));

/** Whether the robots' permissions are read, for which the API token needs repo:admin. */
export const readsPermissions = ({ robots }: Trust, prune: boolean): boolean =>
  robots.some((robot) => isCompared(robot, "permissions", prune));

/**
 * One request for each robot, and one for each repository: Quay has no list of bindings, and none of roles.
 * @throws ExplainedError as the operations of `Management` do
 */
export async function findTrust(management: Management, trust: Trust, prune: boolean): Promise<Found> {
  const owner = await management.owner(trust.organization);
  const bindsAny = trust.robots.some((robot) => robot.bindings.length > 0);
  // Before a robot is made: a Quay without federation says so here.
  const says = bindsAny ? await management.keepsAudiences(owner) : undefined;
  const listed = readsPermissions(trust, prune)
    ? await management.robotsWithRights(owner)
    : await management.robots(owner);
  const wanted = new Map(trust.robots.map((robot) => [robot.name, robot]));
  const known = listed.flatMap((robot) => {
    const want = wanted.get(robot.name);
    return want ? [{ robot, want }] : [];
  });
  const present = await mapLimit(known, maxConcurrentRequests, async ({ robot, want }) => ({
    ...{ robot, want },
    bindings: isCompared(want, "bindings", prune) ? await management.federation(owner, robot.name) : [],
  }));
  const mentioned = [...wanted.values()].flatMap(({ permissions }) => permissions.map(({ repository }) => repository));
  const { roles, missing } = await findRoles(management, mentioned, [
    ...present.filter(({ want }) => isCompared(want, "permissions", prune)).flatMap(({ robot }) => ownOf(robot, owner)),
    ...mentioned,
  ]);
  const robots = present.map(({ robot, want, bindings }): [string, FoundRobot] => {
    const permissions = isCompared(want, "permissions", prune) ? permissionsOf(robot.name, roles) : [];
    return [robot.name, foundOf(robot, bindings, permissions)];
  });
  const bindings = present.flatMap((each) => each.bindings);
  return {
    owner,
    // A Quay that does not say is known by what it keeps.
    keepsAudiences: says ?? (bindings.some(({ audiences }) => audiences !== undefined) || undefined),
    robots: new Map(robots),
    missingRepositories: missing,
  };
}

/** Everything that an organization trusts today. */
export async function findOrganization(management: Management, organization: string): Promise<FoundOrganization> {
  const owner = await management.owner(organization);
  const listed = await management.robotsWithRights(owner);
  const present = await mapLimit(listed, maxConcurrentRequests, async (robot) => ({
    robot,
    bindings: await management.federation(owner, robot.name),
  }));
  const { roles } = await findRoles(
    management,
    [],
    listed.flatMap((robot) => ownOf(robot, owner)),
  );
  const robots = present.map(({ robot, bindings }) => foundOf(robot, bindings, permissionsOf(robot.name, roles)));
  return { registry: management.registry, organization, robots };
}

type Roles = ReadonlyMap<string, ReadonlyMap<string, Role>>;

/** A missing repository looks like one without permissions: only these are looked for. */
async function findRoles(
  management: Management,
  mentioned: readonly string[],
  all: readonly string[],
): Promise<{ readonly roles: Roles; readonly missing: ReadonlySet<string> }> {
  const repositories = [...new Set(all)].sort();
  const found = await mapLimit(
    repositories,
    maxConcurrentRequests,
    async (repository) => [repository, await management.permissions(repository)] as const,
  );
  const roles = new Map(found);
  const doubtful = [...new Set(mentioned)].filter((repository) => roles.get(repository)?.size === 0);
  const exist = await mapLimit(doubtful, maxConcurrentRequests, (repository) => management.hasRepository(repository));
  return { roles, missing: new Set(doubtful.filter((_, index) => !exist[index])) };
}

const ownOf = (robot: Robot | RobotWithRights, { name }: Owner): readonly string[] =>
  "repositories" in robot ? robot.repositories.map((repository) => `${name}/${repository}`) : [];

const permissionsOf = (robot: string, roles: Roles): FoundRobot["permissions"] =>
  [...roles].flatMap(([repository, byName]) => {
    const role = byName.get(robot);
    return role === undefined ? [] : [{ repository, role }];
  });

const foundOf = (
  { name, description }: Robot,
  bindings: FoundRobot["bindings"],
  permissions: FoundRobot["permissions"],
): FoundRobot => ({ name, description, bindings, permissions });
