/**
 * Reads an organization's usage log. Quay gives 20 entries a page, filters by no kind, and loses entries where two pages meet at
 * entries of the same time. The log is therefore read day by day and compared with Quay's own counts.
 */
import { dayMs } from "../platform/clock.ts";
import { mapLimit } from "../platform/concurrency.ts";
import { ExplainedError } from "../platform/errors.ts";
import type { Platform } from "../platform/platform.ts";
import { joined, mention, text, type Words } from "../platform/wording.ts";
import {
  type LogPage,
  type LogWindow,
  type Management,
  maxConcurrentRequests,
  type Owner,
} from "../quay/management.ts";
import type { Gap, UsageLog, Window } from "./judge.ts";
import { eventOf, type UsageEvent } from "./usage-events.ts";

export interface LogProgress {
  readonly read: number;
  /** undefined: Quay does not say. */
  readonly all: number | undefined;
}

export interface ReadLog extends Omit<UsageLog, "keptSince"> {
  readonly entries: number;
  /** The time of the oldest entry, in milliseconds since 1970. */
  readonly oldest: number | undefined;
}

type LogReader = Pick<Management, "registry" | "logPage" | "logCounts">;

export interface LogSource {
  readonly management: LogReader;
  readonly owner: Owner;
  readonly platform: Pick<Platform, "clock" | "deadline" | "reporter">;
  readonly onProgress: (progress: LogProgress) => void;
}

const pageSize = 20;
/** The most that Quay counts at once, the last day included. */
const maxDaysCounted = 31;
/** Pages beyond those that the counts make necessary, before a day's log is given up as endless. */
const sparePages = 20;
/** Entries beyond the window's end: what is written while the log is read, and by a part of Quay whose clock is ahead. */
const spareMs = 3_600_000;
/** Measured on a small Quay: 0.21 to 0.26 s. */
const pageMs = 250;

/**
 * The day before the window is read too: an exchange there decides about a use after midnight.
 * @throws ExplainedError `usage-log-unavailable`, and those of `Management`
 */
export async function readLog(source: LogSource, window: Window): Promise<ReadLog> {
  const days = daysOf({ from: window.from - dayMs, to: window.to + spareMs });
  // Before the pages: what is written in the meantime makes more entries, not fewer.
  const counts = await countDays(source, days);
  const all = counts && sum([...counts.values()].map(total));
  warnIfLong(source, counts, window);
  const began = source.platform.clock.now();
  let read = 0;
  const found = await eachDay(days, (day) =>
    readDay(source, { day, counted: counts && total(counts.get(day) ?? new Map()) }, (more) => {
      read += more;
      source.onProgress({ read, all });
    }),
  ).catch((error: unknown) => {
    const seconds = (source.platform.clock.now() - began) / 1000;
    throw isTimeout(error) ? tooSlow(source, { read, all }, { seconds, window }) : error;
  });
  return {
    events: found.flatMap(({ events }) => events),
    gaps: found.flatMap((each) =>
      gapsOf(each, counts && (counts.get(each.day) ?? new Map()), each.day + dayMs > window.to),
    ),
    readFrom: Math.min(...days),
    entries: read,
    oldest: found.find(({ oldest }) => oldest !== undefined)?.oldest,
  };
}

const isTimeout = (error: unknown): boolean => error instanceof ExplainedError && error.code === "timeout";

/** How far it was, and how long the rest takes at the same pace. */
function tooSlow(
  { owner }: LogSource,
  { read, all }: LogProgress,
  { seconds, window }: { readonly seconds: number; readonly window: Window },
): ExplainedError {
  const needed = all !== undefined && read > 0 ? (seconds * all) / read : 0;
  return new ExplainedError(
    "timeout",
    `The timeout passed when ${all === undefined ? read : `${read} of ${all}`} entries of the usage log of ${owner.name} were read.`,
    { remedy: [text`Give it more time: ${mention("timeout", enoughFor(needed))}`, ...fewerDays(window)] },
  );
}

/** Seconds for the option timeout: with a reserve, 10 minutes at least and what it takes at most. */
const enoughFor = (seconds: number): string => String(Math.min(3600, Math.max(600, Math.ceil(seconds / 40) * 60)));

function fewerDays({ from, to }: Window): readonly Words[] {
  const days = Math.floor((to - from) / dayMs / 4);
  return days > 0 ? [text`Or read fewer days: ${mention("since", `${days}d`)}`] : [];
}

/** The beginnings of the days in UTC, in milliseconds since 1970. */
function daysOf({ from, to }: Window): readonly number[] {
  const first = Math.floor(from / dayMs);
  return Array.from({ length: Math.floor(to / dayMs) - first + 1 }, (_, index) => (first + index) * dayMs);
}

const nameOf = (day: number): string => new Date(day).toISOString().slice(0, 10);

const sum = (numbers: readonly number[]): number => numbers.reduce((all, number) => all + number, 0);

/** The entries of a day, by their kind. */
type Kinds = ReadonlyMap<string, number>;
type Counts = ReadonlyMap<number, Kinds>;

const total = (kinds: Kinds): number => sum([...kinds.values()]);

