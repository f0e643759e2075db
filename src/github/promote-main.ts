/** The main step of the Action that promotes images. */

import { promotionOutputs } from "../options/table.ts";
import { systemClock } from "../platform/clock.ts";
import { withoutTlsSwitch } from "../platform/environment.ts";
import { ExplainedError, failureObject } from "../platform/errors.ts";
import { run } from "../platform/exit.ts";
import { createPlatform } from "../platform/platform.ts";
import { assertNoSecret } from "../platform/reporter.ts";
import { createCalmProgress } from "../promotion/progress.ts";
import { promote } from "../promotion/promote.ts";
import { failuresOf, namesOf, promotionOutputsOf } from "../promotion/report.ts";
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
import { workflowSyntax } from "./syntax.ts";

const env = withoutTlsSwitch(process.env);
const reporter = createReporter(workflowSyntax("promote-action"));

run(main);

async function main(): Promise<void> {
  try {
    const request = await readPromotionRequest(readInputs("promote-action"));
    await publish(request, await promoteAll(request));
  } catch (error) {
    reportFailure(error, reporter);
    if (error instanceof ExplainedError) {
      await summarize(promotionFailureSummary(failureObject(error, reporter)));
    }
  }
}

async function promoteAll(request: PromotionRequest): Promise<readonly PromotionResult[]> {
  const roots = await readRoots(request.caFile);
  const cancelled = cancellation("the promotion", "Run the same again: what was done is skipped.");
  const workplace = promotionWorkplaceOf(env, roots, { onSession: rememberSessions() });
  return promote(request, {
    workplace,
    createPlatform: (timeoutSeconds) => createPlatform({ env, reporter, timeoutSeconds, extraRoots: roots, cancelled }),
    onProgress: request.dryRun ? () => {} : createCalmProgress(namesOf(request.promotions), reporter.info, systemClock),
  });
}

/** Publishes what was promoted, even if other promotions failed. */
async function publish(request: PromotionRequest, results: readonly PromotionResult[]): Promise<void> {
  const toObject = (failure: ExplainedError) => failureObject(failure, reporter);
  const outputs = promotionOutputsOf(results, { dryRun: request.dryRun, toObject });
  assertNoSecret(outputs, reporter);
  for (const { name } of promotionOutputs) {
    setOutput(name, outputs[name]);
  }
  const failures = failuresOf(results);
  await summarize(promotionSummary(results, failures.map(toObject), request));
  for (const failure of failures) {
    reportFailure(failure, reporter);
  }
}
