/** Subjects that never recur: the advice instead of a binding that would match once. */
import { describe, expect, test } from "vitest";
import { changesWith, lastingInstead, narrowed } from "../../src/identity/subject.ts";
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
  ["repo:acme/app:job_workflow_ref:acme/ci/.github/workflows/a.yml@refs/pull/7/merge", "pull request", undefined],
  ["{11111111-2222-3333-4444-555555555555}:{66666666-7777-8888-9999-000000000000}", "step", undefined],
  [
    "{11111111-2222-3333-4444-555555555555}:{22222222-2222-3333-4444-555555555555}:{66666666-7777-8888-9999-000000000000}",
    "step",
    undefined,
  ],
  ["organization:acme:pipeline:app:ref:refs/tags/v1:commit:9f3b5c1:step:build", "commit", undefined],
  ["project_path:acme/app:ref_type:tag:ref:v1.2.3", "tag", "project_path:acme/app:ref_type:tag"],
  [
    "project_path:acme/app:ref_type:branch:ref:refs/merge-requests/7/head",
    "merge request",
    "project_path:acme/app:ref_type:branch",
  ],
  [
    "project_path:acme/app:ref_type:branch:ref:renovate/node-24.x",
    "branch that a bot makes",
    "project_path:acme/app:ref_type:branch",
  ],
  ["project_path:acme/app:ref:v1:ref_type:tag", "tag", "project_path:acme/app:ref_type:tag"],
  // With a template of its own, or in a form that only its settings tell.
  ["repo:acme/app:ref:refs/tags/v1:job_workflow_ref:acme/ci/.github/workflows/p.yml@refs/heads/main", "tag", undefined],
  ["repo:acme/app:ref:refs/heads/main:run_id:12", "run", undefined],
  ["repo:acme/app:ref:refs/tags/v1:run_id:12", "run", undefined],
  ["repo:acme/app:environment:release:run_id:3", "run", undefined],
  ["repository_id:123:ref:refs/tags/v1", "tag", undefined],
  ["repo:acme/app:pull_request:run_attempt:1", "run", undefined],
  ["repo:acme/app:check_run_id:123", "run", undefined],
  ["repo:acme/app:head_ref:feature-1", "pull request", undefined],
  ["repo:acme/app:workflow_ref:acme/app/.github/workflows/x.yml@refs/tags/v1.2.3", "tag", undefined],
  [
    "workflow_ref:acme/app/.github/workflows/x.yml@refs/heads/gh-readonly-queue/main/pr-1-abc",
    "run of the merge queue",
    undefined,
  ],
  ["project_path:acme/app:ref:refs/merge-requests/7/head", "merge request", undefined],
  ["project_path:acme/app:ref_type:tag:ref:v1:environment:release", "tag", undefined],
  ["org/O/project/P/user/U/vcs-origin/github.com/acme/app/vcs-ref/refs/tags/v1", "tag", undefined],
  ["org/O/project/P/user/U/vcs-origin/github.com/acme/app/vcs-ref/refs/pull/9/merge", "pull request", undefined],
  [
    "org/O/project/P/user/U/vcs-origin/github.com/acme/app/vcs-ref/refs/heads/gh-readonly-queue/main/pr-1-a",
    "run of the merge queue",
    undefined,
  ],
  ["https://jenkins.example.com/job/app/12/", "build", undefined],
  ["https://jenkins.example.com/job/folder/job/app/job/main/7", "build", undefined],
  ["repo:acme/app:ref:refs/heads/copilot/fix-1", "branch that a bot makes", "repo:acme/app:environment:release"],
  [
    "repo:acme/app:ref:refs/heads/snyk-fix-0123456789abcdef0123456789abcdef",
    "branch that a bot makes",
    "repo:acme/app:environment:release",
  ],
  ["org:acme:project:936a5312:repo:web:ref_type:pull-request:ref:refs/heads/x", "pull request", undefined],
  ["org:acme:project:936a5312:repo:web:ref_type:tag:ref:refs/tags/v1", "tag", undefined],
];

test.each<[subject: string, cure: string]>([
  [
    "organization:acme:pipeline:app:ref:refs/heads/main:commit:9f3b5c1:step:build",
    "add --subject-claim pipeline_id to buildkite-agent oidc request-token",
  ],
  [
    "{11111111-2222-3333-4444-555555555555}:{66666666-7777-8888-9999-000000000000}",
    "no binding works for its own tokens",
  ],
  ["{11111111-2222-3333-4444-555555555555}:{66666666-7777-8888-9999-000000000000}", "aws sts get-web-identity-token"],
  ["project_path:acme/app:ref_type:tag:ref:v1", 'ci_id_token_sub_claim_components: ["project_path", "ref_type"]'],
  [
    "project_path:acme/app:ref_type:branch:ref:refs/merge-requests/7/head",
    'ci_id_token_sub_claim_components: ["project_path", "ref_type"]',
  ],
  ["project_path:acme/app:ref_type:branch:ref:refs/merge-requests/7/head", "and for its merge requests"],
  ["project_path:acme/app:ref:refs/merge-requests/7/head", "Have the issuer build it from what stays the same"],
  ["org:acme:project:936a5312:repo:web:ref_type:tag:ref:refs/tags/v1", "Have the issuer build it from what stays"],
  ["run_id:123:repo:acme/app", "actions/oidc/customization/sub"],
  ["repo:acme/app:ref:refs/heads/main:run_id:12", "a template of its own"],
  ["org/O/project/P/user/U/vcs-origin/github.com/acme/app/vcs-ref/refs/tags/v1", "CIRCLE_OIDC_TOKEN"],
  ["https://jenkins.example.com/job/app/12/", "Leave the number of the build out"],
])("%s has its platform's cure", (subject, cure) => {
  expect(lastingInstead({ subject })?.advice.join("\n")).toContain(cure);
});

