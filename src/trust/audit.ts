/** The story of an audit: reads an organization's robots, bindings, permissions and usage log, and changes nothing. */
import { dayMs } from "../platform/clock.ts";
import { mapLimit } from "../platform/concurrency.ts";
import { ExplainedError } from "../platform/errors.ts";
import type { Platform } from "../platform/platform.ts";
import { readApiToken } from "../quay/api-token.ts";
import { keepsWholeLog } from "../quay/log-retention.ts";
import {
  type Management,
  maxConcurrentRequests,
  type Owner,
  openManagement,
  type RobotWithRights,
} from "../quay/management.ts";
import type { AuditRequest, UsageRequest } from "./audit-request.ts";
import { type DeletedUsage, usageOfDeleted } from "./deleted-robots.ts";
import type { UsageLog, Window } from "./judge.ts";
import { type LogProgress, type ReadLog, readLog } from "./logs.ts";
import { type AuditedRobot, type Permission, type RobotUsage, usageOf } from "./usage.ts";

export interface Audit {
  readonly registry: string;
  readonly organization: string;
  readonly days: number;
  readonly window: Window;
  readonly log: UsageLog & ReadLog;
  readonly robots: readonly RobotUsage[];
  /** Those that were deleted since they were used. */
  readonly deleted: readonly DeletedUsage[];
  /** Whether the API token may read the permissions on repositories (repo:admin). */
  readonly knowsPermissions: boolean;
  /** Robots of others that pushed or pulled here: how they log in is in the log of their own organization. */
  readonly guests: readonly string[];
}

export type OnProgress = (progress: LogProgress) => void;

/** @throws ExplainedError */
export async function audit(request: AuditRequest, platform: Platform, onProgress: OnProgress): Promise<Audit> {
  const { registry, organization, days } = request;
  const { management, owner } = await open(request, platform);
  const [{ robots, knowsPermissions }, { log, window }] = await Promise.all([
    findRobots(management, owner),
    readUsage({ management, owner, platform, onProgress }, days),
  ]);
  const guests = new Set(
    log.events.flatMap(({ kind, robot, at }) =>
      kind === "use" && at >= window.from && !robot.startsWith(`${organization}+`) ? [robot] : [],
    ),
  );
  return {
    ...{ registry, organization, days, window, log, knowsPermissions },
    robots: usageOf(robots, log, window),
    deleted: usageOfDeleted(
      organization,
      robots.map(({ name }) => name),
      log,
      window,
    ),
    guests: [...guests].sort(),
  };
}

/** The API, and whose robots they are: tells whether the token is good. */
export async function open({ registry, organization, apiToken }: UsageRequest, platform: Platform) {
  const token = await readApiToken(apiToken, platform);
  const management = openManagement({ registry, token }, platform);
  return { management, owner: await management.owner(organization) };
}

interface Reading {
  readonly management: Management;
  readonly owner: Owner;
  readonly platform: Platform;
  readonly onProgress: OnProgress;
}

/**
 * Quay's clock counts, not that of this machine: the log has its times.
 * @param days how far back the window goes from now
 */
export async function readUsage(reading: Reading, days: number) {
  const { management, platform } = reading;
  const to = management.quaysTime();
  const window = { from: to - days * dayMs, to };
  const [read, keepsAll] = await Promise.all([readLog(reading, window), keepsWholeLog(management.registry, platform)]);
  const keptSince = keepsAll ? Number.NEGATIVE_INFINITY : (read.oldest ?? to);
  return { log: { ...read, keptSince }, window };
}

/** Quay has no list of bindings, and none of roles: one request for each robot, and one for each repository. */
async function findRobots(management: Management, owner: Owner) {
  const [listed, teamRoles] = await Promise.all([management.robotsWithRights(owner), management.teamRoles(owner)]);
  const [bindings, roles, ofTeams] = await Promise.all([
    mapLimit(listed, maxConcurrentRequests, ({ name }) => management.federation(owner, name).catch(asGone)),
    findRoles(management, owner, listed),
    findTeamPermissions(management, owner, listed),
  ]);
  const robots = listed.flatMap(({ name, lastAccessed, teams }, index): AuditedRobot[] => {
    const own = bindings[index];
    const direct = [...(roles ?? [])].flatMap(([repository, byName]) => {
      const role = byName.get(name);
      return role ? [{ repository, role }] : [];
    });
    return own === undefined
      ? []
      : [
          {
            name,
            bindings: own,
            lastAccessed: timeIn(lastAccessed),
            permissions: roles ? [...direct, ...teams.flatMap((team) => ofTeams.get(team) ?? [])] : [],
            adminTeams: teams.filter((team) => teamRoles.get(team) === "admin"),
          },
        ];
  });
  return { robots, knowsPermissions: roles !== undefined };
}

/** A robot that was deleted since the list was read. */
function asGone(error: unknown): undefined {
  if (error instanceof ExplainedError && error.code === "robot-not-found") {
    return undefined;
  }
  throw error;
}

/** @returns milliseconds since 1970 */
export function timeIn(text: string | null): number | undefined {
  const time = Date.parse(text ?? "");
  return Number.isNaN(time) ? undefined : time;
}

/** @returns by repository, then by robot; undefined: the token lacks the scope repo:admin */
async function findRoles(management: Management, owner: Owner, robots: readonly RobotWithRights[]) {
  const names = [...new Set(robots.flatMap(({ repositories }) => repositories))].sort();
  const [first, ...others] = names.map((name) => `${owner.name}/${name}`);
  if (first === undefined) {
    return new Map<never, never>();
  }
  try {
    const read = async (repository: string) => [repository, await management.permissions(repository)] as const;
    // One alone tells whether the scope is there.
    return new Map([await read(first), ...(await mapLimit(others, maxConcurrentRequests, read))]);
  } catch (error) {
    if (error instanceof ExplainedError && error.code === "api-rights-missing") {
      return undefined;
    }
    throw error;
  }
}

async function findTeamPermissions(management: Management, owner: Owner, robots: readonly RobotWithRights[]) {
  const teams = [...new Set(robots.flatMap((robot) => robot.teams))].sort();
  const found = await mapLimit(
    teams,
    maxConcurrentRequests,
    async (team): Promise<readonly [string, readonly Permission[]]> => {
      const permissions = await management.teamPermissions(owner, team);
      return [team, permissions.map((permission) => ({ ...permission, team }))];
    },
  );
  return new Map(found);
}
