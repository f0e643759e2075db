/** Which uses were certainly made with the static token. Properties: the windows, and that a lost entry never makes a doubt certain. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { type Gap, reachMs, type UsageLog } from "../../src/trust/judge.ts";
import { type AuditedRobot, type RobotUsage, usageOf } from "../../src/trust/usage.ts";
import { kindsOf, type UsageEvent, type UseKind } from "../../src/trust/usage-events.ts";
import { forAll } from "../fuzz/property.ts";

const day = 86_400_000;
const from = Date.parse("2026-11-01T12:00:00Z");
const window = { from, to: from + 10 * day };
const issuer = "https://token.actions.githubusercontent.com";
const subject = "repo:acme/app:ref:refs/heads/main";
const binding = { issuer, subject };
const robot = "acme+ci";
/** Seconds after the window begins. */
const at = (seconds: number) => from + seconds * 1000;

const exchange = (seconds: number, more: object = {}): UsageEvent => ({
  ...{ kind: "exchange", at: at(seconds), robot, issuer, subject },
  ...more,
});
const use = (kind: UseKind, seconds: number, repository = "acme/app"): UsageEvent => ({
  ...{ kind: "use", use: kind, at: at(seconds), robot },
  ...(kind !== "login" && { repository }),
});
const change = (seconds: number, bindings: readonly (typeof binding)[]): UsageEvent => ({
  ...{ kind: "bindings", at: at(seconds), robot, bindings },
});
const mark = (kind: "deleted" | "regenerated", seconds: number): UsageEvent => ({ kind, at: at(seconds), robot });

const bound: AuditedRobot = {
  ...{ name: robot, bindings: [binding], lastAccessed: undefined, permissions: [], adminTeams: [] },
};
const unbound = { ...bound, bindings: [] };

const logOf = (events: readonly UsageEvent[], more: Partial<UsageLog> = {}): UsageLog => ({
  ...{ events: events.toSorted((a, b) => a.at - b.at), gaps: [], keptSince: Number.NEGATIVE_INFINITY },
  ...{ readFrom: from - 1.5 * day },
  ...more,
});

function usage(events: readonly UsageEvent[], about: AuditedRobot = bound, more: Partial<UsageLog> = {}): RobotUsage {
  const [found] = usageOf([about], logOf(events, more), window);
  if (found === undefined) return expect.unreachable("no usage");
  return found;
}
const gap = (kind: string | undefined, seconds: number): Gap => ({
  ...{ day: Math.floor(at(seconds) / day) * day, kind, read: 0, counted: 1 },
});
/** `static`, or the doubts. */
const verdict = ({ static: certain, unknown }: RobotUsage) => (certain ? "static" : unknown?.doubts.join());

describe("a use after an exchange", () => {
  test.for([
    ["login", 3630, "after-exchange"],
    ["login", 3631, "static"],
    ["push", 7260, "after-exchange"],
    ["push", 7261, "static"],
    ["pull", 7260, "after-exchange"],
    ["pull", 7261, "static"],
    ["other", 7260, "after-exchange"],
    ["other", 7261, "static"],
    ["login", 0, "after-exchange"],
    ["login", -1, "static"],
    ["push", -1, "static"],
  ] as const)("%s, %i s later, is %s", ([kind, seconds, expected]) => {
    expect(verdict(usage([exchange(1000), use(kind, 1000 + seconds)]))).toBe(expected);
  });

  test("counts an exchange of the day before the window", () => {
    expect(verdict(usage([exchange(-60), use("push", 60)]))).toBe("after-exchange");
  });

  test("counts no exchange of another robot", () => {
    expect(verdict(usage([exchange(0, { robot: "acme+other" }), use("push", 60)]))).toBe("static");
  });

  test("leaves out what was before the window", () => {
    const found = usage([use("push", -1)]);
    expect([found.static, found.unknown, found.isUsed]).toEqual([undefined, undefined, false]);
  });

  test("counts what was written after the window's end", () => {
    const found = usage([use("push", 10 * 86_400 + 60), use("push", 12 * 86_400)]);
    expect([found.static?.count, found.isUsed]).toEqual([2, true]);
  });

  test("a gap after the window's end leaves open what is not in the log", () => {
    const found = usage([], bound, { gaps: [gap(undefined, 11 * 86_400)] });
    expect([found.isUsed, found.bindings[0]?.lastUsed]).toEqual(["unknown", "unknown"]);
  });

  test("names the first and the last, the kinds and the repositories", () => {
    const events = [use("pull", 9000, "acme/b"), use("push", 8000, "acme/a"), use("login", 7000), exchange(100_000)];
    const { static: certain, unknown } = usage([...events, use("pull", 100_001, "acme/c")]);
    expect(certain).toEqual({
      ...{ count: 3, first: at(7000), last: at(9000), kinds: { login: 1, push: 1, pull: 1 } },
      repositories: ["acme/a", "acme/b"],
    });
    expect(unknown).toMatchObject({ count: 1, repositories: ["acme/c"], doubts: ["after-exchange"] });
  });
});

