/** The post step of both Actions: runs after failure and cancellation too. */

import { endGroup, startGroup } from "@actions/core";
import { logout, type Trace, takeBackRoots } from "../login/logout.ts";
import { jobSessions, type Session } from "../login/session.ts";
import { systemClock } from "../platform/clock.ts";
import { withoutTlsSwitch } from "../platform/environment.ts";
import { ExplainedError } from "../platform/errors.ts";
import { mention, text } from "../platform/wording.ts";
import { createReporter, reportFailure } from "./annotations.ts";
import { stopBackground } from "./background.ts";
import { exportVariable } from "./file-commands.ts";
import { remembered } from "./state.ts";
import { workflowSyntax } from "./syntax.ts";

withoutTlsSwitch(process.env);
const reporter = createReporter(workflowSyntax("action"));
let authFile = process.env.REGISTRY_AUTH_FILE ?? "";
const lapses: ExplainedError[] = [];

const own = remembered();
let found = 0;
/** Whether there was a session, if only of a login that was broken off before it had logged in. */
let isFirst = false;
for (const { folder, trace } of own) {
  found += Number(await end(folder, trace));
}
// The runner gives the post steps of a composite that is used twice the state of the second use alone. Then this is the first's.
if (found === 0 && !isFirst && process.env.RUNNER_TEMP && own.some(({ trace }) => trace?.session.job)) {
  for (const session of await jobSessions(process.env.RUNNER_TEMP)) {
    if (session.job?.logout) {
      reporter.info("A login of this job whose own post step does not know it is taken back here.");
      found += Number(await end(session.folder, { session, replaced: [] }));
    }
  }
}
if (found === 0) {
  reporter.info(`There is no login to take back${own.length > 0 ? " any more" : ""}.`);
}
if (authFile !== (process.env.REGISTRY_AUTH_FILE ?? "")) {
  try {
    exportVariable("REGISTRY_AUTH_FILE", authFile);
  } catch (error) {
    reportFailure(error, reporter);
  }
}
for (const lapse of lapses) {
  reportFailure(lapse, reporter);
}

/** @returns whether there was something to do */
async function end(folder: string, trace: Trace | undefined): Promise<boolean> {
  const job = trace?.session.job;
  const platform = { clock: systemClock, reporter, signal: AbortSignal.timeout(60_000) };
  if (job?.refresh) {
    await endBackground(folder);
  }
  try {
    if (job?.logout === false) {
      const roots = await takeBackRoots(folder, platform, trace);
      reporter.info(
        text`The login stays (${mention("logout", "false")}).${roots.length > 0 ? text` The roots of ${mention("ca-file")} do not: ${roots.join(", ")} is gone.` : ""}`,
      );
      return true;
    }
    const session = await logout(folder, platform, { trace });
    isFirst ||= session !== undefined;
    return (session?.robots.length ?? 0) > 0;
  } catch (error) {
    reportFailure(error, reporter);
    return true;
  } finally {
    restoreVariable(trace?.session);
  }
}

/** For the post steps of others: a file that is gone must not be named any more. A variable can be emptied there, not unset. */
function restoreVariable(session: Session | undefined): void {
  if (session?.job?.logout && session.files.some(({ path }) => path === authFile)) {
    authFile = session.job.authFileBefore;
  }
}

/** Of `refresh: true`. What went wrong is told once everything is taken back. */
async function endBackground(sessionFolder: string): Promise<void> {
  const ended = await stopBackground(sessionFolder);
  if (ended === undefined) {
    return;
  }
  startGroup("How the login was kept alive");
  for (const line of (ended.log.trim() || "It had not to be renewed.").split("\n")) {
    reporter.info(line);
  }
  endGroup();
  if (ended.lapse !== undefined) {
    lapses.push(
      new ExplainedError("login-lapsed", "The login was not alive all the time: later steps may have failed.", {
        remedy: ended.lapse.split("\n"),
      }),
    );
  }
}
