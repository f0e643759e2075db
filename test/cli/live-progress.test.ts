import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { createLiveProgress } from "../../src/cli/live-progress.ts";

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

function watch(...names: string[]) {
  const draws: (readonly string[])[] = [];
  const progress = createLiveProgress(names, (lines) => void draws.push(lines), { elapsed: () => Date.now() });
  return { draws, progress };
}

const copying = (begun: number, sent: number) =>
  ({ phase: "copying", blobs: { begun, all: 7 }, bytes: { sent, all: 120_000_000 } }) as const;

describe("live lines", () => {
  test("show each running image, in order, and count those done", () => {
    const { draws, progress } = watch("acme/app", "acme/other", "acme/x", "acme/y");
    progress.show(1, { phase: "resolving" });
    progress.show(0, copying(3, 45_200_000));
    progress.show(2, { phase: "tags" });
    vi.advanceTimersByTime(200);
    expect(draws.at(-1)).toEqual([
      "acme/app    copying     blobs 3/7  45.2 of 120.0 MB",
      "acme/other  looking",
      "acme/x      tags",
      "0 of 4 done",
    ]);
    progress.show(0, { phase: "done" });
    progress.show(1, { phase: "failed" });
    progress.show(2, { phase: "signatures" });
    vi.advanceTimersByTime(200);
    expect(draws.at(-1)).toEqual(["acme/x      signatures", "1 of 4 done, 1 failed"]);
  });

  test("do not count a single image", () => {
    const { draws, progress } = watch("acme/app");
    progress.show(0, { phase: "verifying" });
    expect(draws).toEqual([["acme/app  verifying"]]);
    progress.show(0, { phase: "done" });
    vi.advanceTimersByTime(200);
    expect(draws.at(-1)).toEqual([]);
  });

  test("change at most five times a second, and show the last change", () => {
    const { draws, progress } = watch("acme/app");
    for (let ms = 0; ms < 2_000; ms += 10) {
      progress.show(0, copying(ms / 10, ms));
      vi.advanceTimersByTime(10);
    }
    progress.show(0, { phase: "tags" });
    vi.advanceTimersByTime(1_000);
    expect(draws.length).toBeGreaterThanOrEqual(10);
    expect(draws.length).toBeLessThanOrEqual(12);
    expect(draws.at(-1)).toEqual(["acme/app  tags"]);
  });

  test("disappear at the end, and leave no timer", () => {
    const { draws, progress } = watch("acme/app");
    progress.show(0, { phase: "resolving" });
    progress.show(0, { phase: "tags" });
    progress.end();
    expect(draws).toEqual([["acme/app  looking"], []]);
    const another = watch("acme/app");
    another.progress.end();
    another.progress.show(0, { phase: "tags" });
    expect(another.draws).toEqual([[]]);
    expect(vi.getTimerCount()).toBe(0);
    progress.show(0, { phase: "done" });
    vi.advanceTimersByTime(1_000);
    expect(draws).toHaveLength(2);
  });

  test("do not keep the process alive", () => {
    vi.useRealTimers();
    const unref = vi.spyOn(Object.getPrototypeOf(setTimeout(() => {}, 0)), "unref");
    const { progress } = watch("acme/app");
    progress.show(0, { phase: "resolving" });
    progress.show(0, { phase: "tags" });
    expect(unref).toHaveBeenCalledTimes(1);
    progress.end();
    unref.mockRestore();
  });
});
