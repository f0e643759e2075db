/** Rows of the matrix: GitHub's token endpoint. */
import { afterAll, describe } from "vitest";
import { useWorld } from "../e2e/cli/world.ts";
import { asking, once, type Robot, until } from "../e2e/world.ts";
import { type Github, startGithub } from "../quay-stand-in/github.ts";
import { answer, cut, hang, huge, redirect, reset, type Scripted, slow, switching } from "../quay-stand-in/scripted.ts";
import type { Flaw } from "../quay-stand-in/tls.ts";
import { isRoot, needsRoot } from "../support/root.ts";
import { findToxiproxy, type Passage } from "../support/toxiproxy.ts";
import { endingAfter, far, narrow, poisonedBy, resetting, shut, usePassages } from "./network.ts";
import type { Fault } from "./row.ts";
import { exchangesOf, fault, logIn, newWorld, resolveAt, unanswering, type World, wait } from "./world.ts";

const peers = useWorld({ registry: false });
const identity = ({ audience }: Robot) => ["--identity", "github", "--audience", audience];

/** @param at another address of the endpoint */
function newJob(row: Fault, at?: string): Promise<World> {
  const { githubEnv } = peers();
  const url = new URL(githubEnv.ACTIONS_ID_TOKEN_REQUEST_URL ?? "");
  if (at !== undefined) url.host = at;
  return newWorld(peers(), {
    identity,
    row,
    env: { ...githubEnv, ACTIONS_ID_TOKEN_REQUEST_URL: url.href },
  });
}

const requestsOf = ({ audience }: Robot) => peers().github.requests.filter((each) => each.audience === audience).length;

describe.concurrent("the endpoint answers", () => {
  /** Always, or once. */
  function answers(
    id: string,
    given: () => Scripted,
    how: { attempts?: number; first?: true; atLeastMs?: number } = {},
  ) {
    fault(id, async ({ expect, row }) => {
      const world = await newJob(row);
      const which = asking(world.robot);
      peers().github.script.always(given(), how.first ? once(which) : which);
      const ran = await logIn(expect, row, world);
      if (how.attempts !== undefined) expect(requestsOf(world.robot)).toBe(how.attempts);
      else expect(requestsOf(world.robot)).toBeGreaterThan(1);
      if (how.atLeastMs !== undefined) expect(ran.milliseconds).toBeGreaterThan(how.atLeastMs);
      if (row.outcome !== "recovered") expect(exchangesOf(peers(), world.robot)).toBe(0);
    });
  }
  const later = (retryAfter: string) => answer(429, "", { "retry-after": retryAfter });

  answers("F33", reset, { first: true, attempts: 2 });
  answers("F35", hang, { attempts: 1 });
  answers("F36", () => slow(1000), { attempts: 1, atLeastMs: 1000 });
  answers("F37", cut, { attempts: 3 });
  answers("F39", huge, { attempts: 1 });
  answers("F40", () => redirect("https://evil.example.com/token"), { attempts: 1 });
  answers("F54", () => answer(429, ""));
  answers("F41", () => later("1"), { first: true, attempts: 2, atLeastMs: 1000 });
  answers("F42", () => later(new Date(Date.now() + 2_000).toUTCString()), {
    first: true,
    attempts: 2,
    atLeastMs: 900,
  });
  answers("F43", () => later("99999999999"), { attempts: 1 });
  answers("F44", () => answer(500, ""));
  answers("F45", () => answer(502, ""));
  answers("F46", () => answer(503, ""));
  answers("F47", () => answer(504, ""));
  answers("F243", switching, { attempts: 1 });
});

describe.concurrent("the endpoint's certificate", () => {
  const others: Github[] = [];
  afterAll(() => Promise.all(others.map((each) => each.close())));

  function certificate(id: string, flaw: Flaw) {
    fault(id, async ({ expect, row }) => {
      const { githubAuthority: authority, issuer } = peers();
      const other = await startGithub(authority, issuer, { certificate: await authority.issueFlawed(flaw) });
      others.push(other);
      await logIn(expect, row, await newJob(row, new URL(other.env.ACTIONS_ID_TOKEN_REQUEST_URL).host));
      expect(other.requests).toEqual([]);
    });
  }

  certificate("F48", "expired");
  certificate("F49", "other-name");
  certificate("F50", "other-root");

  fault("F244", async ({ expect, row }) => {
    const { authority, issuer } = peers();
    const other = await startGithub(authority, issuer);
    others.push(other);
    await logIn(expect, row, await newJob(row, new URL(other.env.ACTIONS_ID_TOKEN_REQUEST_URL).host));
    expect(other.requests).toEqual([]);
  });
});

describe.skipIf(findToxiproxy() === undefined).concurrent("the network to the endpoint", () => {
  const open = usePassages();

  async function behind(row: Fault, prepare?: (passage: Passage) => Promise<void>) {
    const passage = await open(Number(new URL(peers().githubEnv.ACTIONS_ID_TOKEN_REQUEST_URL ?? "").port), prepare);
    return { passage, world: await newJob(row, `localhost:${passage.port}`) };
  }

  fault("F31", async ({ expect, row }) => {
    const { world } = await behind(row, shut);
    const { stderr } = await logIn(expect, row, world);
    expect(stderr.match(/refuses the connection\. Retrying/g)?.length).toBeGreaterThan(1);
  });

  fault("F32", async ({ expect, row }) => {
    const { passage, world } = await behind(row);
    peers().github.script.always(slow(700), asking(world.robot));
    const isAsked = until(() => requestsOf(world.robot) > 0, "the request");
    const [{ stderr }] = await Promise.all([logIn(expect, row, world), isAsked.then(() => passage.poison(resetting))]);
    expect(stderr).toMatch(/closed the connection\. Retrying/);
  });

  fault("F34", async ({ expect, row }) => {
    const { world } = await behind(row, poisonedBy(far));
    await logIn(expect, row, world);
  });

  fault("F38", async ({ expect, row }) => {
    const { passage, world } = await behind(row, poisonedBy(narrow(30)));
    peers().github.script.always(answer(200, { value: "x".repeat(60_000) }), once(asking(world.robot)));
    const heal = async () => {
      await until(() => requestsOf(world.robot) > 0, "the request");
      await wait(500);
      await passage.poison(resetting);
      await wait(200);
      await passage.heal();
    };
    await Promise.all([logIn(expect, row, world), heal()]);
    expect(requestsOf(world.robot)).toBe(2);
  });

  fault("F51", async ({ expect, row }) => {
    const { world } = await behind(row, poisonedBy(endingAfter(300)));
    await logIn(expect, row, world);
    expect(requestsOf(world.robot)).toBe(0);
  });
});

describe.concurrent("the endpoint's name", () => {
  fault("F52", async ({ expect, row }) => {
    const { stderr } = await logIn(expect, row, await newJob(row, "actions.invalid"));
    expect(stderr.match(/the name actions\.invalid cannot be resolved\. Retrying/g)).toHaveLength(2);
  });

  // A name server listens at port 53.
  describe.skipIf(!isRoot).concurrent(needsRoot, () => {
    fault("F53", async ({ expect, row }) => {
      const nameServer = await unanswering();
      try {
        const world = await newJob(row, "actions.invalid");
        await resolveAt(world.machine, nameServer.address);
        await logIn(expect, row, world);
      } finally {
        nameServer.close();
      }
    });
  });
});
