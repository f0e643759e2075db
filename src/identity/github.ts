/** The OIDC token that GitHub or Forgejo has for the job, and why it may be missing. */
import { join } from "node:path";
import type { Environment } from "../platform/environment.ts";
import { ExplainedError } from "../platform/errors.ts";
import { FileFailure, maxSize, readTextWithin } from "../platform/files.ts";
import { type HttpAnswer, HttpFailure, type PendingRequest } from "../platform/http.ts";
import { isObject, parseObject } from "../platform/json.ts";
import type { Platform } from "../platform/platform.ts";
import { shortestSecret } from "../platform/reporter.ts";
import { type Attempt, persistenceOf, retry } from "../platform/retry.ts";
import { reasonIn } from "../platform/text.ts";
import { mention, text } from "../platform/wording.ts";
import { secretVariable, urlVariable } from "./choice.ts";
import { type Forge, forgeOf } from "./forge.ts";

export function openGitHub(audience: string, platform: Platform): PendingRequest {
  const url = endpoint(platform.env, audience);
  // ca-file is for Quay and the issuer: a server that only it trusts must not get GitHub's request token.
  return platform.http.open(url, { timeoutMs: 20_000, maxBytes: 65_536 }, "GET", "machine");
}

/** For messages: `GitHub's token endpoint`. */
export const endpointOf = (env: Environment): string => `${forgeOf(env)}'s token endpoint`;

/**
 * `GET $ACTIONS_ID_TOKEN_REQUEST_URL&audience=…` answers `{"value": "<JWT>"}`.
 * @param opened from `openGitHub`, for the first attempt
 * @throws ExplainedError `identity-endpoint-refused`, `identity-endpoint-failed`, `tls-untrusted`
 */
export async function fetchGitHubToken(audience: string, platform: Platform, opened?: PendingRequest): Promise<string> {
  let ready: PendingRequest | undefined = opened ?? openGitHub(audience, platform);
  const secret = platform.env[secretVariable] ?? "";
  const forge = forgeOf(platform.env);
  if (secret.length < shortestSecret) {
    throw failed(
      forge,
      `${secretVariable} has fewer than ${shortestSecret} characters: too short to be a secret, and too short to mask`,
    );
  }
  platform.reporter.secret(secret);
  return retry(platform, endpointOf(platform.env), async (): Promise<Attempt<string>> => {
    const request = ready ?? openGitHub(audience, platform);
    ready = undefined;
    let answer: HttpAnswer;
    try {
      answer = await request.send({ authorization: `bearer ${secret}`, accept: "application/json" });
    } catch (cause) {
      if (!(cause instanceof HttpFailure)) {
        throw cause;
      }
      return {
        retry: persistenceOf(cause),
        error: cause.kind === "untrusted" ? untrusted(forge, cause) : failed(forge, cause.message, cause),
      };
    }
    return readAnswer(answer, platform);
  });
}

function endpoint(env: Environment, audience: string): URL {
  const base = env[urlVariable] ?? "";
  if (!URL.canParse(base) || !/^https?:/i.test(base)) {
    throw failed(forgeOf(env), `${urlVariable} is not an address`);
  }
  const url = new URL(base);
  url.searchParams.set("audience", audience);
  return url;
}

function readAnswer(answer: HttpAnswer, platform: Platform): Attempt<string> {
  const forge = forgeOf(platform.env);
  if (answer.status !== 200) {
    const reason = reasonIn(answer.body);
    const answered = `it answered ${answer.status}${reason ? `: "${reason}"` : ""}`;
    const error =
      answer.status >= 500 || answer.status === 429
        ? failed(forge, answered)
        : new ExplainedError("identity-endpoint-refused", `${forge}'s token endpoint refused this job: ${answered}.`, {
            remedy: [
              `Check that the job has ${forge === "GitHub" ? "permissions: id-token: write" : "enable-openid-connect: true"}, that it is still running, and that the organization allows the audience.`,
            ],
          });
    return { retry: error.code === "identity-endpoint-failed" ? "patient" : "no", error, answer };
  }
  const body = parseObject(answer.body);
  if (typeof body?.value === "string" && body.value !== "") {
    return { value: body.value };
  }
  if (body === undefined) {
    platform.reporter.debug(`the answer of ${forge}'s token endpoint is not JSON`); // not quoted: it may contain half a token
  }
  return { retry: "quick", error: failed(forge, "its answer holds no token") };
}

function failed(forge: Forge, why: string, cause?: unknown): ExplainedError {
  const check =
    forge === "GitHub"
      ? "githubstatus.com, and the network between the runner and GitHub"
      : `that ${forge} is up, and the network between the runner and ${forge}`;
  return new ExplainedError("identity-endpoint-failed", `${forge}'s token endpoint gave no identity token: ${why}.`, {
    remedy: [`Run the job again. If it keeps failing, check ${check}.`],
    cause,
  });
}

function untrusted(forge: Forge, cause: HttpFailure): ExplainedError {
  return new ExplainedError("tls-untrusted", `${forge}'s token endpoint cannot be verified: ${cause.message}.`, {
    remedy: [
      text`It is verified with the machine's own root certificates; ${mention("ca-file")} does not apply here.`,
      `For a ${forge === "GitHub" ? "GitHub Enterprise" : forge} with a private authority, set NODE_EXTRA_CA_CERTS=/path/to/root.pem or NODE_USE_SYSTEM_CA=1 in the step's env.`,
      "TLS verification cannot be turned off, not even by NODE_TLS_REJECT_UNAUTHORIZED.",
    ],
    cause,
  });
}

