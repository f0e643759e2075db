/** The story of `retire-static-token`: the last step of a migration. */

import { closest } from "../options/closest.ts";
import { dayMs } from "../platform/clock.ts";
import { codeOf, type ErrorCode, ExplainedError, reworded, withOthers } from "../platform/errors.ts";
import { HttpFailure } from "../platform/http.ts";
import type { Platform } from "../platform/platform.ts";
import { counted } from "../platform/text.ts";
import { mention, text, type Words } from "../platform/wording.ts";
import type { Management, Owner } from "../quay/management.ts";
import { type OnProgress, open, readUsage, timeIn } from "./audit.ts";
import { daysWithoutGaps, incomplete } from "./audit-report.ts";
import type { RetireRequest } from "./audit-request.ts";
import { staticSays, timeOf, unknownSays } from "./findings.ts";
import { type AuditedRobot, type RobotUsage, usageOf } from "./usage.ts";

export interface Retired {
  readonly robot: string;
  /** undefined: with `force`, the log is not read. */
  readonly usage: RobotUsage | undefined;
}

export interface Asking {
  readonly onProgress: OnProgress;
  /** Asks the user for the robot's name. @throws ExplainedError if it is another */
  readonly confirm: () => Promise<void>;
}

/**
 * Replaces the robot's static token by one that nobody has seen.
 * @throws ExplainedError; nothing is changed then, unless it says otherwise
 */
export async function retire(request: RetireRequest, platform: Platform, asking: Asking): Promise<Retired> {
  const { robot, force, registry } = request;
  const { management, owner } = await open(request, platform);
  const found = await findRobot(management, owner, request);
  if (found.bindings.length === 0) {
    const error = unbound(robot, registry);
    if (!force) {
      throw error;
    }
    platform.reporter.warning(`${robot} has no binding: nothing can log in as this robot afterwards.`);
  }
  const usage = force ? undefined : await assertKeyless(request, { management, owner, found, platform, ...asking });
  if (force) {
    platform.reporter.info(text`With ${mention("force")}, the usage log is not read.`);
  }
  if (!request.isConfirmed) {
    await asking.confirm();
  }
  await management.regenerate(owner, robot).catch((error: unknown) => {
    throw isUnclear(error) ? mayBeReplaced(error, robot) : error;
  });
  return { robot, usage };
}

/** What ends a request whose effect is not known. */
const unclear: readonly ErrorCode[] = [
  "quay-answer-unusable",
  "quay-unreachable",
  "quay-unavailable",
  "timeout",
  "cancelled",
];

/** Nothing is sent to a name without an address, by a connection that is refused, or without TLS. */
const isUnclear = (error: unknown): error is ExplainedError => {
  if (!(error instanceof ExplainedError) || !unclear.includes(error.code)) {
    return false;
  }
  const { cause } = error;
  const isUnsent =
    cause instanceof HttpFailure &&
    (cause.kind === "unknown-name" || cause.kind === "without-tls" || codeOf(cause.cause) === "ECONNREFUSED");
  return !isUnsent;
};

const mayBeReplaced = (error: ExplainedError, robot: string): ExplainedError =>
  reworded(error, {
    headline: (words) => text`${words} The static token of ${robot} may have been replaced.`,
    remedy: (lines) => [
      `Run it again, with the same options: quay-keyless-login retire-static-token ${robot}`,
      "It is safe to replace the static token twice. If it was replaced, only keyless logins work already.",
      ...lines,
    ],
  });

interface Reading extends Asking {
  readonly management: Management;
  readonly owner: Owner;
  readonly found: AuditedRobot;
  readonly platform: Platform;
}

/** @throws ExplainedError `static-token-in-use`, `usage-log-incomplete` */
async function assertKeyless(request: RetireRequest, reading: Reading): Promise<RobotUsage> {
  const { organization, days } = request;
  const { log, window } = await readUsage(reading, request.days);
  const [usage] = usageOf([reading.found], log, window);
  if (usage === undefined) {
    throw new Error("a robot without a usage");
  }
  const { gaps, keptSince } = log;
  const { static: certain, unknown } = usage;
  const lastUsed = Math.max(certain?.last ?? 0, unknown?.last ?? 0);
  const failures = [
    ...(certain || unknown ? [inUse(request, usage)] : []),
    ...(gaps.length > 0 ? [incomplete(organization, gaps)] : []),
    ...(keptSince > window.from ? [beginsLater(organization, keptSince)] : []),
  ];
  const [first, ...others] = failures;
  if (first === undefined) {
    return usage;
  }
  // One time that is after all of them: another would be refused again.
  const since = Math.min(
    days,
    Math.floor((window.to - Math.max(lastUsed, keptSince)) / dayMs),
    ...(gaps.length > 0 ? [daysWithoutGaps(gaps, window)] : []),
  );
  const told = reworded(first, {
    remedy: (lines) => [
      ...lines,
      ...(since > 0 ? [text`To look only at the time since then: ${mention("since", `${since}d`)}`] : []),
      anyway,
    ],
  });
  throw withOthers(told, others);
}

async function findRobot(
  management: Management,
  owner: Owner,
  { robot, registry }: RetireRequest,
): Promise<AuditedRobot> {
  const robots = await management.robots(owner);
  const found = robots.find(({ name }) => name === robot);
  if (found === undefined) {
    const close = closest(
      robot,
      robots.map(({ name }) => name),
    );
    throw new ExplainedError("robot-not-found", `${registry} has no robot ${robot}.`, {
      remedy: [
        ...(close === undefined ? [] : [`Did you mean: quay-keyless-login retire-static-token ${close}`]),
        `To see all robots: quay-keyless-login audit --organization ${owner.name}`,
      ],
    });
  }
  const lastAccessed = timeIn(found.lastAccessed);
  const bindings = await management.federation(owner, robot);
  return { name: robot, bindings, lastAccessed, permissions: [], adminTeams: [] };
}

const unbound = (robot: string, registry: string): ExplainedError =>
  new ExplainedError(
    "robot-not-federated",
    `${robot} on ${registry} has no binding: without its static token, nothing could log in as this robot.`,
    {
      remedy: [
        `To bind an identity to it first: quay-keyless-login federate --robot ${robot}`,
        "If nothing needs the robot any more, delete it in Quay: Robot accounts.",
      ],
    },
  );

const anyway: Words = text`If you know that nothing uses the static token any more: ${mention("force")}`;

function inUse({ robot, days }: RetireRequest, usage: RobotUsage): ExplainedError {
  const inDays = `in the last ${counted(days, "day")}`;
  const { static: certain, unknown } = usage;
  const known = certain
    ? `${robot} was used with its static token ${inDays}: ${staticSays(certain, usage.regenerated)}.`
    : `Quay's log does not tell whether ${robot} was used with its static token ${inDays}.`;
  return new ExplainedError("static-token-in-use", `${known}${unknown ? ` Unknown: ${unknownSays(unknown)}.` : ""}`, {
    remedy: [
      certain
        ? "Log in with quay-keyless-login where the static token is used, then look again."
        : "Robots that are only used keyless look like that too.",
    ],
  });
}

const beginsLater = (organization: string, keptSince: number): ExplainedError =>
  new ExplainedError(
    "usage-log-incomplete",
    `The usage log of ${organization} begins ${timeOf(keptSince)}: Quay may have removed what was before.`,
    { remedy: [] },
  );
