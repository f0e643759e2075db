/** Sends an identity token to Quay and gets a robot token. answers.ts classifies the answers. */

import { examineIssuer, type IssuerFinding } from "../identity/issuer.ts";
import { basicAuthorization, type Identity } from "../identity/token.ts";
import { unreachable } from "../platform/errors.ts";
import { HttpFailure, type Limits, type PendingRequest } from "../platform/http.ts";
import type { Platform } from "../platform/platform.ts";
import { type Attempt, type Persistence, persistenceOf, retry } from "../platform/retry.ts";
import { type ExchangeResult, type Life, readExchangeAnswer } from "./answers.ts";
import { explainFailure, explainIssuer, explainResult } from "./explain.ts";

export interface RobotToken extends Life {
  readonly robot: string;
  /** A secret. */
  readonly token: string;
}

/** Quay may wait 60 s for an issuer's keys before it answers: a shorter limit would miss valid answers. */
const limits: Limits = { timeoutMs: 65_000, maxBytes: 65_536 };

/** Opens a connection for an exchange: the handshake runs while the identity token is still being fetched. */
export function connect(registry: string, platform: Platform): PendingRequest {
  return platform.http.open(new URL(`https://${registry}/oauth2/federation/robot/token`), limits);
}

export interface ExchangeOptions {
  readonly registry: string;
  readonly robot: string;
  /** Called at each attempt. Gives a token that has not expired. */
  readonly currentIdentity: () => Promise<Identity>;
  /** From `connect`, for the first attempt. */
  readonly opened: PendingRequest;
}

/**
 * `GET /oauth2/federation/robot/token` with Basic robot:identity token. Quay lets an identity token be exchanged any number
 * of times until it expires, so a retry is safe.
 * @throws ExplainedError that explains Quay's refusal and shows the identity
 */
export async function exchange(
  { registry, robot, currentIdentity, opened }: ExchangeOptions,
  platform: Platform,
): Promise<RobotToken> {
  let ready: PendingRequest | undefined = opened;
  return retry(platform, `the exchange for ${robot}`, async (): Promise<Attempt<RobotToken>> => {
    const identity = await currentIdentity();
    const context = { registry, robot, identity, now: platform.clock.now() };
    const authorization = basicAuthorization(robot, identity.token);
    platform.reporter.secret(authorization.slice("Basic ".length));
    const request = ready ?? connect(registry, platform);
    ready = undefined;
    try {
      const answer = await request.send({ authorization, accept: "application/json" });
      const result = readExchangeAnswer(answer, robot, context.now);
      if (result.kind === "token") {
        platform.reporter.secret(result.token);
        const { token, expiresAt, lifeSeconds } = result;
        return { value: { robot, token, expiresAt, lifeSeconds } };
      }
      return {
        retry: persistence(result),
        error: explainResult(result, context),
        answer,
        ...(result.kind === "unclear" && {
          examine: async () => {
            const finding = await examineIssuer(identity, platform);
            return {
              retry: persistenceAfter(finding, result.status),
              error: explainIssuer(finding, result.status, context),
            };
          },
        }),
      };
    } catch (failure) {
      if (!(failure instanceof HttpFailure)) {
        throw failure;
      }
      return { retry: persistenceOf(failure), error: explainFailure(failure, context) };
    }
  });
}

function persistence(result: Exclude<ExchangeResult, { kind: "token" }>): Persistence {
  switch (result.kind) {
    case "unclear":
      return "quick";
    case "busy":
      return result.code === "quay-read-only" ? "no" : "patient";
    case "refused":
    case "without-federation":
    case "too-big":
    case "unusable":
      return "no";
    default:
      return unreachable(result);
  }
}

/**
 * Quay answers 502 for an issuer that it can't reach, and nginx answers 502 for a Quay that starts. Both may be temporary: a Keycloak
 * is back after some 6 s, a Quay after minutes. An issuer that only Quay can reach looks unreachable from here, too.
 */
function persistenceAfter(finding: IssuerFinding, status: number): Persistence {
  switch (finding.kind) {
    case "sound":
      return status === 502 ? "patient" : "no";
    case "unreachable":
      return "settling";
    case "broken":
    case "other-issuer":
    case "key-not-published":
      return "no";
    default:
      return unreachable(finding);
  }
}
