import { describe, expect, test } from "vitest";
import { ExplainedError } from "../../src/platform/errors.ts";
import { type FailureKind, HttpFailure } from "../../src/platform/http.ts";
import { type Attempt, backoffMs, type Persistence, persistenceOf, retry, schedule } from "../../src/platform/retry.ts";
import { type FakeClock, failure, fakeClock, testPlatform, thrown } from "../fixtures.ts";

const error = new ExplainedError("quay-unavailable", "Quay is away.", { remedy: [] });
const answer = (retryAfter: string) => ({ status: 429, headers: { "retry-after": retryAfter }, body: "" });

/** Fails `times` times, then gives "done". */
function failing(times: number, attempt: Exclude<Attempt<string>, { value: string }>) {
  let count = 0;
  const run = async (): Promise<Attempt<string>> => (count++ < times ? attempt : { value: "done" });
  return { run, count: () => count };
}

const run = (clock: FakeClock, work: () => Promise<Attempt<string>>, timeoutMs = 120_000) => {
  const platform = testPlatform({ clock, timeoutMs });
  return { platform, result: retry(platform, "the thing", work) };
};

test("stops at a value", async () => {
  const clock = fakeClock();
  const work = failing(0, { retry: "no", error });
  expect(await run(clock, work.run).result).toBe("done");
  expect(clock.waits).toEqual([]);
});

test("never retries a refusal", async () => {
  const clock = fakeClock();
  const work = failing(1, { retry: "no", error });
  expect(await thrown(run(clock, work.run).result)).toBe(error);
  expect(work.count()).toBe(1);
  expect(clock.waits).toEqual([]);
});

test("quick: retries twice, within about a second", async () => {
  const clock = fakeClock();
  const work = failing(9, { retry: "quick", error });
  expect(await thrown(run(clock, work.run).result)).toBe(error);
  expect(work.count()).toBe(3);
  expect(clock.waits).toHaveLength(2);
  expect(clock.waits.reduce((a, b) => a + b)).toBeLessThan(1000);
});

test("settling: doubles the waits up to 5 s, for some 20 s on average", async () => {
  const clock = fakeClock(Date.now(), () => 0.999999);
  const work = failing(99, { retry: "settling", error });
  expect(await thrown(run(clock, work.run).result)).toBe(error);
  expect(work.count()).toBe(12);
  const first = [500, 1000, 2000, 4000];
  expect(clock.waits.map((ms) => Math.round(ms / 10) * 10)).toEqual([...first, ...Array(7).fill(5000)]);
  expect(first.reduce((a, b) => a + b) / 2 + 7 * 2500).toBeCloseTo(20_000, -4);
});

test("patient: doubles the waits up to 10 s, until the deadline", async () => {
  const clock = fakeClock(Date.now(), () => 0.999999);
  const work = failing(99, { retry: "patient", error });
  const { platform, result } = run(clock, work.run, 60_000);
  expect(await thrown(result)).toBe(error);
  const waits = clock.waits.map((ms) => Math.round(ms / 10) * 10);
  expect(waits).toEqual([500, 1000, 2000, 4000, 8000, 10_000, 10_000, 10_000, 10_000]);
  expect(clock.now()).toBeLessThan(platform.deadline);
  expect(platform.reporter.infos.at(-1)).toBe("Not retrying the thing: the timeout would pass first (option timeout).");
});

test("counts each kind separately: refused connections don't use up a 502's two retries", async () => {
  const clock = fakeClock(Date.now(), () => 0.999999);
  const kinds: Persistence[] = ["patient", "patient", "settling", "patient", "quick", "patient", "quick"];
  const work = async (): Promise<Attempt<string>> => {
    const kind = kinds.shift();
    return kind === undefined ? { value: "done" } : { retry: kind, error };
  };
  expect(await run(clock, work).result).toBe("done");
  expect(clock.waits.map((ms) => Math.round(ms / 10) * 10)).toEqual([500, 1000, 500, 2000, 250, 4000, 500]);
});

