/** Requests to Quay's management API: where the token goes, what is retried, how an answer is read. */
import { createLimit } from "../../platform/concurrency.ts";
import { type HttpAnswer, HttpFailure, type Limits, type Method } from "../../platform/http.ts";
import { isObject, parseExactly } from "../../platform/json.ts";
import type { Platform } from "../../platform/platform.ts";
import { type Attempt, persistenceOf, retry } from "../../platform/retry.ts";
import { explainFailure } from "../explain.ts";
import { explainAnswer, type Need, reasonOf, unusable } from "./refusals.ts";

export interface ManagementOptions {
  /** host or host:port */
  readonly registry: string;
  /** An OAuth token of Quay. A secret. */
  readonly token: string;
}

/** Whose robots they are: an organization's, or those of the token's own user. */
export interface Owner {
  readonly kind: "organization" | "user";
  readonly name: string;
}

export interface Question {
  /** For messages: `the robots of acme`. */
  readonly what: string;
  /** Below `/api/v1/`, encoded. */
  readonly path: string;
  readonly query?: Readonly<Record<string, string | undefined>>;
  readonly method?: Method;
  readonly body?: unknown;
  /** Which right of the token it needs. */
  readonly needs: Need;
  /** Refusals that the caller handles, besides 200 to 204: a status, and Quay's own reason. */
  readonly expects?: readonly (readonly [status: number, reason: RegExp])[];
  /** Whether the same request again has the same effect. By default, only that of a GET. */
  readonly repeatable?: boolean;
}

export interface Answered {
  readonly status: number;
  /** The body's JSON; undefined for a 204, and for a refusal that the caller expects. */
  readonly value: unknown;
  /** Quay's reason for a refusal. */
  readonly reason: string;
}

/** @throws ExplainedError as `explainAnswer` and `explainFailure` say; the platform's abort reason */
export type Ask = (question: Question) => Promise<Answered>;

/** The bulk of a plan is one small request for each robot: Quay answers 20 at the same time as quickly as one. */
export const maxConcurrentRequests = 8;

/** The list of 5,000 robots with their teams and repositories, and a federation of 5,000 bindings, have less than that. */
const limits: Limits = { timeoutMs: 30_000, maxBytes: 8 * 1024 * 1024 };

export interface Asking {
  readonly ask: Ask;
  /**
   * What time it is for Quay, in milliseconds since 1970: its last answer's `Date`, and what passed since.
   * @throws ExplainedError `quay-answer-unusable` if no answer had one
   */
  readonly quaysTime: () => number;
}

export function createAsk({ registry, token }: ManagementOptions, platform: Platform): Asking {
  platform.reporter.secret(token);
  const { clock } = platform;
  let seen: { readonly date: number; readonly at: number } | undefined;
  const base = new URL(`https://${registry}/api/v1/`);
  const limit = createLimit(maxConcurrentRequests);
  const ask: Ask = (question) => {
    const { method = "GET", body } = question;
    const text = body === undefined ? undefined : JSON.stringify(body);
    const headers = {
      authorization: `Bearer ${token}`,
      accept: "application/json",
      ...(text !== undefined && { "content-type": "application/json" }),
    };
    return retry(platform, question.what, async (): Promise<Attempt<Answered>> => {
      try {
        const answer = await limit(() => {
          platform.signal.throwIfAborted();
          return platform.http.open(addressOf(question, base), limits, method).send(headers, text);
        });
        const date = Date.parse(String(answer.headers.date ?? ""));
        seen = Number.isNaN(date) ? seen : { date, at: clock.elapsed() };
        return judge(answer, question, registry, platform);
      } catch (failure) {
        if (!(failure instanceof HttpFailure)) {
          throw failure;
        }
        const isAnswer = failure.kind === "cut" || failure.kind === "too-big";
        const error = isAnswer
          ? unusable(registry, question.what, failure.message)
          : explainFailure(failure, { registry });
        return { retry: isRepeatable(question) ? persistenceOf(failure) : "no", error };
      }
    });
  };
  return {
    ask,
    quaysTime() {
      if (seen === undefined) {
        throw unusable(registry, "its time", "no answer has the header Date");
      }
      return seen.date + clock.elapsed() - seen.at;
    },
  };
}

const isRepeatable = ({ method = "GET", repeatable = method === "GET" }: Question): boolean => repeatable;

function addressOf({ path, query = {} }: Question, base: URL): URL {
  const url = new URL(path, base);
  for (const [name, value] of Object.entries(query)) {
    if (value !== undefined) {
      url.searchParams.set(name, value); // writes a robot's + as %2B: Quay answers 500 otherwise
    }
  }
  return url;
}

function judge(answer: HttpAnswer, question: Question, registry: string, platform: Platform): Attempt<Answered> {
  const { status, body } = answer;
  if (status === 204) {
    return { value: { status, value: undefined, reason: "" } };
  }
  if (status >= 200 && status < 300) {
    const value = readBody(body, platform);
    return value === undefined
      ? { retry: "no", error: unusable(registry, question.what, `its body is not JSON (status ${status})`) }
      : { value: { status, value, reason: "" } };
  }
  const reason = reasonOf(body);
  if (question.expects?.some(([expected, pattern]) => status === expected && pattern.test(reason))) {
    return { value: { status, value: undefined, reason } };
  }
  const { error, persistence } = explainAnswer(answer, reason, { ...question, registry });
  return { retry: isRepeatable(question) || status === 429 ? persistence : "no", error, answer };
}

/**
 * Some answers hold a robot's static token, whatever was asked: it is masked before anything else, and no reader takes it.
 * @returns undefined where it is not JSON
 */
function readBody(body: string, { reporter }: Platform): unknown {
  let value: unknown;
  try {
    value = parseExactly(body);
  } catch {
    return undefined; // the parser's message quotes the body
  }
  for (const [, token = ""] of body.matchAll(/"token"\s*:\s*"([^"\\]*)"/g)) {
    reporter.secret(token);
  }
  return value;
}

/** A part of a path. Quay takes a robot's + as it is, too. */
export const part = (text: string): string => encodeURIComponent(text);

/** @throws ExplainedError `quay-answer-unusable` */
export function objectIn({ value }: Answered, what: string, registry: string): Readonly<Record<string, unknown>> {
  if (!isObject(value)) {
    throw unusable(registry, what, "its JSON is no object");
  }
  return value;
}

/** @throws ExplainedError `quay-answer-unusable` */
export function listIn(value: unknown, what: string, registry: string): readonly Readonly<Record<string, unknown>>[] {
  const isList = Array.isArray(value) && value.every((entry) => typeof entry === "object" && entry !== null);
  if (!isList) {
    throw unusable(registry, what, "its JSON holds no list of them");
  }
  return value;
}
