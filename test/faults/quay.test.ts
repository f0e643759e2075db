/** Rows of the matrix: Quay's exchange. */
import { createServer } from "node:http";
import { afterAll, describe } from "vitest";
import { useWorld } from "../e2e/cli/world.ts";
import { newRobot, of, once, until } from "../e2e/world.ts";
import { SUBJECT } from "../quay-stand-in/issuer.ts";
import { listen } from "../quay-stand-in/listen.ts";
import { GATEWAY_TIMEOUT, INTERNAL_ERROR, LOADING, READ_ONLY, TOO_MANY_REQUESTS } from "../quay-stand-in/quay/pages.ts";
import { type BadToken, type Quay, startQuay, tokenWith } from "../quay-stand-in/quay/server.ts";
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
  switching,
} from "../quay-stand-in/scripted.ts";
import type { Flaw } from "../quay-stand-in/tls.ts";
import { isRoot, needsRoot } from "../support/root.ts";
import { findToxiproxy, type Passage } from "../support/toxiproxy.ts";
import { endingAfter, far, narrow, poisonedBy, resetting, shut, usePassages } from "./network.ts";
import type { Fault } from "./row.ts";
import { begun, exchangesOf, fault, logIn, newWorld, resolveAt, unanswering, wait } from "./world.ts";

const peers = useWorld({ registry: false });

describe.concurrent("Quay answers", () => {
  /** Always, or once. */
  function answers(
    id: string,
    given: () => Scripted | BadToken,
    how: { attempts?: number; first?: true; atLeastMs?: number } = {},
  ) {
    fault(id, async ({ expect, row }) => {
      const world = await newWorld(peers(), { row });
      const which = of(world.robot);
      peers().quay.exchangeScript.always(given(), how.first ? once(which) : which);
      const ran = await logIn(expect, row, world);
      if (how.attempts !== undefined) expect(exchangesOf(peers(), world.robot)).toBe(how.attempts);
      else expect(exchangesOf(peers(), world.robot)).toBeGreaterThan(1);
      if (how.atLeastMs !== undefined) expect(ran.milliseconds).toBeGreaterThan(how.atLeastMs);
    });
  }
  const later = (retryAfter: string) => answer(429, TOO_MANY_REQUESTS.body, { "retry-after": retryAfter });

  answers("F04", reset, { first: true, attempts: 2 });
  answers("F06", hang, { attempts: 1 });
  answers("F08", () => slow(1000), { attempts: 1, atLeastMs: 1000 });
  answers("F10", cut, { first: true, attempts: 2 });
  answers("F11", huge, { attempts: 1 });
  answers("F12", () => redirect("https://evil.example.com/oauth2/federation/robot/token"), { attempts: 1 });
  answers("F13", () => page(TOO_MANY_REQUESTS));
  answers("F14", () => later("1"), { first: true, attempts: 2, atLeastMs: 1000 });
  answers("F15", () => later(new Date(Date.now() + 2_000).toUTCString()), { first: true, attempts: 2, atLeastMs: 900 });
  answers("F16", () => later("99999999999"), { attempts: 1 });
  answers("F17", () => later("soon"), { first: true, attempts: 2 });
  answers("F18", () => page(INTERNAL_ERROR), { attempts: 3 });
  answers("F19", () => page(LOADING));
  fault("F29", async ({ expect, row }) => {
    const world = await newWorld(peers(), { row });
    const isIts = of(world.robot);
    let left = 5;
    peers().quay.exchangeScript.always(page(LOADING), (request) => isIts(request) && left-- > 0);
    const { stderr } = await logIn(expect, row, world);
    expect(stderr).toContain("answered 502, and the issuer looks right from here. Retrying");
    expect(exchangesOf(peers(), world.robot)).toBe(6);
  });
  answers("F20", () => answer(503, "<html>Service Unavailable</html>"));
  answers("F21", () => page(READ_ONLY), { attempts: 1 });
  answers("F22", () => page(GATEWAY_TIMEOUT));
  answers("F241", switching, { attempts: 1 });
  answers("F223", () => answer(403, "<html>Sign in</html>"), { attempts: 1 });
  answers("F321", notJson, { attempts: 1 });
  answers("F224", () => tokenWith({ sub: "acme+admin" }), { attempts: 1 });
  answers("F322", () => tokenWith({ exp: undefined }), { attempts: 1 });

  fault("F323", async ({ expect, row }) => {
    const { authority, issuer } = peers();
    const quay = await startQuay(authority, { release: "without-federation" });
    const robot = newRobot(peers());
    addRobot(quay.store, robot.name, [{ issuer: issuer.url, subject: SUBJECT }]);
    const { stderr } = await logIn(expect, row, await newWorld(peers(), { row, robot, registry: quay.host }));
    await quay.close();
    expect(stderr).toMatch(/no robot federation[\s\S]*Quay 3\.13 and newer/);
    // The identity token would be sent again.
    expect(quay.requests.filter(({ path }) => path.endsWith("token/"))).toEqual([]);
  });

  fault("F242", async ({ expect, row }) => {
    const plain = await listen(createServer((_, response) => void response.end("plain")));
    const { stderr } = await logIn(expect, row, await newWorld(peers(), { row, registry: `localhost:${plain.port}` }));
    await plain.close();
    expect(stderr).toMatch(/answers without TLS.*\n.*--registry quay\.example\.com:8443/);
  });
});

