/** Rows of the matrix: tokens and clocks. A wrong clock is a difference: tokens are made with another clock's time. */
import { rename, rm } from "node:fs/promises";
import { afterAll, describe } from "vitest";
import { useWorld } from "../e2e/cli/world.ts";
import { asking, newRobot, of, once, type Robot, until } from "../e2e/world.ts";
import { SUBJECT } from "../quay-stand-in/issuer.ts";
import { startQuay } from "../quay-stand-in/quay/server.ts";
import { addRobot } from "../quay-stand-in/quay/store.ts";
import { answer, slow } from "../quay-stand-in/scripted.ts";
import { exchangesOf, fault, keepsPromises, logIn, newWorld, type World } from "./world.ts";

const peers = useWorld({ registry: false });
const closers: (() => Promise<unknown>)[] = [];
afterAll(() => Promise.all(closers.map((close) => close())));

const seconds = () => Math.floor(Date.now() / 1000);

/** A token of five minutes, issued by a clock that is so many seconds ahead of ours. */
const issuedAt = (ahead: number, life = 300) => ({ iat: seconds() + ahead, exp: seconds() + ahead + life });

/** A Quay whose clock is so many seconds ahead of ours. */
async function newQuay(ahead: number): Promise<{ registry: string; robot: Robot }> {
  const quay = await startQuay(peers().authority, { clockOffset: ahead });
  closers.push(quay.close);
  const robot = newRobot(peers());
  addRobot(quay.store, robot.name, [{ issuer: peers().issuer.url, subject: SUBJECT }]);
  return { registry: quay.host, robot };
}

describe.concurrent("clocks", () => {
  /** A job on GitHub, whose token GitHub issues by its own clock. */
  async function onGitHub(ours: { ahead: number }): Promise<World> {
    const others = -ours.ahead;
    const { registry, robot } = await newQuay(others);
    const value = await peers().issuer.sign({ aud: robot.audience, ...issuedAt(others) });
    peers().github.issued.push(value);
    peers().github.script.always(answer(200, { value }), asking(robot));
    const identity = () => ["--identity", "github", "--audience", robot.audience];
    return newWorld(peers(), { registry, robot, identity, env: peers().githubEnv });
  }

  fault("F133", async ({ expect, row }) => {
    await logIn(expect, row, await onGitHub({ ahead: 300 }));
  });

  fault("F134", async ({ expect, row }) => {
    await logIn(expect, row, await onGitHub({ ahead: -300 }));
  });

  fault("F135", async ({ expect, row }) => {
    const { registry, robot } = await newQuay(-360);
    const world = await newWorld(peers(), { registry, robot, claims: issuedAt(-360) });
    const { stderr } = await logIn(expect, row, world);
    expect(stderr).toMatch(
      /expired at \S+Z; this machine's clock says \S+Z[\s\S]*If that time is wrong, set this machine's/,
    );
  });

  fault("F136", async ({ expect, row }) => {
    const { registry, robot } = await newQuay(300);
    const world = await newWorld(peers(), { registry, robot, claims: issuedAt(300) });
    await logIn(expect, row, world);
  });

  fault("F137", async ({ expect, row }) => {
    const { registry, robot } = await newQuay(300);
    const { stderr } = await logIn(expect, row, await newWorld(peers(), { registry, robot, claims: issuedAt(0, 240) }));
    expect(stderr).toMatch(/The token expires at \S+Z; this machine's clock says \S+Z\.\n.*Quay's clock is ahead/);
  });

  fault("F138", async ({ expect, row }) => {
    const { registry, robot } = await newQuay(-300);
    const { stderr } = await logIn(expect, row, await newWorld(peers(), { registry, robot, claims: issuedAt(0) }));
    expect(stderr).toMatch(/issued at \S+Z; this machine's clock says \S+Z\.\n.*clocks of Quay and the issuer/);
  });
});

describe.concurrent("the token file", () => {
  fault("F139", async ({ expect, row }) => {
    // By its expiry, ten seconds from now, the login takes another one.
    const world = await newWorld(peers(), { claims: { exp: seconds() + 8 } });
    const { machine, robot } = world;
    const renewed = await peers().issuer.sign({ exp: seconds() + 3600 });
    peers().quay.exchangeScript.always(answer(503, ""), once(of(robot)));
    const rotate = async () => {
      await machine.write(`${machine.tokenFile}.new`, renewed);
      await rename(`${machine.tokenFile}.new`, machine.tokenFile);
    };
    const rotated = until(() => exchangesOf(peers(), robot) > 0, "the first exchange").then(rotate);
    const after = rotated.then(() => machine.snapshot());
    const ran = await machine.run(world.args);
    await rotated;
    world.before.set(machine.tokenFile, (await after).get(machine.tokenFile) ?? expect.unreachable());
    await keepsPromises(expect, row, world, ran);
    expect(peers().quay.seen(renewed).length).toBeGreaterThan(0);
  });

  fault("F140", async ({ expect, row }) => {
    const world = await newWorld(peers());
    peers().quay.exchangeScript.always(slow(500), of(world.robot));
    const isAsked = until(() => exchangesOf(peers(), world.robot) > 0, "the exchange");
    world.before.delete(world.machine.tokenFile);
    await Promise.all([logIn(expect, row, world), isAsked.then(() => rm(world.machine.tokenFile))]);
  });
});
