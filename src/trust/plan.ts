/** Compares a trust with what Quay has. Pure. */
import { ExplainedError, withOthers } from "../platform/errors.ts";
import { mention, text, type Words } from "../platform/wording.ts";
import type { Role } from "../quay/management.ts";
import { idsNote } from "./binding-forms.ts";
import { type Change, differs, mergeBindings, type PlannedBinding } from "./bindings.ts";
import type { FoundRobot } from "./export.ts";
import type { Found } from "./find.ts";
import { defaultAudience, type Trust, type WantedRobot } from "./trust.ts";

/** What a trust is compared with. */
type Compared = Omit<Found, "owner">;

export interface PlannedPermission {
  readonly change: Change;
  /** `acme/app` */
  readonly repository: string;
  readonly role: Role;
  /** The role that is there, if it changes. */
  readonly before?: Role;
}

export interface PlannedRobot {
  readonly name: string;
  /** A robot is never changed or removed. */
  readonly change: "added" | "unchanged";
  readonly description: string;
  readonly bindings: readonly PlannedBinding[];
  readonly permissions: readonly PlannedPermission[];
}

export interface Plan {
  readonly registry: string;
  readonly organization: string;
  /** Whether this Quay keeps and checks audiences. undefined: unknown */
  readonly keepsAudiences: boolean | undefined;
  /** Repositories to make, private ones. */
  readonly repositories: readonly string[];
  readonly robots: readonly PlannedRobot[];
  /** What no run changes. */
  readonly warnings: readonly Words[];
  readonly notes: readonly Words[];
}

/** @throws ExplainedError `robot-not-found`, `repository-not-found`, each missing one of which is in it */
export function planTrust(trust: Trust, found: Compared, prune: boolean): Plan {
  assertThere(trust, found);
  const robots = trust.robots.map((want) => planRobot(want, found, prune));
  const wanted = trust.robots.flatMap(({ permissions }) => permissions.map(({ repository }) => repository));
  return {
    registry: trust.registry,
    organization: trust.organization,
    keepsAudiences: found.keepsAudiences,
    repositories: [...new Set(wanted)].filter((repository) => found.missingRepositories.has(repository)),
    robots,
    warnings: [
      ...trust.robots.flatMap((want) => descriptionWarning(want, found)),
      ...(found.keepsAudiences ? [] : audienceWarning(trust, found)),
    ],
    notes: notesOf(robots),
  };
}

/** Whether there is anything to change. */
export const isDifferent = ({ repositories, robots }: Plan): boolean =>
  repositories.length > 0 || robots.some(isRobotDifferent);

export const isRobotDifferent = ({ change, bindings, permissions }: PlannedRobot): boolean =>
  change === "added" || differs(bindings) || differs(permissions);

function assertThere(trust: Trust, found: Compared): void {
  const robots = trust.robots
    .filter(({ name, create }) => !create && !found.robots.has(name))
    .map(
      ({ name, from }) =>
        new ExplainedError("robot-not-found", text`There is no robot ${name} on ${trust.registry} (${from}).`, {
          remedy: [
            text`To make it: ${mention("create-robot", "true")}, or, in a file, create: true at the robot.`,
            `Otherwise check its name: Quay's page Robot accounts of ${trust.organization} shows those that exist.`,
          ],
        }),
    );
  const seen = new Set<string>();
  const repositories = trust.robots
    .flatMap(({ permissions }) => permissions)
    .filter(({ repository, create }) => !create && found.missingRepositories.has(repository))
    .filter(({ repository }) => !seen.has(repository) && seen.add(repository))
    .map(
      ({ repository, from }) =>
        new ExplainedError(
          "repository-not-found",
          text`There is no repository ${repository} on ${trust.registry} (${from}).`,
          {
            remedy: [
              text`To make it, a private one: ${mention("create-repository", "true")}, or, in a file, create: true at the permission.`,
              "Otherwise check its name: organization/repository, as in the address of its page.",
            ],
          },
        ),
    );
  const [first, ...others] = [...robots, ...repositories];
  if (first) {
    throw withOthers(first, others);
  }
}

const none: Omit<FoundRobot, "name"> = { description: "", bindings: [], permissions: [] };

function planRobot(want: WantedRobot, { robots, keepsAudiences }: Compared, prune: boolean): PlannedRobot {
  const found = robots.get(want.name);
  const { description, bindings, permissions } = found ?? { ...none, description: want.description ?? "" };
  const prunes = (list: "bindings" | "permissions") => prune && !want.unlisted?.includes(list);
  return {
    name: want.name,
    change: found ? "unchanged" : "added",
    description,
    bindings: mergeBindings(bindings, want.bindings, { prune: prunes("bindings"), keepsAudiences }).planned,
    permissions: planPermissions(want, permissions, prunes("permissions")),
  };
}

function planPermissions(
  want: WantedRobot,
  found: FoundRobot["permissions"],
  prune: boolean,
): readonly PlannedPermission[] {
  const wanted = want.permissions.map(({ repository, role }): PlannedPermission => {
    const before = found.find((permission) => permission.repository === repository)?.role;
    return before === undefined
      ? { change: "added", repository, role }
      : before === role
        ? { change: "unchanged", repository, role }
        : { change: "changed", repository, role, before };
  });
  const others = found
    .filter(({ repository }) => !want.permissions.some((permission) => permission.repository === repository))
    .map((permission): PlannedPermission => ({ change: prune ? "removed" : "kept", ...permission }));
  return [...wanted, ...others];
}

/** Quay has no request that changes a description. */
function descriptionWarning({ name, description, from }: WantedRobot, { robots }: Compared): readonly Words[] {
  const found = robots.get(name);
  return found === undefined || description === undefined || found.description === description
    ? []
    : [
        text`${from}: the description of ${name} differs, and Quay can't change it: it is ${JSON.stringify(found.description)}.`,
      ];
}

function audienceWarning({ registry, robots }: Trust, { keepsAudiences }: Compared): readonly Words[] {
  const other = robots
    .flatMap(({ bindings }) => bindings)
    .find(({ audiences }) => audiences.some((audience) => audience !== defaultAudience));
  const says =
    keepsAudiences === false
      ? `${registry} drops audiences, as older Quays do: the binding accepts tokens for any audience.`
      : `${registry} does not say whether it keeps audiences. If it drops them, as older Quays do, the binding accepts tokens for any audience.`;
  return other ? [text`${other.from}: ${says}`] : [];
}

/** One for each repository: a robot may have several bindings of it. */
function notesOf(robots: readonly PlannedRobot[]): readonly Words[] {
  const added = robots.flatMap(({ bindings }) => bindings.filter(({ change }) => change === "added"));
  const notes = added.flatMap((binding) => idsNote(binding) ?? []);
  return [...new Map(notes.map((note) => [JSON.stringify(note), note])).values()];
}
