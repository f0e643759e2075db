/** The bearer tokens of one registry: requested only from the checked realm, cached as long as they are accepted. */

import { isoTime } from "../identity/token.ts";
import { ExplainedError } from "../platform/errors.ts";
import { type HttpAnswer, HttpFailure } from "../platform/http.ts";
import type { Platform } from "../platform/platform.ts";
import { shortestSecret } from "../platform/reporter.ts";
import { type Attempt, persistenceOf } from "../platform/retry.ts";
import { mention, text, variable } from "../platform/wording.ts";
import type { RobotToken } from "../quay/exchange.ts";
import { explainFailure, remedies } from "../quay/explain.ts";
import { accessMissing, explainRefusal, readBearer, scopeOf } from "./access.ts";
import { askRealm, asksForPassword, type Realm, realmForAnyone } from "./realm.ts";
import type { Action } from "./types.ts";

/** The client of a registry: its login, or none. */
export interface Asker {
  readonly registry: string;
  /** For messages: the end of a promotion. */
  readonly endpoint: "source" | "destination";
  /** For messages. undefined: without a login */
  readonly robot: string | undefined;
  /** The current robot token: it may be renewed at any time. undefined: without a login */
  readonly credential: () => RobotToken | undefined;
  /** Where it is exchanged for a bearer token, as the login found. undefined: without a login */
  readonly realm: () => Realm | undefined;
  /** base64(user:password) of a login other than a robot's. */
  readonly basic?: string | undefined;
}

/** undefined: the registry is asked without a token. */
export type Bearer = string | undefined;

/** Marks a password in place of a bearer token, if the registry asks for the password itself. No token contains a space. */
const basicPrefix = "Basic ";

export const authorizationOf = (bearer: string): string =>
  bearer.startsWith(basicPrefix) ? bearer : `Bearer ${bearer}`;

export interface Bearers {
  /**
   * A token for these actions, from the cache if it has one.
   * @param accepts whether a cached token can be used
   * @returns `isNew`: just requested, so another one would not help
   */
  get(repository: string, actions: readonly string[], accepts?: (kept: Bearer) => boolean): Promise<BearerResult>;
  /** Learns from a refusal where to request tokens without a robot. @returns whether that is known now */
  learn(answer: HttpAnswer): boolean;
}

export type BearerResult = { readonly value: Bearer; readonly isNew: boolean } | Failed;

type Failed = Exclude<Attempt<never>, { value: never }>;

interface Kept {
  /** The robot token that it was requested with. */
  readonly credential: string | undefined;
  readonly result: Promise<Attempt<Bearer>>;
}

/** What the registry asks for without a robot. */
interface Learnt {
  realm: Realm | undefined;
  takesPassword: boolean;
}

/**
 * With a robot: from the realm that its login has checked. Otherwise: from the realm of the registry's challenge, on any host. A
 * login other than a robot's is sent there.
 */
export function createBearers(asker: Asker, platform: Platform): Bearers {
  const kept = new Map<string, Kept>();
  const learnt: Learnt = { realm: undefined, takesPassword: false };
  return {
    async get(repository, actions, accepts = () => true) {
      const scope = scopeOf(repository, actions);
      const credential = asker.credential();
      const known = kept.get(scope);
      if (known !== undefined && known.credential === credential?.token) {
        const result = await known.result;
        if (!("value" in result)) {
          return result;
        }
        if (accepts(result.value)) {
          return { ...result, isNew: false };
        }
      }
      const entry: Kept = {
        credential: credential?.token,
        result: fetchBearer({ asker, learnt, platform }, scope, credential),
      };
      kept.set(scope, entry);
      const result = await entry.result;
      // Failures are not cached, nor is the absence of a token, which ends once the registry asks for one.
      if (!("value" in result) || result.value === undefined) {
        kept.delete(scope);
      }
      return "value" in result ? { ...result, isNew: true } : result;
    },
    learn(answer) {
      learnt.realm ??= realmForAnyone(answer);
      learnt.takesPassword ||= learnt.realm === undefined && asker.basic !== undefined && asksForPassword(answer);
      return learnt.realm !== undefined || learnt.takesPassword;
    },
  };
}

async function fetchBearer(
  {
    asker,
    learnt,
    platform,
  }: { readonly asker: Asker; readonly learnt: Readonly<Learnt>; readonly platform: Platform },
  scope: string,
  credential: RobotToken | undefined,
): Promise<Attempt<Bearer>> {
  const { basic } = asker;
  if (credential === undefined && learnt.takesPassword) {
    return { value: `${basicPrefix}${basic}` };
  }
  const realm = credential === undefined ? learnt.realm : asker.realm();
  if (realm === undefined) {
    return { value: undefined };
  }
  try {
    const answer = await askRealm(realm, credential ?? (basic === undefined ? undefined : { basic }), platform, scope);
    const bearer = answer.status === 200 ? readBearer(answer.body) : undefined;
    if (bearer === undefined) {
      return { ...explainAnswer(answer, credential, asker, platform), answer };
    }
    // Without a login everyone gets such a token: it is no secret, and masking arbitrary text could damage the log.
    if (credential !== undefined || basic !== undefined) {
      if (bearer.length < shortestSecret) {
        return { retry: "no", error: tooShort(asker) };
      }
      platform.reporter.secret(bearer);
    }
    return { value: bearer };
  } catch (failure) {
    return explainUnreachable(failure, asker);
  }
}