describe.concurrent("Quay's certificate", () => {
  const quays: Quay[] = [];
  afterAll(() => Promise.all(quays.map((quay) => quay.close())));

  function certificate(id: string, flaw: Flaw) {
    fault(id, async ({ expect, row }) => {
      const { authority } = peers();
      const quay = await startQuay(authority, { certificate: await authority.issueFlawed(flaw) });
      quays.push(quay);
      await logIn(expect, row, await newWorld(peers(), { row, registry: quay.host }));
      expect(quay.requests).toEqual([]);
    });
  }

  certificate("F23", "expired");
  certificate("F24", "other-name");
  certificate("F25", "other-root");
});

describe.skipIf(findToxiproxy() === undefined).concurrent("the network to Quay", () => {
  const open = usePassages();
  const large = answer(200, { token: "x".repeat(60_000) });

  async function behind(row: Fault, prepare?: (passage: Passage) => Promise<void>) {
    const passage = await open(peers().quay.port, prepare);
    // Quay's registry names itself with its own port.
    const more = ["--token-host", peers().registryHost];
    return { passage, world: await newWorld(peers(), { row, registry: `localhost:${passage.port}`, more }) };
  }

  fault("F01", async ({ expect, row }) => {
    const { world } = await behind(row, shut);
    const { stderr } = await logIn(expect, row, world);
    expect(stderr.match(/refuses the connection\. Retrying/g)?.length).toBeGreaterThan(1);
  });

  fault("F02", async ({ expect, row }) => {
    const { passage, world } = await behind(row, shut);
    const [ran] = await Promise.all([logIn(expect, row, world), begun(world).then(passage.heal)]);
    expect(ran.stderr).toContain("Retrying");
  });

  fault("F03", async ({ expect, row }) => {
    const { passage, world } = await behind(row);
    peers().quay.exchangeScript.always(slow(700), of(world.robot));
    const isAsked = until(() => exchangesOf(peers(), world.robot) > 0, "the exchange");
    const [{ stderr }] = await Promise.all([logIn(expect, row, world), isAsked.then(() => passage.poison(resetting))]);
    expect(stderr).toMatch(/closed the connection\. Retrying/);
  });

  fault("F05", async ({ expect, row }) => {
    const { world } = await behind(row, poisonedBy(endingAfter(300)));
    await logIn(expect, row, world);
    expect(exchangesOf(peers(), world.robot)).toBe(0);
  });

  fault("F07", async ({ expect, row }) => {
    const { world } = await behind(row, poisonedBy(far));
    const { milliseconds } = await logIn(expect, row, world);
    expect(milliseconds).toBeGreaterThan(450);
  });

  fault("F09", async ({ expect, row }) => {
    const { world } = await behind(row, poisonedBy(endingAfter(20_000)));
    peers().quay.exchangeScript.always(large, of(world.robot));
    const { stderr } = await logIn(expect, row, world);
    expect(stderr).toContain("the answer broke off");
    expect(exchangesOf(peers(), world.robot)).toBe(3);
  });

  fault("F28", async ({ expect, row }) => {
    // The handshake passes in a moment, 60 kB don't.
    const { passage, world } = await behind(row, poisonedBy(narrow(30)));
    peers().quay.exchangeScript.always(large, once(of(world.robot)));
    const heal = async () => {
      await until(() => exchangesOf(peers(), world.robot) > 0, "the exchange");
      await wait(500);
      await passage.poison(resetting);
      await wait(200);
      await passage.heal();
    };
    const [{ stderr }] = await Promise.all([logIn(expect, row, world), heal()]);
    expect(stderr).toContain("Retrying");
    expect(exchangesOf(peers(), world.robot)).toBeGreaterThan(1);
  });
});

describe.concurrent("Quay's name", () => {
  fault("F26", async ({ expect, row }) => {
    const { stderr } = await logIn(expect, row, await newWorld(peers(), { row, registry: "quay.invalid" }));
    expect(stderr.match(/the name quay\.invalid cannot be resolved\. Retrying/g)).toHaveLength(2);
  });

  // A name server listens at port 53.
  describe.skipIf(!isRoot).concurrent(needsRoot, () => {
    fault("F27", async ({ expect, row }) => {
      const nameServer = await unanswering();
      try {
        const world = await newWorld(peers(), { row, registry: "quay.invalid" });
        await resolveAt(world.machine, nameServer.address);
        await logIn(expect, row, world);
      } finally {
        nameServer.close();
      }
    });
  });
});
