/** Subjects that don't come again: of one tag, one pull request, one run. A binding for such a one would fit once. Pure. */

export interface Lasting {
  /** What the subject changes with, and how to get one that stays: lines for a remedy. */
  readonly advice: readonly string[];
  /** The one that stays; undefined where it depends on settings that can't be seen from here. */
  readonly subject: string | undefined;
}

/**
 * GitHub's (also Forgejo's) `repo:OWNER/NAME:ref:REF`, GitLab's `project_path:GROUP/NAME:ref_type:TYPE:ref:REF`, and what owners
 * have made of GitHub's.
 * @returns undefined where the subject stays, as far as one can see
 */
export function lastingInstead({ subject }: { readonly subject: string }): Lasting | undefined {
  const changes = changesWith(subject);
  if (changes === undefined) {
    return undefined;
  }
  const why = `The subject ${subject} changes with every ${changes}: a binding for it would fit only once.`;
  const [, repository] = /^(repo:[^:]+):ref:/.exec(subject) ?? [];
  if (repository !== undefined) {
    return {
      advice: [
        why,
        "Give the job an environment: the subject is then made of that, and stays. In the workflow, in the job:",
        "  environment: release",
        "Who may use it is set under Settings > Environments > release > Deployment branches and tags.",
      ],
      subject: `${repository}:environment:release`,
    };
  }
  const [, project] = /^(project_path:[^:]+:ref_type:tag):ref:/.exec(subject) ?? [];
  if (project !== undefined) {
    return {
      advice: [
        why,
        'Have GitLab (17.10 or newer) leave the tag out: ci_id_token_sub_claim_components: ["project_path", "ref_type"], by the API of the project.',
      ],
      subject: project,
    };
  }
  return {
    advice: [why, "Have the issuer make it of what stays: the repository, and an environment."],
    subject: undefined,
  };
}

const passing: readonly (readonly [form: RegExp, changesWith: string])[] = [
  [/:ref:refs\/heads\/gh-readonly-queue\//, "run of the merge queue"],
  [/:ref:refs\/tags\/|:ref_type:tag:ref:/, "tag"],
  [/:ref:refs\/pull\//, "pull request"],
  [
    /:ref:refs\/heads\/(?:dependabot|renovate|snyk-[a-z-]+|copilot|release-please--branches|changeset-release)[/-]/,
    "branch that a bot makes",
  ],
  [/:(?:run_id|run_number|run_attempt|sha|pipeline_id|job_id):/, "run"],
];

/** In few words, for a line of its own; undefined: it stays. */
export const changesWith = (subject: string): string | undefined => passing.find(([form]) => form.test(subject))?.[1];
