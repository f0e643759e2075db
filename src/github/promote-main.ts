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
import { setOutput, summarize } from "./file-commands.ts";
import { readInputs } from "./inputs.ts";
import { promotionWorkplaceOf } from "./job.ts";
import { promotionFailureSummary, promotionSummary } from "./promotion-summary.ts";
import { rememberSessions } from "./state.ts";

const env = withoutTlsSwitch(process.env);
const reporter = createReporter();

try {
  const request = await readPromotionRequest(readInputs("promote-action"));
  await publish(request, await run(request));
} catch (error) {
  const failure = withoutSecretsOf(reporter, advised(asExplainedError(error)));
  reportFailure(failure);
  if (error instanceof ExplainedError) {
    await summarize(promotionFailureSummary(failure));
  }
} finally {
  setImmediate(abandonLookUps);
}

async function run(request: PromotionRequest): Promise<readonly PromotionResult[]> {
  const roots = await readRoots(request.caFile);
  const cancelled = cancellation("the promotion", "Run the same again: what is done is not done twice.");
  const workplace = promotionWorkplaceOf(env, roots, { onSession: rememberSessions() });
  return promote(request, {
    workplace,
    createPlatform: (timeoutSeconds) => createPlatform({ env, reporter, timeoutSeconds, extraRoots: roots, cancelled }),
    onProgress: request.dryRun ? () => {} : createCalmProgress(namesOf(request.promotions), reporter.info, systemClock),
  });
}

/** What was promoted, whatever became of the others. */
async function publish(request: PromotionRequest, results: readonly PromotionResult[]): Promise<void> {
  const tell = (failure: ExplainedError) => failureObject(withoutSecretsOf(reporter, failure));
  const outputs = promotionOutputsOf(results, { dryRun: request.dryRun, tell });
  assertNoSecret(outputs, reporter);
  for (const { name } of promotionOutputs) {
    setOutput(name, outputs[name]);
  }
  const failures = failuresOf(results).map((failure) => withoutSecretsOf(reporter, failure));
  await summarize(promotionSummary(results, failures, request));
  for (const failure of failures) {
    reportFailure(failure);
  }
}
