import { expect, test, vi } from "vitest";
import type { SvidRequest } from "../../../src/identity/spiffe/endpoint.ts";
import { explainNoAnswer } from "../../../src/identity/spiffe/explain-call.ts";
import { failureOf } from "../../fixtures.ts";

const there = vi.hoisted(() => new Set<string>());
vi.mock("../../../src/platform/fs.ts", () => ({ isThere: async (path: string) => there.has(path) }));

const request: SvidRequest = {
  endpoint: { kind: "unix", path: "/none/api.sock" },
  address: "unix:/none/api.sock",
  id: undefined,
};

test("suggests an existing socket at a usual path", async () => {
  const inAPod =
    "In a pod, mount a volume of the CSI driver csi.spiffe.io at /spiffe-workload-api; elsewhere, start the SPIRE agent.";
  expect(failureOf((await explainNoAnswer({ code: "ENOENT" }, request)).error).remedy).toEqual([inAPod]);
  there.add("/run/spire/sockets/spire-agent.sock");
  expect(failureOf((await explainNoAnswer({ code: "ENOENT" }, request)).error).remedy).toEqual([
    "A socket exists at the usual path: spiffe-socket: unix:///run/spire/sockets/spire-agent.sock",
    inAPod,
  ]);
});

test.each([
  ["ENETUNREACH", "unix:/none/api.sock fails with ENETUNREACH"],
  ["", "unix:/none/api.sock fails with an unknown error"],
])("names any other error of a connection: %j", async (code, expected) => {
  const { retry, error } = await explainNoAnswer({ code }, request);
  expect(error.code).toBe("spiffe-socket-unusable");
  expect(error.message).toBe(`The Workload API can't be reached: ${expected}.`);
  expect(retry).toBe("quick");
});
