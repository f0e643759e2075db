/** Keeps a login alive: signs in again in time, for as long as it is asked to. One mechanism for all entryPoints. */

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
  /** One login that renews the session; where it fails, the old one stays. */
  readonly renew: (session: Session) => Promise<Session>;
  /** Its content is watched: the kubelet replaces a projected token in place. */
  readonly tokenFile: string | undefined;
  /** Where the identity token can't be fetched again, its end, in seconds since 1970. */
  readonly identityEnds: number | undefined;
  /** Whether the end of a login that could not be renewed ends this too, or is told and the trying goes on. */
  readonly onLapse: "exit" | "retry";
  readonly onLapsed?: (lapse: ExplainedError) => void;
}

/** What of a login decides how it can be kept alive. */
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
  due: "its end comes near",
  "token-changed": "the identity token was replaced",
  "entry-gone": "it is gone from the auth file",
  "clock-jumped": "the clock has jumped",
};

/** A moment on the clock that people set, and on the one that nobody sets, which stands still while a machine sleeps. */
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
  /** Of the token file and the auth files when they were read last. */
  marks: string;
  failures: number;
  lastFailure: ExplainedError | undefined;
}

/**
 * Never returns: `platform.signal` stops it, with its reason.
 * @throws ExplainedError `login-lapsed` where the login has ended and this is the end, `not-logged-in` where it was taken back
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
      tellLapse(state, options, platform);
      continue;
    }
    reporter.debug(`renewing the login, since ${reasons[reason]}`);
    try {
      state.token = await readToken(options); // the one that the renewal will use
      const renewed = await options.renew(state.session);
      if (isPast(state.end, clock)) {
        tellLapse(state, options, platform); // it ended while this renewal was on its way
      }
      state.session = renewed;
      state.marks = ""; // the files are other ones now, and are looked at once more
      plan(state, options, platform);
      reporter.info(
        `The login was renewed, since ${reasons[reason]}: it lasts until ${isoTime(endOf(state.session))}.`,
      );
    } catch (error) {
      signal.throwIfAborted();
      // Somebody has logged out meanwhile: there is nothing to keep alive any more.
      if (!(error instanceof ExplainedError) || error.code === "not-logged-in") {
        throw error;
      }
      retryLater(state, error, platform);
    }
  }
}

function tellLapse(state: State, { onLapsed }: RenewalOptions, { reporter }: LocalPlatform): void {
  const lapse = lapsed(state);
  reporter.warning(formatError(failureObject(lapse, reporter), reporter.moreOn));
  onLapsed?.(lapse);
  state.end = never; // told once
}

const endOf = ({ robots }: Session): number => Math.min(...robots.map(({ expiresAt }) => expiresAt));

/**
 * At 80 % of the tokens' own life, or up to 10 % of it sooner, so that a thousand pods don't come at once. By what Quay says
 * of their life, not of their end: its clock need not be ours.
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
      `The login lasts until ${isoTime(endOf(state.session))} and will not be renewed: its identity token ends at ${isoTime(identityEnds)} and can't be fetched again.`,
    );
  }
}

/** Up to a wait that doubles from a second to a minute, and never longer than a quarter of what is left. */
function retryLater(state: State, error: ExplainedError, { clock, reporter }: LocalPlatform): void {
  const isKnown = state.failures > 0 && state.lastFailure?.message === error.message;
  state.lastFailure = error;
  state.failures++;
  const backoff = backoffMs("lasting", state.failures, clock.random());
  const left = state.end.now - clock.now();
  const wait = Math.max(state.tick, Math.min(backoff, left > 0 ? left / 4 : backoff));
  state.next = momentIn(wait, clock);
  const next = `Trying again ${inSeconds(wait)}; the login ends at ${isoTime(endOf(state.session))}.`;
  // What to do about it is said once, and once more when the login ends by it.
  const failure = failureObject(error, reporter);
  const [what, ...remedy] = (isKnown ? failure.message : formatError(failure, reporter.moreOn)).split("\n");
  reporter.warning([`The login could not be renewed. ${what} ${next}`, ...remedy].join("\n"));
}

function lapsed({ session, lastFailure }: State): ExplainedError {
  return new ExplainedError(
    "login-lapsed",
    `The login ended at ${isoTime(endOf(session))}, before it could be renewed.`,
    {
      remedy: lastFailure
        ? [text`The last attempt: ${lastFailure.headline}`, ...lastFailure.remedy]
        : ["Log in again."],
      cause: lastFailure,
    },
  );
}

/** A look each tick, since neither a suspended machine nor a shared file system tells of a change. */
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
