/** The job's summary page after a login: robots, scopes and expiry, or the failure. Pure. */

import { bindingOf, isoTime } from "../identity/token.ts";
import type { LoginResult } from "../login/login.ts";
import type { FailureObject } from "../platform/errors.ts";
import { cell, quoted, table } from "../platform/markdown.ts";
import { mention } from "../platform/wording.ts";
import { workflowSyntax } from "./syntax.ts";

const skip = workflowSyntax("action").write(mention("without-identity", "skip"));

/** The part of a login that the page shows. */
type Shown = Pick<LoginResult, "identity" | "files"> & { readonly session: Pick<LoginResult["session"], "robots"> };

/** @param helper whether a credential helper is there instead of a login */
export function successSummary(registry: string, { identity, session, files }: Shown, helper: boolean): string {
  const binding = bindingOf(identity);
  const rows = session.robots.map(({ robot, scope, expiresAt }) => [robot, scope, isoTime(expiresAt)]);
  return [
    helper ? `### Credential helper for ${cell(registry)}` : `### Logged in to ${cell(registry)}`,
    "",
    ...table(["Robot", "Scope", helper ? "First token expires" : "Expires"], rows),
    "",
    ...table(
      ["Identity of this job", ""],
      [
        ["Issuer", binding.issuer],
        ["Subject", binding.subject],
        ["Audience", binding.audience],
        ...files.map((file) => [helper ? "Auth file" : "Login file", file] as const),
      ],
    ),
    "",
  ].join("\n");
}

export function failureSummary(failure: FailureObject): string {
  return `### Not logged in to Quay\n\n${quoted(failure)}`;
}

export function skippedSummary({ message }: FailureObject): string {
  return `### Not logged in to Quay\n\n${cell(message)} The job continues without a login (${skip}).\n\n`;
}
