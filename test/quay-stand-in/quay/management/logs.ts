/**
 * The usage log's API: `…/logs` and `…/aggregatelogs` of an organization, a repository and the token's user. 20 entries
 * a page, newest first; dates are `%m/%d/%Y`, and every other format is ignored without a word.
 */
import { firstAfter } from "../log.ts";
import { INTERNAL_ERROR, NOT_JSON, type Reply, refused, spacedJson } from "../pages.ts";
import { roleOf } from "../rights.ts";
import type { Settings } from "../settings.ts";
import type { Store, StoredEntry } from "../store.ts";
import {
  administers,
  avatar,
  type Call,
  forbidden,
  type Handler,
  has,
  isRobot,
  notFound,
  type Route,
  split,
  timeText,
} from "./call.ts";
import { openPage, sealPage } from "./page-token.ts";

interface Log {
  namespace: string;
  /** Short name. */
  repository?: string;
  performer: string | null;
}

type Show = (call: Call, log: Log) => Reply;

const ofOrganization =
  (show: Show): Handler =>
  (call, namespace = "") =>
    administers(call, namespace) ? show(call, { namespace, performer: performerOf(call) }) : forbidden(call);
const ofUser =
  (show: Show): Handler =>
  (call) =>
    has(call, "user:admin")
      ? show(call, { namespace: call.token.user, performer: performerOf(call) })
      : forbidden(call);
/** A repository's log has no `performer`: it is ignored. */
const ofRepository =
  (show: Show): Handler =>
  (call, full = "") => {
    const { store, token } = call;
    const [namespace, repository] = split(full);
    const isAdmin = roleOf(store, token.user, full) === "admin";
    if (!has(call, "repo:admin") || !isAdmin) return forbidden(call);
    return store.repositories.has(full) ? show(call, { namespace, repository, performer: null }) : notFound(call);
  };
const performerOf = ({ request }: Call) => request.query.get("performer") || null;

export const logRoutes: Route[] = [
  { path: "organization/{org}/logs", GET: ofOrganization(page) },
  { path: "organization/{org}/aggregatelogs", GET: ofOrganization(aggregate) },
  { path: "repository/{repository}/logs", GET: ofRepository(page) },
  { path: "repository/{repository}/aggregatelogs", GET: ofRepository(aggregate) },
  { path: "user/logs", GET: ofUser(page) },
  { path: "user/aggregatelogs", GET: ofUser(aggregate) },
];

const PAGE = 20;
const DAY = 86_400_000;
const UNSEARCHABLE = { search_unavailable: true, message: "Searching the logs is not available" };

function page(call: Call, log: Log): Reply {
  const { store, settings, request } = call;
  const window = windowOf(request.query, settings);
  if (window === undefined) return NOT_JSON;
  // "An unknown name, also one with a `+` that isn't encoded: 500."
  if (log.performer !== null && !isKnown(store, log.performer)) return INTERNAL_ERROR;
  const times = { start_time: timeText(window.start), end_time: timeText(window.end) };
  if (settings.searchUnavailable) return spacedJson(200, { ...times, logs: [], ...UNSEARCHABLE });
  const entries = select(call, log, window);
  const { first, skip, isEmpty } = startOf(request.query.get("next_page"), entries, settings);
  const shown = isEmpty ? [] : entries.slice(first + skip, first + skip + PAGE);
  const next = isEmpty ? undefined : entries[first + skip + PAGE];
  const token = next === undefined ? settings.emptyLastLogPage && !isEmpty && sealPage() : pageBegin(next);
  return spacedJson(200, {
    ...times,
    logs: shown.map((entry) => describe(entry, store)),
    ...(token && { next_page: token }),
  });

  /** A page begins at a time. If the entry before has the same one, whole pages of that time are skipped: too much. */
  function pageBegin(next: StoredEntry): string {
    const time = timeOf(next, settings);
    const isTie = (entry: StoredEntry | undefined) => entry !== undefined && timeOf(entry, settings) === time;
    const skipped = isTie(entries[first]) ? skip : 0;
    return sealPage(time, next.id, isTie(shown.at(-1)) ? skipped + PAGE : 0);
  }
}

