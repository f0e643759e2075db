/** Which identity this place has, and its token. The one place that knows all sources. */
import { LoginError, unreachable } from "../errors.ts";
import { isThere } from "../platform/folders.ts";
import type { PendingRequest } from "../platform/http.ts";
import type { Platform } from "../platform/platform.ts";
import { conventionalTokenFile, type IdentityRequest, type LoginRequest } from "../request.ts";
import { readTokenVariable } from "./environment.ts";
import { readTokenFile } from "./file.ts";
import { fetchGitHubToken, hasGitHubEndpoint, missingGitHubEndpoint, openGitHub } from "./github.ts";
import { type Identity, readIdentity } from "./token.ts";

/** A source that was found or asked for, with the reason, for the log. */
export type IdentityChoice = Source & { readonly why: string };

type Source = Exclude<IdentityRequest, { source: "auto" }>;

/**
 * Decides where the token comes from; `auto` takes the first that is there.
 * @throws LoginError `identity-not-found`, or one of the `github-…` codes where GitHub withholds its token
 */
export async function chooseIdentity(request: LoginRequest, platform: Platform): Promise<IdentityChoice> {
  const wanted = request.identity;
  if (wanted.source === "file" || wanted.source === "environment") {
    return { ...wanted, why: originOf(wanted) };
  }
  if (hasGitHubEndpoint(platform.env)) {
    const github: Source = { source: "github" };
    return { ...github, why: `${originOf(github)}, which this job may use` };
  }
  if (wanted.source === "github") {
    throw await missingGitHubEndpoint(request, platform);
  }
  if (await isThere(conventionalTokenFile)) {
    const file: Source = { source: "file", path: conventionalTokenFile };
    return { ...file, why: `${originOf(file)}, which is there` };
  }
  if (platform.env.GITHUB_ACTIONS === "true") {
    throw await missingGitHubEndpoint(request, platform);
  }
  throw new LoginError("identity-not-found", "This place gives the job no identity token that could be found.", {
    remedy: [
      `Looked for: GitHub's variables (ACTIONS_ID_TOKEN_REQUEST_URL), the file ${conventionalTokenFile}.`,
      "Kubernetes: mount a projected service-account token there. GitLab and others: token-env: NAME_OF_A_VARIABLE.",
    ],
  });
}

/** Opens the connection that the source needs, so that its handshake is over when the token is fetched. */
export function openIdentity(choice: IdentityChoice, audience: string, platform: Platform): PendingRequest | undefined {
  return choice.source === "github" ? openGitHub(audience, platform) : undefined;
}

/**
 * Fetches the token, hides it from all output before anything else is done with it, and reads it.
 * @param opened from `openIdentity`, for the first attempt
 * @throws LoginError for each way a source can fail, and those of `readIdentity`
 */
export async function fetchIdentity(
  choice: IdentityChoice,
  audience: string,
  platform: Platform,
  opened?: PendingRequest,
): Promise<Identity> {
  const token = await fetchToken(choice, audience, platform, opened);
  platform.reporter.secret(token);
  return readIdentity(token, originOf(choice), choice.source === "github");
}

async function fetchToken(
  choice: IdentityChoice,
  audience: string,
  platform: Platform,
  opened: PendingRequest | undefined,
): Promise<string> {
  switch (choice.source) {
    case "github":
      return fetchGitHubToken(audience, platform, opened);
    case "file":
      return readTokenFile(choice.path);
    case "environment":
      return readTokenVariable(choice.variable, platform.env);
    default:
      return unreachable(choice);
  }
}

function originOf(source: Source): string {
  switch (source.source) {
    case "github":
      return "GitHub's token endpoint";
    case "file":
      return `the file ${source.path}`;
    case "environment":
      return `the variable ${source.variable}`;
    default:
      return unreachable(source);
  }
}
