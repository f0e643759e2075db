/** What a run of the Action federate does, by its event. Pure. */
import { ExplainedError } from "../platform/errors.ts";
import { isObject } from "../platform/json.ts";
import { mention, text } from "../platform/wording.ts";

/** GitHub's variables and the event's payload, which has no fixed form. */
export interface Run {
  /** GITHUB_EVENT_NAME */
  readonly event: string;
  /** GITHUB_REF */
  readonly ref: string;
  /** GITHUB_SHA */
  readonly commit: string;
  readonly payload: Readonly<Record<string, unknown>>;
}

export type Stage =
  /** What the file changes; without a token, and without a request to Quay. */
  | { readonly kind: "review"; readonly event: string; readonly base: Base }
  /** Quay is compared with the file, and changed unless `check` is set. */
  | { readonly kind: "live" };

/** Commits of a change, as 40 or 64 hexadecimal digits. */
export interface Base {
  /** The base branch when the event came. */
  readonly base: string;
  readonly head: string;
  /** The commit of the run: for a pull request, GitHub's merge of `head` into the base branch. */
  readonly commit: string;
}

/** Where only those who may push to the default branch, or whom its owner lets start the workflow, decide what runs. */
const trusted = ["push", "schedule", "workflow_dispatch", "repository_dispatch"];

/** @throws ExplainedError `run-refused` where neither a review nor a live run is safe */
export function stageOf(run: Run): Stage {
  const { event, payload } = run;
  if (event === "pull_request" || event === "merge_group") {
    const { base, head } =
      event === "merge_group"
        ? { base: at(payload, "merge_group", "base_sha"), head: at(payload, "merge_group", "head_sha") }
        : { base: at(payload, "pull_request", "base", "sha"), head: at(payload, "pull_request", "head", "sha") };
    if (!isCommit(base) || !isCommit(head) || !isCommit(run.commit)) {
      throw refused(`The payload of this ${event} (GITHUB_EVENT_PATH) does not name the commits to compare.`);
    }
    return { kind: "review", event, base: { base, head, commit: run.commit } };
  }
  if (event === "pull_request_target") {
    throw refused(
      "This workflow runs on pull_request_target: a pull request of any fork would run with the secrets of this repository.",
    );
  }
  if (!trusted.includes(event)) {
    throw refused(
      `This workflow runs on ${event || "no event"}, which does not show that the default branch has asked for it.`,
    );
  }
  assertDefaultBranch(run);
  return { kind: "live" };
}

function assertDefaultBranch({ event, ref, payload }: Run): void {
  // A scheduled workflow runs on the default branch only, and has a payload without a repository (GitHub docs, "schedule").
  if (event === "schedule") {
    return;
  }
  const name = at(payload, "repository", "default_branch");
  if (typeof name !== "string" || name === "") {
    throw refused(
      `The payload of this ${event} (GITHUB_EVENT_PATH) does not name the default branch, and ${ref || "this run"} may be another one.`,
    );
  }
  if (ref !== `refs/heads/${name}`) {
    throw refused(
      `This run is of ${ref || "no branch"}. Quay is compared and changed on the default branch only: ${name}.`,
      `At the job: if: github.ref == 'refs/heads/${name}'`,
    );
  }
}

const refused = (what: string, ...remedy: readonly string[]): ExplainedError =>
  new ExplainedError("run-refused", `${what} Nothing was sent to Quay.`, {
    remedy: [
      ...remedy,
      "To apply or check the trust: on push to the default branch, schedule or workflow_dispatch.",
      "To review a change: on pull_request or merge_group, without an API token.",
    ],
  });

/**
 * A change may come from anyone, and can change what its run does.
 * @param given where an API token was given: a variable, or the input api-token-file
 * @throws ExplainedError `run-refused`
 */
export function refuseToken(
  event: string,
  given: { readonly variable: string | undefined; readonly file: string | undefined },
): void {
  const what = given.file === undefined ? given.variable : mention("api-token-file");
  if (what !== undefined) {
    throw new ExplainedError(
      "run-refused",
      text`This run reviews a change (${event}) and needs no API token, but ${what} is set. Nothing was sent to Quay.`,
      {
        remedy: [
          "The author of a change decides what its run does: with a token, a pull request could change who may push.",
          text`Remove ${what} from the step, the job and the workflow. Set it in a job of its own, with if: github.event_name != '${event}' and an environment that has required reviewers.`,
        ],
      },
    );
  }
}

const isCommit = (value: unknown): value is string =>
  typeof value === "string" && /^(?:[0-9a-f]{40}|[0-9a-f]{64})$/.test(value);

function at(value: unknown, ...path: readonly string[]): unknown {
  return path.reduce((inner: unknown, key) => (isObject(inner) ? inner[key] : undefined), value);
}
