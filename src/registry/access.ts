/** What a robot token permits: Quay's login does not say, but the bearer token of `/v2/auth` lists it. */
import { decodeJwt } from "jose/jwt/decode";
import { mapLimit } from "../platform/concurrency.ts";
import { ExplainedError, withOthers } from "../platform/errors.ts";
import { type HttpAnswer, HttpFailure } from "../platform/http.ts";
import { parseObject } from "../platform/json.ts";
import type { Platform } from "../platform/platform.ts";
import { type Attempt, persistenceOf, retry } from "../platform/retry.ts";
import { oneLine } from "../platform/text.ts";
import { mention, text, type Words } from "../platform/wording.ts";
import type { RobotToken } from "../quay/exchange.ts";
import { explainFailure, remedies } from "../quay/explain.ts";
import { type RobotLogin, robotFor } from "../quay/scope.ts";
import { askRealm, type Realm } from "./realm.ts";
import type { Action } from "./types.ts";

export interface AccessWanted {
  readonly repository: string;
  readonly actions: readonly Action[];
}

/** The robots that are logged in to a registry, and where their tokens are exchanged for bearer tokens. */
export interface LoggedIn {
  readonly registry: string;
  readonly robots: readonly RobotLogin[];
  readonly tokens: readonly RobotToken[];
  readonly realm: Realm;
}

/** Each check is a connection of its own. */
const maxConcurrentChecks = 20;

/**
 * Checks the permissions. Creates no repository, even if the robot could.
 * @throws ExplainedError `access-missing`, naming robot, repository and the permission to give; further ones are in `also`
 */
export async function assertAccess(
  { registry, robots, tokens, realm }: LoggedIn,
  wanted: readonly AccessWanted[],
  platform: Platform,
): Promise<void> {
  let hasFailed = false;
  const missing = await mapLimit(wanted, maxConcurrentChecks, async ({ repository, actions }) => {
    const robot = robotFor(repository, robots, actions)?.robot;
    const token = tokens.find((candidate) => candidate.robot === robot);
    if (token === undefined || hasFailed) {
      return undefined;
    }
    const ask = (actions: readonly string[]) =>
      grantedActions({ registry, token, realm }, { repository, actions }, platform).catch((error) => {
        hasFailed = true; // the others would fail as well
        throw error;
      });
    // Asked for push, Quay creates a missing repository. One that may be pulled from exists.
    const reading = await ask(["pull"]);
    const exists = reading.includes("pull") && actions.some((action) => action !== "pull");
    const granted = exists ? await ask([...new Set(["pull", ...actions])]) : reading;
    const lacking = actions.filter((action) => !granted.includes(action));
    return lacking.length === 0
      ? undefined
      : accessMissing({ registry, robot: token.robot, repository, lacking, granted });
  });
  const [first, ...others] = missing.filter((error) => error !== undefined);
  if (first) {
    throw withOthers(first, others);
  }
}

async function grantedActions(
  { registry, token, realm }: { readonly registry: string; readonly token: RobotToken; readonly realm: Realm },
  { repository, actions }: { readonly repository: string; readonly actions: readonly string[] },
  platform: Platform,
): Promise<readonly string[]> {
  return retry(platform, `the permissions of ${token.robot}`, async (): Promise<Attempt<readonly string[]>> => {
    let answer: HttpAnswer;
    try {
      answer = await askRealm(realm, token, platform, scopeOf(repository, actions));
    } catch (failure) {
      if (!(failure instanceof HttpFailure)) {
        throw failure;
      }
      return { retry: persistenceOf(failure), error: explainFailure(failure, { registry }) };
    }
    const bearer = answer.status === 200 ? readBearer(answer.body) : undefined;
    const granted = bearer === undefined ? undefined : grantIn(bearer, repository);
    if (granted !== undefined) {
      return { value: granted };
    }
    const error = new ExplainedError(
      "quay-unavailable",
      `${registry} did not return the permissions of ${token.robot}: it answered ${answer.status}.`,
      {
        remedy: [text`Run the job again, or leave the option ${mention("access")} out: the login itself succeeded.`],
      },
    );
    return { retry: answer.status === 429 || answer.status > 500 ? "patient" : "no", error, answer };
  });
}

/** The scope to request (the distribution project's token specification, "scope"). */
export const scopeOf = (repository: string, actions: readonly string[]): string =>
  `repository:${repository}:${actions.join(",")}`;

/**
 * The bearer token of a token server's answer: `token`, or `access_token` as OAuth 2 has it.
 * @returns undefined if there is none of a token's form (RFC 6750, 2.1)
 */