test("Forgejo's subject gets none of GitHub's settings", () => {
  const subject = "repo:acme-123456/app-456789:ref:refs/tags/v1";
  const found = lastingInstead({ issuer: "https://codeberg.org/api/actions", subject });
  expect(found?.subject).toBeUndefined();
  expect(found?.advice.slice(1)).toEqual([expect.stringMatching(/^Log in from a job of a branch that stays/)]);
});

describe("a subject of one user or machine", () => {
  const user = "org/11111111-2222/project/66666666-7777/user/88888888-9999";
  test.each<[string, string, string, string]>([
    ["https://oidc.circleci.com/org/11111111-2222", user, "no other user's pipelines", "a machine user"],
    [
      "https://oidc.circleci.com",
      `${user}/vcs-origin/github.com/acme/app/vcs-ref/refs/heads/main`,
      "no other user's",
      "user",
    ],
    ["https://oidc.fly.io/acme", "acme:app:fixture-machine", "no other machine", "Add a binding for each machine"],
  ])("of %s: %s", (issuerOfIt, subject, says, advice) => {
    expect(narrowed({ issuer: issuerOfIt, subject })?.says).toContain(says);
    expect(narrowed({ issuer: issuerOfIt, subject })?.advice.join("\n")).toContain(advice);
    expect(lastingInstead({ subject })).toBeUndefined();
    const identity = testIdentity({ subject, issuer: issuerOfIt });
    const context = { registry: "quay.io", robot: "acme+ci", identity, now: 0 };
    const error = explainResult({ kind: "refused", code: "subject-not-bound", reason: "no" }, context);
    expect(error.binding?.subject).toBe(subject);
    expect(formatError(failureOf(error))).toContain(says);
  });

  test.each([
    ["https://oidc.example.com", "acme:app:fixture-machine"],
    ["https://oidc.fly.io/acme", "acme:app"],
    ["https://oidc.circleci.com/org/1", "org/1/project/2"],
  ])("is nothing of %s: %s", (issuerOfIt, subject) => {
    expect(narrowed({ issuer: issuerOfIt, subject })).toBeUndefined();
  });
});

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
  "repo:acme-123456/app-456789:ref:refs/heads/main",
  "p://acme/project/pipeline",
  "arn:aws:iam::123456789012:role/ci",
  "organization:acme:project:Default Project:workspace:app:run_phase:apply",
  "space:root-01J:stack:app:run_type:TRACKED:scope:write",
  "org:acme:project:936a5312:repo:web:ref_type:branch:ref:refs/heads/main",
  "https://jenkins.example.com/job/app/",
  "https://jenkins.example.com/job/app/job/12/",
  // Names and values that are words of others.
  "system:serviceaccount:commit:default",
  "system:serviceaccount:sha:run_id",
  "organization:acme:project:P:workspace:commit:run_phase:apply",
  "organization:commit:project:sha:workspace:W:run_phase:apply",
  "organization:commit:pipeline:app:ref:refs/heads/main",
  "org:acme:project:936a5312:repo:commit:ref_type:branch:ref:refs/heads/main",
  "repo:commit/sha:ref:refs/heads/main",
  "repo:acme/app:environment:run_id",
  "repo:acme/app:pull_request:environment:sha",
  "space:sha-01:stack:app:run_type:TRACKED:scope:write",
  "spiffe://example.org/ns/ci/sa/0123456789abcdef0123456789abcdef01234567",
  "spiffe://example.org/spire/agent/x509pop/0123456789abcdef0123456789abcdef01234567",
  "project_path:acme/0123456789abcdef0123456789abcdef01234567:ref_type:branch:ref:main",
  "repo:acme/app:ref:refs/heads/0123456789abcdef0123456789abcdef01234567",
  "repo:acme/app:ref:refs/heads/refs/pull/12/merge",
  // Branches and tags that stay, and a workflow that is pinned.
  "repo:acme/app:ref:refs/heads/changeset-release/main",
  "repo:acme/app:ref:refs/heads/release-please--branches--main",
  "repo:acme/app:ref:refs/heads/renovate-config",
  "repo:acme/app:ref:refs/heads/dependabot-setup",
  "repo:acme/app:ref:refs/heads/copilot-docs",
  "project_path:acme/app:ref_type:branch:ref:renovate-bot",
  "repo:acme/app:ref:refs/tags/nightly",
  "project_path:acme/app:ref_type:tag",
  "repo:acme/app:head_ref:",
  "job_workflow_ref:acme/ci/.github/workflows/p.yml@refs/tags/v1",
  "job_workflow_ref:acme/ci/.github/workflows/p.yml@0123456789abcdef0123456789abcdef01234567",
])("a subject that stays the same: %s", (subject) => {
  expect(changesWith(subject)).toBeUndefined();
  expect(lastingInstead({ subject })).toBeUndefined();
});
