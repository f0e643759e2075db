/** The Action's post step: runs after failure and cancellation too. */
import { LoginError } from "../errors.ts";
import { logout } from "../logout.ts";
import { systemClock } from "../platform/clock.ts";
import { stopBackground } from "./background.ts";
import { createReporter, reportFailure } from "./reporter.ts";
import { createRunner } from "./runner.ts";

const runner = createRunner(process.env);
const reporter = createReporter(runner);
const folder = runner.state("session");

if (!folder) {
  reporter.info("There is no login to take back.");
} else {
  const lapse = await endBackground(folder);
  if (runner.state("logout") === "false") {
    reporter.info("The login stays (logout: false).");
  } else {
    await takeBack(folder);
  }
  if (lapse !== undefined) {
    reportFailure(runner, lapse);
  }
}

async function takeBack(sessionFolder: string): Promise<void> {
  try {
    const session = await logout(sessionFolder, { clock: systemClock, reporter, signal: AbortSignal.timeout(60_000) });
    if (!session?.robots.length) {
      reporter.info("There is no login to take back any more.");
    }
  } catch (error) {
    reportFailure(runner, error);
  }
}

/** Of `refresh: true`. @returns what went wrong, to be told once everything is taken back */
async function endBackground(sessionFolder: string): Promise<LoginError | undefined> {
  const ended = await stopBackground(sessionFolder);
  if (ended === undefined) {
    return undefined;
  }
  runner.group("How the login was kept alive", () => reporter.info(ended.log.trim() || "It had not to be renewed."));
  if (ended.lapse === undefined) {
    return undefined;
  }
  return new LoginError("login-lapsed", "The login was not alive all the time: later steps may have failed.", {
    remedy: ended.lapse.split("\n"),
  });
}
