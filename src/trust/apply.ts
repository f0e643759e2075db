/** Makes Quay as planned. Quay has no protection against lost updates: each write is read back. */
import { mapLimit } from "../platform/concurrency.ts";
import { asExplainedError, ExplainedError, withOthers } from "../platform/errors.ts";
import type { Platform } from "../platform/platform.ts";
import { counted } from "../platform/text.ts";
import { type Management, maxConcurrentRequests } from "../quay/management.ts";
import { differs, mergeBindings } from "./bindings.ts";
import type { Found } from "./find.ts";
import { isRobotDifferent, type Plan, type PlannedRobot } from "./plan.ts";
import type { Trust, WantedRobot } from "./trust.ts";

/** What a run did, by the names of robots and repositories. */
export interface Progress {
  /** What Quay may have changed: the request was sent, and was not refused. */
  readonly sent: ReadonlySet<string>;
  /** What was changed, and is as wanted. */
  readonly done: ReadonlySet<string>;
}

export const noProgress: Progress = { sent: new Set(), done: new Set() };

export interface Applied extends Progress {
  readonly failure: ExplainedError | undefined;
}

export interface Application {
  readonly management: Management;
  readonly platform: Platform;
  readonly trust: Trust;
  readonly found: Found;
  readonly plan: Plan;
  readonly prune: boolean;
}

interface Job {
  readonly want: WantedRobot;
  readonly planned: PlannedRobot;
  /** Whether a repository that it needs could not be made: the rest is done. */
  readonly isPart: boolean;
}

/** A run as it goes. */
interface Running extends Application {
  readonly sent: Set<string>;
  readonly done: Set<string>;
  /** By the names of robots and repositories. */
  readonly failures: Map<string, ExplainedError>;
}

const rounds = 2;

/**
 * Between a write and its read-back, milliseconds. A program that has read the bindings before our write has written its own by then: Quay
 * takes some 200 ms for an answer.
 */
const settleMs = 500;

/**
 * Repositories, then for each robot itself, its permissions, its bindings. Then all of them are read back; what another program has
 * overwritten is written once more. Running it again does what is left. It throws nothing: what was changed before a failure, and before
 * the platform aborts, is in the result.
 */
export async function applyPlan(application: Application): Promise<Applied> {
  const running: Running = { ...application, sent: new Set(), done: new Set(), failures: new Map() };
  const { sent, done, failures } = running;
  const stopped: ExplainedError[] = [];
  try {
    await makeRepositories(running);
    await changeRobots(running);
  } catch (error) {
    stopped.push(asExplainedError(error));
  }
  const [first, ...others] = [...stopped, ...failures.values()];
  return { sent, done, failure: first && withOthers(first, others) };
}

/** One repository's failure stops neither the others nor the robots. */
async function makeRepositories(running: Running): Promise<void> {
  const { management, platform, plan, done, failures } = running;
  await mapLimit(plan.repositories, maxConcurrentRequests, async (repository) => {
    const failed = await errorOf(
      () => send(repository, () => management.createRepository(repository), running),
      platform,
    );
    const isThere = failed === undefined || (isUncertain(failed) && (await exists(repository, running)));
    if (isThere) {
      done.add(repository);
    } else {
      failures.set(repository, failed);
    }
  });
}

async function exists(repository: string, { management, platform }: Running): Promise<boolean> {
  let isThere = false;
  await errorOf(async () => {
    isThere = await management.hasRepository(repository);
  }, platform);
  return isThere;
}

async function changeRobots(running: Running): Promise<void> {
  const { failures } = running;
  let pending = jobsOf(running);
  for (let round = 1; round <= rounds && pending.length > 0; round++) {
    const results = await writeAndReadBack(pending, running);
    for (const { job, error } of results) {
      failures.delete(job.want.name);
      if (error) {
        failures.set(job.want.name, error);
      }
    }
    pending = results.filter(({ again }) => again).map(({ job }) => job);
  }
}

/** Quay answers 500 to a permission on a missing repository: it is left out. */
function jobsOf({ trust, plan, failures }: Running): readonly Job[] {
  return plan.robots.flatMap((planned, index): Job[] => {
    const want = trust.robots[index];
    const permissions = planned.permissions.filter(({ repository }) => !failures.has(repository));
    const possible = { ...planned, permissions };
    const isPart = permissions.length < planned.permissions.length;
    return want && isRobotDifferent(possible) ? [{ want, planned: possible, isPart }] : [];
  });
}