function explainAnswer(
  answer: HttpAnswer,
  credential: RobotToken | undefined,
  asker: Asker,
  { clock }: Platform,
): Failed {
  const { status } = answer;
  const { registry, endpoint } = asker;
  if (status === 429 || status >= 500) {
    // Quay's answer to a robot token that has expired or is invalid.
    if (status === 500 && credential !== undefined) {
      return { retry: "quick", error: lapsed(credential, asker, clock.now()) ?? unavailable(asker, status) };
    }
    return { retry: "patient", error: unavailable(asker, status) };
  }
  if (status === 401 || status === 403) {
    const error =
      credential === undefined
        ? asker.basic === undefined
          ? notPublic(asker)
          : passwordRefused(asker, status)
        : (explainRefusal(answer, registry, credential.robot) ??
          new ExplainedError(
            "login-refused",
            `${registry}, the ${endpoint}, answered ${status} to ${credential.robot}'s login.`,
            {
              remedy: [remedies.checkRobot(credential.robot, registry)],
            },
          ));
    return { retry: "no", error };
  }
  return {
    retry: "no",
    error: new ExplainedError(
      "quay-answer-unusable",
      `${registry}, the ${endpoint}, gave no bearer token: it answered ${status} with something else.`,
      { remedy: [remedies.checkRegistry] },
    ),
  };
}

function tooShort({ registry, endpoint }: Asker): ExplainedError {
  return new ExplainedError(
    "quay-answer-unusable",
    `${registry}, the ${endpoint}, gave a bearer token of fewer than ${shortestSecret} characters: too short to be a secret, and too short to mask.`,
    { remedy: [remedies.checkRegistry] },
  );
}

function lapsed(
  { robot, expiresAt }: RobotToken,
  { registry, endpoint }: Asker,
  now: number,
): ExplainedError | undefined {
  return expiresAt * 1000 > now
    ? undefined
    : new ExplainedError(
        "login-lapsed",
        `The login of ${robot} to ${registry}, the ${endpoint}, expired at ${isoTime(expiresAt)}.`,
        {
          remedy: [remedies.notRenewed],
        },
      );
}

function passwordRefused({ registry, endpoint }: Asker, status: number): ExplainedError {
  return new ExplainedError(
    "login-refused",
    text`${registry}, the ${endpoint}, does not accept the login of the option ${mention("source-auth-file")}: it answered ${status}.`,
    {
      remedy: [
        `Log in again: skopeo login --authfile source.json ${registry}`,
        text`Then name that file: ${mention("source-auth-file", "source.json")}`,
      ],
    },
  );
}

/** The error for those of these actions that the registry does not grant. */
export function lacksAccess(
  asker: Asker,
  repository: string,
  actions: readonly Action[],
  granted: readonly string[],
): ExplainedError {
  const { registry, robot, endpoint } = asker;
  const lacking = actions.filter((action) => !granted.includes(action));
  return robot === undefined
    ? notPublic(asker, repository)
    : accessMissing({ registry, robot, repository, lacking, granted, endpoint });
}

/** @param repository undefined: the realm has refused, without naming one */
function notPublic({ registry, endpoint, basic }: Asker, repository = "this repository"): ExplainedError {
  const where = `${registry}, the ${endpoint}, does not allow reading ${repository}`;
  if (basic !== undefined) {
    return new ExplainedError(
      "access-missing",
      text`${where} with the login of the option ${mention("source-auth-file")}, or it does not exist.`,
      {
        remedy: [text`Give that login's user the right to read it, and check the option ${mention(endpoint)}.`],
      },
    );
  }
  return new ExplainedError("access-missing", `${where} without a login, or it does not exist.`, {
    remedy: [
      text`If it is private, in a Quay: set the option ${mention(`${endpoint}-robot`)} to a robot account with the permission Read.`,
      text`If it is private, in another registry that an earlier step has logged in to: ${mention("source-auth-file", variable("REGISTRY_AUTH_FILE"))}`,
      text`Many registries give the same answer if the repository does not exist: check the option ${mention(endpoint)}.`,
    ],
  });
}

/** @param last the last answer: a status, or a phrase that can follow a colon */
export function unavailable({ registry, endpoint }: Asker, last: number | string, cause?: unknown): ExplainedError {
  const state = typeof last === "number" ? `it answered ${last}` : last;
  return new ExplainedError(
    "registry-unavailable",
    `${registry}, the ${endpoint}, is not available at the moment: ${state}.`,
    {
      remedy: ["Run it again: what is there already is not copied twice. If it keeps failing, check its status page."],
      cause,
    },
  );
}

/** Explains a failure below HTTP. @throws any other error, unchanged */
export function explainUnreachable(failure: unknown, asker: Asker): Failed {
  if (!(failure instanceof HttpFailure)) {
    throw failure;
  }
  const error =
    failure.kind === "untrusted" || failure.kind === "without-tls" || failure.kind === "too-big"
      ? explainFailure(failure, asker)
      : unavailable(asker, failure.message, failure);
  return { retry: persistenceOf(failure), error };
}