export function readBearer(body: string): string | undefined {
  const { token, access_token: other } = parseObject(body) ?? {};
  const found = token ?? other;
  return typeof found === "string" && /^[\w.~+/-]+=*$/.test(found) ? found : undefined;
}

/**
 * The registry's token has `access: [{type, name, actions}]` (the distribution project's token specification).
 * @returns undefined if it is not a JWT, and lists nothing
 */
export function grantIn(bearer: string, repository: string): readonly string[] | undefined {
  try {
    const { access } = decodeJwt(bearer);
    const entry = Array.isArray(access) ? access.find(({ name }) => name === repository) : undefined;
    return Array.isArray(entry?.actions) ? entry.actions.map(String) : [];
  } catch {
    return undefined;
  }
}

export interface AccessMissing {
  readonly registry: string;
  readonly robot: string;
  readonly repository: string;
  readonly lacking: readonly string[];
  readonly granted: readonly string[];
  /** Set in a promotion. */
  readonly endpoint?: "source" | "destination";
}

export function accessMissing({
  registry,
  robot,
  repository,
  lacking,
  granted,
  endpoint,
}: AccessMissing): ExplainedError {
  const pushes = lacking.includes("push");
  const level = pushes || endpoint === "destination" ? "Write" : "Read";
  const where = endpoint === undefined ? registry : `${registry}, the ${endpoint}`;
  const end =
    granted.length === 0 ? `, or ${repository} does not exist.` : `; it may ${oneLine(granted.join(" and "))}.`;
  return new ExplainedError(
    "access-missing",
    `${robot} may not ${lacking.join(" and ")} ${pushes ? "to" : "from"} ${repository} on ${where}${end}`,
    {
      remedy: [
        `Give it the permission, under Repositories > ${repository} > Settings > User and robot permissions: ${robot}, ${level}.`,
        ...(granted.length === 0 ? whereMissing(repository, robot, pushes, endpoint) : []),
        ...(pushes && granted.includes("pull") ? [onlyPulled] : []),
      ],
    },
  );
}

/** Quay then never grants push: recorded for the states, read in its source for the proxy cache. */
const onlyPulled =
  "If it has Write already: Quay accepts no push to a repository that is a mirror or read-only (Settings > Repository state), or to an organization that is a proxy cache.";

/** Quay's answer is the same for a missing repository and for one that the robot may not see. */
function whereMissing(
  repository: string,
  robot: string,
  pushes: boolean,
  endpoint: AccessMissing["endpoint"],
): readonly Words[] {
  const same = "Quay gives the same answer if the repository does not exist";
  switch (endpoint) {
    case "source":
      return [text`${same}: check the option ${mention("source")}.`];
    case "destination":
      return [
        `${same}. It creates a missing one only for a robot that may create repositories in the organization: create it, or add ${robot} to a team with the role Creator.`,
      ];
    default:
      return [
        text`${same}: check the option ${mention("access")}.`,
        ...(pushes
          ? [
              text`If the first push creates ${repository}: leave it out of ${mention("access")}, which creates none, and add ${robot} to a team with the role Creator.`,
            ]
          : []),
      ];
  }
}

/** Quay's own reason for refusing a robot token, which the tools don't show. */
export async function whyRefused(
  registry: string,
  credential: RobotToken,
  realm: Realm,
  platform: Platform,
): Promise<ExplainedError | undefined> {
  try {
    return explainRefusal(await askRealm(realm, credential, platform), registry, credential.robot);
  } catch {
    return undefined;
  }
}

/** @returns undefined if the answer is no refusal, or has no reason */
export function explainRefusal(
  { status, body }: HttpAnswer,
  registry: string,
  robot: string,
): ExplainedError | undefined {
  const reason = status === 401 || status === 403 ? registryReason(body) : undefined;
  if (reason === undefined) {
    return undefined;
  }
  const disabled = /have been disabled/.test(reason);
  return new ExplainedError(
    disabled ? "robots-disabled" : "login-refused",
    `Quay issued a robot token but does not accept it: "${reason}"`,
    {
      remedy: disabled ? [remedies.robotsDisabled(registry)] : [remedies.checkRobot(robot, registry)],
    },
  );
}

/**
 * A registry's own reason: `{"errors": [{code, message}]}` (OCI distribution specification, "Error codes"), or Quay's
 * `{"message"}` or `{"error"}`.
 */
export function registryReason(body: string): string | undefined {
  const { errors, message, error } = parseObject(body) ?? {};
  const reason: unknown = (Array.isArray(errors) ? errors[0]?.message : undefined) ?? message ?? error;
  return typeof reason === "string" ? oneLine(reason) : undefined;
}
