/** The usage log day by day: which pages are asked for, what counts as a gap, and what an endless log does. */
import { describe, expect, test } from "vitest";
import { ExplainedError } from "../../src/platform/errors.ts";
import type { LogEntry, LogPage, LogWindow, Owner } from "../../src/quay/management.ts";
import { type LogProgress, readLog } from "../../src/trust/logs.ts";
import { failureText, fakeClock, testPlatform, thrown } from "../fixtures.ts";

const dayMs = 86_400_000;
const now = Date.parse("2026-11-28T12:00:00Z");
const today = now - dayMs / 2;
const owner: Owner = { kind: "organization", name: "acme" };
const robot = "acme+ci";

const pull = (at: number, kind = "pull_repo"): LogEntry => ({
  ...{ kind, at, performer: robot },
  metadata: { repo: "app", namespace: "acme", username: robot, is_robot: true },
});
/** So many entries on a day, a second apart, the newest first. */
const pulls = (day: number, count: number): LogEntry[] =>
  Array.from({ length: count }, (_, index) => pull(day + (count - index) * 1000));

interface Fake {
  /** By the beginning of the day. */
  entries?: ReadonlyMap<number, readonly LogEntry[]>;
  /** Instead of the true ones; "none": this Quay does not count. */
  counts?: readonly { kind: string; count: number; day: number }[] | "none" | "no-route" | ExplainedError;
  page?: (page: LogPage, number: number) => LogPage | Promise<LogPage>;
  timeoutMs?: number;
  /** The window's end. */
  to?: number;
}

/** A log that remembers what was asked, with up to 20 entries a page. */
async function read(
  days: number,
  { entries = new Map(), counts, page = (each) => each, timeoutMs, to = now }: Fake = {},
) {
  const asked: string[] = [];
  const progress: LogProgress[] = [];
  let [running, most] = [0, 0];
  const all = [...entries].flatMap(([day, list]) => list.map(({ kind }) => ({ kind, count: 1, day })));
  const management = {
    registry: "quay.example.com",
    async logCounts(_: Owner, { from, to }: LogWindow) {
      asked.push(`counts ${from} ${to}`);
      if (counts === "no-route") {
        throw new ExplainedError("quay-answer-unusable", "no such route", { remedy: [] });
      }
      if (counts instanceof ExplainedError) throw counts;
      const isIn = ({ day }: { day: number }) => day >= Date.parse(from) && day <= Date.parse(to);
      return counts === "none" ? undefined : (counts ?? all).filter(isIn);
    },
    async logPage(_: Owner, { from, to }: LogWindow, nextPage = "0") {
      const number = Number(nextPage);
      asked.push(`${from}${number > 0 ? ` page ${number}` : ""}`);
      most = Math.max(most, ++running);
      await new Promise((resolve) => setTimeout(resolve, 1));
      running--;
      expect(to).toBe(from);
      const day = Date.parse(from);
      const own = entries.get(day) ?? [];
      const shown = own.slice(number * 20, number * 20 + 20);
      const rest = own.length > number * 20 + 20;
      return page(
        {
          ...{ from: day, to: day + dayMs, entries: shown, unavailable: false },
          ...(rest && { nextPage: String(number + 1) }),
        },
        number,
      );
    },
  };
  const platform = testPlatform({ clock: fakeClock(now), ...(timeoutMs && { timeoutMs }) });
  const onProgress = (each: LogProgress) => void progress.push(each);
  const reading = readLog({ management, owner, platform, onProgress }, { from: to - days * dayMs, to });
  return { log: reading, asked, progress, most: () => most, warnings: platform.reporter.warnings };
}

