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

test("no socket there, but at a usual place", async () => {
  const inAPod =
    "In a pod, mount a volume of the CSI driver csi.spiffe.io at /spiffe-workload-api; elsewhere, start the SPIRE agent.";
  expect(failureOf((await explainNoAnswer({ code: "ENOENT" }, request)).error).remedy).toEqual([inAPod]);
  there.add("/run/spire/sockets/spire-agent.sock");
  expect(failureOf((await explainNoAnswer({ code: "ENOENT" }, request)).error).remedy).toEqual([
    "There is one at the usual place: spiffe-socket: unix:///run/spire/sockets/spire-agent.sock",
    inAPod,
  ]);
});

test.each([
  ["ENETUNREACH", "unix:/none/api.sock fails with ENETUNREACH"],
  ["", "unix:/none/api.sock fails with an unknown error"],
])("whatever else befalls a connection: %j", async (code, said) => {
  const { retry, error } = await explainNoAnswer({ code }, request);
  expect(error.code).toBe("spiffe-socket-unusable");
  expect(error.message).toBe(`The Workload API can't be reached: ${said}.`);
  expect(retry).toBe("quick");
});
