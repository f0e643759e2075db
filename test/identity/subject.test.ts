/** Subjects that never recur: the advice instead of a binding that would match once. */
import { describe, expect, test } from "vitest";
import { changesWith, lastingInstead } from "../../src/identity/subject.ts";
import { formatError } from "../../src/platform/errors.ts";
import { explainResult } from "../../src/quay/explain.ts";
import { failureOf, issuer, testIdentity } from "../fixtures.ts";

const passing: readonly (readonly [subject: string, changes: string, lasting: string | undefined])[] = [
  [
    "repo:acme/app:ref:refs/heads/gh-readonly-queue/main/pr-104-a774205cab4a1c3c5e3d2f7c0c1d6b2f7f0e9d11",
    "run of the merge queue",
    "repo:acme/app:environment:release",
  ],
  ["repo:acme/app:ref:refs/tags/v1.2.3", "tag", "repo:acme/app:environment:release"],
  ["repo:acme@12/app@345:ref:refs/tags/v1.2.3", "tag", "repo:acme@12/app@345:environment:release"],
  ["repo:acme/app:ref:refs/pull/104/merge", "pull request", "repo:acme/app:environment:release"],
  ["repo:acme/app:ref:refs/heads/renovate/node-24.x", "branch that a bot makes", "repo:acme/app:environment:release"],
  ["repo:acme/app:ref:refs/heads/dependabot/npm/x-1", "branch that a bot makes", "repo:acme/app:environment:release"],
  ["repository_owner:acme:run_id:123", "run", undefined],
  ["run_id:123:repo:acme/app", "run", undefined],
  ["repo:acme/app:sha:a774205", "commit", undefined],
  ["organization:acme:pipeline:app:ref:refs/heads/main:commit:9f3b5c1:step:build", "commit", undefined],
  ["spiffe://example.com/build/9f3b5c1de02a4c6b8d7e9f3b5c1de02a4c6b8d7e", "commit", undefined],
  ["repo:acme/app:job_workflow_ref:acme/ci/.github/workflows/a.yml@refs/pull/7/merge", "pull request", undefined],
  ["{11111111-2222-3333-4444-555555555555}:{66666666-7777-8888-9999-000000000000}", "step", undefined],
  ["project_path:acme/app:ref_type:tag:ref:v1.2.3", "tag", "project_path:acme/app:ref_type:tag"],
];

describe("a subject that changes", () => {
  test.each(passing)("%s", (subject, changes, lasting) => {
    expect(changesWith(subject)).toBe(changes);
    const found = lastingInstead({ subject });
    expect(found?.subject).toBe(lasting);
    expect(found?.advice[0]).toBe(
      `The subject ${subject} changes with every ${changes}: a binding for it would match only once.`,
    );
    expect(found?.advice.includes("  environment: release")).toBe(lasting?.includes(":environment:") === true);
  });

  test.each(passing)("is not suggested as a binding: %s", (subject, _, lasting) => {
    const identity = testIdentity({ subject });
    const context = { registry: "quay.io", robot: "acme+ci", identity, now: 0 };
    for (const code of ["robot-not-federated", "issuer-not-bound", "subject-not-bound", "quay-refused"] as const) {
      const error = explainResult({ kind: "refused", code, reason: "no" }, context);
      expect(error.binding).toEqual(lasting === undefined ? undefined : { issuer, subject: lasting, audience: "quay" });
      expect(formatError(failureOf(error))).toContain(subject);
      expect(formatError(failureOf(error))).not.toMatch(
        new RegExp(`^ +subject +${subject.replaceAll(/[.]/g, "\\.")}$`, "m"),
      );
    }
  });

  test.each(["audience-refused", "binding-ambiguous"] as const)(
    "that a binding already matches is kept: %s",
    (code) => {
      const identity = testIdentity({ subject: "repo:acme/app:ref:refs/tags/v1.2.3" });
      const error = explainResult(
        { kind: "refused", code, reason: "no" },
        { registry: "q", robot: "a+b", identity, now: 0 },
      );
      expect(error.binding?.subject).toBe(identity.subject);
    },
  );
});

test.each([
  "repo:acme/app:ref:refs/heads/main",
  "repo:acme/app:ref:refs/heads/release/1.2",
  "repo:acme/tags:ref:refs/heads/tags",
  "repo:acme/app:environment:production",
  "repo:acme/app:pull_request",
  "repo:acme/renovate:ref:refs/heads/main",
  "system:serviceaccount:ns:name",
  "spiffe://example.org/ns/a/sa/b",
  "project_path:acme/app:ref_type:branch:ref:main",
  "11111111-1111-4111-8111-111111111111",
])("a subject that stays the same: %s", (subject) => {
  expect(changesWith(subject)).toBeUndefined();
  expect(lastingInstead({ subject })).toBeUndefined();
});