/**
 * Why the runner set no variables. It does not say; the event, the actor and the workflow do. Runs of Dependabot have the
 * permissions that their workflow names, or read-only ones if it names none.
 * @param workflowRef the workflow file that defines this job, if GitHub names it
 * @returns one of `github-fork`, `github-dependabot`, `github-reusable-workflow`, `github-permission-missing`; `identity-not-found` on Gitea
 */
export async function missingGitHubEndpoint(
  workflowRef: string | undefined,
  { env, signal }: Platform,
): Promise<ExplainedError> {
  const forge = forgeOf(env);
  if (forge === "Gitea") {
    return withoutIdentities();
  }
  const event = env.GITHUB_EVENT_NAME ?? "";
  const skip = text`To let such runs continue without a login: ${mention("without-identity", "skip")}`;
  const isOfDependabot = env.GITHUB_ACTOR === "dependabot[bot]";
  if (isOfDependabot && (await grantsIdentity(env, signal))) {
    return new ExplainedError(
      "github-dependabot",
      "GitHub gives no identity to this run, which Dependabot started, although its workflow has id-token: write.",
      {
        remedy: [
          "If another job has that permission, add it to this job. Otherwise let Dependabot's runs build without",
          "pushing, and push from a run that a person or a merge starts.",
          skip,
        ],
      },
    );
  }
  // pull_request_target runs with the rights of the base repository: a fork is not the reason there.
  if (/^pull_request(?!_target)/.test(event) && (await isFromFork(env, signal))) {
    return new ExplainedError("github-fork", `${forge} gives no identity to a pull request from a fork.`, {
      remedy: ["Build without pushing here; push after the merge, in a run of this repository.", skip],
    });
  }
  if (forge === "Forgejo") {
    return permissionMissingOnForgejo(env.GITHUB_JOB ?? "");
  }
  if (workflowRef && env.GITHUB_WORKFLOW_REF && workflowRef !== env.GITHUB_WORKFLOW_REF) {
    return new ExplainedError(
      "github-reusable-workflow",
      `This job is in the reusable workflow ${workflowRef}, whose caller does not grant id-token: write.`,
      {
        remedy: [
          `Add to the job that calls it, in ${env.GITHUB_WORKFLOW_REF}:`,
          ...permission.map((line) => `  ${line}`),
        ],
      },
    );
  }
  return permissionMissing(env.GITHUB_JOB ?? "", isOfDependabot);
}

const permission = ["permissions:", "  contents: read", "  id-token: write"];

const permissionMissing = (job: string, isOfDependabot: boolean): ExplainedError =>
  new ExplainedError(
    "github-permission-missing",
    `The job ${job} has no permission to request an identity token from GitHub.`,
    {
      remedy: [
        "Add to the job (its own permissions block replaces the workflow's):",
        ...permission.map((line) => `  ${line}`),
        "If the job is in a reusable workflow, add the same to the job that calls it.",
        ...(isOfDependabot ? ["Runs of Dependabot need this too: by default their permissions are read-only."] : []),
      ],
    },
  );

const permissionMissingOnForgejo = (job: string): ExplainedError =>
  new ExplainedError(
    "github-permission-missing",
    `The job ${job} has no permission to request an identity token from Forgejo.`,
    {
      remedy: ["Add to the job, or at the top of the workflow (Forgejo 15 or newer):", "  enable-openid-connect: true"],
    },
  );

const withoutIdentities = (): ExplainedError =>
  new ExplainedError("identity-not-found", "Gitea has no identity tokens for its jobs.", {
    remedy: [
      "Forgejo, which speaks the same workflows, has them since version 15.",
      text`To use another issuer's token, set ${mention("token-file", "/path")} or ${mention("token-command", "vault read -field=token identity/oidc/token/quay")}`,
    ],
  });

/** Whether the workflow's file, if it is checked out, gives the permission to any job. */
async function grantsIdentity(
  { GITHUB_WORKSPACE = "", GITHUB_WORKFLOW_REF = "" }: Environment,
  signal: AbortSignal,
): Promise<boolean> {
  const [, path] = /^[^/]+\/[^/]+\/(\.github\/workflows\/[^/@]+)@/.exec(GITHUB_WORKFLOW_REF) ?? [];
  try {
    const text = path === undefined ? "" : await readTextWithin(join(GITHUB_WORKSPACE, path), maxSize.event, signal);
    return /^[^#\n]*(?:\bid-token["']?:\s*["']?write\b|\bpermissions["']?:\s*["']?write-all\b)/m.test(text);
  } catch {
    return false;
  }
}

async function isFromFork(env: Environment, signal: AbortSignal): Promise<boolean> {
  try {
    const event = parseObject(await readTextWithin(env.GITHUB_EVENT_PATH ?? "", maxSize.event, signal));
    const head = isObject(event?.pull_request) ? event.pull_request.head : undefined;
    // A fork that was deleted meanwhile leaves `repo: null`.
    const repository = isObject(head) && isObject(head.repo) ? head.repo.full_name : undefined;
    return isObject(head) && repository !== env.GITHUB_REPOSITORY;
  } catch (error) {
    if (error instanceof FileFailure) {
      return false;
    }
    throw error;
  }
}
