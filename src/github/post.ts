/** The post step of both Actions: runs after failure and cancellation too. */

import { endGroup, startGroup } from "@actions/core";
import { logout, removeSessionRoots, type Trace } from "../login/logout.ts";
import { jobSessions, type Session } from "../login/session.ts";
import { systemClock } from "../platform/clock.ts";
import { withoutTlsSwitch } from "../platform/environment.ts";
import { ExplainedError } from "../platform/errors.ts";
import { run } from "../platform/exit.ts";
import { mention, text } from "../platform/wording.ts";
import { createReporter, reportFailure } from "./annotations.ts";
import { stopBackground } from "./background.ts";
import { exportVariable } from "./file-commands.ts";
import { failedSession, remembered } from "./state.ts";
import { workflowSyntax } from "./syntax.ts";

withoutTlsSwitch(process.env);
const reporter = createReporter(workflowSyntax("action"));
let authFile = process.env.REGISTRY_AUTH_FILE ?? "";
const lapses: ExplainedError[] = [];

/** Whether there was a session, even of a login that was interrupted before it had logged in. */
let hadSession = false;

/** For the post step that may get the same state: the sessions of failed logins whose post step has run, one a line. */
const failedLogins = "FAILED_QUAY_LOGINS";

run(main);

async function main(): Promise<void> {
  const sessions = remembered();
  let found = 0;
  for (const { folder, trace } of sessions) {
    found += Number(await end(folder, trace));
  }
  // If a job uses a composite action twice, the runner gives both post steps the state of the second use (actions/runner#1947). This is
  // then the first's: the second's runs before it.
  const isSecondRun = isKnownAsFailed() || sessions.some(({ trace }) => trace?.session.job);
  if (found === 0 && !hadSession && process.env.RUNNER_TEMP && isSecondRun) {
    for (const session of await jobSessions(process.env.RUNNER_TEMP)) {
      if (session.job?.logout) {
        reporter.info("Removing a login of this job that its own post step does not know.");
        found += Number(await end(session.folder, { session, replaced: [] }));
      }
    }
  }
  if (found === 0) {
    reporter.info(`There is no login to remove${sessions.length > 0 ? " any more" : ""}.`);
  }
  if (authFile !== (process.env.REGISTRY_AUTH_FILE ?? "")) {
    exportForPostSteps("REGISTRY_AUTH_FILE", authFile);
  }
  for (const lapse of lapses) {
    reportFailure(lapse, reporter);
  }
}

/** Whether another post step with this state has run. The first one of a failed login has nothing to remove, and says that it ran. */
function isKnownAsFailed(): boolean {
  const [failed, before] = [failedSession(), process.env[failedLogins] ?? ""];
  if (failed === undefined || before.split("\n").includes(failed)) {
    return failed !== undefined;
  }
  exportForPostSteps(failedLogins, `${before}\n${failed}`.trim());
  return false;
}

function exportForPostSteps(name: string, value: string): void {
  try {
    exportVariable(name, value);
  } catch (error) {
    reportFailure(error, reporter);
  }
}

/** @returns whether there was a login */
async function end(folder: string, trace: Trace | undefined): Promise<boolean> {
  const job = trace?.session.job;
  const platform = { clock: systemClock, reporter, signal: AbortSignal.timeout(60_000) };
  if (job?.refresh) {
    await endBackground(folder);
  }
  try {
    if (job?.logout === false) {
      const roots = await removeSessionRoots(folder, platform, trace);
      reporter.info(
        text`The login was not removed (${mention("logout", "false")}).${roots.length > 0 ? text` The roots of ${mention("ca-file")} were: ${roots.join(", ")}.` : ""}`,
      );
      return true;
    }
    const session = await logout(folder, platform, { trace });
    hadSession ||= session !== undefined;
    return (session?.robots.length ?? 0) > 0;
  } catch (error) {
    reportFailure(error, reporter);
    return true;
  } finally {
    restoreVariable(trace?.session);
  }
}

/** For other post steps: the variable must not name a removed file. A step can empty a variable, but not unset it. */
function restoreVariable(session: Session | undefined): void {
  if (session?.job?.logout && session.files.some(({ path }) => path === authFile)) {
    authFile = session.job.authFileBefore;
  }
}

/** Stops the process of `refresh: true`. Its failure is reported after all logins are removed. */
async function endBackground(sessionFolder: string): Promise<void> {
  const ended = await stopBackground(sessionFolder);
  if (ended === undefined) {
    return;
  }
  startGroup("Renewals of the login");
  for (const line of (ended.log.trim() || "No renewal was needed.").split("\n")) {
    reporter.info(line);
  }
  endGroup();
  if (ended.lapse !== undefined) {
    lapses.push(
      new ExplainedError("login-lapsed", "The login was not valid during the whole job: later steps may have failed.", {
        remedy: ended.lapse.split("\n"),
      }),
    );
  }
}
