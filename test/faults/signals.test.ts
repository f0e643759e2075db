/** Rows of the matrix: the command line gets SIGTERM, SIGINT or SIGKILL in each of its phases. The Action: e2e/cancel.test.ts. */
import { utimes } from "node:fs/promises";
import { afterAll, describe } from "vitest";
import { useWorld } from "../e2e/cli/world.ts";
import { asking, of, type Robot, until } from "../e2e/world.ts";
import { answer, hang } from "../quay-stand-in/scripted.ts";
import { differences } from "../support/leaks.ts";
import { startWorkloadApi } from "../support/workload-api.ts";
import {
  exchangesOf,
  fault,
  keepsPromises,
  newWorld,
  processesOf,
  stalledMs,
  type World,
  type WorldOptions,
} from "./world.ts";

const peers = useWorld({ registry: false });
const closers: (() => Promise<unknown>)[] = [];
afterAll(() => Promise.all(closers.map((close) => close())));

/** A login that stays in one phase: how to bring it there, and how to know that it has arrived. */
interface Phase {
  options?: () => Promise<WorldOptions>;
  /** @returns a function that releases it, if it is held */
  hold?: (world: World) => Promise<() => unknown>;
  hasCome: (world: World) => boolean;
}

const asked = ({ name }: Robot, path: string) =>
  peers().quay.requests.some((request) => request.user === name && request.path === path);

const onGitHub: Phase = {
  options: async () => ({
    env: peers().githubEnv,
    identity: ({ audience }) => ["--identity", "github", "--audience", audience],
  }),
  hold: async ({ robot }) => peers().github.script.always(hang(), asking(robot)),
  hasCome: ({ robot }) => peers().github.requests.some(({ audience }) => audience === robot.audience),
};

function atWorkloadApi(): Phase {
  let isCalled = () => false;
  return {
    async options() {
      const api = await startWorkloadApi("127.0.0.1", "hang");
      closers.push(api.close);
      isCalled = () => api.calls.length > 0;
      return { identity: () => ["--spiffe-socket", api.address] };
    },
    hasCome: () => isCalled(),
  };
}

const inExchange: Phase = {
  hold: async ({ robot }) => peers().quay.exchangeScript.always(hang(), of(robot)),
  hasCome: ({ robot }) => exchangesOf(peers(), robot) > 0,
};

const waiting: Phase = {
  hold: async ({ robot }) => peers().quay.exchangeScript.always(answer(429, "", { "retry-after": "20" }), of(robot)),
  hasCome: ({ robot }) => exchangesOf(peers(), robot) > 0,
};

const inTool: Phase = {
  hold: async ({ robot }) => peers().quay.authScript.always(hang(), of(robot)),
  hasCome: ({ robot }) => asked(robot, "/v2/auth"),
};

const beforeLock: Phase = {
  async hold({ machine, before }) {
    const lock = await machine.write(`${machine.usualFile}.lock`, "of another process");
    for (const [path, entry] of await machine.snapshot()) before.set(path, entry);
    const touching = setInterval(() => void utimes(lock, new Date(), new Date()).catch(() => {}), 500);
    const stop = () => clearInterval(touching);
    closers.push(async () => stop());
    return stop;
  },
  hasCome: ({ robot }) => asked(robot, "/v2/auth"),
};

async function interrupt(phase: Phase, signal: NodeJS.Signals) {
  const options = await phase.options?.();
  const world = await newWorld(peers(), { ...options, timeoutSeconds: 30, more: ["--session", "../session"] });
  const letGo = await phase.hold?.(world);
  const running = await world.machine.start(world.args);
  await until(() => phase.hasCome(world), "the phase");
  const [start, stalled] = [performance.now(), await stalledMs()];
  running.kill(signal);
  const ran = await running.done;
  return { world, ran, letGo, milliseconds: performance.now() - start - ((await stalledMs()) - stalled) };
}

describe.concurrent("stopped", () => {
  function stopped(id: string, phase: Phase, signal: NodeJS.Signals = "SIGTERM") {
    fault(id, async ({ expect, row }) => {
      const { world, ran, milliseconds } = await interrupt(phase, signal);
      expect(ran.signal).toBeNull();
      expect(milliseconds).toBeLessThan(2_000);
      await keepsPromises(expect, row, world, ran);
    });
  }

  stopped("F181", onGitHub);
  stopped("F182", atWorkloadApi());
  stopped("F183", inExchange);
  stopped("F184", waiting);
  stopped("F185", inTool);
  stopped("F186", beforeLock);
  stopped("F187", inTool, "SIGINT");
});

describe.concurrent("killed", () => {
  function killed(id: string, phase: Phase) {
    fault(id, async ({ expect, row }) => {
      expect(row.outcome).toBe("undone");
      const { world, ran, letGo } = await interrupt(phase, "SIGKILL");
      expect(ran.signal).toBe("SIGKILL");
      // A tool that was running when its parent was killed has yet to end.
      letGo?.();
      const { machine, before } = world;
      expect(await machine.run(["logout", "--session", "../session"])).toMatchObject({ code: 0 });
      expect(differences(before, await machine.snapshot())).toEqual([]);
      expect(await processesOf(machine.scratch)).toEqual([]);
    });
  }

  killed("F191", onGitHub);
  killed("F192", atWorkloadApi());
  killed("F193", inExchange);
  killed("F194", waiting);
  killed("F195", beforeLock);
});
