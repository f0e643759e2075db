/** The main step of the Action that promotes images. */
import { asLoginError, failureObject, LoginError } from "../errors.ts";
import { logout } from "../logout.ts";
import { promotionOutputs } from "../options.ts";
import { systemClock } from "../platform/clock.ts";
import { abandonLookUps } from "../platform/exit.ts";
import { createPlatform } from "../platform/platform.ts";
import { promote } from "../promote.ts";
import { createCalmProgress } from "../promotion/progress.ts";
import { advised, failuresOf, namesOf, promotionOutputsOf } from "../promotion/report.ts";
import { type PromotionRequest, readPromotionRequest } from "../promotion/request.ts";
import type { PromotionResult } from "../promotion/result.ts";
import { readRoots } from "../registry/certificates.ts";
import { promotionPlaceOf, readInputs } from "./place.ts";
import { promotionFailureSummary, promotionSummary } from "./promotion-summary.ts";
import { createReporter, reportFailure } from "./reporter.ts";
import { createRunner } from "./runner.ts";

const env = process.env;
const runner = createRunner(env);
const reporter = createReporter(runner);
const sessions = new Set<string>();

try {
  const request = await readPromotionRequest(readInputs(runner, "promote-action"));
  publish(request, await run(request));
} catch (error) {
  const failure = advised(asLoginError(error));
  reportFailure(runner, failure);
  if (error instanceof LoginError) {
    runner.summarize(promotionFailureSummary(failure));
  }
} finally {
  await takeBack();
  setImmediate(abandonLookUps);
}

async function run(request: PromotionRequest): Promise<readonly PromotionResult[]> {
  const roots = request.caFile === undefined ? undefined : await readRoots(request.caFile);
  const cancelled = cancellation();
  const place = promotionPlaceOf(env, roots, (folder) => {
    sessions.add(folder);
    // The last of its name counts: all of them, one per line.
    runner.set("GITHUB_STATE", "session", [...sessions].join("\n"));
  });
  return promote(request, {
    place,
    createPlatform: (timeoutSeconds) => createPlatform({ env, reporter, timeoutSeconds, extraRoots: roots, cancelled }),
    onProgress: request.dryRun ? () => {} : createCalmProgress(namesOf(request.promotions), reporter.info, systemClock),
  });
}

/** The runner sends SIGINT to a cancelled job's step, SIGTERM 7.5 s later, and kills it 2.5 s after that. */
function cancellation(): AbortSignal {
  const controller = new AbortController();
  const cancel = () =>
    controller.abort(
      new LoginError("cancelled", "The job was cancelled during the promotion.", {
        remedy: ["Run the same again: what is done is not done twice."],
      }),
    );
  process.once("SIGINT", cancel);
  process.once("SIGTERM", cancel);
  return controller.signal;
}

/** What was promoted, whatever became of the others. */
function publish(request: PromotionRequest, results: readonly PromotionResult[]): void {
  const outputs = promotionOutputsOf(results, { dryRun: request.dryRun, tell: failureObject });
  for (const { name } of promotionOutputs) {
    runner.set("GITHUB_OUTPUT", name, outputs[name]);
  }
  const failures = failuresOf(results);
  runner.summarize(promotionSummary(results, failures, request));
  for (const failure of failures) {
    reportFailure(runner, failure);
  }
}

/** What the promotions have not taken back themselves; post tries again. */
async function takeBack(): Promise<void> {
  for (const folder of sessions) {
    await logout(folder, { clock: systemClock, reporter, signal: AbortSignal.timeout(30_000) }).catch((error) =>
      reportFailure(runner, error),
    );
  }
}
