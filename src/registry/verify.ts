/** Checks that a registry accepts a robot token, as the tools do before they store it: its realm gives a bearer token for it. */
import { ExplainedError, unreachable } from "../platform/errors.ts";
import { type HttpAnswer, HttpFailure } from "../platform/http.ts";
import type { Platform } from "../platform/platform.ts";
import { type Attempt, retry } from "../platform/retry.ts";
import type { RobotToken } from "../quay/exchange.ts";
import { explainFailure, remedies } from "../quay/explain.ts";
import { explainRefusal, readBearer, registryReason } from "./access.ts";
import { askRealm, type Realm } from "./realm.ts";

/** A robot token that was just exchanged. */
export interface Unverified {
  /** host or host:port */
  readonly registry: string;
  readonly token: RobotToken;
  /** Where the registry sends its clients, as `findRealm` has checked it. */
  readonly realm: Realm;
}

/**
 * Sends the robot token to the realm, without a scope (the distribution project's token specification, "Requesting a Token"). What
 * passes is retried as in the tools' logins.
 * @throws ExplainedError `login-refused`, `robots-disabled`, `registry-unavailable`, `tls-untrusted`, `quay-answer-unusable`
 */
export function verifyRobotToken(unverified: Unverified, platform: Platform): Promise<void> {
  const { registry, token, realm } = unverified;
  return retry(platform, `the check of ${token.robot} at ${registry}`, async (): Promise<Attempt<void>> => {
    try {
      return judge(await askRealm(realm, token, platform), unverified);
    } catch (failure) {
      if (!(failure instanceof HttpFailure)) {
        throw failure;
      }
      return explainNoAnswer(failure, registry);
    }
  });
}

function judge(answer: HttpAnswer, { registry, token: { robot } }: Unverified): Attempt<void> {
  const { status, body } = answer;
  if (status === 200 && readBearer(body) !== undefined) {
    return { value: undefined };
  }
  if (status === 408 || status === 425 || status === 429 || status >= 500) {
    // 500 mostly lasts.
    return {
      retry: status === 500 ? "quick" : "patient",
      error: unavailable(registry, `it answered ${status}`),
      answer,
    };
  }
  if (status < 400) {
    return {
      retry: "no",
      error: unusable(registry, status === 200 ? "it gave no bearer token" : `it answered ${status}`),
    };
  }
  if (status !== 401 && status !== 403) {
    const reason = registryReason(body);
    return { retry: "no", error: unusable(registry, `it answered ${status}${reason ? `, "${reason}"` : ""}`) };
  }
  const message = `${registry} does not accept the robot token that Quay has just given: it answered ${status}.`;
  const error = new ExplainedError("login-refused", message, { remedy: [remedies.checkRobot(robot, registry)] });
  return { retry: "no", error: explainRefusal(answer, registry, robot) ?? error };
}

function explainNoAnswer(failure: HttpFailure, registry: string): Attempt<never> {
  switch (failure.kind) {
    case "untrusted":
    case "without-tls":
      return { retry: "no", error: explainFailure(failure, { registry }) };
    case "too-big":
      return { retry: "no", error: unusable(registry, failure.message) };
    // The exchange has just worked: what is wrong with names and connections now mostly passes.
    case "unknown-name":
    case "unreachable":
    case "timeout":
    case "cut":
      return { retry: "patient", error: unavailable(registry, failure.message) };
    default:
      return unreachable(failure.kind);
  }
}

const unavailable = (registry: string, problem: string): ExplainedError =>
  new ExplainedError(
    "registry-unavailable",
    `The exchange worked, but the registry of ${registry} is not available at the moment: ${problem}.`,
    { remedy: [remedies.runAgain] },
  );

const unusable = (registry: string, problem: string): ExplainedError =>
  new ExplainedError(
    "quay-answer-unusable",
    `${registry} gave an unusable answer to the check of the robot token: ${problem}.`,
    { remedy: [remedies.checkRegistry] },
  );
