/** Chooses the source of the identity token, and fetches the token. Only this file knows all sources. */
import { ExplainedError, unreachable } from "../platform/errors.ts";
import { isThere } from "../platform/fs.ts";
import type { PendingRequest } from "../platform/http.ts";
import type { Platform } from "../platform/platform.ts";
import { oneLine, withoutSecrets } from "../platform/text.ts";
import { mention, text } from "../platform/wording.ts";
import { findSource, type Source, socketVariable } from "./choice.ts";
import { nameOf } from "./command-words.ts";
import { readTokenFile } from "./file.ts";
import { endpointOf, fetchGitHubToken, missingGitHubEndpoint, openGitHub } from "./github.ts";
import { hintFor } from "./hints.ts";
import { conventionalTokenFile, conventionalVariable, type IdentityRequest } from "./source.ts";
import { usualSockets } from "./spiffe/endpoint.ts";
import { asIdentity, type Identity, readToken, type TokenFacts } from "./token.ts";
import { readTokenVariable } from "./variable.ts";

/** The source that was found or asked for, and why, for the log. */
export type IdentityChoice = Source & { readonly why: string };

/**
 * Chooses where the token comes from; `auto` takes the first source that exists.
 * @throws ExplainedError `identity-not-found`, or one of the `github-…` codes if GitHub gives the job no token
 */
export async function chooseIdentity(request: IdentityRequest, platform: Platform): Promise<IdentityChoice> {
  const { env } = platform;
  const { wanted, workflowRef } = request;
  const found = findSource(request, env);
  if (found) {
    return { ...found.source, why: `${originOf(found.source, env)}${found.reason}` };
  }
  if (wanted.source === "spiffe") {
    throw await withoutSocket();
  }
  if (wanted.source === "github" || env.GITHUB_ACTIONS === "true") {
    throw await missingGitHubEndpoint(workflowRef, platform);
  }
  throw await notFound(request.audience, env);
}

async function notFound(audience: string, env: Platform["env"]): Promise<ExplainedError> {
  const socket = await findSocket();
  const hint = hintFor(env, audience);
  return new ExplainedError("identity-not-found", "No identity token was found for this job.", {
    remedy: [
      `Looked for: GitHub's variables (ACTIONS_ID_TOKEN_REQUEST_URL), ${socketVariable}, ${conventionalVariable}, the file ${conventionalTokenFile}.`,
      ...(hint ? [hint] : []),
      socket
        ? text`There is a SPIFFE socket at ${socket}. To use it: ${mention("spiffe-socket", `unix://${socket}`)}`
        : text`Kubernetes: mount a projected service-account token there. SPIFFE: ${mention("spiffe-socket", "unix:///path")}. GitLab and others: ${mention("token-env", "NAME_OF_A_VARIABLE")}. A program that prints the token: ${mention("token-command", "COMMAND")}`,
    ],
  });
}

async function withoutSocket(): Promise<ExplainedError> {
  const socket = (await findSocket()) ?? usualSockets[0];
  return new ExplainedError(
    "identity-not-found",
    `The address of the SPIFFE Workload API is unknown: ${socketVariable} is not set.`,
    {
      remedy: [text`Set the address: ${mention("spiffe-socket", `unix://${socket}`)}`],
    },
  );
}

async function findSocket(): Promise<string | undefined> {
  for (const path of usualSockets) {
    if (await isThere(path)) {
      return path;
    }
  }
  return undefined;
}

/** Opens the connection that the source needs, before the token is fetched. */
export function openIdentity(choice: IdentityChoice, audience: string, platform: Platform): PendingRequest | undefined {
  return choice.source === "github" ? openGitHub(audience, platform) : undefined;
}

/**
 * Fetches the token, checks that it is a JWT, and masks it before it is used.
 * @param opened from `openIdentity`, for the first attempt
 * @throws ExplainedError for each way a source can fail, and `token-not-a-jwt`
 */
export async function fetchFacts(
  choice: IdentityChoice,
  audience: string,
  platform: Platform,
  opened?: PendingRequest,
): Promise<TokenFacts> {
  const token = await fetchToken(choice, audience, platform, opened);
  // Any other text is refused and printed nowhere. Masking it could mask ordinary words.
  const facts = readToken(token, {
    source: choice.source,
    origin: originOf(choice, platform.env),
    wantedAudience: audience,
  });
  platform.reporter.secret(token);
  return facts;
}

/** @throws ExplainedError as `fetchFacts` and `asIdentity` do */
export async function fetchIdentity(...source: Parameters<typeof fetchFacts>): Promise<Identity> {
  return asIdentity(await fetchFacts(...source));
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
      return readTokenFile(choice.path, platform.signal);
    case "environment":
      return readTokenVariable(choice.variable, platform.env);
    case "command": {
      const { runTokenCommand } = await import(/* webpackMode: "eager" */ "./command.ts");
      return runTokenCommand(choice, platform);
    }
    case "spiffe": {
      // Loaded only here: HTTP/2 costs time that the other sources do not need.
      const { fetchJwtSvid } = await import(/* webpackMode: "eager" */ "./spiffe/workload-api.ts");
      return fetchJwtSvid(choice, audience, platform);
    }
    default:
      return unreachable(choice);
  }
}

function originOf(source: Source, env: Platform["env"]): string {
  // A user may have put the token itself in the place of its path or name.
  const shown = (given: string) => withoutSecrets(oneLine(given, 4096));
  switch (source.source) {
    case "github":
      return endpointOf(env);
    case "file":
      return `the file ${shown(source.path)}`;
    case "environment":
      return `the variable ${shown(source.variable)}`;
    case "command":
      return `the command ${nameOf(source.words)}`;
    case "spiffe":
      return `the SPIFFE Workload API at ${shown(source.address)}`;
    default:
      return unreachable(source);
  }
}