describe("without a binding", () => {
  test("every use is static, even if exchanges are missing", () => {
    const gaps = [gap(kindsOf.exchange[0], 60)];
    expect(verdict(usage([use("push", 60)], unbound, { gaps }))).toBe("static");
    expect(verdict(usage([use("push", 60)], bound, { gaps }))).toBe("log-incomplete");
  });

  test("a binding that was removed within the reach of the use counts", () => {
    const gaps = [gap(kindsOf.exchange[0], 8000)];
    expect(verdict(usage([change(1000, []), use("push", 8000)], unbound, { gaps }))).toBe("log-incomplete");
    expect(verdict(usage([change(1000, []), use("push", 8261)], unbound, { gaps }))).toBe("static");
    expect(verdict(usage([exchange(900), change(1000, []), use("push", 8000)], unbound))).toBe("after-exchange");
  });

  test("nothing is certain if changes of bindings are missing too", () => {
    const gaps = [gap(kindsOf.exchange[0], 60), gap(kindsOf.bindings[0], 86_400)];
    expect(verdict(usage([use("push", 60)], unbound, { gaps }))).toBe("log-incomplete");
  });
});

describe("a log with gaps", () => {
  test.for([
    [undefined, 0, "log-incomplete"],
    [kindsOf.exchange[0], 0, "log-incomplete"],
    ["pull_repo", 0, "static"],
    [kindsOf.exchange[0], -86_400, "static"],
    [kindsOf.exchange[0], 86_400, "static"],
  ] as const)("of kind %s, %i s from the use, is %s", ([kind, seconds, expected]) => {
    expect(verdict(usage([use("push", 7260)], bound, { gaps: [gap(kind, seconds)] }))).toBe(expected);
  });

  test("of the day before, which a use after midnight reaches back to", () => {
    const midnight = 12 * 3600;
    const gaps = [gap(kindsOf.exchange[0], midnight - 60)];
    expect(verdict(usage([use("push", midnight + 60)], bound, { gaps }))).toBe("log-incomplete");
    expect(verdict(usage([use("push", midnight + 7260)], bound, { gaps }))).toBe("static");
  });

  test("of a replacement of the static token since", () => {
    const gaps = [gap(kindsOf.token[0], 86_400)];
    expect(verdict(usage([use("push", 60)], bound, { gaps }))).toBe("log-incomplete");
    expect(verdict(usage([use("push", 2 * 86_400)], unbound, { gaps }))).toBe("static");
  });

  test("that begins later makes its first two hours unknown", () => {
    const keptSince = at(0);
    expect(verdict(usage([use("push", 7259)], bound, { keptSince }))).toBe("log-begins-later");
    expect(verdict(usage([use("push", 7260)], bound, { keptSince }))).toBe("static");
    expect(verdict(usage([use("push", 60)], unbound, { keptSince }))).toBe("log-begins-later");
  });
});

describe("the static token of today", () => {
  test("is not the one that was replaced since", () => {
    const found = usage([use("push", 0), use("login", 10), mark("regenerated", 20)]);
    expect([found.static, found.unknown, found.isUsed, found.regenerated]).toEqual([
      undefined,
      undefined,
      true,
      at(20),
    ]);
  });

  test.for([
    ["push", 3660, "token-replaced"],
    ["push", 3661, "static"],
    ["login", 0, "token-replaced"],
    ["login", 1, "static"],
  ] as const)("was used for a %s %i s after its replacement: %s", ([kind, seconds, expected]) => {
    expect(verdict(usage([mark("regenerated", 100), use(kind, 100 + seconds)]))).toBe(expected);
  });

  test("is not that of an earlier robot of the same name, whose robot tokens may still work", () => {
    const found = usage([exchange(0), use("push", 10), mark("deleted", 20)]);
    expect([found.static, found.unknown, found.exchanges, found.isUsed]).toEqual([undefined, undefined, [], false]);
    expect(verdict(usage([exchange(0), mark("deleted", 20), use("push", 30)]))).toBe("after-exchange");
  });
});

describe("the robot's last login", () => {
  test("is a use that the log does not show", () => {
    const found = usage([], { ...bound, lastAccessed: at(60) });
    expect(found.static).toMatchObject({ count: 1, kinds: { unlogged: 1 }, first: at(60) });
    expect(found.isUsed).toBe(true);
  });

  test("is unknown after an exchange", () => {
    expect(verdict(usage([exchange(30)], { ...bound, lastAccessed: at(60) }))).toBe("after-exchange");
  });

  test("is not counted twice, and not if it was before the window", () => {
    expect(usage([use("login", 60)], { ...bound, lastAccessed: at(60) }).static?.count).toBe(1);
    const { static: certain, isUsed } = usage([], { ...bound, lastAccessed: at(-60) });
    expect([certain, isUsed]).toEqual([undefined, false]);
  });
});

