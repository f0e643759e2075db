/** Rows of the matrix: the registry while the tool logs in. The exchange works each time. */
import type { IncomingMessage } from "node:http";
import { afterAll, describe } from "vitest";
import { useWorld } from "../e2e/cli/world.ts";
import { newRobot, of, once, until } from "../e2e/world.ts";
import { SUBJECT } from "../quay-stand-in/issuer.ts";
import { GATEWAY_TIMEOUT, INTERNAL_ERROR, LOADING, TOO_MANY_REQUESTS } from "../quay-stand-in/quay/pages.ts";
import { type Quay, startQuay } from "../quay-stand-in/quay/server.ts";
import { addRobot } from "../quay-stand-in/quay/store.ts";
import {
  answer,
  cut,
  hang,
  huge,
  notJson,
  page,
  redirect,
  reset,
  type Scripted,
  slow,
} from "../quay-stand-in/scripted.ts";
import type { Flaw } from "../quay-stand-in/tls.ts";
import { findToxiproxy, freePort, type Passage } from "../support/toxiproxy.ts";
import { endingAfter, far, poisonedBy, resetting, shut, silent, usePassages } from "./network.ts";
import type { Fault } from "./row.ts";
import { exchangesOf, fault, logIn, newWorld, type World, wait } from "./world.ts";

const peers = useWorld({ registry: false });
const closers: (() => Promise<unknown>)[] = [];
afterAll(() => Promise.all(closers.map((close) => close())));

describe.concurrent("the registry answers", () => {
  /** Always, or once. */
  function answers(id: string, given: () => Scripted, how: { runs?: number | "any"; first?: true } = {}) {
    fault(id, async ({ expect, row }) => {
      const world = await newWorld(peers(), { row });
      const which = of(world.robot);
      peers().quay.authScript.always(given(), how.first ? once(which) : which);
      const { children } = await logIn(expect, row, world);
      if (typeof how.runs === "number") expect(children).toHaveLength(how.runs);
      else expect(children.length).toBeGreaterThan(how.runs === "any" ? 0 : 1);
      expect(exchangesOf(peers(), world.robot)).toBe(1);
    });
  }
  const later = (retryAfter: string) => answer(429, TOO_MANY_REQUESTS.body, { "retry-after": retryAfter });

  // Some versions of skopeo retry a 429 themselves.
  answers("F101", () => page(TOO_MANY_REQUESTS), { runs: "any" });
  answers("F102", () => page(INTERNAL_ERROR), { runs: 3 });
  answers("F103", () => page(LOADING), { first: true, runs: 2 });
  answers("F104", () => page(LOADING));
  answers("F105", () => answer(503, ""));
  answers("F106", () => page(GATEWAY_TIMEOUT));
  answers("F107", hang, { runs: 1 });
  answers("F108", () => slow(1000), { runs: 1 });
  answers("F109", reset);
  answers("F110", cut);
  answers("F111", huge, { runs: 1 });
  answers("F112", () => redirect("https://localhost:1/v2/auth"));
  answers("F113", () => later("1"), { first: true, runs: "any" });
  answers("F124", () => later("99999999999"), { runs: "any" });
  answers("F127", () => answer(520, ""));
});

/** The options of a login in which this program itself verifies the robot token. */
const none = ["--tool", "none", "--docker-config", "false"];

