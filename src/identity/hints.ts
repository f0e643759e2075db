/** Where the job's platform keeps its token, known by the variables that it sets. Nothing is asked over a network. Pure. */
import type { Environment } from "../platform/environment.ts";
import { shellWord } from "../platform/text.ts";
import { mention, text, type Words } from "../platform/wording.ts";

type Hint = (audience: string) => Words;

/** Variables that a platform sets for each job (its documentation), and how the job gets its token there. */
const hints: readonly (readonly [variable: string, hint: Hint])[] = [
  [
    "GITLAB_CI",
    (audience) =>
      `GitLab: add to the job id_tokens: {QUAY_ID_TOKEN: {aud: ${/^[a-z](?:[\w./:-]*[\w/])?$/i.test(audience) ? audience : JSON.stringify(audience)}}}`,
  ],
  [
    "BUILDKITE",
    (audience) =>
      text`Buildkite: ${mention("token-command", `buildkite-agent oidc request-token --audience ${shellWord(audience)} --subject-claim pipeline_id`)}`,
  ],
  [
    "CIRCLECI",
    (audience) =>
      text`CircleCI: ${mention("token-command", `circleci run oidc get --claims ${shellWord(JSON.stringify({ aud: audience }))}`)}`,
  ],
  [
    "BITBUCKET_BUILD_NUMBER",
    () =>
      "Bitbucket: the subject of its tokens names the step, so no binding matches twice. Use the identity of a cloud's role instead.",
  ],
  [
    "SYSTEM_OIDCREQUESTURI",
    () => "Azure DevOps: the job asks for its token at SYSTEM_OIDCREQUESTURI, with System.AccessToken in its env.",
  ],
  ["SEMAPHORE", () => text`Semaphore: ${mention("token-env", "SEMAPHORE_OIDC_TOKEN")}`],
  [
    "TFC_RUN_ID",
    () =>
      text`HCP Terraform: set TFC_WORKLOAD_IDENTITY_AUDIENCE in the workspace, then ${mention("token-env", "TFC_WORKLOAD_IDENTITY_TOKEN")}`,
  ],
  ["SPACELIFT_OIDC_TOKEN", () => text`Spacelift: ${mention("token-env", "SPACELIFT_OIDC_TOKEN")}`],
  [
    "JENKINS_URL",
    () => "Jenkins: bind the credential OpenID Connect id token to the variable QUAY_ID_TOKEN (withCredentials).",
  ],
  ["FLY_MACHINE_ID", () => "Fly: the machine asks for its token at the socket /.fly/api."],
  [
    "AWS_EXECUTION_ENV",
    (audience) =>
      text`AWS: ${mention("token-command", `aws sts get-web-identity-token --audience ${shellWord(audience)} --signing-algorithm RS256 --duration-seconds 300 --query WebIdentityToken --output text`)}`,
  ],
];

/** @returns undefined if the platform is not known */
export const hintFor = (env: Environment, audience: string): Words | undefined =>
  hints.find(([variable]) => env[variable])?.[1](audience);