describe("bindings", () => {
  const other = { issuer, subject: "repo:acme/app:environment:release" };
  const both = { ...bound, bindings: [binding, other] };

  test("are used by exchanges of exactly their issuer and subject", () => {
    const events = [exchange(10), exchange(20), exchange(30, { subject: `${other.subject} ` })];
    const found = usage(events, both);
    expect(found.exchanges).toEqual([
      { ...binding, count: 2, last: at(20), isBound: true },
      { issuer, subject: `${other.subject} `, count: 1, last: at(30), isBound: false },
    ]);
    expect(found.bindings.map(({ lastUsed }) => lastUsed)).toEqual([at(20), "never"]);
  });

  test("are not used by an exchange before the window", () => {
    expect(usage([exchange(-1)]).bindings).toMatchObject([{ lastUsed: "never" }]);
  });

  test.for([
    [{ gaps: [gap(kindsOf.exchange[0], 60)] }, "unknown"],
    [{ gaps: [gap(undefined, 60)] }, "unknown"],
    [{ gaps: [gap("push_repo", 60)] }, "never"],
    [{ keptSince: at(1) }, "unknown"],
    [{ keptSince: at(0) }, "never"],
  ] as const)("without an exchange in a log with %j are %s", ([more, expected]) => {
    expect(usage([], bound, more).bindings).toMatchObject([{ lastUsed: expected }]);
  });

  test("show since when they are there, if the log does", () => {
    const since = (events: readonly UsageEvent[]) => usage(events, both).bindings.map((each) => each.since);
    expect(since([change(0, [])])).toEqual([undefined, undefined]);
    expect(since([change(0, [binding])])).toEqual([undefined, undefined]);
    expect(since([change(0, [binding]), change(10, [binding, other])])).toEqual([undefined, at(10)]);
    expect(since([change(0, [binding]), change(10, []), change(20, [other, binding])])).toEqual([at(20), at(20)]);
  });
});

describe("an unused robot", () => {
  test("did nothing and was not exchanged for", () => {
    expect(usage([]).isUsed).toBe(false);
    expect(usage([exchange(1)]).isUsed).toBe(true);
    expect(usage([use("pull", 1)]).isUsed).toBe(true);
  });

  test("is unknown in a log with gaps, unless the robot's last login tells", () => {
    const gaps = [gap("push_repo", 60)];
    expect(usage([], bound, { gaps }).isUsed).toBe("unknown");
    expect(usage([], bound, { keptSince: at(1) }).isUsed).toBe("unknown");
    expect(usage([], { ...bound, lastAccessed: at(-60) }, { gaps }).isUsed).toBe(false);
  });
});

describe("permissions", () => {
  const permitted = (role: "read" | "write" | "admin", events: readonly UsageEvent[], more: Partial<UsageLog> = {}) =>
    usage(events, { ...bound, permissions: [{ repository: "acme/app", role }] }, more).wide.map(({ enough }) => enough);

  test.for([
    ["read", [use("pull", 1)], []],
    ["write", [use("push", 1)], []],
    ["write", [use("other", 1)], []],
    ["write", [use("pull", 1)], ["read"]],
    ["admin", [use("push", 1)], ["write"]],
    ["admin", [use("pull", 1)], ["read"]],
    ["read", [use("pull", 1, "acme/other")], ["none"]],
    ["write", [exchange(1)], ["none"]],
    ["write", [use("push", -1), exchange(1)], ["none"]],
    // One finding is enough: the robot is unused.
    ["write", [], []],
  ] as const)("%s, with what was done there", ([role, events, expected]) => {
    expect(permitted(role, events)).toEqual(expected);
  });

  test("are unknown if what would need them is missing", () => {
    const gaps = [gap("push_repo", 60)];
    expect(permitted("write", [use("pull", 1)], { gaps })).toEqual(["unknown"]);
    expect(permitted("admin", [use("push", 1)], { gaps })).toEqual(["write"]);
    expect(permitted("read", [exchange(1)], { gaps: [gap("pull_repo", 60)] })).toEqual(["unknown"]);
    expect(permitted("write", [use("pull", 1)], { gaps: [gap("pull_repo", 60)] })).toEqual(["read"]);
  });

  test("with the role Admin are named", () => {
    const permissions = [
      { repository: "acme/app", role: "admin" },
      { repository: "acme/b", role: "admin", team: "makers" },
      { repository: "acme/c", role: "write" },
    ] as const;
    expect(usage([], { ...bound, permissions }).adminOf).toEqual(permissions.slice(0, 2));
  });
});

