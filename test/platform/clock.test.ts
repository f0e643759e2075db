import { getEventListeners } from "node:events";
import { expect, test } from "vitest";
import { systemClock } from "../../src/platform/clock.ts";

const never = new AbortController().signal;

test("sleeps about as long as asked", async () => {
  const before = systemClock.now();
  await systemClock.sleep(30, never);
  expect(systemClock.now() - before).toBeGreaterThanOrEqual(28);
});

test("an abort ends the sleep immediately, with its reason", async () => {
  const controller = new AbortController();
  const before = systemClock.now();
  const sleeping = systemClock.sleep(60_000, controller.signal);
  setTimeout(() => controller.abort(new Error("enough")), 10);
  await expect(sleeping).rejects.toThrow("enough");
  await expect(systemClock.sleep(60_000, controller.signal)).rejects.toThrow("enough");
  expect(systemClock.now() - before).toBeLessThan(5_000);
});

test("leaves no timer or listener after a sleep, finished or aborted", async () => {
  const timers = () => process.getActiveResourcesInfo().filter((name) => name === "Timeout").length;
  const controller = new AbortController();
  const before = timers();
  for (let count = 0; count < 3; count++) {
    await systemClock.sleep(1, controller.signal);
  }
  // A renewing process sleeps each second, for days.
  expect(getEventListeners(controller.signal, "abort")).toEqual([]);
  const sleeping = systemClock.sleep(60_000, controller.signal);
  controller.abort(new Error("enough"));
  await expect(sleeping).rejects.toThrow("enough");
  // A timer would keep the process alive for the rest of the minute.
  expect(timers()).toBeLessThanOrEqual(before);
});

test("random is at least 0 and less than 1", () => {
  for (let count = 0; count < 100; count++) {
    const random = systemClock.random();
    expect(random >= 0 && random < 1).toBe(true);
  }
});
