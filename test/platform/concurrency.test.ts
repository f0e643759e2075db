import { setTimeout as sleep } from "node:timers/promises";
import { expect, test } from "vitest";
import { createLimit, mapLimit, together } from "../../src/platform/concurrency.ts";
import { ExplainedError } from "../../src/platform/errors.ts";
import { failure, thrown } from "../fixtures.ts";

const bad = (message: string) => new ExplainedError("robot-not-found", message, { remedy: [] });

test("keeps the order of the items, and runs at most the limit at a time", async () => {
  let running = 0;
  let most = 0;
  const results = await mapLimit([30, 10, 20, 5, 1, 15], 4, async (ms, index) => {
    most = Math.max(most, ++running);
    await sleep(ms);
    running--;
    return `${index}:${ms}`;
  });
  expect(results).toEqual(["0:30", "1:10", "2:20", "3:5", "4:1", "5:15"]);
  expect(most).toBe(4);
});

test("returns an empty list for no items", async () => {
  expect(await mapLimit([], 4, async () => 1)).toEqual([]);
});

test("runs every item; the first failure in their order carries the others", async () => {
  const done: number[] = [];
  const error = await failure(
    mapLimit([20, 1, 10, 5], 2, async (ms, index) => {
      await sleep(ms);
      done.push(index);
      if (index !== 2) {
        throw bad(`robot ${index}`);
      }
    }),
  );
  expect(done.sort()).toEqual([0, 1, 2, 3]);
  expect(error.message).toBe("robot 0");
  expect(error.also.map(({ message }) => message)).toEqual(["robot 1", "robot 3"]);
});

test("reports a shared failure once", async () => {
  const shared = bad("no identity");
  const error = await thrown(mapLimit([1, 2, 3], 4, () => Promise.reject(shared)));
  expect(error).toBe(shared);
  expect(error.also).toEqual([]);
});

test("throws a bug before any explained failure", async () => {
  const work = async (item: number) => {
    throw item === 2 ? new TypeError("bug") : bad(`robot ${item}`);
  };
  await expect(mapLimit([1, 2, 3], 1, work)).rejects.toThrow(TypeError);
});

test("together: returns the results in order, and runs all at the same time", async () => {
  const began = performance.now();
  const wait = (ms: number) => async () => {
    await sleep(ms);
    return ms;
  };
  expect(await together(wait(200), wait(100), wait(150))).toEqual([200, 100, 150]);
  expect(performance.now() - began).toBeLessThan(400);
});

test("together: cancels the others on a failure, and throws it when they have ended", async () => {
  const events: string[] = [];
  const until = async (signal: AbortSignal) => {
    await sleep(60_000, undefined, { signal }).catch(() => events.push("cancelled"));
    await sleep(50);
    events.push("ended");
  };
  const error = await failure(
    together(until, async () => {
      await sleep(10);
      throw bad("the first");
    }),
  );
  expect([error.message, ...events]).toEqual(["the first", "cancelled", "ended"]);
});

test("createLimit: runs at most the limit at a time, in order, and goes on after a failure", async () => {
  const run = createLimit(2);
  const running = new Set<number>();
  const begun: number[] = [];
  const most: number[] = [];
  const works = [30, 5, 10, 1, 1].map((ms, index) =>
    run(async () => {
      begun.push(index);
      most.push(running.add(index).size);
      await sleep(ms);
      running.delete(index);
      if (index === 1) {
        throw bad("the second");
      }
      return index;
    }),
  );
  const ends = await Promise.allSettled(works);
  expect(ends.map((end) => (end.status === "fulfilled" ? end.value : end.reason.message))).toEqual([
    0,
    "the second",
    2,
    3,
    4,
  ]);
  expect(begun).toEqual([0, 1, 2, 3, 4]);
  expect(Math.max(...most)).toBe(2);
  // A slot that is free again is used.
  expect(await Promise.all([1, 2, 3].map((item) => run(async () => item)))).toEqual([1, 2, 3]);
});