/** @returns undefined: this Quay does not count */
async function countDays({ management, owner }: LogSource, days: readonly number[]): Promise<Counts | undefined> {
  const parts = Array.from({ length: Math.ceil(days.length / maxDaysCounted) }, (_, index) =>
    days.slice(index * maxDaysCounted, (index + 1) * maxDaysCounted),
  );
  const counted = await mapLimit(parts, maxConcurrentRequests, (part) =>
    management.logCounts(owner, windowOf(Math.min(...part), Math.max(...part))).catch(asUncounted),
  );
  const known = counted.filter((counts) => counts !== undefined);
  if (known.length < counted.length) {
    return undefined;
  }
  const byDay = new Map<number, Map<string, number>>();
  for (const { day, kind, count } of known.flat()) {
    const kinds = byDay.get(day) ?? new Map<string, number>();
    byDay.set(day, kinds.set(kind, (kinds.get(kind) ?? 0) + count));
  }
  return byDay;
}

/** A Quay with its feature AGGREGATED_LOG_COUNT_RETRIEVAL off has no such route. */
function asUncounted(error: unknown): undefined {
  if (error instanceof ExplainedError && error.code === "quay-answer-unusable") {
    return undefined;
  }
  throw error;
}

const windowOf = (from: number, to: number): LogWindow => ({ from: nameOf(from), to: nameOf(to) });

/** The first failure ends it: each day would say the same. */
async function eachDay<T>(days: readonly number[], work: (day: number) => Promise<T>): Promise<readonly T[]> {
  const failures: unknown[] = [];
  const found = await mapLimit(days, maxConcurrentRequests, async (day) => {
    try {
      return failures.length > 0 ? undefined : await work(day);
    } catch (error) {
      failures.push(error);
      return undefined;
    }
  });
  if (failures.length > 0) {
    throw failures[0];
  }
  return found.flatMap((each) => each ?? []);
}

interface DayLog {
  readonly day: number;
  /** The oldest first. */
  readonly events: readonly UsageEvent[];
  readonly kinds: Kinds;
  readonly oldest: number | undefined;
  /** Whether its last page came. */
  readonly isWhole: boolean;
}

interface Day {
  readonly day: number;
  /** How many entries it has. undefined: Quay does not say. */
  readonly counted: number | undefined;
}

async function readDay(source: LogSource, { day, counted }: Day, onEntries: (more: number) => void): Promise<DayLog> {
  const maxPages = counted === undefined ? Number.POSITIVE_INFINITY : Math.ceil(counted / pageSize) + sparePages;
  const kinds = new Map<string, number>();
  const events: UsageEvent[] = [];
  let oldest: number | undefined;
  let next: string | undefined;
  for (let pages = 0; pages < maxPages; pages++) {
    const page = await source.management.logPage(source.owner, windowOf(day, day), next);
    assertUsable(page, day, source);
    const { entries } = page;
    // The newest come first. Quay gives the first page again for a token of a page that it does not know.
    const atMost = oldest ?? Number.POSITIVE_INFINITY;
    if (entries.some(({ at }) => at > atMost)) {
      return { day, events: events.reverse(), kinds, oldest, isWhole: false };
    }
    for (const entry of entries) {
      kinds.set(entry.kind, (kinds.get(entry.kind) ?? 0) + 1);
      const event = eventOf(entry, source.owner.name);
      if (event !== undefined) {
        events.push(event);
      }
    }
    oldest = entries.at(-1)?.at ?? oldest;
    onEntries(entries.length);
    if (page.nextPage === undefined) {
      return { day, events: events.reverse(), kinds, oldest, isWhole: true };
    }
    if (page.nextPage === next) {
      break;
    }
    next = page.nextPage;
  }
  return { day, events: events.reverse(), kinds, oldest, isWhole: false };
}

/** Quay reads an unknown form of a date as no date at all, without a word. */
function assertUsable(page: LogPage, day: number, { management: { registry }, owner }: LogSource): void {
  if (page.unavailable) {
    throw new ExplainedError(
      "usage-log-unavailable",
      `${registry} keeps the usage log of ${owner.name} where its API can't search it.`,
      { remedy: ["Ask its administrators where the log is: they can search it there."] },
    );
  }
  if (page.from !== day || page.to !== day + dayMs) {
    throw new ExplainedError(
      "quay-answer-unusable",
      `${registry} was asked for the usage log of ${nameOf(day)}, and answers with that of another time.`,
      { remedy: [text`Check that the option ${mention("registry")} names a Quay.`] },
    );
  }
}

function gapsOf({ day, kinds, isWhole }: DayLog, counts: Kinds | undefined, isToday: boolean): readonly Gap[] {
  const read = total(kinds);
  if (counts === undefined || !isWhole) {
    return [{ day, kind: undefined, read, counted: counts && total(counts) }];
  }
  return [...new Set([...kinds.keys(), ...counts.keys()])].flatMap((kind) => {
    const [got, counted] = [kinds.get(kind) ?? 0, counts.get(kind) ?? 0];
    // Entries of today are written while the pages are read.
    const isSame = isToday ? got >= counted : got === counted;
    return isSame ? [] : [{ day, kind, read: got, counted }];
  });
}

/** At most 8 days at the same time, and one page after the other in each. */
function warnIfLong({ owner, platform }: LogSource, counts: Counts | undefined, window: Window): void {
  const entries = [...(counts?.values() ?? [])].map(total);
  const pages = entries.map((each) => Math.ceil(each / pageSize));
  const seconds = Math.ceil((Math.max(sum(pages) / maxConcurrentRequests, ...pages) * pageMs) / 1000);
  if (platform.clock.now() + seconds * 1000 < platform.deadline) {
    return;
  }
  const remedies = joined(
    [text`Give it more time: ${mention("timeout", enoughFor(seconds))}.`, ...fewerDays(window)],
    " ",
  );
  platform.reporter.warning(
    text`The usage log of ${owner.name} has ${sum(entries)} entries in this time. Reading them takes about ${seconds} s, longer than the timeout. ${remedies}`,
  );
}
