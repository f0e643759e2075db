/**
 * Subjects that a binding does not fit: those that never recur, of one tag, one pull request, one run; and those of one user or one
 * machine. Pure.
 */

interface IssuerAndSubject {
  readonly issuer?: string | undefined;
  readonly subject: string;
}

export interface Lasting {
  /** What the subject changes with, and how to get one that stays the same: lines for a remedy. */
  readonly advice: readonly string[];
  /** The one that stays the same; undefined if it depends on settings that can't be seen from here. */
  readonly subject: string | undefined;
}

/**
 * Knows the subjects of GitHub, Forgejo, GitLab, Buildkite, Semaphore, CircleCI, Bitbucket and Jenkins.
 * @returns undefined if the subject stays the same, as far as can be seen
 */
export function lastingInstead({ issuer = "", subject }: IssuerAndSubject): Lasting | undefined {
  const changes = changesWith(subject);
  if (changes === undefined) {
    return undefined;
  }
  const why = `The subject ${subject} changes with every ${changes}: a binding for it would match only once.`;
  const cure = cureOf(subject, issuer, changes);
  return { advice: [why, ...cure.advice], subject: cure.subject };
}

/** A subject is proposed only where the issuer builds exactly that one. */
function cureOf(subject: string, issuer: string, changes: string): Lasting {
  const claims = claimsOf(subject);
  if (claims === undefined) {
    return inWords(others.find(([form]) => form.test(subject))?.[1] ?? elsewhere);
  }
  const names = [...claims.keys()].join();
  switch (names.split(",")[0]) {
    case "project_path":
      return /^project_path,(?:ref_type,ref|ref,ref_type)$/.test(names)
        ? ofGitLab(claims, changes)
        : inWords(elsewhere);
    case "organization":
      return inWords(ofBuildkite);
    case "org":
      return inWords(elsewhere);
    default:
      return issuer.endsWith("/api/actions")
        ? inWords(ofForgejo)
        : names === "repo,ref"
          ? ofEnvironment(`repo:${claims.get("repo")}`)
          : inWords(ofTemplate);
  }
}

const inWords = (advice: readonly string[]): Lasting => ({ advice, subject: undefined });

const elsewhere = ["Have the issuer build it from what stays the same: the repository and an environment."];

/** Its documentation has no subject that names an environment. */
const ofForgejo = [
  "Log in from a job of a branch that stays, such as main: its subject names the branch, and is the same in each run.",
];

const ofTemplate = [
  "The repository or its organization has a template of its own for subjects (GitHub's REST API: actions/oidc/customization/sub).",
  "Have it name only what stays the same. Where it includes the context, give the job an environment, which then takes the place of the ref.",
];

const ofEnvironment = (repository: string): Lasting => ({
  advice: [
    "Give the job an environment: the subject then names the environment, and stays the same. In the workflow, in the job:",
    "  environment: release",
    "Settings > Environments > release > Deployment branches and tags says who may use it.",
  ],
  subject: `${repository}:environment:release`,
});

/** GitLab takes `project_path`, `ref_type` and `ref`, with `project_path` first (gitlab-org/gitlab#477260). */
function ofGitLab(claims: Claims, changes: string): Lasting {
  const [project = "", type = ""] = [claims.get("project_path"), claims.get("ref_type")];
  const [kind, all] = type === "tag" ? ["tag", "tags"] : ["branch", "branches"];
  return {
    advice: [
      `Have GitLab (17.10 or newer) leave the ${kind} out: ci_id_token_sub_claim_components: ["project_path", "ref_type"], through the API of the project.`,
      `The subject is then the same for all ${all} of the project${changes === "merge request" ? ", and for its merge requests" : ""}.`,
    ],
    subject: `project_path:${project}:ref_type:${type}`,
  };
}

const ofBuildkite = [
  "Have Buildkite name the pipeline alone (agent of April 2026 or newer): add --subject-claim pipeline_id to buildkite-agent oidc request-token.",
  "The subject is then the pipeline's id, the same for all its branches.",
];

