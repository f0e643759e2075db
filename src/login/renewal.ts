/** Renews a login before it expires, until it is stopped. One mechanism for all entry points. */

import { hasAllEntries } from "../authfile/change.ts";
import { isoTime } from "../identity/token.ts";
import type { Clock } from "../platform/clock.ts";
import { ExplainedError, failureObject, formatError } from "../platform/errors.ts";
import { maxSize, readTextWithin } from "../platform/files.ts";
import { fingerprint } from "../platform/fs.ts";
import type { LocalPlatform } from "../platform/platform.ts";
import { backoffMs, inSeconds } from "../platform/retry.ts";
import { text } from "../platform/wording.ts";
import type { LoginResult } from "./login.ts";
import type { Session } from "./session.ts";

export interface RenewalOptions {
  /** One login that renews the session; if it fails, the old login stays. */
  readonly renew: (session: Session) => Promise<Session>;
  /** Its content is watched: the kubelet replaces a projected token in place. */
  readonly tokenFile: string | undefined;
  /** If the identity token can't be fetched again: its expiry, in seconds since 1970. */
  readonly identityEnds: number | undefined;
  /** "exit": a login that expires ends the renewal with an error; "retry": it is logged, and the attempts continue. */
  readonly onLapse: "exit" | "retry";
  readonly onLapsed?: (lapse: ExplainedError) => void;
}

/** The part of a login that decides how it can be renewed. */
export function sourceOf({
  source,
  identity,
}: Pick<LoginResult, "source" | "identity">): Pick<RenewalOptions, "tokenFile" | "identityEnds"> {
  return {
    tokenFile: source.source === "file" ? source.path : undefined,
    identityEnds: source.source === "environment" ? identity.expiresAt : undefined,
  };
}

type Reason = "due" | "token-changed" | "entry-gone" | "clock-jumped";

const reasons: Readonly<Record<Reason, string>> = {
  due: "it was about to expire",
  "token-changed": "the identity token was replaced",
  "entry-gone": "its entry was gone from the auth file",
  "clock-jumped": "the clock jumped",
};

/** A moment on the wall clock, which users set, and on the monotonic one, which pauses while a machine sleeps. */
interface Moment {
  readonly now: number;
  readonly elapsed: number;
}

const momentIn = (ms: number, clock: Clock): Moment => ({ now: clock.now() + ms, elapsed: clock.elapsed() + ms });
const isPast = (moment: Moment, clock: Clock): boolean =>
  clock.now() >= moment.now || clock.elapsed() >= moment.elapsed;
const never: Moment = { now: Number.POSITIVE_INFINITY, elapsed: Number.POSITIVE_INFINITY };

interface State {
  session: Session;
  next: Moment;
  end: Moment;
  /** Milliseconds between two looks at the clock and the files. */
  tick: number;
  token: string | undefined;
  /** Fingerprints of the token file and the auth files when they were last read. */
  marks: string;
  failures: number;
  lastFailure: ExplainedError | undefined;
}

/**
 * Never returns: `platform.signal` stops it, with its reason.
 * @throws ExplainedError `login-lapsed` if the login has expired and `onLapse` is "exit", `not-logged-in` if it was removed
 */
export async function renewUntilStopped(
  session: Session,
  options: RenewalOptions,
  platform: LocalPlatform,
): Promise<never> {
  const { clock, reporter, signal } = platform;
  const state: State = {
    session,
    next: never,
    end: never,
    tick: 0,
    token: await readToken(options),
    marks: "",
    failures: 0,
    lastFailure: undefined,
  };
  plan(state, options, platform);
  for (;;) {
    const reason = await nextReason(state, options, platform);
    if (reason === "ended") {
      if (options.onLapse === "exit" || state.next === never) {
        throw lapsed(state);
      }
      logLapse(state, options, platform);
      continue;
    }
    reporter.debug(`renewing the login because ${reasons[reason]}`);
    try {
      state.token = await readToken(options); // the one that the renewal will use
      const renewed = await options.renew(state.session);
      if (isPast(state.end, clock)) {
        logLapse(state, options, platform); // it expired during this renewal
      }
      state.session = renewed;
      state.marks = ""; // the files are new: check them again
      plan(state, options, platform);
      reporter.info(
        `The login was renewed because ${reasons[reason]}; it now expires at ${isoTime(endOf(state.session))}.`,
      );
    } catch (error) {
      signal.throwIfAborted();
      // Another process has logged out meanwhile: nothing is left to renew.
      if (!(error instanceof ExplainedError) || error.code === "not-logged-in") {
        throw error;
      }
      retryLater(state, error, platform);
    }
  }
}

