import { getEventListeners } from "node:events";
import { chmod, mkdir, rename, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { beforeEach, describe, expect, onTestFinished, test, vi } from "vitest";
import { parseEndpoint } from "../../../src/identity/spiffe/endpoint.ts";
import { fetchJwtSvid } from "../../../src/identity/spiffe/workload-api.ts";
import { systemClock } from "../../../src/platform/clock.ts";
import type { ErrorCode } from "../../../src/platform/errors.ts";
import type { Platform } from "../../../src/platform/platform.ts";
import { failure, failureText, fakeClock, makeFolder, testPlatform } from "../../fixtures.ts";
import { address } from "../../support/project.ts";
import {
  encodeResponse,
  type Svid,
  startWorkloadApi,
  type WorkloadAnswer,
  type WorkloadApi,
} from "../../support/workload-api.ts";

const ci: Svid = { id: "spiffe://example.org/ci", token: "eyJhbGciOiJSUzI1NiJ9.e30.ci" };
const release: Svid = {
  id: "spiffe://example.org/release",
  token: "eyJhbGciOiJSUzI1NiJ9.e30.release",
  hint: "release",
};

// Loaded now: a test that switches to another user could not load it.
await import("../../../src/identity/spiffe/explain-call.ts");

let folder: string;
beforeEach(async () => {
  folder = await makeFolder();
});

const socket = () => join(folder, "api.sock");

async function start(answer: WorkloadAnswer = { svids: [ci] }, at = socket()): Promise<WorkloadApi> {
  const api = await startWorkloadApi(at, answer);
  onTestFinished(() => api.close());
  return api;
}

function local(signal = new AbortController().signal) {
  const clock = fakeClock();
  return { ...testPlatform({ clock, signal }), waits: clock.waits };
}

function ask(address: string, platform: Platform = local(), id?: string): Promise<string> {
  const endpoint = parseEndpoint(address);
  if ("problem" in endpoint) {
    throw new Error(`${address}: ${endpoint.problem}`);
  }
  return fetchJwtSvid({ endpoint, address, id }, "quay", platform);
}

describe("a token", () => {
  test.each<[string, () => string]>([
    ["a socket", socket],
    ["IPv4", () => "127.0.0.1"],
    ["IPv6", () => "::1"],
  ])("over %s, with the security header exactly once", async (_, at) => {
    const api = await start({ svids: [ci] }, at());
    const platform = local();
    expect(await ask(api.address, platform)).toBe(ci.token);
    expect(api.calls).toEqual([{ audience: ["quay"], id: "", security: ["true"] }]);
    expect(platform.waits).toEqual([]);
  });

  test("from a socket behind a link, with spaces in its name", async () => {
    await mkdir(join(folder, "a b"));
    const api = await start({ svids: [ci] }, join(folder, "a b", "s"));
    await symlink(join(folder, "a b"), join(folder, "link"));
    expect(await ask(`unix:${folder}/link/s`)).toBe(ci.token);
    expect(await ask(`unix://${folder}/a%20b/s`)).toBe(ci.token);
    expect(api.calls).toHaveLength(2);
  });

  test("of a large size", async () => {
    const token = "x".repeat(1_000_000);
    expect(await ask((await start({ svids: [{ ...ci, token }] })).address)).toBe(token);
  });
});

describe("one of several", () => {
  test("sends a SPIFFE ID to the API, which selects by it", async () => {
    const api = await start({ svids: [release] });
    expect(await ask(api.address, local(), release.id)).toBe(release.token);
    expect(api.calls[0]?.id).toBe(release.id);
  });

  test("selects by a SPIFFE ID if the API issues several", async () => {
    expect(await ask((await start({ svids: [ci, release] })).address, local(), release.id)).toBe(release.token);
  });

  test("selects by a hint, without sending it", async () => {
    const api = await start({ svids: [ci, release] });
    expect(await ask(api.address, local(), "release")).toBe(release.token);
    expect(api.calls[0]?.id).toBe("");
  });

  test("lists them without an option", async () => {
    const platform = local();
    const api = await start({ svids: [ci, release] });
    const text = await failureText("spiffe-several-identities", ask(api.address, platform));
    expect(text).toBe(
      [
        `The Workload API at ${api.address} issues 2 identities; the login needs exactly one.`,
        "  Choose one by its SPIFFE ID or hint, with the option spiffe-id:",
        "    spiffe://example.org/ci",
        "    spiffe://example.org/release  hint release",
        `  More: ${address("/blob/main/docs/troubleshooting.md#spiffe-several-identities")}`,
      ].join("\n"),
    );
    expect(platform.waits).toEqual([]);
    expect(text).not.toContain(ci.token);
  });

  test("rejects a hint that two have", async () => {
    const api = await start({ svids: [release, { ...ci, hint: "release" }] });
    const text = await failureText("spiffe-several-identities", ask(api.address, local(), "release"));
    expect(text).toContain("issues 2 identities for release; the login needs exactly one.");
  });

  test.each(["nightly", "spiffe://example.org/nightly"])("rejects %s, which matches none", async (id) => {
    const platform = local();
    const text = await failureText("spiffe-no-identity", ask((await start({ svids: [ci] })).address, platform, id));
    expect(text).toContain(`issues identities, but not ${id}.`);
    expect(text).toContain("    spiffe://example.org/ci\n");
    expect(platform.waits).toEqual([]);
  });

  test("bounds the list, and makes each name one line", async () => {
    const svids = Array.from({ length: 500 }, (_, n) => ({
      ...ci,
      id: `spiffe://example.org/${n}\n::add-mask::x\x1b[2J`,
    }));
    const error = await failure(ask((await start({ svids })).address));
    expect(error.message).toContain("issues 500 identities");
    expect(error.remedy).toHaveLength(21);
    expect(error.remedy[1]).toBe("  spiffe://example.org/0 ::add-mask::x");
  });
});

/** With this clock each wait is 0.75 of the longest. */
const settling = [250, 500, 1_000, 2_000, ...Array.from({ length: 7 }, () => 2_500)];
const quick = [125, 250];

describe("gRPC's statuses", () => {
  test.each<[number, string, ErrorCode, number[]]>([
    [1, "Cancelled", "spiffe-unavailable", quick],
    [2, "Unknown", "spiffe-unavailable", quick],
    [3, "InvalidArgument", "spiffe-refused", []],
    [4, "DeadlineExceeded", "spiffe-unavailable", quick],
    [5, "NotFound", "spiffe-refused", []],
    [6, "AlreadyExists", "spiffe-refused", []],
    [7, "PermissionDenied", "spiffe-no-identity", settling],
    [8, "ResourceExhausted", "spiffe-unavailable", settling],
    [9, "FailedPrecondition", "spiffe-refused", []],
    [10, "Aborted", "spiffe-unavailable", quick],
    [11, "OutOfRange", "spiffe-refused", []],
    [12, "Unimplemented", "spiffe-refused", []],
    [13, "Internal", "spiffe-unavailable", quick],
    [14, "Unavailable", "spiffe-unavailable", settling],
    [15, "DataLoss", "spiffe-unavailable", quick],
    [16, "Unauthenticated", "spiffe-refused", []],
    [77, "none that there is", "spiffe-refused", []],
  ])("%i, %s: %s", async (status, _, code, waits) => {
    const api = await start({ status, message: "the agent's words: 100% ünfit\n::error::x" });
    const platform = local();
    const text = await failureText(code, ask(api.address, platform));
    expect(text.split("\n")[0]).toContain(`"the agent's words: 100% ünfit ::error::x"`);
    expect(text.split("\n")[0]).toContain(api.address);
    expect(platform.waits).toEqual(waits);
    expect(api.calls).toHaveLength(waits.length + 1);
  });

  test.each([7, 14, 2])("%i, then the retry succeeds", async (status) => {
    const api = await start();
    api.next({ status }, { status });
    const platform = local();
    expect(await ask(api.address, platform)).toBe(ci.token);
    expect(platform.reporter.infos).toHaveLength(2);
  });

  test("no identity: names the selectors to compare, and with what", async () => {
    const api = await start({ status: 7, message: "no identity issued" });
    const text = await failureText("spiffe-no-identity", ask(api.address, local(), ci.id));
    expect(text).toContain('issues no identity to this process: "no identity issued".');
    for (const word of [
      "k8s:ns",
      "k8s:sa",
      "ClusterSPIFFEID",
      `unix:uid:${process.geteuid?.()}`,
      "some seconds",
      ci.id,
    ]) {
      expect(text).toContain(word);
    }
  });

  test("no identity over TCP, where the agent sees no user", async () => {
    const api = await start({ status: 7 }, "127.0.0.1");
    const text = await failureText("spiffe-no-identity", ask(api.address, local(), "nightly"));
    expect(text).toContain("\n  elsewhere, the user.\n");
    // A hint is compared here, once there are SVIDs.
    expect(text).not.toContain("nightly");
  });

  test("treats an answer without any SVID the same", async () => {
    const api = await start({ svids: [] });
    const platform = local();
    expect(await failureText("spiffe-no-identity", ask(api.address, platform))).toContain("its answer is empty");
    expect(platform.waits).toEqual(settling);
  });

  test("cuts an endless message", async () => {
    const api = await start({ status: 3, message: "x".repeat(5_000) });
    expect((await failure(ask(api.address))).message.length).toBeLessThan(500);
  });
});

describe("invalid answers", () => {
  test("retries every truncation of a good one", async () => {
    const good = encodeResponse([release]);
    const api = await start();
    // At length 0 it is an empty list.
    for (let length = 1; length < good.length; length++) {
      const platform = local();
      api.next({ bytes: good.subarray(0, length) });
      const text = await failureText("spiffe-answer-unusable", ask(api.address, platform));
      expect(text).toContain("its message is not a JWTSVIDResponse");
      expect(platform.waits).toEqual([]);
    }
  });

  test.each([1.1, 8])("%d MiB", async (size) => {
    const api = await start({ bytes: Buffer.alloc(size * 1024 * 1024) });
    const text = await failureText("spiffe-answer-unusable", ask(api.address));
    expect(text).toContain("its answer is larger than 1 MiB");
    expect(api.calls).toHaveLength(1);
  });
});

describe("time", () => {
  test("retries after ten seconds without an answer", async () => {
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
    onTestFinished(() => void vi.useRealTimers());
    const api = await start();
    api.next("hang");
    const platform = local();
    const token = ask(api.address, platform);
    await vi.waitUntil(() => api.calls.length === 1, { interval: 5 });
    await vi.advanceTimersByTimeAsync(10_001);
    expect(await token).toBe(ci.token);
    expect(platform.reporter.infos).toEqual([
      `The Workload API at ${api.address} issues no identity at the moment: no answer within 10 s. Retrying in 0.3 s.`,
    ]);
  });

  test.each<[string, () => WorkloadAnswer]>([
    ["an answer", () => "hang"],
    ["the next attempt", () => ({ status: 14 })],
  ])("stops at the timeout while waiting for %s", async (_, answer) => {
    const api = await start(answer());
    const controller = new AbortController();
    // A long wait: a short one might end before this test looks.
    const clock = { ...systemClock, sleep: (_: number, signal: AbortSignal) => systemClock.sleep(60_000, signal) };
    const platform = testPlatform({ clock, signal: controller.signal });
    const token = ask(api.address, platform);
    await expect.poll(() => api.calls.length).toBe(1);
    const ended = performance.now();
    controller.abort(new Error("over"));
    await expect(token).rejects.toThrow("over");
    expect(performance.now() - ended).toBeLessThan(5_000); // the call's own timeout is ten seconds
    expect(api.calls).toHaveLength(1);
  });

  test("leaves no timer or listener after a call", async () => {
    const timers = () => process.getActiveResourcesInfo().filter((name) => name === "Timeout").length;
    const api = await start();
    const { signal } = new AbortController();
    await ask(api.address, local(signal));
    const before = timers();
    for (let count = 0; count < 3; count++) {
      expect(await ask(api.address, local(signal))).toBe(ci.token);
    }
    // A renewing process asks again and again, and a timer would keep the process alive for ten seconds.
    expect(getEventListeners(signal, "abort")).toEqual([]);
    expect(timers()).toBeLessThan(before + 3);
  });

  test("sends nothing after the timeout", async () => {
    const api = await start();
    await expect(ask(api.address, local(AbortSignal.abort(new Error("over"))))).rejects.toThrow("over");
    expect(api.calls).toEqual([]);
  });
});

/** Root may use every socket, so the test switches to another user. */
async function asNobody<T>(work: () => Promise<T>): Promise<T> {
  const uid = process.geteuid?.();
  if (uid !== 0) {
    return work();
  }
  process.seteuid?.(65_534);
  try {
    return await work();
  } finally {
    process.seteuid?.(uid);
  }
}

describe("no connection", () => {
  test.each([
    ["none", settling],
    ["folder/none", quick],
  ])("no socket at %s", async (name, waits) => {
    const platform = local();
    const text = await failureText("spiffe-socket-unusable", ask(`unix://${folder}/${name}`, platform));
    expect(text).toContain(`The Workload API can't be reached: there is no socket at unix://${folder}/${name}.`);
    expect(text).toContain("csi.spiffe.io");
    expect(platform.waits).toEqual(waits);
  });

  test("no socket, because a file is on the path", async () => {
    await writeFile(join(folder, "file"), "");
    const platform = local();
    const text = await failureText("spiffe-socket-unusable", ask(`unix://${folder}/file/none`, platform));
    expect(text).toContain("there is no socket at");
    expect(platform.waits).toEqual(quick);
  });

  test("waits for a socket that appears a moment later", async () => {
    const clock = { ...fakeClock(), sleep: async () => void (await start()) };
    expect(await ask(`unix://${socket()}`, testPlatform({ clock }))).toBe(ci.token);
  });

  test.each([
    ["folder", () => mkdir(socket())],
    ["file", () => writeFile(socket(), "")],
  ] as const)("a %s", async (what, make) => {
    await make();
    const platform = local();
    const text = await failureText("spiffe-socket-unusable", ask(`unix://${socket()}`, platform));
    expect(text).toContain(`unix://${socket()} is a ${what}, not a socket.`);
    expect(platform.waits).toEqual([]);
  });

  test("a socket without permission for this user", async () => {
    const api = await start();
    await chmod(socket(), 0);
    const platform = local();
    const text = await asNobody(() => failureText("spiffe-socket-unusable", ask(api.address, platform)));
    expect(text).toMatch(/this user \(uid [1-9]\d*\) has no permission for unix:/);
    expect(platform.waits).toEqual([]);
  });

  test("a socket whose agent has exited", async () => {
    const api = await start();
    const left = join(folder, "left.sock");
    await rename(socket(), left);
    await api.close();
    const platform = local();
    const text = await failureText("spiffe-socket-unusable", ask(`unix://${left}`, platform));
    expect(text).toContain(`no process listens at unix://${left}.`);
    expect(platform.waits).toEqual(settling);
  });

  test("a port without a server", async () => {
    const { address, close } = await start({ svids: [] }, "127.0.0.1");
    await close();
    const platform = local();
    const text = await failureText("spiffe-socket-unusable", ask(address, platform));
    expect(text).toContain(`no process listens at ${address}.`);
    expect(platform.waits).toEqual(settling);
  });
});
