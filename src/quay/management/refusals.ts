/** Why Quay's management API refuses a request, as recorded on a running Quay. Pure. */
import { type ErrorCode, ExplainedError } from "../../platform/errors.ts";
import type { HttpAnswer } from "../../platform/http.ts";
import { parseObject } from "../../platform/json.ts";
import type { Persistence } from "../../platform/retry.ts";
import { oneLine } from "../../platform/text.ts";
import { mention, text, type Words } from "../../platform/wording.ts";
import { remedies } from "../explain.ts";

/** The scope that a request needs, and whose administrator the token's user has to be. */
export interface Need {
  readonly scope: "org:admin" | "repo:admin" | "user:admin" | "repo:create" | "any";
  /** The organization or user. */
  readonly owner: string;
}

export interface Asked {
  readonly registry: string;
  readonly what: string;
  readonly path: string;
  readonly needs: Need;
}

interface Explained {
  readonly error: ExplainedError;
  /** If the request can be repeated at all. */
  readonly persistence: Persistence;
}

/** Quay's own reason, in one line: JSON's `detail` or `message`, of which only the first line says something. "": none */
export function reasonOf(body: string): string {
  const { detail, message, error_message, error } = parseObject(body) ?? {};
  const reason = [detail, message, error_message, error].find((value) => typeof value === "string" && value !== "");
  return oneLine(String(reason ?? "").split("\n")[0] ?? "");
}

export function explainAnswer({ status, headers }: HttpAnswer, reason: string, asked: Asked): Explained {
  const { registry, what, path } = asked;
  const never = (error: ExplainedError): Explained => ({ error, persistence: "no" });
  if (status === 401 || (status === 403 && /CSRF/.test(reason))) {
    return never(tokenRefused(registry));
  }
  if (status === 403) {
    return never(rightsMissing(asked));
  }
  if (status === 429) {
    return {
      error: temporary("rate-limited", `${registry} received too many requests from here (429).`, later),
      persistence: "patient",
    };
  }
  if (/read-only/i.test(reason) && (status === 503 || status === 405)) {
    const headline = `${registry} is in read-only mode and did not accept the request for ${what}.`;
    return never(
      temporary("quay-read-only", headline, "Wait until its administrators end the maintenance, then run it again."),
    );
  }
  if (status >= 500 || status === 408 || status === 425) {
    const headline = `${registry} is not available at the moment: it answered the request for ${what} with ${status}.`;
    const error = temporary("quay-unavailable", headline, remedies.runAgain);
    // 500 is mostly a fault that comes again.
    return { error, persistence: status === 500 || status === 501 ? "quick" : "patient" };
  }
  // A route that Quay does not have: GET is redirected to the same path with a slash, which is 404; the others are 405.
  const isMissingRoute =
    status >= 300 && status < 400
      ? isWithSlash(headers.location, asked)
      : (status === 404 || status === 405) && reason === "";
  if (isMissingRoute && path.endsWith("/federation")) {
    return never(withoutFederation(registry));
  }
  if (status >= 300 && status < 400) {
    return never(unusable(registry, what, redirectTo(headers.location)));
  }
  return never(reason === "" ? unusable(registry, what, `a page with the status ${status}`) : refused(reason, asked));
}

function isWithSlash(location: unknown, { registry, path }: Asked): boolean {
  const asked = new URL(`https://${registry}/api/v1/${path}`);
  const target = URL.canParse(String(location), asked.href) ? new URL(String(location), asked) : undefined;
  // A proxy in front of Quay may hide the port and https from it.
  return target?.hostname === asked.hostname && target.pathname === `${asked.pathname}/`;
}

const later = "Run it again later.";

const temporary = (code: ErrorCode, headline: string, remedy: Words): ExplainedError =>
  new ExplainedError(code, headline, { remedy: [remedy] });

function redirectTo(location: unknown): string {
  const target = URL.canParse(String(location)) ? new URL(String(location)).host : "another path";
  return `a redirect to ${target}, which is not followed: the API token would go there`;
}

/** One answer for a token that is unknown, expired or revoked. */
const tokenRefused = (registry: string): ExplainedError =>
  new ExplainedError(
    "api-token-refused",
    `${registry} does not know the API token: it expired, was revoked, or is of another Quay.`,
    {
      remedy: [
        text`Check that the option ${mention("registry")} names the Quay that the token is of.`,
        "Make a new one in Quay: Organization > Applications > the application > Generate token. A robot's token is none, and neither is a user's password.",
      ],
    },
  );

const neededScopes: Readonly<Record<Need["scope"], string>> = {
  "org:admin": "org:admin",
  "repo:admin": "repo:admin",
  "user:admin": "user:admin",
  "repo:create": "repo:create (or org:admin)",
  any: "that permits it",
};

/** Quay's answer is the same if the scope, the user's right or the organization is missing. */
export function rightsMissing({
  registry,
  what,
  needs: { scope, owner },
}: Pick<Asked, "registry" | "what" | "needs">): ExplainedError {
  const needed = neededScopes[scope];
  return new ExplainedError(
    "api-rights-missing",
    `${registry} refuses ${what}: the API token lacks the scope ${needed}, or its user is no administrator of ${owner}.`,
    {
      remedy: [
        scope === "user:admin"
          ? `Make a token of the user ${owner} with the scopes user:admin repo:admin repo:create.`
          : "Make a token with the scopes org:admin repo:admin, in Quay: Organization > Applications > the application > Generate token.",
        ...(scope === "user:admin"
          ? []
          : [
              `A token has the rights of the user who makes it: that user must be in the team owners of ${owner}, or in another one with the role Admin.`,
            ]),
      ],
    },
  );
}

export const organizationNotFound = (registry: string, name: string): ExplainedError =>
  new ExplainedError(
    "organization-not-found",
    `There is no organization ${name} on ${registry}, and the API token is not of a user of that name with the scope user:admin.`,
    {
      remedy: [
        "Check its name, which is the part of the robot's name before the plus sign.",
        text`Check that the option ${mention("registry")} names the right Quay.`,
        `For the robots of a user, make a token of that user with the scopes user:admin repo:admin repo:create.`,
      ],
    },
  );

export const withoutFederation = (registry: string): ExplainedError =>
  new ExplainedError(
    "quay-without-federation",
    `${registry} has no robot federation: its API does not know that address.`,
    {
      remedy: [
        "Quay 3.13 and newer have it: ask its administrator to update. For robots of a user, it is 3.18.",
        text`If this host is not a Quay, set the option ${mention("registry")}.`,
      ],
    },
  );

export const unusable = (registry: string, what: string, how: string): ExplainedError =>
  new ExplainedError(
    "quay-answer-unusable",
    `${registry} gave an unusable answer to the request for ${what}: ${how}.`,
    {
      remedy: [remedies.checkRegistry],
    },
  );

function refused(reason: string, { registry, what }: Asked): ExplainedError {
  if (/^Robot accounts? have been disabled/.test(reason)) {
    return new ExplainedError("robots-disabled", `${registry} refused ${what}: "${reason}"`, {
      remedy: [remedies.robotsDisabled(registry)],
    });
  }
  return /^Could not find robot/.test(reason)
    ? new ExplainedError("robot-not-found", `${registry} refused ${what}: "${reason}"`, {
        remedy: ["It was deleted a moment ago, or its name is another: Quay's page Robot accounts shows it."],
      })
    : new ExplainedError("quay-refused", `${registry} refused ${what}: "${reason}"`, {
        remedy: ["Quay's reason is in quotes. Correct what it names, then run it again: what was done is kept."],
      });
}
