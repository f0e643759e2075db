/** What a robot token may really do: Quay's login says nothing about it, but the token of `/v2/auth` lists it. */
import { decodeJwt } from "jose/jwt/decode";
import { LoginError } from "../errors.ts";
import { explainFailure, remedies } from "../explain.ts";
import { basicAuthorization } from "../identity/token.ts";
import { type HttpAnswer, HttpFailure } from "../platform/http.ts";
import type { Platform } from "../platform/platform.ts";
import { type Attempt, persistenceOf, retry } from "../platform/retry.ts";
import type { RobotToken } from "../quay/exchange.ts";
import { type AccessWanted, type RobotLogin, robotFor } from "../request.ts";

const limits = { timeoutMs: 30_000, maxBytes: 262_144 };

/**
 * @throws LoginError `access-missing`, naming robot, repository and the permission to give; several are chained in `also`
 */
export async function assertAccess(
  registry: string,
  robots: readonly RobotLogin[],
  tokens: readonly RobotToken[],
  wanted: readonly AccessWanted[],
  platform: Platform,
): Promise<void> {
  const missing = await Promise.all(
    wanted.map(async ({ repository, actions }) => {
      const robot = robotFor(repository, registry, robots)?.robot;
      const token = tokens.find((candidate) => candidate.robot === robot);
      if (token === undefined) {
        return undefined;
      }
      const granted = await grantedActions(registry, token, repository, actions, platform);
      const lacking = actions.filter((action) => !granted.includes(action));
      return lacking.length === 0 ? undefined : accessMissing(registry, token.robot, repository, lacking, granted);
    }),
  );
  const [first, ...others] = missing.filter((error) => error !== undefined);
  if (first) {
    first.also = others;
    throw first;
  }
}

async function grantedActions(
  registry: string,
  credential: RobotToken,
  repository: string,
  actions: readonly string[],
  platform: Platform,
): Promise<readonly string[]> {
  return retry(platform, `the permissions of ${credential.robot}`, async (): Promise<Attempt<readonly string[]>> => {
    let answer: HttpAnswer;
    try {
      answer = await ask(registry, credential, platform, `repository:${repository}:${actions.join(",")}`);
    } catch (failure) {
      if (!(failure instanceof HttpFailure)) {
        throw failure;
      }
      return { retry: persistenceOf(failure), error: explainFailure(failure, { registry }) };
    }
    const granted = answer.status === 200 ? readGrant(answer.body, repository) : undefined;
    if (granted !== undefined) {
      return { value: granted };
    }
    const error = new LoginError(
      "quay-unavailable",
      `${registry} did not tell the permissions of ${credential.robot}: it answered ${answer.status}.`,
      {
        remedy: ["Run the job again, or leave the option access out: the login itself has worked."],
      },
    );
    return { retry: answer.status === 429 || answer.status > 500 ? "patient" : "no", error, answer };
  });
}

/** `GET /v2/auth`, at Quay itself: whatever realm a stranger might name, the robot token goes nowhere else. */
function ask(registry: string, { robot, token }: RobotToken, platform: Platform, scope?: string): Promise<HttpAnswer> {
  const url = new URL(`https://${registry}/v2/auth`);
  url.searchParams.set("service", registry);
  if (scope !== undefined) {
    url.searchParams.set("scope", scope);
  }
  return platform.http.open(url, limits).send({ authorization: basicAuthorization(robot, token) });
}

/** The registry's token has `access: [{type, name, actions}]` (the distribution project's token specification). */
function readGrant(body: string, repository: string): readonly string[] | undefined {
  try {
    const access = decodeJwt(JSON.parse(body).token).access;
    const entry = Array.isArray(access) ? access.find(({ name }) => name === repository) : undefined;
    return Array.isArray(entry?.actions) ? entry.actions.map(String) : [];
  } catch {
    return undefined;
  }
}

function accessMissing(
  registry: string,
  robot: string,
  repository: string,
  lacking: readonly string[],
  granted: readonly string[],
): LoginError {
  const level = lacking.includes("push") ? "Write" : "Read";
  return new LoginError(
    "access-missing",
    `${robot} may not ${lacking.join(" and ")} ${lacking.includes("push") ? "to" : "from"} ${repository} on ${registry}; it may ${granted.join(" and ") || "do nothing there"}.`,
    {
      remedy: [
        `Give it the permission, under Repositories > ${repository} > Settings > User and robot permissions: ${robot}, ${level}.`,
        ...(lacking.includes("push") && granted.length === 0
          ? [
              `If ${repository} does not exist yet: create it, or let a team with the role Creator have ${robot} as a member.`,
            ]
          : []),
      ],
    },
  );
}

/** Quay's own reason for not accepting a robot token, which the tools don't show. */
export async function whyRefused(
  registry: string,
  credential: RobotToken,
  platform: Platform,
): Promise<LoginError | undefined> {
  try {
    const answer = await ask(registry, credential, platform);
    const reason: unknown = JSON.parse(answer.body)?.errors?.[0]?.message;
    if (typeof reason !== "string") {
      return undefined;
    }
    const disabled = /have been disabled/.test(reason);
    return new LoginError(
      disabled ? "robots-disabled" : "login-refused",
      `Quay gave a robot token and does not accept it: "${reason}"`,
      {
        remedy: disabled ? [remedies.robotsDisabled(registry)] : [remedies.checkRobot(credential.robot, registry)],
      },
    );
  } catch {
    return undefined;
  }
}
