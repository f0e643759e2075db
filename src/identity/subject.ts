/** Subjects that never recur: of one tag, one pull request, one run. A binding for one of them would match once. Pure. */

export interface Lasting {
  /** What the subject changes with, and how to get one that stays the same: lines for a remedy. */
  readonly advice: readonly string[];
  /** The one that stays the same; undefined if it depends on settings that can't be seen from here. */
  readonly subject: string | undefined;
}

/**
 * Knows GitHub's (also Forgejo's) `repo:OWNER/NAME:ref:REF`, GitLab's `project_path:GROUP/NAME:ref_type:TYPE:ref:REF`, customized forms
 * of GitHub's, Buildkite's and Bitbucket's.
 * @returns undefined if the subject stays the same, as far as can be seen
 */
export function lastingInstead({ subject }: { readonly subject: string }): Lasting | undefined {
  const changes = changesWith(subject);
  if (changes === undefined) {
    return undefined;
  }
  const why = `The subject ${subject} changes with every ${changes}: a binding for it would match only once.`;
  const [, repository] = /^(repo:[^:]+):ref:/.exec(subject) ?? [];
  if (repository !== undefined) {
    return {
      advice: [
        why,
        "Give the job an environment: the subject then names the environment, and stays the same. In the workflow, in the job:",
        "  environment: release",
        "Settings > Environments > release > Deployment branches and tags says who may use it.",
      ],
      subject: `${repository}:environment:release`,
    };
  }
  const [, project] = /^(project_path:[^:]+:ref_type:tag):ref:/.exec(subject) ?? [];
  if (project !== undefined) {
    return {
      advice: [
        why,
        'Have GitLab (17.10 or newer) leave the tag out: ci_id_token_sub_claim_components: ["project_path", "ref_type"], through the API of the project.',
      ],
      subject: project,
    };
  }
  return {
    advice: [why, "Have the issuer build it from what stays the same: the repository and an environment."],
    subject: undefined,
  };
}

const passing: readonly (readonly [form: RegExp, changesWith: string])[] = [
  [/:ref:refs\/heads\/gh-readonly-queue\//, "run of the merge queue"],
  [/:ref:refs\/tags\/|:ref_type:tag:ref:/, "tag"],
  [/refs\/(?:pull|merge-requests)\/[0-9]+\//, "pull request"],
  [
    /:ref:refs\/heads\/(?:dependabot|renovate|snyk-[a-z-]+|copilot|release-please--branches|changeset-release)[/-]/,
    "branch that a bot makes",
  ],
  [/(?:^|:)(?:run_id|run_number|run_attempt|build_id|build_number|pipeline_id|pipeline_iid|job_id|step_id):/, "run"],
  // A pinned workflow is name@commit: it stays the same.
  [/(?:^|:)(?:commit|sha|workflow_sha|job_workflow_sha):|(?:^|[:/])[0-9a-f]{40}(?:[0-9a-f]{24})?(?=$|[:/])/, "commit"],
  // Bitbucket: {REPOSITORY}[:{ENVIRONMENT}]:{STEP}
  [/^\{[0-9a-f-]{36}\}(?::\{[0-9a-f-]{36}\}){1,2}$/, "step"],
];

/** What it changes with, in few words. undefined: it stays the same. */
export const changesWith = (subject: string): string | undefined => passing.find(([form]) => form.test(subject))?.[1];
