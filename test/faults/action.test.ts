/** Rows of the matrix: the same core in the Action, with faults of Quay and of GitHub's endpoint. */
import { describe, type ExpectStatic } from "vitest";
import { asking, failure, newRobot, of, once, type Robot, usePeers } from "../e2e/world.ts";
import { answer, cut, hang, reset } from "../quay-stand-in/scripted.ts";
import { createJob } from "../support/action.ts";
import type { Job, Step } from "../support/job.ts";
import { differences } from "../support/leaks.ts";
import type { Fault } from "./row.ts";
import { exchangesOf, fault } from "./world.ts";

const peers = usePeers({ registry: false });

/** Runs the step, and checks what the row promises: a login that post removes, or an error that changes nothing. */
async function logIn(expect: ExpectStatic, row: Fault, { name, audience }: Robot, timeout = "20"): Promise<Step> {
  const job: Job = await createJob({ peers: peers() });
  const before = await job.snapshot();
  const main = await job.run({ robot: name, audience, timeout });
  if (row.outcome === "recovered") expect(main).toMatchObject({ code: 0, annotations: [] });
  else failure(expect, main, row.outcome);
  expect(await main.post()).toMatchObject({ code: 0, annotations: [] });
  expect(differences(before, await job.snapshot())).toEqual([]);
  return main;
}

describe.concurrent("Quay", () => {
  fault("F221", async ({ expect, row }) => {
    const robot = newRobot(peers());
    const answers = [answer(503, "<html>"), reset(), answer(429, "", { "retry-after": "1" }), cut()];
    for (const each of answers) peers().quay.exchangeScript.always(each, once(of(robot)));
    const { shown } = await logIn(expect, row, robot);
    // The reset is of a connection that was open from the request before: nothing is wrong with the server.
    expect(shown.match(/Retrying/g)).toHaveLength(answers.length - 1);
  });

  fault("F222", async ({ expect, row }) => {
    const robot = newRobot(peers());
    peers().quay.exchangeScript.always(hang(), of(robot));
    const { milliseconds } = await logIn(expect, row, robot, "1");
    expect(milliseconds).toBeGreaterThan(900);
    expect(milliseconds).toBeLessThan(3_500);
  });
});

describe.concurrent("GitHub's endpoint", () => {
  fault("F225", async ({ expect, row }) => {
    const robot = newRobot(peers());
    for (const each of [answer(503, ""), reset()]) peers().github.script.always(each, once(asking(robot)));
    const { shown } = await logIn(expect, row, robot);
    expect(shown.match(/Retrying/g)).toHaveLength(1); // not for the reset of a connection that was open before
  });

  fault("F226", async ({ expect, row }) => {
    const robot = newRobot(peers());
    peers().github.script.always(answer(403, { message: "no" }), asking(robot));
    const { shown } = await logIn(expect, row, robot);
    expect(shown).toMatch(/answered 403[\s\S]*id-token: write/);
    expect(exchangesOf(peers(), robot)).toBe(0);
  });
});
