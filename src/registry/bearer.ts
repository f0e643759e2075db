/** The bearer tokens of one registry: got where it is right to ask, kept as long as they are accepted. */

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

/** Who asks a registry. */
export interface Asker {
  readonly registry: string;
  /** For messages: which end of a promotion this is, and its robot. undefined: without a login */
  readonly endpoint: "source" | "destination";
  readonly robot: string | undefined;
  /** The robot token as it is now: it may be renewed at any time. undefined: without a login */
  readonly credential: () => RobotToken | undefined;
  /** Where that is traded for a bearer token, as the login has found out. undefined: without a login */
  readonly realm: () => Realm | undefined;
  /** base64(user:password) of a login that is no robot's. */
  readonly basic?: string | undefined;
}

/** undefined: the registry is asked without a token. */
export type Bearer = string | undefined;

/** In place of a bearer token, where the registry has asked for the password itself: a space is in no token. */
const basicPrefix = "Basic ";

export const authorizationOf = (bearer: string): string =>
  bearer.startsWith(basicPrefix) ? bearer : `Bearer ${bearer}`;

export interface Bearers {
  /**
   * A token for these actions, from memory if there is one.
   * @param accepts which of the tokens in memory will do
   * @returns `isNew`: asked for just now, so that no other would do better
   */
  get(repository: string, actions: readonly string[], accepts?: (kept: Bearer) => boolean): Promise<BearerResult>;
  /** Learns from a refusal where tokens are to be had without a login. @returns whether that is known now */
  learn(answer: HttpAnswer): boolean;
}

export type BearerResult = { readonly value: Bearer; readonly isNew: boolean } | Failed;

type Failed = Exclude<Attempt<never>, { value: never }>;

interface Kept {
  /** The robot token that it was got with. */
  readonly credential: string | undefined;
  readonly result: Promise<Attempt<Bearer>>;
}

/** What the registry has asked for where there is no robot. */
interface Learnt {
  realm: Realm | undefined;
  takesPassword: boolean;
}

/**
 * With a robot: from where its login has found that the robot token may go. Otherwise: from the realm of the registry's
 * challenge, whatever host that is; with a login that is no robot's, that gets it.
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
      // No failure is worth keeping, nor is it to have had no token, once the registry has asked for one.
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
    // Without a login everybody gets one like it: no secret, and a stranger's word could be anything.
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
    // Quay's way to say that a robot token has ended, or is none.
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
    `${registry}, the ${endpoint}, gave a bearer token of fewer than ${shortestSecret} characters: too short to be a secret, or to be hidden.`,
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
        `The login of ${robot} to ${registry}, the ${endpoint}, ended at ${isoTime(expiresAt)}.`,
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
        `Log in anew: skopeo login --authfile source.json ${registry}`,
        text`Then name that file: ${mention("source-auth-file", "source.json")}`,
      ],
    },
  );
}

/** What of these actions the registry does not grant. */
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

/** @param repository undefined: all of it */
function notPublic({ registry, endpoint, basic }: Asker, repository = "this repository"): ExplainedError {
  const where = `${registry}, the ${endpoint}, does not let ${repository} be read`;
  if (basic !== undefined) {
    return new ExplainedError(
      "access-missing",
      text`${where} with the login of the option ${mention("source-auth-file")}, or it does not exist.`,
      {
        remedy: [text`Give whom that login is of the right to read it, and check the option ${mention(endpoint)}.`],
      },
    );
  }
  return new ExplainedError("access-missing", `${where} without a login, or it does not exist.`, {
    remedy: [
      text`If it is private, in a Quay: set the option ${mention(`${endpoint}-robot`)} to a robot account with the permission Read.`,
      text`If it is private, in another registry that an earlier step has logged in to: ${mention("source-auth-file", variable("REGISTRY_AUTH_FILE"))}`,
      text`Many answer the same way where the repository does not exist: check the option ${mention(endpoint)}.`,
    ],
  });
}

/** @param last what it answered last: a status, or a phrase that can follow a colon */
export function unavailable({ registry, endpoint }: Asker, last: number | string, cause?: unknown): ExplainedError {
  const said = typeof last === "number" ? `it answered ${last}` : last;
  return new ExplainedError(
    "registry-unavailable",
    `${registry}, the ${endpoint}, is not available at the moment: ${said}.`,
    {
      remedy: [
        "Run the same again: what is there already is not copied twice. If it stays so, look at its status page.",
      ],
      cause,
    },
  );
}

/** What went wrong below HTTP. @throws what is no failure of that kind */
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
