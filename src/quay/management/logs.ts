/** The usage log of an organization or user: one page of it, and its counts. */
import { isObject, type JsonObject } from "../../platform/json.ts";
import { type Ask, listIn, type Owner, objectIn, part } from "./questions.ts";
import { unusable } from "./refusals.ts";

/** Whole days in UTC, the last one included. Quay knows no other unit, and ignores other forms of a date without a word. */
export interface LogWindow {
  /** `2026-11-01` */
  readonly from: string;
  readonly to: string;
}

export interface LogEntry {
  readonly kind: string;
  readonly metadata: JsonObject;
  /** Milliseconds since 1970, whole seconds. */
  readonly at: number;
  /** Absent: an exchange, an anonymous pull, or what a robot did that was deleted since. */
  readonly performer?: string;
}

export interface LogPage {
  /** Milliseconds since 1970: what Quay understood. The end is not included. */
  readonly from: number;
  readonly to: number;
  /** At most 20, the newest first. A page can be empty though others follow. */
  readonly entries: readonly LogEntry[];
  /** For the next page. Absent: this is the last one. */
  readonly nextPage?: string;
  /** This Quay keeps its log where the API cannot search. */
  readonly unavailable: boolean;
}

export interface LogCount {
  readonly kind: string;
  readonly count: number;
  /** Milliseconds since 1970: the beginning of the day. */
  readonly day: number;
}

export interface Logs {
  /** @param nextPage of the page before, for the same window */
  logPage(owner: Owner, window: LogWindow, nextPage?: string): Promise<LogPage>;
  /** One entry for each kind and day, of 31 days at most. undefined: this Quay keeps its log where the API cannot search */
  logCounts(owner: Owner, window: LogWindow): Promise<readonly LogCount[] | undefined>;
}

export function createLogs(ask: Ask, registry: string): Logs {
  const request = async (owner: Owner, kind: "logs" | "aggregatelogs", window: LogWindow, nextPage?: string) => {
    const what = `the usage log of ${owner.name} from ${window.from} to ${window.to}`;
    const isUser = owner.kind === "user";
    const answered = await ask({
      what,
      path: isUser ? `user/${kind}` : `organization/${part(owner.name)}/${kind}`,
      query: {
        starttime: american(window.from),
        endtime: american(window.to),
        next_page: nextPage,
      },
      needs: { scope: isUser ? "user:admin" : "org:admin", owner: owner.name },
    });
    return { what, found: objectIn(answered, what, registry) };
  };
  return {
    async logPage(owner, window, nextPage) {
      const { what, found } = await request(owner, "logs", window, nextPage);
      return {
        from: timeIn(found.start_time, what, registry),
        to: timeIn(found.end_time, what, registry),
        entries: listIn(found.logs, what, registry).map((entry) => entryIn(entry, what, registry)),
        unavailable: found.search_unavailable === true,
        ...(typeof found.next_page === "string" && { nextPage: found.next_page }),
      };
    },
    async logCounts(owner, window) {
      const { what, found } = await request(owner, "aggregatelogs", window);
      return found.search_unavailable === true
        ? undefined
        : listIn(found.aggregated, what, registry).map(({ kind, count, datetime }) => ({
            kind: String(kind),
            count: Number(count),
            day: timeIn(datetime, what, registry),
          }));
    },
  };
}

/** `2026-11-01` as Quay reads a date: `11/01/2026`. */
const american = (day: string): string => day.replace(/^(\d{4})-(\d\d)-(\d\d)$/, "$2/$3/$1");

function entryIn({ kind, metadata, datetime, performer }: JsonObject, what: string, registry: string): LogEntry {
  const name = isObject(performer) ? performer.name : undefined;
  return {
    kind: String(kind),
    metadata: isObject(metadata) ? metadata : {},
    at: timeIn(datetime, what, registry),
    ...(typeof name === "string" && { performer: name }),
  };
}

/** `Sat, 28 Nov 2026 08:16:20 -0000` */
function timeIn(value: unknown, what: string, registry: string): number {
  const time = Date.parse(String(value));
  if (Number.isNaN(time)) {
    throw unusable(registry, what, "a time in it is none");
  }
  return time;
}
