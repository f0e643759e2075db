/**
 * Which source of the identity token there is in this place. Synchronous and without what fetches the token: the credential helper asks
 * before it looks into its cache.
 */
import { existsSync } from "node:fs";
import type { Environment } from "../platform/environment.ts";
import { variable } from "../platform/wording.ts";
import {
  conventionalTokenFile,
  conventionalVariable,
  type IdentityRequest,
  type IdentitySource,
  parseSocket,
} from "./source.ts";
import type { SvidRequest } from "./spiffe/endpoint.ts";

export type Source =
  | Exclude<IdentitySource, { source: "auto" | "spiffe" }>
  | ({ readonly source: "spiffe" } & SvidRequest);

export interface Found {
  readonly source: Source;
  /** Why it was taken, as a phrase that can follow its name; "" if it was asked for. */
  readonly reason: string;
}

/** The SPIFFE Workload Endpoint specification, section 4. */
export const socketVariable = "SPIFFE_ENDPOINT_SOCKET";

/**
 * The runner sets both for every step of a job that has `permissions: id-token: write`, in Forgejo 15 and newer
 * `enable-openid-connect: true` (Forgejo's documentation, Security OpenID Connect).
 */
export const urlVariable = "ACTIONS_ID_TOKEN_REQUEST_URL";
export const secretVariable = "ACTIONS_ID_TOKEN_REQUEST_TOKEN";

export const hasGitHubEndpoint = (env: Environment): boolean => Boolean(env[urlVariable] && env[secretVariable]);

/**
 * The source that was asked for; with `auto`, the first one that exists.
 * @returns undefined if there is none
 * @throws ExplainedError `invalid-input` if SPIFFE_ENDPOINT_SOCKET is not an address
 */
export function findSource({ wanted, spiffeId: id }: IdentityRequest, env: Environment): Found | undefined {
  const because = (source: Source, reason = ""): Found => ({ source, reason });
  const ofVariable = () => parseSocket(variable(socketVariable), env[socketVariable] ?? "");
  if (wanted.source === "file" || wanted.source === "environment" || wanted.source === "command") {
    return because(wanted);
  }
  if (wanted.source === "spiffe") {
    const socket = wanted.socket ?? (env[socketVariable] ? ofVariable() : undefined);
    return socket && because({ source: "spiffe", ...socket, id });
  }
  if (hasGitHubEndpoint(env)) {
    return because({ source: "github" }, ", which this job may use");
  }
  if (wanted.source === "github") {
    return undefined;
  }
  if (env[socketVariable]) {
    return because({ source: "spiffe", ...ofVariable(), id }, `, which ${socketVariable} names`);
  }
  // On GitHub an expression without a value, as a secret in a fork's pull request, leaves it empty: the error says why the run has no identity.
  if (env.GITHUB_ACTIONS === "true" && env[conventionalVariable]?.trim() === "") {
    return undefined;
  }
  // Elsewhere even an empty one: to pass over it would use another identity than the one that was meant.
  if (env[conventionalVariable] !== undefined) {
    return because({ source: "environment", variable: conventionalVariable }, ", which is set");
  }
  return existsSync(conventionalTokenFile)
    ? because({ source: "file", path: conventionalTokenFile }, ", which exists")
    : undefined;
}
