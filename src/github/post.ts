/** The Action's post step: runs after failure and cancellation too. */
import { logout } from "../logout.ts";
import { systemClock } from "../platform/clock.ts";
import { createReporter, reportFailure } from "./reporter.ts";
import { createRunner } from "./runner.ts";

const runner = createRunner(process.env);
const reporter = createReporter(runner);
const folder = runner.state("session");

if (!folder) {
  reporter.info("There is no login to take back.");
} else if (runner.state("logout") === "false") {
  reporter.info("The login stays (logout: false).");
} else {
  try {
    const session = await logout(folder, { clock: systemClock, reporter, signal: AbortSignal.timeout(60_000) });
    if (!session?.robots.length) {
      reporter.info("There is no login to take back any more.");
    }
  } catch (error) {
    reportFailure(runner, error);
  }
}
