/** The job's summary page: who is logged in as what until when, what was promoted, or what to do. Pure. */
import { formatError, type LoginError } from "../errors.ts";
import { bindingOf, isoTime } from "../identity/token.ts";
import type { LoginResult } from "../login.ts";
import { conclusion, type Plan, rowOf } from "../promotion/report.ts";
import type { PromotionResult } from "../promotion/result.ts";

export function successSummary(registry: string, { identity, session, files }: LoginResult): string {
  const binding = bindingOf(identity);
  const rows = session.robots.map(({ robot, scope, expiresAt }) => [robot, scope, isoTime(expiresAt)]);
  return [
    `### Signed in to ${cell(registry)}`,
    "",
    ...table(["Robot", "Logged in for", "Valid until"], rows),
    "",
    ...table(
      ["Identity of this job", ""],
      [
        ["Issuer", binding.issuer],
        ["Subject", binding.subject],
        ["Audience", binding.audience],
        ...files.map((file) => ["Login stands in", file] as const),
      ],
    ),
    "",
  ].join("\n");
}

export function failureSummary(error: LoginError): string {
  return `### Not signed in to Quay\n\n${quoted(error)}`;
}

export function skippedSummary(error: LoginError): string {
  return `### Not signed in to Quay\n\n${cell(error.message)} The job goes on logged out (without-identity: skip).\n\n`;
}

export function promotionSummary(
  results: readonly PromotionResult[],
  failures: readonly LoginError[],
  plan: Plan,
): string {
  const rows = results.map((result) => rowOf(result, plan));
  return [
    `### ${plan.dryRun ? "What would be promoted" : failures.length > 0 ? "Not all is promoted" : "Promotion"}`,
    "",
    cell(conclusion(results, plan)),
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

export function promotionFailureSummary(error: LoginError): string {
  return `### Nothing is promoted\n\n${quoted(error)}`;
}

/** In a block that begins with <pre>, everything up to </pre> is text (CommonMark 4.6), so only HTML needs escaping. */
const quoted = (error: LoginError): string => `<pre>${escapeHtml(formatError(error))}</pre>\n\n`;

/** A cell may have several lines. */
function table(head: readonly string[], rows: readonly (readonly (string | readonly string[])[])[]): string[] {
  const row = (cells: readonly string[]) => `| ${cells.join(" | ")} |`;
  return [
    row(head),
    row(head.map(() => "---")),
    ...rows.map((cells) => row(cells.map((lines) => [lines].flat().map(cell).join("<br>")))),
  ];
}

/** Text from outside: every character that Markdown, HTML or an autolink could read is written as an entity. */
const cell = (text: string): string =>
  text.replaceAll(/[^A-Za-z0-9 ./+,=-]/gu, (character) => `&#${character.codePointAt(0)};`);

const escapeHtml = (text: string): string =>
  text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