test.each([0, 0.25, 0.5, 0.999999])(
  "full jitter: with the random number %d, waits that part of the doubled wait",
  async (random) => {
    const clock = fakeClock(Date.now(), () => random);
    await run(clock, failing(6, { retry: "patient", error }).run).result;
    expect(clock.waits).toHaveLength(6);
    for (const [index, wait] of clock.waits.entries()) {
      expect(wait).toBeCloseTo(Math.min(10_000, 500 * 2 ** index) * random);
    }
  },
);

test("the whole schedule: the longest waits of each kind, milliseconds", () => {
  const longest = (kind: keyof typeof schedule) =>
    Array.from({ length: Math.min(schedule[kind].attempts, 9) - 1 }, (_, index) => backoffMs(kind, index + 1, 1));
  const kinds = ["quick", "settling", "patient", "copying"] as const;
  expect(Object.fromEntries(kinds.map((kind) => [kind, longest(kind)]))).toEqual({
    quick: [250, 500],
    settling: [500, 1000, 2000, 4000, 5000, 5000, 5000, 5000],
    patient: [500, 1000, 2000, 4000, 8000, 10_000, 10_000, 10_000],
    copying: [1000, 2000, 4000, 8000, 16_000, 30_000, 30_000],
  });
});

test("logs each wait with its reason", async () => {
  const { platform, result } = run(fakeClock(), failing(1, { retry: "patient", error }).run);
  await result;
  expect(platform.reporter.infos).toEqual(["Quay is away. Retrying in 0.3 s."]);
});

describe("Retry-After", () => {
  const start = Date.parse("2026-11-24T07:00:00Z");
  test.each<[string, number]>([
    ["30", 30_000],
    [" 7 ", 7_000],
    ["Tue, 24 Nov 2026 07:00:42 GMT", 42_000],
    // Shorter than the own wait, in the past, or not a time: the own wait counts.
    ["0", 250],
    ["Tue, 24 Nov 2026 06:00:00 GMT", 250],
    ["soon", 250],
    ["-5", 250],
    ["", 250],
  ])("%j: %i ms", async (value, ms) => {
    const clock = fakeClock(start);
    await run(clock, failing(1, { retry: "patient", error, answer: answer(value) }).run).result;
    expect(clock.waits).toEqual([ms]);
  });

  test("does not begin a wait that passes the deadline", async () => {
    for (const value of ["120", "99999999999", "Tue, 24 Nov 2099 07:00:00 GMT"]) {
      const clock = fakeClock(start);
      const work = failing(1, { retry: "patient", error, answer: answer(value) });
      expect(await thrown(run(clock, work.run).result)).toBe(error);
      expect(clock.waits).toEqual([]);
      expect(work.count()).toBe(1);
    }
  });

  test("ignores several of them", async () => {
    const clock = fakeClock(start);
    const headers = { "retry-after": ["60", "60"] };
    await run(clock, failing(1, { retry: "patient", error, answer: { status: 503, headers, body: "" } }).run).result;
    expect(clock.waits).toEqual([250]);
  });
});

describe("a more expensive search for the cause", () => {
  const better = new ExplainedError("issuer-broken", "It is the issuer.", { remedy: [] });

  test("runs once, after the last attempt", async () => {
    let looks = 0;
    const examine = async () => {
      looks++;
      return { retry: "no" as const, error: better };
    };
    const quick = failing(9, { retry: "quick", error, examine });
    expect(await thrown(run(fakeClock(), quick.run).result)).toBe(better);
    expect(looks).toBe(1);
    const recovered = failing(2, { retry: "quick", error, examine });
    expect(await run(fakeClock(), recovered.run).result).toBe("done");
    expect(looks).toBe(1);
  });

  test("runs too if the deadline allows no further attempt", async () => {
    const work = failing(9, { retry: "quick", error, examine: async () => ({ retry: "no", error: better }) });
    expect(await thrown(run(fakeClock(), work.run, 100).result)).toBe(better);
    expect(work.count()).toBe(1);
  });

  test("may allow further attempts, as long as each search does", async () => {
    const clock = fakeClock();
    const looks: Persistence[] = ["settling", "patient", "settling", "no"];
    const examine = async () => ({ retry: looks.shift() ?? ("no" as const), error: better });
    const work = failing(99, { retry: "quick", error, examine });
    const { platform, result } = run(clock, work.run);
    expect(await thrown(result)).toBe(better);
    expect(work.count()).toBe(6);
    expect(clock.waits).toHaveLength(5);
    expect(platform.reporter.infos.at(-1)).toMatch(new RegExp(`^${better.message} Retrying`));
  });

  test("does not extend the deadline", async () => {
    const clock = fakeClock();
    const examine = async () => ({ retry: "patient" as const, error: better });
    expect(await thrown(run(clock, failing(9, { retry: "quick", error, examine }).run, 100).result)).toBe(better);
    expect(clock.waits).toEqual([]);
  });

  test("changes nothing if it fails itself", async () => {
    const examine = () => Promise.reject(new Error("the look failed"));
    expect(await thrown(run(fakeClock(), failing(1, { retry: "no", error, examine }).run).result)).toBe(error);
  });
});