describe.concurrent("the registry, without a tool, answers", () => {
  /** Always, or once. @param asked how often; default: more than once */
  function answers(id: string, given: () => Scripted, { asked, first }: { asked?: number; first?: true } = {}) {
    fault(id, async ({ expect, row }) => {
      const world = await newWorld(peers(), { row, more: none });
      const which = of(world.robot);
      peers().quay.authScript.always(given(), first ? once(which) : which);
      const { children } = await logIn(expect, row, world);
      const checks = peers().quay.requests.filter(({ user, path }) => user === world.robot.name && path === "/v2/auth");
      expect(checks.length).toBeGreaterThanOrEqual(asked ?? 2);
      expect(checks.length).toBeLessThanOrEqual(asked ?? Number.POSITIVE_INFINITY);
      expect([children, exchangesOf(peers(), world.robot)]).toEqual([[], 1]);
    });
  }
  const later = (retryAfter: string) => answer(429, TOO_MANY_REQUESTS.body, { "retry-after": retryAfter });

  answers("F501", () => page(TOO_MANY_REQUESTS));
  answers("F502", () => page(INTERNAL_ERROR), { asked: 3 });
  answers("F503", () => page(LOADING), { first: true, asked: 2 });
  answers("F504", () => page(LOADING));
  answers("F505", () => answer(503, ""));
  answers("F506", () => page(GATEWAY_TIMEOUT));
  answers("F507", hang, { asked: 1 });
  answers("F508", () => slow(1000), { asked: 1 });
  answers("F509", reset);
  answers("F510", cut);
  answers("F511", huge, { asked: 1 });
  answers("F512", () => redirect("https://localhost:1/v2/auth"), { asked: 1 });
  answers("F513", () => later("1"), { first: true, asked: 2 });
  answers("F514", () => later("99999999999"), { asked: 1 });
  answers("F515", () => answer(520, ""));
  answers("F516", notJson, { asked: 1 });
  const errors = [{ code: "UNAUTHORIZED", detail: {}, message: "Could not find robot with specified username" }];
  answers("F528", () => answer(401, { errors }), { asked: 1 });

  fault("F520", async ({ expect, row }) => {
    const challenge = { "www-authenticate": 'Bearer realm="https://auth.invalid/v2/auth",service="x"' };
    const world = await newQuay(row, undefined, { tool: [...none, "--token-host", "auth.invalid"] });
    world.quay.registryScript.always(answer(401, "", challenge));
    expect((await logIn(expect, row, world)).stderr).toContain("auth.invalid");
  });

  fault("F527", async ({ expect, row }) => {
    const world = await newQuay(row, undefined, { tool: none });
    world.quay.settings.robotsDisallowed = true;
    expect((await logIn(expect, row, world)).stderr).toMatch(/Robot account have been disabled[\s\S]*ROBOTS_DISALLOW/);
  });
});

/** A separate Quay, whose registry sends tools to `localhost:realm` (default: to itself) for their bearer token. */
async function newQuay(
  row: Fault,
  realm?: number,
  { port = 0, tool = [] }: { port?: number; tool?: readonly string[] } = {},
): Promise<World & { quay: Quay }> {
  const { authority, issuer } = peers();
  const quay = await startQuay(authority, { port, ...(realm !== undefined && { publicPort: realm }) });
  closers.push(quay.close);
  const robot = newRobot(peers());
  addRobot(quay.store, robot.name, [{ issuer: issuer.url, subject: SUBJECT }]);
  const more = [...tool, ...(realm === undefined ? [] : ["--token-host", `localhost:${realm}`])];
  const world = await newWorld(peers(), { registry: `localhost:${quay.port}`, robot, row, more });
  return { ...world, quay };
}

describe.concurrent("the registry's certificate", () => {
  function certificate(id: string, idWithoutTool: string, flaw: Flaw) {
    fault(idWithoutTool, async ({ expect, row }) => {
      const { authority } = peers();
      const realm = await startQuay(authority, { certificate: await authority.issueFlawed(flaw) });
      closers.push(realm.close);
      await logIn(expect, row, await newQuay(row, realm.port, { tool: none }));
      expect(realm.requests).toEqual([]);
    });
    fault(id, async ({ expect, row }) => {
      const { authority } = peers();
      const realm = await startQuay(authority, { certificate: await authority.issueFlawed(flaw) });
      closers.push(realm.close);
      const { children } = await logIn(expect, row, await newQuay(row, realm.port));
      expect(children).toHaveLength(1);
      expect(realm.requests).toEqual([]);
    });
  }

  certificate("F114", "F517", "expired");
  certificate("F115", "F518", "other-name");
  certificate("F116", "F519", "other-root");
});

describe.concurrent("Quay's registry part restarts, its web part is up", () => {
  // It stopped after it had answered where it sends logins.
  const byTheTool = ({ headers }: IncomingMessage) => headers["user-agent"] !== "quay-keyless-login";
  const notUp = (host: string) => `The registry part of Quay at ${host} is not up, only its web part.`;

  fault("F128", async ({ expect, row }) => {
    const world = await newQuay(row);
    world.quay.registryScript.always(page(LOADING), byTheTool);
    const { stderr, children } = await logIn(expect, row, world);
    expect(stderr).toContain(notUp(world.registry));
    expect(children.length).toBeGreaterThan(1);
  });

  fault("F129", async ({ expect, row }) => {
    const world = await newQuay(row);
    for (const _ of [1, 2]) world.quay.registryScript.always(page(LOADING), once(byTheTool));
    const { stderr, children } = await logIn(expect, row, world);
    expect(stderr).toContain(`${notUp(world.registry)} skopeo login`);
    expect(children).toHaveLength(3);
  });
});

