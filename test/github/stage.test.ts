/** What a run of the Action federate may do, event by event. */
import { describe, expect, test } from "vitest";
import { type Run, refuseToken, stageOf } from "../../src/github/stage.ts";
import { ExplainedError } from "../../src/platform/errors.ts";

const [base, head, commit] = ["a", "b", "c"].map((letter) => letter.repeat(40)) as [string, string, string];
const repository = { default_branch: "trunk" };
const pull = { repository, pull_request: { base: { sha: base }, head: { sha: head } } };

const runOf = (event: string, more: Partial<Run> = {}): Run => ({
  ...{ event, ref: "refs/heads/trunk", commit, payload: { repository } },
  ...more,
});

function refusal(run: Run): string {
  try {
    return `went on: ${stageOf(run).kind}`;
  } catch (error) {
    if (!(error instanceof ExplainedError)) throw error;
    expect(error.code).toBe("run-refused");
    expect(error.remedy.length).toBeGreaterThan(0);
    return `${error.message}\n${error.remedy.join("\n")}`;
  }
}

describe("is live on the default branch", () => {
  test.each(["push", "workflow_dispatch", "repository_dispatch"])("%s", (event) => {
    expect(stageOf(runOf(event))).toEqual({ kind: "live" });
  });

  test("schedule, whose payload names no branch", () => {
    expect(stageOf(runOf("schedule", { payload: { schedule: "17 5 * * *" } }))).toEqual({ kind: "live" });
  });
});

describe("reviews a change", () => {
  test("pull_request", () => {
    const run = runOf("pull_request", { ref: "refs/pull/1/merge", payload: pull });
    expect(stageOf(run)).toEqual({ kind: "review", event: "pull_request", base: { base, head, commit } });
  });

  test("merge_group", () => {
    const run = runOf("merge_group", { payload: { merge_group: { base_sha: base, head_sha: head } } });
    expect(stageOf(run)).toEqual({ kind: "review", event: "merge_group", base: { base, head, commit } });
  });

  test.each([
    ["without commits", { ...pull, pull_request: {} }, commit],
    [
      "with a commit that git would take for an option",
      { pull_request: { base: { sha: "--output=x" }, head: { sha: head } } },
      commit,
    ],
    ["without the commit of the run", pull, ""],
  ])("not a payload %s", (_, payload, own) => {
    expect(refusal(runOf("pull_request", { payload, commit: own }))).toContain("does not name the commits to compare");
  });
});

describe("refuses", () => {
  test("pull_request_target, on whatever branch", () => {
    expect(refusal(runOf("pull_request_target", { payload: pull }))).toMatch(
      /^This workflow runs on pull_request_target: .*\n.*[\s\S]*on pull_request or merge_group, without an API token/,
    );
  });

  test.each(["workflow_run", "issue_comment", "issues", "release", "discussion", "workflow_call", ""])(
    "%s, which shows no will of the default branch",
    (event) => {
      expect(refusal(runOf(event))).toContain(`runs on ${event || "no event"}, which does not show`);
    },
  );

  test.each(["refs/heads/other", "refs/tags/trunk", "refs/tags/v1", "refs/heads/trunk/2", "trunk", ""])(
    "a push to %s",
    (ref) => {
      const text = refusal(runOf("push", { ref }));
      expect(text).toContain(`This run is of ${ref || "no branch"}. `);
      expect(text).toContain("At the job: if: github.ref == 'refs/heads/trunk'");
    },
  );

  test("a manual run on another branch", () => {
    expect(refusal(runOf("workflow_dispatch", { ref: "refs/heads/other" }))).toContain("refs/heads/other");
  });

  test.each([{}, { repository: {} }, { repository: { default_branch: "" } }])(
    "a payload without the branch: %j",
    (payload) => {
      expect(refusal(runOf("push", { payload }))).toContain("does not name the default branch");
    },
  );
});

describe("a review's token", () => {
  test("none is fine", () => {
    expect(() => refuseToken("pull_request", { variable: undefined, file: undefined })).not.toThrow();
  });

  test.each([
    [{ variable: "QUAY_API_TOKEN", file: undefined }, "QUAY_API_TOKEN"],
    [{ variable: undefined, file: "/run/token" }, "api-token-file"],
    [{ variable: "QUAY_API_TOKEN", file: "/run/token" }, "api-token-file"],
  ])("%j is refused by its name", (given, name) => {
    expect(() => refuseToken("merge_group", given)).toThrow(`(merge_group) and needs no API token, but ${name} is set`);
  });
});