interface Result {
  readonly job: Job;
  readonly error: ExplainedError | undefined;
  /** Whether it differs as if another had written. */
  readonly again: boolean;
}

/** One robot's failure does not stop the others. */
async function writeAndReadBack(jobs: readonly Job[], running: Running): Promise<readonly Result[]> {
  const { platform, done } = running;
  const written = await mapLimit(jobs, maxConcurrentRequests, (job) => errorOf(() => write(job, running), platform));
  await platform.clock.sleep(settleMs, platform.signal);
  return mapLimit(jobs, maxConcurrentRequests, async (job, index) => {
    const failed = written[index];
    if (failed && !isUncertain(failed)) {
      return { job, error: failed, again: false };
    }
    const different = await errorOf(() => assertKept(job, running), platform);
    if (!(different || job.isPart)) {
      done.add(job.want.name);
    }
    return { job, error: different && (failed ?? different), again: different?.code === "trust-overwritten" };
  });
}

/** @throws the platform's abort reason, and what no error explains */
async function errorOf(work: () => Promise<unknown>, { signal }: Platform): Promise<ExplainedError | undefined> {
  try {
    await work();
    return undefined;
  } catch (error) {
    signal.throwIfAborted();
    if (error instanceof ExplainedError) {
      return error;
    }
    throw error;
  }
}

/** Whether Quay may have done it all the same: only reading tells. */
const isUncertain = ({ code }: ExplainedError): boolean =>
  code === "quay-unreachable" || code === "quay-unavailable" || code === "quay-answer-unusable";

/** Sends a change of a robot or repository. What Quay refuses has changed nothing. */
async function send(name: string, change: () => Promise<unknown>, { sent, platform }: Running): Promise<void> {
  const isFirst = !sent.has(name);
  sent.add(name);
  try {
    await change();
  } catch (error) {
    const isRefused = error instanceof ExplainedError && !isUncertain(error) && !platform.signal.aborted;
    if (isFirst && isRefused) {
      sent.delete(name);
    }
    throw error;
  }
}

async function write({ want, planned }: Job, running: Running): Promise<void> {
  const { management, found, prune } = running;
  const { name, change, description, permissions, bindings } = planned;
  if (change === "added") {
    await send(name, () => management.createRobot(found.owner, name, description), running);
  }
  for (const { change, repository, role } of permissions.filter((each) => differs([each]))) {
    await send(
      name,
      () =>
        change === "removed"
          ? management.removePermission(repository, name)
          : management.setPermission(repository, name, role),
      running,
    );
  }
  if (differs(bindings)) {
    // Read again: a write replaces all bindings, those that others entered since the plan too.
    const now = await management.federation(found.owner, name);
    const merged = mergeBindings(now, want.bindings, rulesFor(want, found, prune));
    if (differs(merged.planned)) {
      await send(name, () => management.setFederation(found.owner, name, merged.next), running);
    }
  }
}

/** @throws ExplainedError `trust-overwritten` */
async function assertKept({ want, planned }: Job, { management, found, plan, prune }: Application): Promise<void> {
  const { name, permissions, bindings } = planned;
  const now = differs(bindings) ? await management.federation(found.owner, name) : undefined;
  const merged = now && mergeBindings(now, want.bindings, rulesFor(want, found, prune));
  const wrong = (merged?.planned ?? [])
    .filter((binding) => differs([binding]))
    .map(({ change, issuer, subject }) => `the binding ${subject} of ${issuer} is ${wordOf[change]}`);
  for (const permission of permissions.filter((each) => differs([each]))) {
    const role = await management.permission(permission.repository, name);
    if (role !== (permission.change === "removed" ? undefined : permission.role)) {
      wrong.push(`the permission on ${permission.repository} is ${role ?? "missing"}`);
    }
  }
  if (wrong.length > 0) {
    throw new ExplainedError(
      "trust-overwritten",
      `${plan.registry} took the change of ${name}, but ${counted(wrong.length, "entry", "entries")} did not stay: ${wrong.join("; ")}.`,
      {
        remedy: [
          `Another program changes ${name} at the same time: Organization > Usage Logs of ${plan.organization} names its user.`,
          "Run the same again: it does what is left.",
        ],
      },
    );
  }
}

const wordOf = {
  added: "missing",
  changed: "with other audiences",
  removed: "there again",
  unchanged: "there",
  kept: "there",
} as const;

const rulesFor = ({ unlisted }: WantedRobot, { keepsAudiences }: Found, prune: boolean) => ({
  prune: prune && !unlisted?.includes("bindings"),
  keepsAudiences,
});
