/** The job's summary page after a login: who is logged in as what until when, or what to do. Pure. */

import { bindingOf, isoTime } from "../identity/token.ts";
import type { LoginResult } from "../login/login.ts";
import type { FailureObject } from "../platform/errors.ts";
import { mention } from "../platform/wording.ts";
import { cell, quoted, table } from "./markdown.ts";
import { workflowSyntax } from "./syntax.ts";

const skip = workflowSyntax("action").write(mention("without-identity", "skip"));

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

export function failureSummary(failure: FailureObject): string {
  return `### Not signed in to Quay\n\n${quoted(failure)}`;
}

export function skippedSummary({ message }: FailureObject): string {
  return `### Not signed in to Quay\n\n${cell(message)} The job goes on logged out (${skip}).\n\n`;
}