test("each robot has its own usage, in the given order", () => {
  const other = { ...unbound, name: "acme+other" };
  const log = logOf([
    use("push", 1),
    { ...use("pull", 2), robot: "acme+other" },
    { ...use("pull", 3), robot: "dev+x" },
  ]);
  const found = usageOf([other, bound], log, window).map(({ name, static: certain }) => [name, certain?.kinds]);
  expect(found).toEqual([
    ["acme+other", { pull: 1 }],
    ["acme+ci", { push: 1 }],
  ]);
});

describe("for any log", () => {
  /** Seconds around the limits of the windows, over two days. */
  const seconds = fc.oneof(
    fc.integer({ min: -86_400, max: 86_400 }),
    fc.constantFrom(...[0, 1, 3629, 3630, 3631, 7259, 7260, 7261, 10_890, 14_520]),
  );
  const uses = fc.array(fc.tuple(fc.constantFrom<UseKind>("push", "pull", "other"), seconds), { maxLength: 20 });
  const exchanges = fc.array(seconds, { maxLength: 6 });
  /** Each use has a repository of its own, so that the verdict on each is visible. */
  const eventsOf = (exchanged: readonly number[], used: readonly (readonly [UseKind, number])[]) => [
    ...exchanged.map((each) => exchange(each)),
    ...used.map(([kind, each], index) => use(kind, each, `acme/r${index}`)),
  ];

  test("a use is static exactly if no exchange was in the time before it", () => {
    forAll(fc.tuple(exchanges, uses), ([exchanged, used]) => {
      const found = usage(eventsOf(exchanged, used));
      const expected = used.flatMap(([kind, each], index) =>
        each >= 0 && !exchanged.some((other) => other <= each && (each - other) * 1000 <= reachMs[kind])
          ? [`acme/r${index}`]
          : [],
      );
      expect(found.static?.repositories ?? []).toEqual(expected.toSorted());
      const all = used.filter(([, each]) => each >= 0).length;
      expect((found.static?.count ?? 0) + (found.unknown?.count ?? 0)).toBe(all);
    });
  });

  /** What the changes of a log say that its robot trusts in the end. */
  const nowBound = (events: readonly UsageEvent[]): AuditedRobot => {
    const last = logOf(events).events.findLast(({ kind }) => kind === "bindings");
    return last?.kind === "bindings" && last.bindings.length === 0 ? unbound : bound;
  };
  const logs = fc
    .tuple(
      exchanges,
      uses,
      fc.array(fc.tuple(seconds, fc.boolean()), { maxLength: 3 }),
      fc.array(seconds, { maxLength: 2 }),
    )
    .map(([exchanged, used, changed, replaced]) => {
      const changes = logOf(changed.map(([each, isBound]) => change(each, isBound ? [binding] : []))).events;
      const isBoundAt = (second: number) => {
        const last = changes.findLast(({ at: time }) => time <= at(second));
        return last?.kind !== "bindings" || last.bindings.length > 0;
      };
      // Quay gives no robot token to a robot without a binding.
      return [
        ...eventsOf(exchanged.filter(isBoundAt), used),
        ...changes,
        ...replaced.map((each) => mark("regenerated", each)),
      ];
    });

  const names = {
    ...{ exchange: kindsOf.exchange[0], bindings: kindsOf.bindings[0], use: "push_repo" },
    ...{ regenerated: kindsOf.token[0], deleted: kindsOf.token[1] },
  };

  test("entries that are lost, and reported as lost, make no use static that is not", () => {
    const lost = fc.infiniteStream(fc.boolean());
    forAll(fc.tuple(logs, lost), ([events, isLost]) => {
      const kept = events.filter(() => !isLost.next().value);
      const gaps = events
        .filter((event) => !kept.includes(event))
        .map(({ kind, at: time }): Gap => {
          return { day: Math.floor(time / day) * day, kind: names[kind], read: 0, counted: 1 };
        });
      const whole = [...(usage(events, nowBound(events)).static?.repositories ?? [])];
      const found = [...(usage(kept, nowBound(events), { gaps }).static?.repositories ?? [])];
      expect(whole).toEqual(expect.arrayContaining(found));
    });
  });

  test("entries that Quay no longer keeps make no use static that is not", () => {
    forAll(fc.tuple(logs, seconds), ([events, begin]) => {
      const kept = events.filter(({ at: time }) => time >= at(begin));
      const keptSince = Math.min(...kept.map(({ at: time }) => time));
      const whole = [...(usage(events, nowBound(events)).static?.repositories ?? [])];
      const found = [...(usage(kept, nowBound(events), { keptSince }).static?.repositories ?? [])];
      expect(whole).toEqual(expect.arrayContaining(found));
    });
  });
});
