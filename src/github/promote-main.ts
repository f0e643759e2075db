/** The main step of the Action that promotes images. */

import { promotionOutputs } from "../options/table.ts";
import { systemClock } from "../platform/clock.ts";
import { withoutTlsSwitch } from "../platform/environment.ts";
import { asExplainedError, ExplainedError, failureObject } from "../platform/errors.ts";
import { abandonLookUps } from "../platform/exit.ts";
import { createPlatform } from "../platform/platform.ts";
import { assertNoSecret, withoutSecretsOf } from "../platform/reporter.ts";
import { createCalmProgress } from "../promotion/progress.ts";
import { promote } from "../promotion/promote.ts";
import { advised, failuresOf, namesOf, promotionOutputsOf } from "../promotion/report.ts";
import { type PromotionRequest, readPromotionRequest } from "../promotion/request.ts";
import type { PromotionResult } from "../promotion/result.ts";
import { readRoots } from "../tools/certificates.ts";
import { createReporter, reportFailure } from "./annotations.ts";
import { cancellation } from "./cancellation.ts";
import { promotionWorkplaceOf, readInputs } from "./job.ts";
import { promotionFailureSummary, promotionSummary } from "./promotion-summary.ts";
import { createRunner } from "./runner.ts";
import { rememberIn } from "./state.ts";

const env = withoutTlsSwitch(process.env);
const runner = createRunner(env);
const reporter = createReporter(runner);

try {
  const request = await readPromotionRequest(readInputs(runner, "promote-action"));
  publish(request, await run(request));
} catch (error) {
  const failure = withoutSecretsOf(reporter, advised(asExplainedError(error)));
  reportFailure(runner, failure);
  if (error instanceof ExplainedError) {
    runner.summarize(promotionFailureSummary(failure));
  }
} finally {
  setImmediate(abandonLookUps);
}

async function run(request: PromotionRequest): Promise<readonly PromotionResult[]> {
  const roots = request.caFile === undefined ? undefined : await readRoots(request.caFile);
  const cancelled = cancellation("the promotion", "Run the same again: what is done is not done twice.");
  const workplace = promotionWorkplaceOf(env, roots, { onSession: rememberIn(runner) });
  return promote(request, {
    workplace,
    createPlatform: (timeoutSeconds) => createPlatform({ env, reporter, timeoutSeconds, extraRoots: roots, cancelled }),
    onProgress: request.dryRun ? () => {} : createCalmProgress(namesOf(request.promotions), reporter.info, systemClock),
  });
}

/** What was promoted, whatever became of the others. */
function publish(request: PromotionRequest, results: readonly PromotionResult[]): void {
  const tell = (failure: ExplainedError) => failureObject(withoutSecretsOf(reporter, failure));
  const outputs = promotionOutputsOf(results, { dryRun: request.dryRun, tell });
  assertNoSecret(outputs, reporter);
  for (const { name } of promotionOutputs) {
    runner.set("GITHUB_OUTPUT", name, outputs[name]);
  }
  const failures = failuresOf(results).map((failure) => withoutSecretsOf(reporter, failure));
  runner.summarize(promotionSummary(results, failures, request));
  for (const failure of failures) {
    reportFailure(runner, failure);
  }
}
