/** The results of promotions, as a table. Pure. */
import { conclusion, type ReportOptions, type Row, rowOf } from "../promotion/report.ts";
import type { PromotionResult } from "../promotion/result.ts";

const head = ["image", "tag", "state", "new bytes", "time"];

export function reportOf(results: readonly PromotionResult[], request: ReportOptions): readonly string[] {
  const rows = results.map((result) => rowOf(result, request));
  return [
    ...columns([head, ...rows.flatMap(linesOf)]),
    "",
    ...rows.flatMap(({ reference, source, artifacts }) => [
      `${reference}  from ${source}`,
      ...artifacts.map((line) => `  ${line}`),
    ]),
    "",
    conclusion(results, request),
  ];
}

/** One line for each tag, and one for a failure. */
function linesOf({ image, tags, failure, bytes, time }: Row): readonly (readonly string[])[] {
  const states = [...tags.map(({ tag, state }) => [tag, state] as const), ...(failure ? [["", failure] as const] : [])];
  return states.map(([tag, state], index) => (index === 0 ? [image, tag, state, bytes, time] : ["", tag, state]));
}

function columns(rows: readonly (readonly string[])[]): readonly string[] {
  const widths = head.map((_, index) => Math.max(...rows.map((row) => (row[index] ?? "").length)));
  return rows.map((row) =>
    row
      .map((cell, index) => cell.padEnd(widths[index] ?? 0))
      .join("  ")
      .trimEnd(),
  );
}
