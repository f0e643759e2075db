/** Cancelled or killed at any moment: nothing of ours stays, in files or as a process. */
import { randomUUID } from "node:crypto";
import { watch } from "node:fs";
import { readdir, readFile, rename } from "node:fs/promises";
import { join } from "node:path";
import { describe, test } from "vitest";
import { hang } from "../quay-stand-in/scripted.ts";
import { createJob } from "../support/action.ts";
import type { Job } from "../support/job.ts";
import { differences } from "../support/leaks.ts";
import { asking, authsIn, entryOf, failure, newRobot, of, type Robot, until, usePeers, userOf } from "./world.ts";

const peers = usePeers({ registry: false });

/** A moment of the login: how to hold it, and how to know that it has come. */
interface Moment {
  /** @returns a function that releases it */
  hold(robot: Robot): () => void;
  hasCome(robot: Robot): boolean;
}

const asked = ({ name }: Robot, path: string) =>
  peers().quay.requests.some((request) => request.user === name && request.path === path);

const moments: Record<string, Moment> = {
  "while GitHub's endpoint is asked": {
    hold: (robot) => peers().github.script.always(hang(), asking(robot)),
    hasCome: (robot) => peers().github.requests.some(({ audience }) => audience === robot.audience),
  },
  "during the exchange": {
    hold: (robot) => peers().quay.exchangeScript.always(hang(), of(robot)),
    hasCome: (robot) => asked(robot, "/oauth2/federation/robot/token"),
  },
  "while the tool logs in": {
    hold: (robot) => peers().quay.authScript.always(hang(), of(robot)),
    hasCome: (robot) => asked(robot, "/v2/auth"),
  },
};

/** Processes of the job: the Action itself, and the tools that it has started. */
async function processesOf(job: Job): Promise<string[]> {
  const ids = (await readdir("/proc")).filter((name) => /^\d+$/.test(name));
  const commands = await Promise.all(ids.map((id) => readFile(`/proc/${id}/cmdline`, "utf8").catch(() => "")));
  return commands.filter((command) => command.includes(job.scratch));
}

const file = (host: string) =>
  JSON.stringify({
    auths: { "registry.example.com": entryOf("kept", "a-kept-password"), [host]: entryOf("old", "an-old-password") },
    other: true,
  });

async function prepare() {
  const robot = newRobot(peers());
  const job = await createJob({ peers: peers() });
  const path = await job.write(join(job.temp, "auth.json"), file(peers().registryHost));
  await job.write(join(job.home, ".docker/config.json"), file(peers().registryHost), 0o644);
  const inputs = { robot: robot.name, audience: robot.audience, "auth-file": path };
  return { robot, job, path, inputs, before: await job.snapshot() };
}

describe.concurrent("cancelled", () => {
  const cases = Object.keys(moments).flatMap((moment) =>
    (["SIGINT", "SIGTERM"] as const).map((signal) => [signal, moment] as const),
  );
  test.for(cases)("by %s %s", async ([signal, name], { expect }) => {
    const { robot, job, inputs, before } = await prepare();
    moments[name]?.hold(robot);
    const running = await job.start(inputs);
    await until(() => moments[name]?.hasCome(robot) ?? false, name);
    const start = performance.now();
    running.kill(signal);
    const main = await running.done;
    // The runner gives 7.5 s after SIGINT, then 2.5 s after SIGTERM.
    expect(performance.now() - start).toBeLessThan(2_000);
    failure(expect, main, "cancelled");
    expect(differences(before, await job.snapshot())).toEqual([]);
    expect(await processesOf(job)).toEqual([]);
    expect(await main.post()).toMatchObject({ code: 0, annotations: [] });
    expect(differences(before, await job.snapshot())).toEqual([]);
  });

  test("by SIGINT and then SIGTERM, as by the runner", async ({ expect }) => {
    const { robot, job, inputs, before } = await prepare();
    moments["during the exchange"]?.hold(robot);
    const running = await job.start(inputs);
    await until(() => asked(robot, "/oauth2/federation/robot/token"), "the exchange");
    running.kill("SIGINT");
    running.kill("SIGTERM");
    failure(expect, await running.done, "cancelled");
    expect(differences(before, await job.snapshot())).toEqual([]);
  });
});

