/** The job's summary page after a login and after a refusal: the Markdown that the Action writes, drawn as GitHub shows it. */

import { failureSummary, successSummary } from "../../src/github/summary.ts";
import { workflowSyntax } from "../../src/github/syntax.ts";
import { asIdentity, type Identity } from "../../src/identity/token.ts";
import { failureObject } from "../../src/platform/errors.ts";
import { explainResult } from "../../src/quay/explain.ts";
import { drawMarkdown } from "./markdown.ts";
import type { Picture } from "./svg.ts";

const registry = "quay.io";
/** A fixed clock, seconds since 1970: 2026-12-01T09:30:00Z. */
const now = 1_796_117_400;

const identity: Identity = asIdentity({
  token: "",
  issuer: "https://token.actions.githubusercontent.com",
  subject: "repo:acme/app:ref:refs/heads/main",
  audience: ["quay"],
  algorithm: "RS256",
  keyId: "rsa1",
  issuedAt: now,
  expiresAt: now + 300,
  source: "github",
  origin: "GitHub's token endpoint",
  wantedAudience: "quay",
});

export function success(): Picture {
  const robots = [{ robot: "acme+ci", scope: registry, expiresAt: now + 3600, lifeSeconds: 3600 }];
  const files = [
    "/home/runner/work/_temp/quay-keyless-login-5d1f0c3a9b7e/auth.json",
    "/home/runner/.docker/config.json",
  ];
  return drawMarkdown(successSummary(registry, { identity, session: { robots }, files }, false), {
    title: "The job's summary page after a login",
    description:
      "It names the robot, its scope, when the login expires, the job's identity, and the files that hold the login.",
  });
}

export function refusal(): Picture {
  const refused = { kind: "refused", code: "subject-not-bound", reason: "Token does not match robot" } as const;
  const error = explainResult(refused, { registry, robot: "acme+release", identity, now: now * 1000 });
  const speaker = { syntax: workflowSyntax("action"), hide: (text: string) => text };
  return drawMarkdown(failureSummary(failureObject(error, speaker)), {
    title: "The job's summary page after a refusal",
    description:
      "It says what Quay refused and why, with the command and the three fields that make the robot trust this job.",
  });
}
