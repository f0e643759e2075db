/**
 * Which uses were certainly made with the static token. Pure.
 *
 * No entry of Quay's log tells a static token from a robot token of an exchange. Only the time does: a robot token lasts 3600 s,
 * and the registry's bearer that was got with it in its last second 3600 s more (Quay allows 30 s of leeway for each). A use
 * without an exchange in that time was made with the static token. A use with one could have been made with either.
 */
import { dayMs } from "../platform/clock.ts";
import { kindsOf, type UsageEvent, type UseKind } from "./usage-events.ts";

/** The log, as far as it could be read. */
export interface UsageLog {
  /** The oldest first. */
  readonly events: readonly UsageEvent[];
  readonly gaps: readonly Gap[];
  /** Older entries may be gone, in milliseconds since 1970. -Infinity: this Quay keeps all. */
  readonly keptSince: number;
  /** The beginning of the first day that was read. */
  readonly readFrom: number;
}

/** A day whose entries did not all come. */
export interface Gap {
  /** Its beginning, in milliseconds since 1970. */
  readonly day: number;
  /** undefined: of any kind. */
  readonly kind: string | undefined;
  readonly read: number;
  /** undefined: Quay did not say how many there are. */
  readonly counted: number | undefined;
}

/** In milliseconds since 1970, both ends included. An entry beyond the end of an audit's window counts too: it is the newest. */
export interface Window {
  readonly from: number;
  readonly to: number;
}

/**
 * Why a use may be keyless or not: an exchange was shortly before; entries that decide it are missing, or may be gone; or
 * the static token that was valid then has been replaced.
 */
export type Doubt = "after-exchange" | "log-incomplete" | "log-begins-later" | "token-replaced";

export interface Uses {
  readonly count: number;
  readonly first: number;
  readonly last: number;
  /** How many of each; `unlogged` is a login of which the robot knows and the log does not. */
  readonly kinds: Readonly<Partial<Record<UseKind | "unlogged", number>>>;
  /** Sorted. */
  readonly repositories: readonly string[];
}

export interface JudgedUses {
  /** Certainly with the static token; for a robot that still exists, the one that is valid now. */
  readonly static: Uses | undefined;
  /** With a robot token or the static token. */
  readonly unknown: (Uses & { readonly doubts: readonly Doubt[] }) | undefined;
}

export type Use = Extract<UsageEvent, { kind: "use" }> & { readonly isUnlogged?: true };

/** How long after an exchange its robot token can be what was used, in milliseconds. */
export const reachMs = { login: 3_630_000, push: 7_260_000, pull: 7_260_000, other: 7_260_000 } as const;

/** How long a registry's bearer works after the static token that it was got with was replaced. */
const bearerMs = 3_660_000;

/** What is known of its token. */
interface TokenHistory {
  /** Until when the robot can have had a binding, in milliseconds since 1970. */
  readonly boundUntil: number;
  /** When the static token was last replaced: uses before are left out. */
  readonly regenerated: number | undefined;
}

/** @param log its events are those of one robot */
export function judged(uses: readonly Use[], log: UsageLog, history: TokenHistory): JudgedUses {
  const byVerdict = Map.groupBy(uses, judgeWith(log, history));
  const doubts = [...byVerdict.keys()].filter((verdict) => verdict !== "static" && verdict !== "earlier-token");
  const unknown = sum(doubts.flatMap((doubt) => byVerdict.get(doubt) ?? []));
  return {
    static: sum(byVerdict.get("static") ?? []),
    unknown: unknown && { ...unknown, doubts: doubts.toSorted() },
  };
}

type Verdict = "static" | "earlier-token" | Doubt;

function judgeWith(
  log: UsageLog,
  { boundUntil, regenerated = Number.NEGATIVE_INFINITY }: TokenHistory,
): (use: Use) => Verdict {
  const exchanges = log.events.filter(({ kind }) => kind === "exchange").map(({ at }) => at);
  return ({ use, at }) => {
    if (at < regenerated) {
      return "earlier-token";
    }
    const earliest = at - reachMs[use];
    if (lastUntil(exchanges, at) >= earliest) {
      return "after-exchange";
    }
    if (boundUntil >= earliest) {
      // The reasons below count only for a robot that could be exchanged for.
      if (hasGap(log, kindsOf.exchange, { from: earliest, to: at })) {
        return "log-incomplete";
      }
      if (log.keptSince > earliest) {
        return "log-begins-later";
      }
    }
    if (hasGap(log, kindsOf.token, { from: at, to: Number.POSITIVE_INFINITY })) {
      return "log-incomplete";
    }
    // A bearer that was got with the earlier static token a moment before; a login in the very second.
    return at <= regenerated + (use === "login" ? 0 : bearerMs) ? "token-replaced" : "static";
  };
}

/** The last of the ascending times that is not later. */
function lastUntil(times: readonly number[], at: number): number {
  let [low, high] = [0, times.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((times[middle] ?? at) <= at) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return times[low - 1] ?? Number.NEGATIVE_INFINITY;
}

function sum(uses: readonly Use[]): Uses | undefined {
  if (uses.length === 0) {
    return undefined;
  }
  const times = uses.map(({ at }) => at);
  const byKind = Map.groupBy(uses, ({ use, isUnlogged }) => (isUnlogged ? "unlogged" : use));
  const repositories = new Set(uses.flatMap(({ repository }) => repository ?? []));
  return {
    count: uses.length,
    first: times.reduce((a, b) => Math.min(a, b)),
    last: times.reduce((a, b) => Math.max(a, b)),
    kinds: Object.fromEntries([...byKind].map(([kind, { length }]) => [kind, length])),
    repositories: [...repositories].sort(),
  };
}

/** @param kinds undefined: of any kind */
export function hasGap(log: UsageLog, kinds: readonly string[] | undefined, { from, to }: Window): boolean {
  return log.gaps.some(
    ({ day, kind }) =>
      day + dayMs > from && day <= to && (kind === undefined || kinds === undefined || kinds.includes(kind)),
  );
}
