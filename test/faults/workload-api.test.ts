/** Rows of the matrix: the SPIFFE Workload API. It has no TLS, and no names: only sockets and IP addresses. */
import { afterAll, describe } from "vitest";
import { useWorld } from "../e2e/cli/world.ts";
import { newRobot, until } from "../e2e/world.ts";
import { findToxiproxy, type Passage } from "../support/toxiproxy.ts";
import { startHttp2, startWorkloadApi, type WorkloadApi } from "../support/workload-api.ts";
import { endingAfter, far, poisonedBy, resetting, shut, silent, usePassages } from "./network.ts";
import type { Fault } from "./row.ts";
import { begun, exchangesOf, fault, logIn, newWorld, type World } from "./world.ts";

const peers = useWorld({ registry: false });
const closers: (() => Promise<unknown>)[] = [];
afterAll(() => Promise.all(closers.map((close) => close())));

const subject = "spiffe://example.org/ci";

async function startApi(): Promise<WorkloadApi> {
  const token = await peers().issuer.sign({ sub: subject });
  peers().github.issued.push(token); // so that the leak harness knows it
  const api = await startWorkloadApi("127.0.0.1", { svids: [{ id: subject, token }] });
  closers.push(api.close);
  return api;
}

function newLogin(row: Fault, address: string): Promise<World> {
  const robot = newRobot(peers(), [{ issuer: peers().issuer.url, subject }]);
  return newWorld(peers(), { robot, identity: () => ["--spiffe-socket", address], row });
}

describe.concurrent("a proxy before the Workload API answers", () => {
  function answers(id: string, status: number, says: RegExp) {
    fault(id, async ({ expect, row }) => {
      const http = await startHttp2("127.0.0.1", (stream) =>
        stream.respond({ ":status": status, location: "https://evil.example.com/" }, { endStream: true }),
      );
      closers.push(http.close);
      const world = await newLogin(row, http.address);
      const { stderr } = await logIn(expect, row, world);
      expect(stderr).toMatch(says);
      expect(exchangesOf(peers(), world.robot)).toBe(0);
      if (row.outcome === "spiffe-unavailable") expect(http.count()).toBeGreaterThan(1);
      else expect(http.count()).toBe(1);
    });
  }

  answers("F81", 429, /HTTP status 429/);
  answers("F82", 500, /HTTP status 500/);
  answers("F83", 502, /HTTP status 502/);
  answers("F84", 503, /HTTP status 503/);
  answers("F85", 504, /HTTP status 504/);
  answers("F86", 302, /HTTP status 302/);
});

describe.skipIf(findToxiproxy() === undefined).concurrent("the network to the Workload API", () => {
  const open = usePassages();

  async function behind(row: Fault, prepare?: (passage: Passage) => Promise<void>) {
    const api = await startApi();
    const passage = await open(Number(new URL(api.address).port), prepare);
    return { api, passage, world: await newLogin(row, `tcp://127.0.0.1:${passage.port}`) };
  }

  fault("F87", async ({ expect, row }) => {
    const { world } = await behind(row, shut);
    const { stderr } = await logIn(expect, row, world);
    expect(stderr.match(/no process listens at .*\. Retrying/g)?.length).toBeGreaterThan(1);
  });

  fault("F88", async ({ expect, row }) => {
    const { passage, world } = await behind(row, shut);
    const [{ stderr }] = await Promise.all([logIn(expect, row, world), begun(world).then(passage.heal)]);
    expect(stderr).toContain("Retrying");
  });

  fault("F89", async ({ expect, row }) => {
    const { world } = await behind(row, poisonedBy(resetting));
    expect((await logIn(expect, row, world)).stderr).toContain("broke off");
  });

  fault("F90", async ({ expect, row }) => {
    // The settings of HTTP/2 are some 50 bytes, the answer is a thousand.
    const { api, world } = await behind(row, poisonedBy(endingAfter(400)));
    expect((await logIn(expect, row, world)).stderr).toContain("broke off");
    expect(api.calls.length).toBeGreaterThan(1);
  });

  fault("F91", async ({ expect, row }) => {
    const { api, passage, world } = await behind(row, poisonedBy(endingAfter(400)));
    const healed = until(() => api.calls.length > 0, "the call").then(passage.heal);
    await Promise.all([logIn(expect, row, world), healed]);
  });

  fault("F92", async ({ expect, row }) => {
    const { world } = await behind(row, poisonedBy(silent));
    expect((await logIn(expect, row, world)).stderr).toContain("It was waiting for the Workload API");
  });

  fault("F93", async ({ expect, row }) => {
    const { world } = await behind(row, poisonedBy(far));
    await logIn(expect, row, world);
  });
});