/** Where a page begins in the entries, newest first. A wrong token: page 1 again. */
function startOf(token: string | null, entries: StoredEntry[], settings: Settings) {
  const numbers = openPage(token);
  if (numbers === undefined) return { first: 0, skip: 0, isEmpty: false };
  const [time = 0, id = 0, skip = 0] = numbers;
  const isExact = settings.logTimes === "microseconds";
  const first = entries.findIndex((entry) => (isExact ? entry.id === id : timeOf(entry, settings) <= time));
  return { first: Math.max(first, 0), skip: isExact ? 0 : skip, isEmpty: numbers.length === 0 || first < 0 };
}

function aggregate(call: Call, log: Log): Reply {
  const { settings, request, store } = call;
  const window = windowOf(request.query, settings);
  if (window === undefined) return NOT_JSON;
  if (window.end.getTime() - window.start.getTime() > 31 * DAY) return refused("Invalid date range for logs");
  if (settings.searchUnavailable) return spacedJson(200, { aggregated: [], ...UNSEARCHABLE });
  // "aggregatelogs ignores an unknown performer."
  const performer = log.performer !== null && isKnown(store, log.performer) ? log.performer : null;
  const counts = new Map<string, { kind: string; count: number; datetime: string }>();
  for (const { kind, time } of select(call, { ...log, performer }, window)) {
    const datetime = timeText(new Date(Math.floor(time / 1000 / DAY) * DAY));
    const key = `${kind} ${datetime}`;
    const known = counts.get(key) ?? { kind, count: 0, datetime };
    counts.set(key, { ...known, count: known.count + 1 });
  }
  return spacedJson(200, { aggregated: [...counts.values()] });
}

interface Window {
  start: Date;
  /** Not included. */
  end: Date;
}

/** "starttime default now - 24 h; endtime default now; endtime counts its whole day." */
function windowOf(query: URLSearchParams, { clockOffset }: Settings): Window | undefined {
  const now = Date.now() + clockOffset * 1000;
  const start = parseDay(query.get("starttime")) ?? now - DAY;
  const end = (parseDay(query.get("endtime")) ?? now) + DAY;
  return end < start ? undefined : { start: new Date(start), end: new Date(end) };
}

/** `%m/%d/%Y` in UTC, as strptime reads it. */
function parseDay(text: string | null): number | undefined {
  const [, month, day, year] = /^(\d{1,2})\/(\d{1,2})\/(\d{4})$/.exec(text ?? "")?.map(Number) ?? [];
  if (month === undefined || day === undefined || year === undefined) return undefined;
  const date = new Date(Date.UTC(year, month - 1, day));
  return date.getUTCMonth() === month - 1 && date.getUTCDate() === day ? date.getTime() : undefined;
}

/** Newest first. */
function select({ store, settings }: Call, { namespace, repository, performer }: Log, { start, end }: Window) {
  const all = store.logs.get(namespace) ?? [];
  const rotated = settings.logRotationDays === undefined ? 0 : Date.now() - settings.logRotationDays * DAY;
  const from = Math.max(start.getTime(), rotated) * 1000;
  const inside = all.slice(
    firstAfter(all, ({ time }) => time >= from),
    firstAfter(all, ({ time }) => time >= end.getTime() * 1000),
  );
  const isMeant = (entry: StoredEntry) =>
    (performer === null || entry.performer === performer) &&
    (repository === undefined || entry.repository === repository);
  return (performer === null && repository === undefined ? inside : inside.filter(isMeant)).reverse();
}

const timeOf = ({ time }: StoredEntry, { logTimes }: Settings) =>
  logTimes === "seconds" ? Math.floor(time / 1e6) * 1e6 : time;

const isKnown = (store: Store, name: string) =>
  store.robots.has(name) || store.users.has(name) || store.organizations.has(name);

function describe({ kind, metadata, ip = "127.0.0.1", time, performer }: StoredEntry, store: Store) {
  const is_robot = performer !== undefined && isRobot(performer);
  return {
    ...{ kind, metadata, ip, datetime: timeText(new Date(time / 1000)) },
    ...(performer !== undefined &&
      isKnown(store, performer) && {
        performer: { kind: "user", name: performer, is_robot, avatar: avatar(performer) },
      }),
  };
}
