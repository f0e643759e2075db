import { describe, expect, test } from "vitest";
import { createCalmProgress, partsOf } from "../../src/promotion/progress.ts";
import { fakeClock } from "../fixtures.ts";

function follow(...names: string[]) {
  const lines: string[] = [];
  const clock = fakeClock();
  const show = createCalmProgress(names, (line) => void lines.push(line), clock);
  return { lines, clock, show };
}

const copying = (begun: number, sent: number) =>
  ({ phase: "copying", blobs: { begun, all: 7 }, bytes: { sent, all: 45_200_000 } }) as const;

describe("progress in a log", () => {
  test("has a line when a copy begins, every 30 s, and at the end", () => {
    const { lines, clock, show } = follow("acme/app");
    show(0, { phase: "resolving" });
    clock.advance(1_000);
    for (let begun = 0; begun < 130; begun++) {
      show(0, copying(Math.min(7, begun), begun * 300_000));
      clock.advance(500);
    }
    show(0, { phase: "signatures" });
    show(0, { phase: "tags" });
    show(0, { phase: "done" });
    expect(lines).toEqual([
      "acme/app: copying 7 blobs; 45.2 MB are new there.",
      "acme/app: still copying: blobs 7/7, 18.0 of 45.2 MB, for 30.0 s now.",
      "acme/app: still copying: blobs 7/7, 36.0 of 45.2 MB, for 1 min 0 s now.",
      "acme/app: done after 1 min 6 s.",
    ]);
  });

  test("has a time for each image", () => {
    const { lines, clock, show } = follow("acme/a", "acme/b");
    show(0, copying(0, 0));
    clock.advance(20_000);
    show(1, copying(0, 0));
    clock.advance(10_000);
    show(1, copying(1, 0));
    show(0, copying(1, 0));
    show(1, { phase: "failed" });
    expect(lines).toEqual([
      "acme/a: copying 7 blobs; 45.2 MB are new there.",
      "acme/b: copying 7 blobs; 45.2 MB are new there.",
      "acme/a: still copying: blobs 1/7, 45.2 MB, for 30.0 s now.",
      "acme/b: failed after 10.0 s; details below.",
    ]);
  });

  test("has one line for an image that is already there", () => {
    const { lines, clock, show } = follow("acme/app");
    show(0, { phase: "resolving" });
    clock.advance(300);
    show(0, { phase: "tags" });
    show(0, { phase: "done" });
    expect(lines).toEqual(["acme/app: done after 0.3 s."]);
  });

  test("says no more than is known", () => {
    const { lines, show } = follow("a", "b", "c");
    show(0, { phase: "copying" });
    show(1, { phase: "copying", blobs: { begun: 0, all: 1 } });
    show(2, { phase: "copying", bytes: { sent: 0, all: 12 } });
    expect(lines).toEqual(["a: copying.", "b: copying 1 blob.", "c: copying; 12 B are new there."]);
  });
});

test("leaves the bytes sent out on systems that do not count them", () => {
  expect(partsOf(copying(3, 12_000_000))).toEqual(["blobs 3/7", "12.0 of 45.2 MB"]);
  expect(partsOf(copying(3, 0))).toEqual(["blobs 3/7", "45.2 MB"]);
  expect(partsOf(copying(9, 1))).toEqual(["blobs 7/7", "0.0 of 45.2 MB"]);
  expect(partsOf({ phase: "copying" })).toEqual([]);
});