describe.concurrent("killed", () => {
  test.for(Object.keys(moments))("%s", async (name, { expect }) => {
    const { robot, job, inputs, before } = await prepare();
    const letGo = moments[name]?.hold(robot);
    const running = await job.start(inputs);
    await until(() => moments[name]?.hasCome(robot) ?? false, name);
    running.kill("SIGKILL");
    const main = await running.done;
    expect(main.signal).toBe("SIGKILL");
    // A tool that waits for its password gets the end of its input instead; one that has it finishes once Quay answers.
    letGo?.();
    expect(await main.post()).toMatchObject({ code: 0, annotations: [] });
    expect(differences(before, await job.snapshot())).toEqual([]);
  });

  // What appears first in the folder of the auth file, or a moment later.
  test.for([
    ["the lock", /\.lock$/],
    ["the new content", /\.tmp$/],
    ["the renamed file", /^auth\.json$/],
  ] as const)(
    "when %s appears: leaves the old file or the new one; post restores it; the next login works",
    async ([, pattern], { expect }) => {
      const { job, path, inputs, before } = await prepare();
      // It waits for this lock afterwards: it can't finish before the signal comes.
      await job.write(join(job.home, ".docker/config.json.lock"), randomUUID());
      let seen = false;
      const watcher = watch(job.temp, (_, name) => {
        if (!seen && pattern.test(name ?? "")) {
          seen = true;
          running.kill("SIGKILL");
        }
      });
      const running = await job.start(inputs);
      const main = await running.done;
      watcher.close();
      expect([main.signal, seen]).toEqual(["SIGKILL", true]);
      const auths = await authsIn(path);
      expect(auths["registry.example.com"]).toEqual(entryOf("kept", "a-kept-password"));
      expect(await main.post()).toMatchObject({ code: 0, annotations: [] });
      const left = differences(before, await job.snapshot());
      // Killed before it recorded which file it was about to change: its lock, without a secret, stays for the next login.
      expect(left.filter((line) => !line.endsWith(".json.lock is new"))).toEqual([]);
      const next = await job.run(inputs);
      expect(next).toMatchObject({ code: 0, annotations: [] });
      expect(await next.post()).toMatchObject({ code: 0, annotations: [] });
      expect(differences(before, await job.snapshot())).toEqual([]);
    },
  );

  test("as soon as its folder exists, or before: post removes the folder, ten times of ten", async ({ expect }) => {
    const { job, inputs, before } = await prepare();
    for (let count = 0; count < 10; count++) {
      const running = await job.start(inputs);
      // A few milliseconds later each time: before the folder, on the way to its record, and after that.
      const watcher = watch(job.temp, (_, name) => {
        if (name?.startsWith("quay-keyless-login-")) setTimeout(() => running.kill("SIGKILL"), count / 4);
      });
      const main = await running.done;
      watcher.close();
      expect(main.signal).toBe("SIGKILL");
      expect(await main.post()).toMatchObject({ code: 0, annotations: [] });
      expect(differences(before, await job.snapshot())).toEqual([]);
    }
  });

  test("between writing and renaming the new content: post removes it", async ({ expect }) => {
    const { robot, job, path, inputs, before } = await prepare();
    await job.write(join(job.home, ".docker/config.json.lock"), randomUUID());
    const running = await job.start(inputs);
    await until(async () => userOf((await authsIn(path))[peers().registryHost]) === robot.name, "the merge");
    running.kill("SIGKILL");
    const main = await running.done;
    // What a kill at the right microsecond leaves: the old file, and the new content beside it.
    const { id } = JSON.parse(await readFile(join(main.state.session ?? "", "session.json"), "utf8"));
    await rename(path, join(job.temp, `.auth.json.${id}.0123456789ab.tmp`));
    await job.write(path, file(peers().registryHost));
    expect(await main.post()).toMatchObject({ code: 0, annotations: [] });
    const left = differences(before, await job.snapshot());
    expect(left.filter((line) => !line.endsWith(".json.lock is new"))).toEqual([]);
  });
});
