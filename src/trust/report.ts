/** What `federate` reports, for readers and for programs. Pure. */
import { counted, oneLine } from "../platform/text.ts";
import type { Words } from "../platform/wording.ts";
import type { Change, PlannedBinding } from "./bindings.ts";
import type { Federation } from "./federate.ts";
import { isDifferent, isRobotDifferent, type Plan, type PlannedPermission, type PlannedRobot } from "./plan.ts";

const signs: Readonly<Record<Change, string>> = { added: "+", changed: "~", removed: "-", unchanged: " ", kept: " " };

/** Writes options in the entry point's syntax. */
type Say = (words: Words) => string;

const mostNotes = 3;

/** The plan as a diff: a sign, then what. Robots without a difference are counted, unless there is only one. */
export function reportOf(federation: Federation, say: Say): readonly string[] {
  const { plan, mode } = federation;
  const shown = plan.robots.length === 1 ? plan.robots : plan.robots.filter(isRobotDifferent);
  const same = plan.robots.length - shown.length;
  const more = plan.notes.length - mostNotes;
  return [
    `${plan.organization} on ${plan.registry}`,
    ...plan.repositories.map((repository) => `+ repository ${repository} (private)`),
    ...shown.flatMap((robot) => robotLines(robot, plan)),
    ...(same > 0
      ? [
          `  ${counted(same, "robot")}${shown.length > 0 ? " more" : ""} ${mode === "review" ? "unchanged" : "as wanted"}`,
        ]
      : []),
    ...plan.notes.slice(0, mostNotes).map((note) => `  Note: ${say(note)}`),
    ...(more > 0 ? [`  Note: the same for ${counted(more, "other repository", "other repositories")}`] : []),
    ...progressLines(federation),
    summaryOf(federation),
  ].map((line) => oneLine(line, 8192));
}

function robotLines(
  { name, change, description, bindings, permissions }: PlannedRobot,
  { keepsAudiences }: Plan,
): readonly string[] {
  const described = change === "added" && description !== "" ? ` (${JSON.stringify(description)})` : "";
  return [
    `${signs[change]} robot ${name}${described}`,
    ...permissions.map(permissionLine),
    ...bindings.map((binding) => bindingLine(binding, keepsAudiences)),
  ];
}

const permissionLine = ({ change, repository, role, before }: PlannedPermission): string =>
  `${signs[change]}   permission ${repository} ${role}${before ? ` (was ${before})` : keptNote(change)}`;

/** Older Quays accept any audience: none is shown. */
function bindingLine(
  { change, issuer, subject, audiences, before }: PlannedBinding,
  keepsAudiences: boolean | undefined,
): string {
  const was = before ? `, was ${before.join(" ")}` : "";
  const audience = keepsAudiences ? ` for ${audiences.join(" ")}${was}` : "";
  return `${signs[change]}   binding ${subject} of ${issuer}${audience}${keptNote(change)}`;
}

const keptNote = (change: Change): string => (change === "kept" ? " (kept)" : "");

interface Counts {
  readonly added: number;
  readonly changed: number;
  readonly removed: number;
}

/** Repositories, robots, permissions and bindings together. */
export function countsOf({ repositories, robots }: Plan): Counts {
  const changes = robots.flatMap(({ change, bindings, permissions }) => [
    change,
    ...[...bindings, ...permissions].map((entry) => entry.change),
  ]);
  const count = (wanted: Change) => changes.filter((change) => change === wanted).length;
  return { added: repositories.length + count("added"), changed: count("changed"), removed: count("removed") };
}

function summaryOf({ plan, mode, done, failure }: Federation): string {
  const { added, changed, removed } = countsOf(plan);
  if (mode === "review") {
    return `In the file: ${added} added, ${changed} changed, ${removed} removed. Quay was not asked.`;
  }
  if (!isDifferent(plan)) {
    return "Nothing to change: Quay has all of it.";
  }
  const counts = `${added} to add, ${changed} to change, ${removed} to remove.`;
  if (mode !== "apply") {
    return `${counts} Nothing was changed.`;
  }
  const all = plan.robots.filter(isRobotDifferent).length;
  return failure
    ? `${plan.robots.filter(({ name }) => done.has(name)).length} of ${counted(all, "robot")} changed and read back.`
    : `${added} added, ${changed} changed, ${removed} removed, and read back.`;
}

/** After a failure: what was changed before it, and what not. */
function progressLines({ plan, failure, mode, done, sent }: Federation): readonly string[] {
  const names = [...plan.repositories, ...plan.robots.filter(isRobotDifferent).map(({ name }) => name)];
  const line = (what: string, shown: readonly string[]) => (shown.length > 0 ? [`${what}: ${shown.join(", ")}`] : []);
  return failure && mode === "apply"
    ? [
        ...line(
          "Changed, as wanted",
          names.filter((name) => done.has(name)),
        ),
        ...line(
          "Changed in part, or not known",
          names.filter((name) => sent.has(name) && !done.has(name)),
        ),
        ...line(
          "Not changed",
          names.filter((name) => !(sent.has(name) || done.has(name))),
        ),
      ]
    : [];
}

/** In one sentence, whether Quay was changed. undefined: nothing was to be changed */
export function effectOf(federation: Federation): string | undefined {
  const { mode, sent, done, plan } = federation;
  return mode !== "apply" || !isDifferent(plan)
    ? undefined
    : sent.size === 0
      ? "Quay was not changed."
      : `Quay was changed: ${[...done, ...[...sent].filter((name) => !done.has(name)).map((name) => `${name} (in part, or not known)`)].join(", ")}.`;
}

/** For JSON. */
export function objectOf(federation: Federation, say: Say): Readonly<Record<string, unknown>> {
  const { plan, mode, findings, sent, done } = federation;
  return {
    registry: plan.registry,
    organization: plan.organization,
    mode,
    // null: unknown
    "keeps-audiences": plan.keepsAudiences ?? null,
    ...(mode !== "review" && { drift: isDifferent(plan) }),
    changed: sent.size > 0,
    summary: countsOf(plan),
    repositories: plan.repositories.map((repository) => ({
      ...{ change: "added", repository },
      ...{ done: done.has(repository), sent: sent.has(repository) },
    })),
    robots: plan.robots.map((robot) => ({
      ...robot,
      done: mode === "apply" && (done.has(robot.name) || !isRobotDifferent(robot)),
      sent: sent.has(robot.name),
    })),
    findings: findings.map(({ rule, level, robot, says }) => ({ rule, level, robot, message: say(says) })),
    notes: plan.notes.map(say),
    warnings: plan.warnings.map(say),
  };
}
