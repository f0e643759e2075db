import { expect, test } from "vitest";
import { createTimeline } from "../../src/platform/timeline.ts";
import { createRecorder, fakeClock } from "../fixtures.ts";

test("notes and logs the duration of each phase when it ends", async () => {
  const clock = fakeClock();
  const reporter = createRecorder();
  const timeline = createTimeline({ clock, reporter });
  const after = (ms: number) => async () => {
    clock.advance(ms);
    return ms;
  };
  expect(await timeline.time("identity token", after(20))).toBe(20);
  await timeline.time("exchange for acme+ci", after(34.6));
  expect(timeline.phases).toEqual([
    { phase: "identity token", milliseconds: 20 },
    { phase: "exchange for acme+ci", milliseconds: 35 },
  ]);
  expect(reporter.debugs).toEqual(["identity token: 20 ms", "exchange for acme+ci: 35 ms"]);
});

test("notes the duration of a phase that fails", async () => {
  const clock = fakeClock();
  const timeline = createTimeline({ clock, reporter: createRecorder() });
  const failing = async () => {
    clock.advance(7);
    throw new Error("no");
  };
  await expect(timeline.time("permissions", failing)).rejects.toThrow("no");
  expect(timeline.phases).toEqual([{ phase: "permissions", milliseconds: 7 }]);
});
