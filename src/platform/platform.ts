/** Everything a login needs from the machine, made once by an entry point and handed down. */

import { type Clock, systemClock } from "./clock.ts";
import type { Environment } from "./environment.ts";
import { ExplainedError } from "./errors.ts";
import { createHttp, type Http } from "./http.ts";
import type { Reporter } from "./reporter.ts";
import { mention, text } from "./wording.ts";

export interface Platform {
  readonly env: Environment;
  readonly clock: Clock;
  readonly http: Http;
  readonly reporter: Reporter;
  /** Aborts when the time for the whole login is over, or the job is cancelled; its reason is a ExplainedError. */
  readonly signal: AbortSignal;
  /** When that time is over, in milliseconds since 1970; Infinity: never. */
  readonly deadline: number;
}

/** The part that needs no network: enough to take a login back. */
export type LocalPlatform = Pick<Platform, "clock" | "reporter" | "signal">;

export interface PlatformOptions {
  readonly env: Environment;
  readonly reporter: Reporter;
  /** undefined: as long as it takes */
  readonly timeoutSeconds: number | undefined;
  /** PEM, trusted besides the system's roots. */
  readonly extraRoots?: string | undefined;
  readonly cancelled?: AbortSignal;
}

/** @throws ExplainedError `invalid-input` where a proxy variable is not an address */
export function createPlatform(options: PlatformOptions): Platform & { close(): void } {
  const timeout = new AbortController();
  const signal = options.cancelled ? AbortSignal.any([timeout.signal, options.cancelled]) : timeout.signal;
  const http = createHttp({
    env: options.env,
    extraRoots: options.extraRoots,
    signal,
    debug: options.reporter.debug,
  });
  // Only now: where that fails, nobody would stop the timer, and it would keep the process alive.
  const { timeoutSeconds } = options;
  const timer = timeoutSeconds && setTimeout(() => timeout.abort(timedOut(timeoutSeconds)), timeoutSeconds * 1000);
  const close = () => {
    clearTimeout(timer);
    // Whatever still runs under it ends, and has nothing to tell any more.
    timeout.abort(new ExplainedError("cancelled", "This has ended already.", { remedy: ["Run the same again."] }));
    http.close();
  };
  const deadline = timeoutSeconds ? systemClock.now() + timeoutSeconds * 1000 : Number.POSITIVE_INFINITY;
  return { env: options.env, reporter: options.reporter, clock: systemClock, http, signal, deadline, close };
}

function timedOut(seconds: number): ExplainedError {
  return new ExplainedError("timeout", `The login was not done within ${seconds} seconds.`, {
    remedy: [
      text`If that is expected to take longer, raise the option ${mention("timeout")}. The log above tells what came before.`,
    ],
  });
}