describe("asks", () => {
  test("for each day alone, the one before the window too", async () => {
    const { log, asked } = await read(1);
    expect(await log).toEqual({ events: [], gaps: [], entries: 0, oldest: undefined, readFrom: today - 2 * dayMs });
    expect(asked).toEqual(["counts 2026-11-26 2026-11-28", "2026-11-26", "2026-11-27", "2026-11-28"]);
  });

  test("for the next day too when this one ends soon, which may still grow", async () => {
    const to = today + dayMs - 60_000;
    const [todays, tomorrows] = [today, today + dayMs];
    const entries = new Map([todays, tomorrows].map((day) => [day, pulls(day, 2)]));
    const counts = [todays, tomorrows].map((day) => ({ kind: "pull_repo", count: 1, day }));
    const { log, asked } = await read(0, { entries, counts, to });
    expect(await log).toMatchObject({ entries: 4, gaps: [] });
    expect(asked).toEqual(["counts 2026-11-27 2026-11-29", "2026-11-27", "2026-11-28", "2026-11-29"]);
  });

  test.for([
    [29, ["2026-10-29 2026-11-28"]],
    [30, ["2026-10-28 2026-11-27", "2026-11-28 2026-11-28"]],
    [90, ["2026-08-29 2026-09-28", "2026-09-29 2026-10-29", "2026-10-30 2026-11-28"]],
  ] as const)("for the counts of %i days in parts of 31 days", async ([days, parts]) => {
    const { log, asked } = await read(days);
    await log;
    expect(asked.filter((each) => each.startsWith("counts"))).toEqual(parts.map((part) => `counts ${part}`));
  });

  test("at most 8 days at the same time", async () => {
    const { log, most } = await read(30, { entries: new Map([[today, pulls(today, 100)]]) });
    await log;
    expect(most()).toBe(8);
  });

  test("for pages until there is no next one, even if one is empty", async () => {
    const entries = new Map([[today, pulls(today, 45)]]);
    const page = (each: LogPage, number: number): LogPage =>
      number === 3 ? { ...each, entries: [] } : number === 2 ? { ...each, nextPage: "3" } : each;
    const { log, asked, progress } = await read(1, { entries, page });
    const found = await log;
    expect(asked.filter((each) => each.startsWith("2026-11-28"))).toHaveLength(4);
    expect([found.gaps, found.entries, found.oldest]).toEqual([[], 45, today + 1000]);
    const times = found.events.map(({ at }) => at);
    expect([times.length, times]).toEqual([45, times.toSorted((a, b) => a - b)]);
    expect(progress.at(-1)).toEqual({ read: 45, all: 45 });
  });
});

describe("finds a gap", () => {
  const yesterday = today - dayMs;
  const entries = new Map([
    [yesterday, pulls(yesterday, 25)],
    [today, pulls(today, 5)],
  ]);
  const counted = (kind: string, count: number, day: number) => ({ kind, count, day });
  const right = [counted("pull_repo", 25, yesterday), counted("pull_repo", 5, today)];

  test.for([
    ["none if Quay counts as many", right, []],
    [
      "if Quay counts more",
      [counted("pull_repo", 30, yesterday), counted("pull_repo", 6, today)],
      [
        { day: yesterday, kind: "pull_repo", read: 25, counted: 30 },
        { day: today, kind: "pull_repo", read: 5, counted: 6 },
      ],
    ],
    [
      "of each kind",
      [...right, counted("push_repo", 2, yesterday)],
      [{ day: yesterday, kind: "push_repo", read: 0, counted: 2 }],
    ],
    // Today's entries go on being written.
    [
      "if Quay counts fewer, but not today",
      [counted("pull_repo", 24, yesterday), counted("pull_repo", 4, today)],
      [{ day: yesterday, kind: "pull_repo", read: 25, counted: 24 }],
    ],
  ] as const)("%s", async ([_, counts, gaps]) => {
    expect((await (await read(1, { entries, counts })).log).gaps).toEqual(gaps);
  });

  test.for(["none", "no-route"] as const)("on each day if Quay does not count (%s)", async (counts) => {
    const { gaps } = await (await read(1, { entries, counts })).log;
    expect(gaps).toEqual([
      { day: yesterday - dayMs, kind: undefined, read: 0, counted: undefined },
      { day: yesterday, kind: undefined, read: 25, counted: undefined },
      { day: today, kind: undefined, read: 5, counted: undefined },
    ]);
  });

  test("if the first page comes again", async () => {
    const first = pulls(yesterday, 25).slice(0, 20);
    const page = (each: LogPage, number: number): LogPage =>
      each.from === yesterday && number > 0 ? { ...each, entries: first, nextPage: "7" } : each;
    const { log, asked } = await read(1, { entries, page });
    expect((await log).gaps).toEqual([{ day: yesterday, kind: undefined, read: 20, counted: 25 }]);
    expect(asked.filter((each) => each.startsWith("2026-11-27"))).toHaveLength(2);
  });

  test("if the same page is named again, also where Quay does not count", async () => {
    const page = (each: LogPage): LogPage => (each.from === yesterday ? { ...each, entries: [], nextPage: "1" } : each);
    const { log, asked } = await read(1, { entries, page, counts: "none" });
    expect((await log).gaps).toContainEqual({ day: yesterday, kind: undefined, read: 0, counted: undefined });
    expect(asked.filter((each) => each.startsWith("2026-11-27"))).toHaveLength(2);
  });

  test("if there is always another page", async () => {
    const page = (each: LogPage, number: number): LogPage =>
      each.from === yesterday ? { ...each, nextPage: String(number + 1) } : each;
    const { log, asked } = await read(1, { entries, page });
    expect((await log).gaps).toMatchObject([{ day: yesterday, kind: undefined }]);
    expect(asked.length).toBeLessThan(40);
  });
});

