import type { Workplace } from "../../login/workplace.ts";
import { promotionOutputs } from "../../options/table.ts";
import { systemClock } from "../../platform/clock.ts";
import { asExplainedError, type ExplainedError, failureObject, withOthers } from "../../platform/errors.ts";
import { createPlatform } from "../../platform/platform.ts";
import { assertNoSecret } from "../../platform/reporter.ts";
import { createCalmProgress } from "../../promotion/progress.ts";
import { promote as promoteAll } from "../../promotion/promote.ts";
import { failuresOf, namesOf, objectOf, promotionOutputsOf } from "../../promotion/report.ts";
import { type PromotionRequest, readPromotionRequest } from "../../promotion/request.ts";
import type { PromotionResult } from "../../promotion/result.ts";
import { readRoots } from "../../tools/certificates.ts";
import { type Call, interruption, type Outcome } from "../command.ts";
import { createLiveProgress } from "../live-progress.ts";
import { reportOf } from "../promotion-report.ts";
import { parseResults, writeResults } from "../results.ts";

const resultNames = promotionOutputs.map(({ name }) => name);

export async function promote(call: Call): Promise<Outcome> {
  const { values, env, terminal } = call;
  const request = await readPromotionRequest(values);
  const { dryRun, caFile } = request;
  const [files, roots] = await Promise.all([parseResults(values, resultNames, "image"), readRoots(caFile)]);
  const workplace: Workplace = {
    temporaryFolder: env.TMPDIR || "/tmp",
    sessionFolder: undefined,
    willLogOut: false,
    keepsLogins: "privately",
    workspace: undefined,
    isDisposable: false,
    roots,
    onSession: () => {},
  };
  const cancelled = interruption("Run the same again: what was done is skipped.");
  const progress = watch(request, terminal);
  let results: readonly PromotionResult[];
  try {
    results = await promoteAll(request, {
      workplace,
      createPlatform: (timeoutSeconds) =>
        createPlatform({ env, reporter: terminal, timeoutSeconds, extraRoots: roots, cancelled }),
      onProgress: progress.show,
    });
  } finally {
    progress.end();
  }
  const toObject = (failure: ExplainedError) => failureObject(failure, terminal);
  const outputs = promotionOutputsOf(results, { dryRun, toObject });
  const [first, ...others] = failuresOf(results);
  const failure = first && withOthers(first, others);
  const outcome = {
    lines: reportOf(results, request),
    object: {
      "dry-run": dryRun,
      changed: outputs.changed === "true",
      promotions: results.map((result) => objectOf(result, toObject)),
    },
  };
  try {
    assertNoSecret(outputs, terminal);
    await writeResults(files, outputs);
  } catch (error) {
    // What was done is reported even so.
    return { ...outcome, failure: withOthers(asExplainedError(error), failure ? [failure] : []) };
  }
  return { ...outcome, failure };
}

/** A dry run is too quick to need progress in a log. */
function watch({ promotions, dryRun }: PromotionRequest, terminal: Call["terminal"]) {
  const names = namesOf(promotions);
  return terminal.isWatched
    ? createLiveProgress(names, terminal.live, systemClock)
    : { show: dryRun ? () => {} : createCalmProgress(names, terminal.info, systemClock), end: () => {} };
}