describe.concurrent("the registry refuses the robot", () => {
  fault("F130", async ({ expect, row }) => {
    const world = await newQuay(row);
    world.quay.settings.robotsDisallowed = true;
    const { stderr, children } = await logIn(expect, row, world);
    expect(stderr).toMatch(/Robot account have been disabled[\s\S]*ROBOTS_DISALLOW/);
    expect(children).toHaveLength(1);
  });

  fault("F227", async ({ expect, row }) => {
    const world = await newWorld(peers(), { row });
    const errors = [{ code: "UNAUTHORIZED", detail: {}, message: "Could not find robot with specified username" }];
    peers().quay.authScript.always(answer(401, { errors }), of(world.robot));
    const { stderr, children } = await logIn(expect, row, world);
    expect(stderr).toMatch(/Could not find robot[\s\S]*still exists/);
    expect(children).toHaveLength(1);
  });
});

describe.concurrent("the registry's name", () => {
  fault("F117", async ({ expect, row }) => {
    const world = await newWorld(peers(), { row });
    const elsewhere = redirect("https://auth.invalid/v2/auth");
    peers().quay.authScript.always(elsewhere, of(world.robot));
    const { stderr } = await logIn(expect, row, world);
    expect(stderr).toContain("auth.invalid");
  });
});

describe.skipIf(findToxiproxy() === undefined).concurrent("the network to the registry", () => {
  const open = usePassages();

  async function behind(row: Fault, prepare: (passage: Passage) => Promise<void>, tool?: readonly string[]) {
    const port = await freePort();
    const passage = await open(port, prepare);
    return { passage, world: await newQuay(row, passage.port, { port, ...(tool && { tool }) }) };
  }

  /** The same without a tool. It asks the registry directly, and then the host that the registry names. */
  function withoutTool(id: string, prepare: (passage: Passage) => Promise<void>) {
    fault(id, async ({ expect, row }) => {
      const { world } = await behind(row, prepare, none);
      const { children, stderr } = await logIn(expect, row, world);
      expect(children).toEqual([]);
      if (row.lasting) expect(stderr).toContain("Retrying");
    });
  }

  withoutTool("F521", shut);
  fault("F522", async ({ expect, row }) => {
    const { passage, world } = await behind(row, shut, none);
    const exchanged = until(() => world.quay.requests.some(({ path }) => path.startsWith("/oauth2")), "the exchange");
    const healed = exchanged.then(() => wait(300)).then(passage.heal);
    const [{ stderr }] = await Promise.all([logIn(expect, row, world), healed]);
    expect(stderr).toContain("Retrying");
  });
  withoutTool("F523", poisonedBy(resetting));
  withoutTool("F524", poisonedBy(endingAfter(300)));
  withoutTool("F525", poisonedBy(silent));
  withoutTool("F526", poisonedBy(far));

  fault("F118", async ({ expect, row }) => {
    const { world } = await behind(row, shut);
    const { children } = await logIn(expect, row, world);
    expect(children.length).toBeGreaterThan(1);
  });

  fault("F119", async ({ expect, row }) => {
    const { passage, world } = await behind(row, shut);
    // The tool first asks the registry directly, as we have done, and then the host that the registry names.
    const asked = until(
      () => world.quay.requests.filter(({ path }) => path === "/v2/").length > 1,
      "the tool's first request",
    );
    const healed = asked.then(() => wait(300)).then(passage.heal);
    const [{ children }] = await Promise.all([logIn(expect, row, world), healed]);
    expect(children.length).toBeGreaterThan(1);
  });

  fault("F120", async ({ expect, row }) => {
    const { world } = await behind(row, poisonedBy(resetting));
    const { children } = await logIn(expect, row, world);
    expect(children.length).toBeGreaterThan(1);
  });

  fault("F121", async ({ expect, row }) => {
    const { world } = await behind(row, poisonedBy(endingAfter(300)));
    const { children } = await logIn(expect, row, world);
    expect(children.length).toBeGreaterThan(1);
  });

  fault("F122", async ({ expect, row }) => {
    const { world } = await behind(row, poisonedBy(silent));
    await logIn(expect, row, world);
  });

  fault("F123", async ({ expect, row }) => {
    const { world } = await behind(row, poisonedBy(far));
    await logIn(expect, row, world);
  });
});
