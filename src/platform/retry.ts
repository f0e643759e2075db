/** The one place that says what is retried, how often and for how long. */
import { ExplainedError, reworded, unreachable } from "./errors.ts";
import type { HttpAnswer, HttpFailure } from "./http.ts";
import type { Platform } from "./platform.ts";
import { mention, text } from "./wording.ts";

/**
 * `no`: never (a refusal). `quick`: twice, for a failure that is mostly permanent.
 * `settling`: for some 20 s, for what was set up a moment ago and takes some seconds to arrive.
 * `patient`: until the timeout of the login.
 * `copying`: for minutes, because an hour's copy continues where it was cut off.
 */
export type Persistence = "no" | "quick" | "settling" | "patient" | "copying";

export type Attempt<T> = { readonly value: T } | Failed;

interface Failed {
  readonly retry: Persistence;
  readonly error: ExplainedError;
  readonly answer?: HttpAnswer;
  /** A more expensive search for the cause, once no attempt is left. Its finding may allow further attempts. */
  readonly examine?: () => Promise<Pick<Failed, "retry" | "error"> | undefined>;
}

/** The number of attempts in all, and the longest wait: it doubles from `firstMs` to `maxMs`. */
export const schedule = {
  quick: { attempts: 3, firstMs: 250, maxMs: 1_000 },
  settling: { attempts: 12, firstMs: 500, maxMs: 5_000 },
  patient: { attempts: Number.POSITIVE_INFINITY, firstMs: 500, maxMs: 10_000 },
  copying: { attempts: 8, firstMs: 1_000, maxMs: 30_000 },
  /** Renewals of a login, each of which is a login with attempts of its own. */
  lasting: { attempts: Number.POSITIVE_INFINITY, firstMs: 1_000, maxMs: 60_000 },
} as const;

/** The wait after the n-th failure, milliseconds: anything up to the doubled one ("full jitter"), so clients do not retry in step. */
export function backoffMs(persistence: keyof typeof schedule, failures: number, random: number): number {
  const { firstMs, maxMs } = schedule[persistence];
  return Math.min(maxMs, firstMs * 2 ** (failures - 1)) * random;
}

/** A name that can't be resolved is mostly misspelt, and a bad certificate or a port for plain http is permanent; a connection comes back. */
export function persistenceOf(failure: HttpFailure): Persistence {
  switch (failure.kind) {
    case "unreachable":
    case "timeout":
      return "patient";
    case "unknown-name":
    case "cut":
      return "quick";
    case "untrusted":
    case "without-tls":
    case "too-big":
      return "no";
    default:
      return unreachable(failure.kind);
  }
}

/**
 * Runs `attempt` until it gives a value or an error that is not worth a retry. A wait is at least as long as `Retry-After` asks for. A
 * wait that would pass the deadline does not begin.
 * @throws ExplainedError that of the last attempt
 */
export async function retry<T>(platform: Platform, what: string, attempt: () => Promise<Attempt<T>>): Promise<T> {
  // Each kind has its own count: a Quay that restarts refuses connections for long, then answers 502 once or twice.
  const counts = { quick: 0, settling: 0, patient: 0, copying: 0 };
  const next = (persistence: Persistence, answer?: HttpAnswer) =>
    persistence === "no" ? "enough" : waitMs(persistence, ++counts[persistence], answer, platform);
  let last: ExplainedError | undefined;
  for (;;) {
    const result = await attempt().catch((error) => {
      throw namingWhat(error, what, platform, last);
    });
    if ("value" in result) {
      return result.value;
    }
    let { error } = result;
    let wait = next(result.retry, result.answer);
    if (typeof wait !== "number") {
      const found = await result.examine?.().catch(() => {
        if (platform.signal.aborted) {
          throw namingWhat(platform.signal.reason, what, platform, last ?? error);
        }
      });
      error = found?.error ?? error;
      wait = found && wait === "enough" ? next(found.retry) : wait;
    }
    if (wait === "late") {
      platform.reporter.info(text`Not retrying ${what}: the timeout would pass first (option ${mention("timeout")}).`);
    }
    if (typeof wait !== "number") {
      throw error;
    }
    platform.reporter.info(text`${error.headline} Retrying ${inSeconds(wait)}.`);
    last = error;
    await platform.clock.sleep(wait, platform.signal);
  }
}

/** When from now, in words. */
export const inSeconds = (ms: number): string => (ms < 50 ? "at once" : `in ${(ms / 1000).toFixed(1)} s`);

/** @returns milliseconds, or why there is no further attempt: there were enough, or the next one would be too late */
function waitMs(
  persistence: Exclude<Persistence, "no">,
  failures: number,
  answer: HttpAnswer | undefined,
  { clock, deadline }: Platform,
): number | "enough" | "late" {
  if (failures >= schedule[persistence].attempts) {
    return "enough";
  }
  const backoff = backoffMs(persistence, failures, clock.random());
  const wait = Math.max(backoff, retryAfterMs(answer, clock.now()));
  return clock.now() + wait >= deadline ? "late" : wait;
}

/**
 * When the timeout passes during an attempt or the search after it, the error says what it was waiting for, and what failed before, if an earlier
 * attempt knows.
 */
function namingWhat(error: unknown, what: string, { signal }: Platform, last: ExplainedError | undefined): unknown {
  if (error !== signal.reason || !(error instanceof ExplainedError) || error.code !== "timeout") {
    return error;
  }
  return last === undefined
    ? new ExplainedError("timeout", text`${error.headline} It was waiting for ${what}.`, { remedy: error.remedy })
    : reworded(last, {
        remedy: (lines) => [...lines, text`${error.headline} To give it more time: ${mention("timeout", "600")}`],
      });
}

/** RFC 9110, 10.2.3: seconds or a date. */
function retryAfterMs(answer: HttpAnswer | undefined, now: number): number {
  const value = answer?.headers["retry-after"];
  if (typeof value !== "string") {
    return 0;
  }
  const ms = /^\s*[0-9]+\s*$/.test(value) ? Number(value) * 1000 : Date.parse(value) - now;
  return Number.isFinite(ms) ? Math.max(0, ms) : 0;
}
