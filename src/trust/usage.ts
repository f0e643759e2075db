/**
 * How a robot was used: what its bindings, its permissions and the usage log show. Pure.
 */
import { type Binding, isSameBinding } from "../quay/binding.ts";
import type { Role } from "../quay/management.ts";
import { hasGap, type JudgedUses, judged, type UsageLog, type Use, type Window } from "./judge.ts";

import { kindsOf, type UsageEvent } from "./usage-events.ts";

/** A robot as Quay has it now. */
export interface AuditedRobot {
  /** `acme+ci` */
  readonly name: string;
  readonly bindings: readonly Binding[];
  /** The last login of either kind, in milliseconds since 1970. undefined: never, or this Quay does not keep it */
  readonly lastAccessed: number | undefined;
  /** Its own and those of its teams. */
  readonly permissions: readonly Permission[];
  /** The teams with the role Admin that it is in: it administers the organization. */
  readonly adminTeams: readonly string[];
}

export interface Permission {
  /** `acme/app` */
  readonly repository: string;
  readonly role: Role;
  /** The team that has it. Absent: the robot itself has it. */
  readonly team?: string;
}

export interface Exchanges {
  readonly issuer: string;
  readonly subject: string;
  readonly count: number;
  readonly last: number;
  /** Whether the robot still has this binding. */
  readonly isBound: boolean;
}

export interface BindingUse {
  readonly issuer: string;
  readonly subject: string;
  /** When it was last used, in milliseconds since 1970. `never`: not in the window. `unknown`: the log has gaps. */
  readonly lastUsed: number | "never" | "unknown";
  /** When it was entered, if the log shows it. */
  readonly since: number | undefined;
}

export interface RobotUsage extends JudgedUses {
  readonly name: string;
  /** Robot tokens that were given for identity tokens: certainly keyless. */
  readonly exchanges: readonly Exchanges[];
  /** When the static token was last replaced, if the log shows it: what was used before is another token. */
  readonly regenerated: number | undefined;
  readonly bindings: readonly BindingUse[];
  /** `unknown`: entries are missing. */
  readonly isUsed: boolean | "unknown";
  readonly lastAccessed: number | undefined;
  readonly adminTeams: readonly string[];
  /** Repositories of which it is administrator. */
  readonly adminOf: readonly Permission[];
  readonly wide: readonly WidePermission[];
}

/** A permission with a higher role than what the robot did there in the window. */
export interface WidePermission extends Permission {
  /** `unknown`: entries are missing. */
  readonly enough: Role | "none" | "unknown";
}

type Exchange = Extract<UsageEvent, { kind: "exchange" }>;

/** @returns the usage of each robot, in the order of `robots` */
export function usageOf(robots: readonly AuditedRobot[], log: UsageLog, window: Window): readonly RobotUsage[] {
  const events = Map.groupBy(log.events, ({ robot }) => robot);
  return robots.map((robot) => usageOfRobot(robot, { ...log, events: events.get(robot.name) ?? [] }, window));
}

function usageOfRobot(robot: AuditedRobot, log: UsageLog, window: Window): RobotUsage {
  const { name, lastAccessed, permissions, adminTeams } = robot;
  const { events } = log;
  // An earlier robot of the same name is not this one; a token of its exchanges could still be.
  const own = events.slice(events.findLastIndex(({ kind }) => kind === "deleted") + 1);
  const regenerated = own.findLast(({ kind }) => kind === "regenerated")?.at;
  const uses = usesIn(own, robot, window);
  const exchanges = own.filter((event): event is Exchange => event.kind === "exchange" && event.at >= window.from);
  const boundUntil = robot.bindings.length > 0 ? Number.POSITIVE_INFINITY : lastBound(log);
  const isSeen = uses.length > 0 || exchanges.length > 0;
  return {
    name,
    exchanges: exchangesBy(exchanges, robot),
    ...judged(uses, log, { boundUntil, regenerated }),
    regenerated,
    bindings: robot.bindings.map((binding) => bindingUse(binding, exchanges, log, window)),
    isUsed: isSeen || (lastAccessed === undefined && !isWhole(log, undefined, window) ? "unknown" : false),
    lastAccessed,
    adminTeams,
    adminOf: permissions.filter(({ role }) => role === "admin"),
    // A robot that does nothing needs no permission at all: that is one finding, not one for each.
    wide: isSeen ? permissions.flatMap((permission) => widthOf(permission, uses, log, window)) : [],
  };
}