/** By the form of a subject that is no list of claims. */
const others: readonly (readonly [form: RegExp, advice: readonly string[]])[] = [
  [
    /^\{/,
    [
      "Bitbucket has no other subject, so no binding works for its own tokens. What works is the identity of a role that the step takes:",
      "AWS: aws sts assume-role-with-web-identity, then token-command aws sts get-web-identity-token, whose subject is the role.",
      "Or run the step on a runner of your own in Kubernetes, with the token of its service account.",
    ],
  ],
  [
    /^org\//,
    ["Take the token in CIRCLE_OIDC_TOKEN, whose audience is the organization's id: its subject ends with the user."],
  ],
  [/^https?:/, ["Leave the number of the build out of the claim sub: Jenkins' default is the address of the job."]],
];

type Claims = ReadonlyMap<string, string>;

/** The names that a list of claims begins with: those of GitHub and Forgejo, GitLab, Semaphore and Buildkite. */
const firstNames =
  /^(?:repo|repository|repository_(?:id|owner|owner_id|visibility)|actor|actor_id|environment|event_name|context|enterprise|enterprise_id|runner_environment|(?:base|head)_ref|ref|ref_type|ref_protected|sha|(?:job_)?workflow_(?:ref|sha)|workflow|run_(?:id|number|attempt)|check_run_id|project_path|org|organization)$/;

/**
 * `NAME:VALUE:NAME:VALUE` in its order, so that a value is never taken for a name. GitHub writes a colon in a value as %3A; its
 * `pull_request` has no value.
 * @returns undefined if the subject is no such list
 */
function claimsOf(subject: string): Claims | undefined {
  const words = subject.split(":");
  if (!firstNames.test(words[0] ?? "") || words.length < 2) {
    return undefined;
  }
  const claims = new Map<string, string>();
  for (let at = 0; at < words.length; ) {
    const name = words[at] ?? "";
    const hasValue = name !== "pull_request";
    claims.set(name, hasValue ? (words[at + 1] ?? "") : "");
    at += hasValue ? 2 : 1;
  }
  return claims;
}

/** Bots that make a branch for each change. release-please and changesets use one branch again and again. */
const bots = /^(?:(?:dependabot|renovate|copilot)\/|snyk-(?:fix|upgrade)-[0-9a-f]{16})/;

/** A tag without a digit, such as nightly, is one that moves. */
const ofTag = (tag: string): string | undefined => (/[0-9]/.test(tag) ? "tag" : undefined);

const ofBranch = (branch: string): string | undefined =>
  branch.startsWith("gh-readonly-queue/")
    ? "run of the merge queue"
    : bots.test(branch)
      ? "branch that a bot makes"
      : undefined;

function ofRef(ref: string, type: string | undefined): string | undefined {
  const [, kind, rest = ""] = /^refs\/(heads|tags|pull|merge-requests)\/(.*)$/.exec(ref) ?? [];
  switch (kind) {
    case "heads":
      return ofBranch(rest);
    case "tags":
      return ofTag(rest);
    case "pull":
      return "pull request";
    case "merge-requests":
      return "merge request";
    default:
      // GitLab writes the name alone.
      return type === "tag" ? ofTag(ref) : ofBranch(ref);
  }
}

/** A workflow's file is PATH@REF or PATH@COMMIT. One that is pinned by a commit stays the same. */
const refOfFile = (file: string): string => file.slice(file.lastIndexOf("@") + 1);

const changing: Readonly<Record<string, (value: string, claims: Claims) => string | undefined>> = {
  ref: (ref, claims) => ofRef(ref, claims.get("ref_type")),
  ref_type: (type) => (type === "pr" || type === "pull-request" ? "pull request" : undefined),
  head_ref: (branch) => (branch === "" ? undefined : "pull request"),
  workflow_ref: (file) => ofRef(refOfFile(file), undefined),
  // A reusable workflow may be pinned by a tag.
  job_workflow_ref: (file) =>
    refOfFile(file).startsWith("refs/tags/") ? undefined : ofRef(refOfFile(file), undefined),
  commit: () => "commit",
  sha: () => "commit",
  workflow_sha: () => "commit",
  job_workflow_sha: () => "commit",
  run_id: () => "run",
  run_number: () => "run",
  run_attempt: () => "run",
  check_run_id: () => "run",
  pipeline_id: () => "run",
  pipeline_iid: () => "run",
  job_id: () => "run",
};

/** What it changes with, in few words. undefined: it stays the same. */
export function changesWith(subject: string): string | undefined {
  const claims = claimsOf(subject);
  if (claims) {
    const found = [...claims]
      .map(([name, value]) => changing[name]?.(value, claims))
      .filter((each) => each !== undefined);
    // A tag or branch matters less than what changes within it.
    return found.find((each) => !once.has(each)) ?? found[0];
  }
  // Bitbucket: {REPOSITORY}[:{ENVIRONMENT}]:{STEP}
  if (/^\{[0-9a-f-]{36}\}(?::\{[0-9a-f-]{36}\}){1,2}$/.test(subject)) {
    return "step";
  }
  // CircleCI's second kind of token
  const [, ref] = /^org\/[^/]+\/project\/[^/]+\/user\/[^/]+\/vcs-origin\/.*\/vcs-ref\/(refs\/.+)$/.exec(subject) ?? [];
  if (ref !== undefined) {
    return ofRef(ref, undefined);
  }
  // Jenkins: the address of a build instead of its job's
  return /^https?:\/\/.*\/job\/[^/]+\/[0-9]+\/?$/.test(subject) ? "build" : undefined;
}

/** What a subject changes with that names what comes only once, such as a release's tag. Each of its runs has the same. */
export const once: ReadonlySet<string> = new Set(["tag", "branch that a bot makes"]);

/** A subject that stays the same, but not for all of a pipeline or app. */
export interface Narrow {
  /** A sentence: whom a binding for it matches. */
  readonly says: string;
  /** Lines for a remedy. */
  readonly advice: readonly string[];
}

/**
 * Knows CircleCI's `org/ORG/project/PROJECT/user/USER[…]` and Fly's `ORG:APP:MACHINE`.
 * @returns undefined if a binding for the subject matches all that it seems to
 */
export function narrowed({ issuer = "", subject }: IssuerAndSubject): Narrow | undefined {
  if (/^org\/[^/]+\/project\/[^/]+\/user\/[^/]+/.test(subject)) {
    return {
      says: `The subject ${subject} names the user who starts the pipeline: a binding for it matches no other user's pipelines.`,
      advice: [
        "Add a binding for each user who may push, or have a machine user start the pipelines that push, such as scheduled ones.",
      ],
    };
  }
  if (/^https:\/\/oidc\.fly\.io\//.test(issuer) && /^[^:]+:[^:]+:[^:]+$/.test(subject)) {
    return {
      says: `The subject ${subject} names one machine of the app: a binding for it matches no other machine.`,
      advice: ["Add a binding for each machine that logs in, and another one when a machine is replaced."],
    };
  }
  return undefined;
}
