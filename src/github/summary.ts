/** The job's summary page: who is logged in as what until when, or what to do. Pure. */
import { formatError, type LoginError } from "../errors.ts";
import { bindingOf, isoTime } from "../identity/token.ts";
import type { LoginResult } from "../login.ts";

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
  // In a block that begins with <pre>, everything up to </pre> is text (CommonMark 4.6), so only HTML needs escaping.
  return `### Not signed in to Quay\n\n<pre>${escapeHtml(formatError(error))}</pre>\n\n`;
}

export function skippedSummary(error: LoginError): string {
  return `### Not signed in to Quay\n\n${cell(error.message)} The job goes on logged out (without-identity: skip).\n\n`;
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string[] {
  const row = (cells: readonly string[]) => `| ${cells.join(" | ")} |`;
  return [row(head), row(head.map(() => "---")), ...rows.map((cells) => row(cells.map(cell)))];
}

/** Text from outside: every character that Markdown, HTML or an autolink could read is written as an entity. */
const cell = (text: string): string =>
  text.replaceAll(/[^A-Za-z0-9 ./+,=-]/gu, (character) => `&#${character.codePointAt(0)};`);

const escapeHtml = (text: string): string =>
  text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