function logLapse(state: State, { onLapsed }: RenewalOptions, { reporter }: LocalPlatform): void {
  const lapse = lapsed(state);
  reporter.warning(formatError(failureObject(lapse, reporter), reporter.moreOn));
  onLapsed?.(lapse);
  state.end = never; // logged once
}

const endOf = ({ robots }: Session): number => Math.min(...robots.map(({ expiresAt }) => expiresAt));

/**
 * Renews at 80 % of the tokens' life, or up to 10 % of it sooner, to spread a thousand pods over time. The life that Quay gives
 * counts, not the expiry: Quay's clock may differ from ours.
 */
function plan(state: State, { identityEnds }: RenewalOptions, { clock, reporter }: LocalPlatform): void {
  const life = Math.max(1, Math.min(...state.session.robots.map(({ lifeSeconds }) => lifeSeconds))) * 1000;
  const wait = life * (0.8 - 0.1 * clock.random());
  state.end = momentIn(life, clock);
  state.next = momentIn(wait, clock);
  state.tick = Math.min(1_000, Math.max(50, life / 20));
  state.failures = 0;
  if (identityEnds !== undefined && identityEnds * 1000 <= clock.now() + wait) {
    state.next = never;
    reporter.warning(
      `The login expires at ${isoTime(endOf(state.session))} and will not be renewed: its identity token expires at ${isoTime(identityEnds)} and can't be fetched again.`,
    );
  }
}

/** Waits up to a bound that doubles from a second to a minute, and never longer than a quarter of the remaining time. */
function retryLater(state: State, error: ExplainedError, { clock, reporter }: LocalPlatform): void {
  const isKnown = state.failures > 0 && state.lastFailure?.message === error.message;
  state.lastFailure = error;
  state.failures++;
  const backoff = backoffMs("lasting", state.failures, clock.random());
  const left = state.end.now - clock.now();
  const wait = Math.max(state.tick, Math.min(backoff, left > 0 ? left / 4 : backoff));
  state.next = momentIn(wait, clock);
  const next = `Retrying ${inSeconds(wait)}; the login expires at ${isoTime(endOf(state.session))}.`;
  // The remedy is logged once, and again when the login expires because of it.
  const failure = failureObject(error, reporter);
  const [what, ...remedy] = (isKnown ? failure.message : formatError(failure, reporter.moreOn)).split("\n");
  reporter.warning([`The login could not be renewed. ${what} ${next}`, ...remedy].join("\n"));
}

function lapsed({ session, lastFailure }: State): ExplainedError {
  return new ExplainedError(
    "login-lapsed",
    `The login expired at ${isoTime(endOf(session))} before it could be renewed.`,
    {
      remedy: lastFailure
        ? [text`The last attempt: ${lastFailure.headline}`, ...lastFailure.remedy]
        : ["Log in again."],
      cause: lastFailure,
    },
  );
}

/** Polls at each tick: neither a suspended machine nor a shared file system notifies of a change. */
async function nextReason(
  state: State,
  options: RenewalOptions,
  { clock, signal }: LocalPlatform,
): Promise<Reason | "ended"> {
  for (;;) {
    const before = momentIn(0, clock);
    await clock.sleep(state.tick, signal);
    const jump = clock.now() - before.now - (clock.elapsed() - before.elapsed);
    if (isPast(state.end, clock)) {
      return "ended";
    }
    if (state.next === never) {
      continue; // nothing left to renew with
    }
    if (isPast(state.next, clock)) {
      return "due";
    }
    if (Math.abs(jump) > 10_000) {
      return "clock-jumped";
    }
    const paths = [options.tokenFile, ...state.session.files.map(({ path }) => path)];
    const marks = paths.map((path) => path && fingerprint(path)).join();
    if (marks === state.marks) {
      continue;
    }
    state.marks = marks;
    const token = await readToken(options);
    if (token !== undefined && token !== state.token) {
      state.token = token;
      return "token-changed";
    }
    if (state.failures === 0 && !(await isThere(state.session))) {
      return "entry-gone";
    }
  }
}

async function readToken({ tokenFile }: RenewalOptions): Promise<string | undefined> {
  return tokenFile === undefined ? undefined : readTextWithin(tokenFile, maxSize.token).catch(() => undefined);
}

async function isThere({ files }: Session): Promise<boolean> {
  for (const record of files) {
    if (!(await hasAllEntries(record))) {
      return false;
    }
  }
  return true;
}