/** The uses in the window, and the robot's last login if the log does not hold it: it got a token for something invisible here. */
function usesIn(events: readonly UsageEvent[], { name, lastAccessed }: AuditedRobot, { from }: Window): Use[] {
  const uses = events.filter((event): event is Use => event.kind === "use" && event.at >= from);
  const isUnlogged =
    lastAccessed !== undefined &&
    lastAccessed >= from &&
    !uses.some(({ use, at }) => use === "login" && Math.abs(at - lastAccessed) <= 1000);
  return isUnlogged
    ? [...uses, { kind: "use", use: "login", at: lastAccessed, robot: name, isUnlogged } as const]
    : uses;
}

/** Until when a robot without a binding can have had one, in milliseconds since 1970. */
function lastBound(log: UsageLog): number {
  const window = { from: log.readFrom, to: Number.POSITIVE_INFINITY };
  if (hasGap(log, kindsOf.bindings, window)) {
    return Number.POSITIVE_INFINITY;
  }
  const changed = log.events.findLast(({ kind }) => kind === "bindings" || kind === "deleted")?.at;
  return changed ?? Math.max(log.readFrom, log.keptSince) - 1;
}

const isWhole = (log: UsageLog, kinds: readonly string[] | undefined, window: Window): boolean =>
  !hasGap(log, kinds, { from: window.from, to: Number.POSITIVE_INFINITY }) && log.keptSince <= window.from;

function exchangesBy(exchanges: readonly Exchange[], { bindings }: AuditedRobot): readonly Exchanges[] {
  const groups = Map.groupBy(exchanges, ({ issuer, subject }) => JSON.stringify([issuer, subject]));
  return [...groups.values()].flatMap((group) => {
    const last = group.at(-1);
    return last === undefined
      ? []
      : [
          {
            issuer: last.issuer,
            subject: last.subject,
            count: group.length,
            last: last.at,
            isBound: bindings.some((binding) => isSameBinding(binding, last)),
          },
        ];
  });
}

function bindingUse(binding: Binding, exchanges: readonly Exchange[], log: UsageLog, window: Window): BindingUse {
  const { issuer, subject } = binding;
  const changes = log.events.filter((event) => event.kind === "bindings");
  const without = changes.findLastIndex(({ bindings }) => !bindings.some((other) => isSameBinding(other, binding)));
  // If the first change that the log shows has it, it may have been there before.
  const entered = without < 0 ? undefined : changes[without + 1];
  const never = isWhole(log, kindsOf.exchange, window) ? "never" : "unknown";
  return {
    issuer,
    subject,
    lastUsed: exchanges.findLast((exchange) => isSameBinding(exchange, binding))?.at ?? never,
    since: entered?.at,
  };
}

const rank: Readonly<Record<Role | "none", number>> = { none: 0, read: 1, write: 2, admin: 3 };

/** A robot has no use for the role Admin: it can't call the API with which a repository is administered. */
function widthOf(permission: Permission, uses: readonly Use[], log: UsageLog, window: Window): WidePermission[] {
  const there = uses.filter(({ repository }) => repository === permission.repository);
  const seen = there.some(({ use }) => use !== "pull") ? "write" : there.length > 0 ? "read" : "none";
  if (rank[permission.role] <= rank[seen]) {
    return [];
  }
  const missing = seen === "write" ? [] : seen === "read" ? kindsOf.push : [...kindsOf.push, ...kindsOf.pull];
  // A write is the most that a robot can do: nothing that is missing would change that.
  const isKnown = missing.length === 0 || isWhole(log, missing, window);
  return [{ ...permission, enough: isKnown ? seen : "unknown" }];
}
