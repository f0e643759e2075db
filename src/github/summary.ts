/** The job's summary page after a login: who is logged in as what until when, or what to do. Pure. */

import { bindingOf, isoTime } from "../identity/token.ts";
import type { LoginResult } from "../login/login.ts";
import type { ExplainedError } from "../platform/errors.ts";
import { cell, quoted, table } from "./markdown.ts";

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

export function failureSummary(error: ExplainedError): string {
  return `### Not signed in to Quay\n\n${quoted(error)}`;
}

export function skippedSummary(error: ExplainedError): string {
  return `### Not signed in to Quay\n\n${cell(error.message)} The job goes on logged out (without-identity: skip).\n\n`;
}
