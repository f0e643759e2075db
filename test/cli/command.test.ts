import { describe, expect, onTestFinished, test, vi } from "vitest";
import { aligned, withPlatform } from "../../src/cli/command.ts";
import { createTerminal } from "../../src/cli/terminal.ts";
import { failure } from "../fixtures.ts";

describe("names and values", () => {
  test("are printed in two columns", () => {
    expect(
      aligned([
        ["registry", "quay.io"],
        ["a", "b  c"],
      ]),
    ).toEqual(["registry  quay.io", "a         b  c"]);
  });

  test("repeat the name for each of several values, and no value adds a line", () => {
    expect(
      aligned([
        ["robot", ["acme+ci", "other+ci"]],
        ["issuer", "a\n  robot  b"],
        ["subject", ""],
      ]),
    ).toEqual(["robot    acme+ci", "robot    other+ci", "issuer   a   robot  b", "subject  "]);
  });

  test("can be empty", () => {
    expect(aligned([])).toEqual([]);
  });
});

describe("a command's work", () => {
  const call = { values: {}, env: { NAME: "value" }, terminal: createTerminal() };

  test("gets its environment, the terminal and a timeout", async () => {
    const before = Date.now();
    const found = await withPlatform(call, { timeoutSeconds: 5 }, async ({ env, reporter, deadline, signal }) => ({
      env,
      reporter,
      left: deadline - before,
      aborted: signal.aborted,
    }));
    expect(found).toMatchObject({ env: call.env, reporter: call.terminal, aborted: false });
    expect(found.left).toBeGreaterThanOrEqual(5000);
    expect(found.left).toBeLessThan(10_000);
  });

  test("leaves no timer that keeps the process alive", async () => {
    vi.useFakeTimers();
    onTestFinished(() => void vi.useRealTimers());
    const during = await withPlatform(call, { timeoutSeconds: 3600 }, async () => vi.getTimerCount());
    expect([during, vi.getTimerCount()]).toEqual([1, 0]);
    await expect(withPlatform(call, { timeoutSeconds: 3600 }, () => Promise.reject(new Error("oh")))).rejects.toThrow();
    expect(vi.getTimerCount()).toBe(0);
  });

  test("ends after the timeout, and passes errors on", async () => {
    const error = await failure(
      withPlatform(call, { timeoutSeconds: 0.05 }, ({ clock, signal }) => clock.sleep(10_000, signal)),
    );
    expect(error.code).toBe("timeout");
    await expect(withPlatform(call, { timeoutSeconds: 5 }, () => Promise.reject(new TypeError("oh")))).rejects.toThrow(
      "oh",
    );
  });

  test.each(["SIGINT", "SIGTERM", "SIGHUP"] as const)("ends on %s", async (signal) => {
    // The module handles the first signal only.
    vi.resetModules();
    const anew = await import("../../src/cli/command.ts");
    const working = anew.withPlatform(call, { timeoutSeconds: 30 }, (platform) =>
      platform.clock.sleep(20_000, platform.signal),
    );
    process.emit(signal);
    expect(await working.catch((error) => error)).toMatchObject({
      code: "cancelled",
      message: `Received ${signal}, stopping.`,
    });
    // Later work is cancelled too.
    expect(anew.interruption().aborted).toBe(true);
    await expect(
      anew.withPlatform(call, { timeoutSeconds: 30 }, async ({ signal: later }) => later.throwIfAborted()),
    ).rejects.toThrow(signal);
  });

  test("uses the given remedy", async () => {
    vi.resetModules();
    const anew = await import("../../src/cli/command.ts");
    const signal = anew.interruption("Run the same again.");
    process.emit("SIGINT");
    expect(signal.reason).toMatchObject({ code: "cancelled", remedy: ["Run the same again."] });
  });

  test("gets the same signal from each call", async () => {
    vi.resetModules();
    const anew = await import("../../src/cli/command.ts");
    const before = process.listenerCount("SIGTERM");
    const signal = anew.interruption();
    await anew.withPlatform(call, { timeoutSeconds: 30 }, async () => {});
    expect(anew.interruption()).toBe(signal);
    expect([signal.aborted, process.listenerCount("SIGTERM") - before]).toEqual([false, 1]);
  });
});
