/** The job's summary page after a federation or its review: the plan as a diff, and what the lint found. Pure. */
import type { FailureObject } from "../platform/errors.ts";
import { cell, quoted, table } from "../platform/markdown.ts";
import type { Words } from "../platform/wording.ts";
import type { Federation } from "../trust/federate.ts";
import { isDifferent } from "../trust/plan.ts";

export interface Shown {
  /** As the option names it. */
  readonly file: string;
  /** The plan's report. */
  readonly lines: readonly string[];
  readonly say: (words: Words) => string;
}

/** Characters: GitHub takes 1 MiB for a step. */
const mostText = 400_000;

export function federationSummary(federation: Federation, { file, lines, say }: Shown): string {
  const { plan, findings } = federation;
  return [
    `### ${titleOf(federation, cell(file))}`,
    "",
    // Each line begins with a sign or a word of ours: none can end the block.
    "```diff",
    ...withinLimit(lines),
    "```",
    "",
    ...(findings.length > 0
      ? [
          ...table(
            ["Risk", "Where"],
            findings.map(({ says, from }) => [say(says), say(from)]),
          ),
          "",
        ]
      : []),
    ...plan.warnings.flatMap((warning) => [cell(say(warning)), ""]),
    "",
  ].join("\n");
}

function titleOf({ mode, plan, failure }: Federation, file: string): string {
  switch (mode) {
    case "review":
      return isDifferent(plan) ? `What this change of ${file} trusts` : `This change of ${file} trusts the same`;
    case "apply":
      return failure ? `Not all of ${file} is in Quay` : `Quay trusts what ${file} says`;
    default:
      return isDifferent(plan) ? `Quay differs from ${file}` : `Quay trusts what ${file} says`;
  }
}

function withinLimit(lines: readonly string[]): readonly string[] {
  let length = 0;
  const fitting = lines.filter((line) => {
    length += line.length + 1;
    return length <= mostText;
  });
  const more = lines.length - fitting.length;
  return more > 0 ? [...fitting, `… and ${more} more lines, in the log of this step`] : fitting;
}

export function federationFailureSummary(failure: FailureObject): string {
  return `### federate failed\n\n${quoted(failure)}`;
}
