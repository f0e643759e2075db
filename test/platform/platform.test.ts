import { createServer } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";
import { promisify } from "node:util";
import { expect, onTestFinished, test } from "vitest";
import { ExplainedError } from "../../src/platform/errors.ts";
import { createPlatform, type PlatformOptions } from "../../src/platform/platform.ts";
import { retry } from "../../src/platform/retry.ts";
import { createRecorder, failure, failureOf } from "../fixtures.ts";
import { listen } from "../quay-stand-in/listen.ts";

const make = (options: Partial<PlatformOptions> = {}) =>
  createPlatform({ env: {}, reporter: createRecorder(), timeoutSeconds: 60, ...options });

test("passes on what it was given", () => {
  const [env, reporter] = [{ A: "1" }, createRecorder()];
  const platform = make({ env, reporter });
  expect(platform.env).toBe(env);
  expect(platform.reporter).toBe(reporter);
  expect(Math.abs(platform.deadline - Date.now() - 60_000)).toBeLessThan(1_000);
  expect(platform.signal.aborted).toBe(false);
  platform.close();
});

test("close aborts what still runs, without a further log line", async () => {
  const server = createServer((request, response) => void (request.url === "/503" ? response.writeHead(503).end() : 0));
  const { port, close } = await listen(server);
  onTestFinished(close);
  const reporter = createRecorder();
  const platform = make({ reporter });
  const ask = (path: string) =>
    retry(platform, path, async () => {
      const url = new URL(`http://127.0.0.1:${port}${path}`);
      const { status } = await platform.http.open(url, { timeoutMs: 5_000, maxBytes: 1_000 }).send();
      return { retry: "patient", error: new ExplainedError("quay-unavailable", `${status}.`, { remedy: [] }) };
    });
  const asking = ["/503", "/nothing"].map((path) => failure(ask(path)));
  await expect.poll(() => reporter.text()).toContain("Retrying");
  platform.close();
  const before = reporter.text();
  expect((await Promise.all(asking)).map(({ code }) => code)).toEqual(["cancelled", "cancelled"]);
  expect(reporter.text()).toBe(before);
});

test("its deadline follows from the timeout", async () => {
  const platform = make({ timeoutSeconds: 60 });
  await sleep(100);
  expect(platform.signal.aborted).toBe(false);
  platform.close();
  const endless = make({ timeoutSeconds: undefined });
  await sleep(20);
  expect([endless.signal.aborted, endless.deadline]).toEqual([false, Number.POSITIVE_INFINITY]);
  endless.close();
});

test("close ends the connections", async () => {
  const server = createServer((_, response) => void response.end("ok"));
  const { port, close } = await listen(server);
  onTestFinished(close);
  const connections = promisify(server.getConnections.bind(server));
  const platform = make();
  const url = new URL(`http://127.0.0.1:${port}/`);
  await platform.http.open(url, { timeoutMs: 5_000, maxBytes: 1_000 }).send();
  expect(await connections()).toBe(1);
  platform.close();
  await expect.poll(() => connections()).toBe(0);
});

test("aborts at the timeout, with a reason that explains it", async () => {
  const platform = make({ timeoutSeconds: 0.05 });
  await sleep(100);
  const reason = platform.signal.reason;
  platform.close();
  expect(reason).toBeInstanceOf(ExplainedError);
  expect(reason.code).toBe("timeout");
  expect(reason.message).toBe("The login did not finish within 0.05 seconds.");
  expect(failureOf(reason).remedy.join()).toContain("option timeout");
});

test("aborts on a cancellation, with the cancellation's reason", async () => {
  const cancelled = new AbortController();
  const platform = make({ cancelled: cancelled.signal });
  const sleeping = platform.clock.sleep(60_000, platform.signal);
  cancelled.abort(new ExplainedError("cancelled", "The job was cancelled.", { remedy: [] }));
  expect((await failure(sleeping)).code).toBe("cancelled");
  platform.close();
});

test("keeps no process alive after close", async () => {
  const timers = () => process.getActiveResourcesInfo().filter((name) => name === "Timeout").length;
  const before = timers();
  const platform = make();
  expect(timers()).toBe(before + 1);
  platform.close();
  expect(timers()).toBe(before);
});

test("rejects a proxy variable that is not an address, and leaves no timer", async () => {
  const timers = () => process.getActiveResourcesInfo().filter((name) => name === "Timeout").length;
  const before = timers();
  expect((await failure(() => make({ env: { HTTPS_PROXY: "http://" } }))).code).toBe("invalid-input");
  expect(timers()).toBe(before);
});

test("the timeout's error says what did not finish", async () => {
  const platform = make({ timeoutSeconds: 0.01, work: "The command" });
  await new Promise((resolve) => platform.signal.addEventListener("abort", resolve));
  expect(failureOf(platform.signal.reason).message).toMatch(/^The command did not finish within/);
  platform.close();
});
