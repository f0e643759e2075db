/** Everything a login needs from the machine. An entry point creates it once and passes it down. */

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
  /** Aborts when the timeout of the whole login passes, or the job is cancelled. Its reason is an ExplainedError. */
  readonly signal: AbortSignal;
  /** When the timeout passes, in milliseconds since 1970. Infinity: never. */
  readonly deadline: number;
}

/** The part without a network: enough for a logout. */
export type LocalPlatform = Pick<Platform, "clock" | "reporter" | "signal">;

/** The same, where the environment names files. */
export type LocalMachine = LocalPlatform & Pick<Platform, "env">;

export interface PlatformOptions {
  readonly env: Environment;
  readonly reporter: Reporter;
  /** undefined: no timeout */
  readonly timeoutSeconds: number | undefined;
  /** What the timeout ends, as a message begins with it. By default, `The login`. */
  readonly work?: string | undefined;
  /** PEM, trusted in addition to the system's roots. */
  readonly extraRoots?: string | undefined;
  readonly cancelled?: AbortSignal;
}

/** @throws ExplainedError `invalid-input` if a proxy variable is not an address */
export function createPlatform(options: PlatformOptions): Platform & { close(): void } {
  const timeout = new AbortController();
  const signal = options.cancelled ? AbortSignal.any([timeout.signal, options.cancelled]) : timeout.signal;
  const http = createHttp({
    env: options.env,
    extraRoots: options.extraRoots,
    signal,
    debug: options.reporter.debug,
  });
  // Only now: if `createHttp` throws, a timer that started earlier would keep the process alive.
  const { timeoutSeconds, work = "The login" } = options;
  const timer =
    timeoutSeconds && setTimeout(() => timeout.abort(timedOut(work, timeoutSeconds)), timeoutSeconds * 1000);
  const close = () => {
    clearTimeout(timer);
    // Aborts what still runs with this signal; its outcome is not reported.
    timeout.abort(new ExplainedError("cancelled", "This run is over.", { remedy: ["Run it again."] }));
    http.close();
  };
  const deadline = timeoutSeconds ? systemClock.now() + timeoutSeconds * 1000 : Number.POSITIVE_INFINITY;
  return { env: options.env, reporter: options.reporter, clock: systemClock, http, signal, deadline, close };
}

function timedOut(work: string, seconds: number): ExplainedError {
  return new ExplainedError("timeout", `${work} did not finish within ${seconds} seconds.`, {
    remedy: [text`If it needs longer, raise the option ${mention("timeout")}.`],
  });
}
