/** The job's summary page after a promotion: a table of what was promoted, and the failures. Pure. */
import type { FailureObject } from "../platform/errors.ts";
import { cell, quoted, table } from "../platform/markdown.ts";
import { conclusion, type ReportOptions, rowOf } from "../promotion/report.ts";
import type { PromotionResult } from "../promotion/result.ts";

export function promotionSummary(
  results: readonly PromotionResult[],
  failures: readonly FailureObject[],
  request: ReportOptions,
): string {
  const rows = results.map((result) => rowOf(result, request));
  return [
    `### ${request.dryRun ? "What would be promoted" : failures.length > 0 ? "Not all is promoted" : "Promotion"}`,
    "",
    cell(conclusion(results, request)),
    "",
    ...table(
      ["Image", "From", "Tags", "New bytes", "Time"],
      rows.map(({ reference, source, tags, failure, artifacts, bytes, time }) => [
        [reference, ...artifacts],
        source,
        [...tags.map(({ tag, state }) => `${tag} ${state}`), ...(failure ? [failure] : [])],
        bytes,
        time,
      ]),
    ),
    "",
    ...failures.map(quoted),
  ].join("\n");
}

export function promotionFailureSummary(failure: FailureObject): string {
  return `### Nothing is promoted\n\n${quoted(failure)}`;
}
