/** The post step of both Actions: runs after failure and cancellation too. */
import { LoginError } from "../errors.ts";
import { logout } from "../logout.ts";
import { systemClock } from "../platform/clock.ts";
import { withoutTlsSwitch } from "../platform/environment.ts";
import { stopBackground } from "./background.ts";
import { createReporter, reportFailure } from "./reporter.ts";
import { createRunner } from "./runner.ts";

const runner = createRunner(withoutTlsSwitch(process.env));
const reporter = createReporter(runner);
// A login has one, a promotion one for each side.
const folders = (runner.state("session") ?? "").split("\n").filter(Boolean);
const lapses = await Promise.all(folders.map(endBackground));

if (folders.length > 0 && runner.state("logout") === "false") {
  reporter.info("The login stays (logout: false).");
} else {
  await takeBack();
}
for (const lapse of lapses) {
  if (lapse !== undefined) {
    reportFailure(runner, lapse);
  }
}

async function takeBack(): Promise<void> {
  let found = 0;
  for (const folder of folders) {
    try {
      const session = await logout(folder, { clock: systemClock, reporter, signal: AbortSignal.timeout(60_000) });
      found += session?.robots.length ?? 0;
    } catch (error) {
      found++;
      reportFailure(runner, error);
    }
  }
  if (found === 0) {
    reporter.info(`There is no login to take back${folders.length > 0 ? " any more" : ""}.`);
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