describe("the timeout", () => {
  const reason = new ExplainedError("timeout", "The login did not finish within 5 seconds.", { remedy: ["Raise it."] });

  test("stops a wait", async () => {
    const platform = testPlatform({ signal: AbortSignal.abort(reason) });
    expect(await thrown(retry(platform, "x", failing(1, { retry: "patient", error }).run))).toBe(reason);
  });

  test("during an attempt says what it was waiting for", async () => {
    const platform = testPlatform({ signal: AbortSignal.abort(reason) });
    const failed = await failure(retry(platform, "the exchange for acme+ci", () => Promise.reject(reason)));
    expect(failed.code).toBe("timeout");
    expect(failed.message).toBe(
      "The login did not finish within 5 seconds. It was waiting for the exchange for acme+ci.",
    );
    expect(failed.remedy).toEqual(["Raise it."]);
  });

  test("during a search keeps what an earlier search found, or else the answer", async () => {
    const better = new ExplainedError("quay-unavailable", "Quay is away, and its issuer is sound.", { remedy: [] });
    for (const searches of [2, 1]) {
      const stop = new AbortController();
      const platform = testPlatform({ clock: fakeClock(), signal: stop.signal });
      let looks = 0;
      const examine = async () => {
        if (++looks === searches) {
          stop.abort(reason);
          throw reason;
        }
        return { retry: "patient" as const, error: better };
      };
      const failed = await failure(retry(platform, "x", failing(99, { retry: "no", error, examine }).run));
      expect([failed.message, failed.code]).toEqual([(searches === 2 ? better : error).message, "quay-unavailable"]);
      expect(failed.remedy.join()).toContain("To give it more time");
    }
  });

  test("a cancellation during a search is one", async () => {
    const stop = new AbortController();
    const cancelled = new ExplainedError("cancelled", "Received SIGTERM, stopping.", { remedy: [] });
    const examine = async () => {
      stop.abort(cancelled);
      throw cancelled;
    };
    const platform = testPlatform({ signal: stop.signal });
    expect(await thrown(retry(platform, "x", failing(9, { retry: "no", error, examine }).run))).toBe(cancelled);
  });

  test("passes on a cancellation and a bug unchanged", async () => {
    const cancelled = new ExplainedError("cancelled", "The job was cancelled.", { remedy: [] });
    const platform = testPlatform({ signal: AbortSignal.abort(cancelled) });
    expect(await thrown(retry(platform, "x", () => Promise.reject(cancelled)))).toBe(cancelled);
    await expect(retry(platform, "x", () => Promise.reject(new TypeError("oh")))).rejects.toThrow(TypeError);
  });
});

test.each<[FailureKind, Persistence]>([
  ["unreachable", "patient"],
  ["timeout", "patient"],
  ["unknown-name", "quick"],
  ["cut", "quick"],
  ["untrusted", "no"],
  ["too-big", "no"],
])("%s: %s", (kind, expected) => {
  expect(persistenceOf(new HttpFailure(kind, ""))).toBe(expected);
});