describe("ends", () => {
  test("if the log can't be searched", async () => {
    const { log } = await read(1, { page: (each) => ({ ...each, unavailable: true }) });
    expect(await failureText("usage-log-unavailable", log)).toContain("quay.example.com keeps the usage log of acme");
  });

  test.for([{ from: today }, { to: now }])("if the answer is of another time: %j", async (other) => {
    const { log } = await read(1, { page: (each) => ({ ...each, from: 0, ...other }) });
    expect(await failureText("quay-answer-unusable", log)).toContain("asked for the usage log of 2026-11-2");
  });

  test("with one error, and without further pages, if a page fails", async () => {
    const page = () => {
      throw new ExplainedError("quay-unavailable", "not now", { remedy: [] });
    };
    const { log, asked } = await read(30, { page });
    const error = await thrown(log);
    expect([error.code, error.also]).toEqual(["quay-unavailable", []]);
    expect(asked.length).toBeLessThanOrEqual(2 + 8);
  });

  test("with how far it was if the timeout passes", async () => {
    const entries = new Map([[today, pulls(today, 45)]]);
    const page = (each: LogPage, number: number): LogPage => {
      if (number === 2) throw new ExplainedError("timeout", "The audit did not finish.", { remedy: [] });
      return each;
    };
    const says = await failureText("timeout", (await read(1, { entries, page })).log);
    expect(says).toContain("The timeout passed when 40 of 45 entries of the usage log of acme were read.");
    expect(says).toContain("timeout: 600");
    expect(says).not.toContain("since");
  });
});

describe("ends, too,", () => {
  test("if the counts fail for another reason than that Quay has none", async () => {
    const refused = new ExplainedError("api-rights-missing", "no", { remedy: [] });
    await expect((await read(1, { counts: refused })).log).rejects.toBe(refused);
  });

  test("if the timeout passes where Quay does not count", async () => {
    const page = () => {
      throw new ExplainedError("timeout", "The audit did not finish.", { remedy: [] });
    };
    const says = await failureText("timeout", (await read(1, { counts: "none", page })).log);
    expect(says).toContain("The timeout passed when 0 entries of the usage log of acme were read.");
    expect(says).toContain("timeout: 600");
  });
});

describe("says what to type for a long log", () => {
  const count = (each: number) => [today, today - dayMs].map((day) => ({ kind: "pull_repo", count: each, day }));

  test("if reading it takes longer than the timeout", async () => {
    // A page after the other on each day: 1,000 pages, a quarter of a second each.
    const { log, warnings } = await read(1, { counts: count(20_000), timeoutMs: 200_000 });
    await log;
    expect(warnings).toEqual([expect.stringMatching(/40000 entries .* about 250 s, .*timeout: 600\./)]);
  });

  test("by the whole log of several days, and by fewer of them", async () => {
    const { log, warnings } = await read(30, { counts: count(120_000), timeoutMs: 200_000 });
    await log;
    expect(warnings).toEqual([expect.stringMatching(/ 240000 entries .* 1500 s, .*timeout: 2280\. .*since: 7d/)]);
  });

  test("and nothing for another", async () => {
    const { log, warnings } = await read(1, { counts: count(20_000), timeoutMs: 300_000 });
    await log;
    expect(warnings).toEqual([]);
  });
});
