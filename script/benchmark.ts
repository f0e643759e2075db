// The measuring part of script/benchmark. docs/performance.md says what it compares and how.
import { loadavg } from "node:os";
import { type Peers, startPeers } from "../test/quay-stand-in/peers.ts";
import { writeAll } from "./draw/pictures.ts";
import {
  enterJob,
  enterPod,
  type Name,
  type Place,
  type Result,
  type Setting,
  script,
  verify,
  ways,
} from "./measure/commands.ts";
import { measureHelper } from "./measure/helper.ts";
import { largest, measurePromotion } from "./measure/promotion.ts";
import { type Extras, intoDocument, report } from "./measure/report.ts";
import {
  at,
  type Figure,
  go,
  hyperfine,
  inTurns,
  isInterrupted,
  progress,
  removeScratch,
  start,
} from "./measure/run.ts";
import { spiffeSizes } from "./measure/sizes.ts";
import { measureWatch } from "./measure/watch.ts";

const quick = process.argv.includes("--quick");
const job: readonly Name[] = [...ways, "none", "other", "password", "best", "skopeo", "node"];
const pod: readonly Name[] = [...ways, "none", "best", "spiffe"];
const several: readonly Name[] = [...ways, "none"];
const settings: readonly Setting[] = [
  { place: "job", delayMs: 0, robots: 1, rounds: quick ? 2 : 5, runs: quick ? 4 : 8, names: job },
  { place: "job", delayMs: 0, robots: 5, rounds: quick ? 0 : 3, runs: 3, names: several },
  { place: "job", delayMs: 0, robots: 20, rounds: quick ? 1 : 2, runs: quick ? 1 : 2, names: several },
  {
    place: "pod",
    delayMs: 0,
    robots: 1,
    rounds: quick ? 2 : 5,
    runs: quick ? 4 : 8,
    names: [...pod, "version", "node"],
  },
  { place: "job", delayMs: 30, robots: 1, rounds: quick ? 2 : 4, runs: quick ? 2 : 6, names: job },
  { place: "job", delayMs: 30, robots: 5, rounds: quick ? 0 : 2, runs: 2, names: several },
  { place: "job", delayMs: 30, robots: 20, rounds: quick ? 1 : 2, runs: 1, names: several },
  { place: "pod", delayMs: 30, robots: 1, rounds: quick ? 2 : 4, runs: quick ? 2 : 4, names: pod },
];

async function main(): Promise<void> {
  const load = loadavg()[0] ?? 0;
  const spiffe = await spiffeSizes();
  const results: Result[] = [];
  let extras: Extras | undefined;
  for (const delayMs of [0, 30]) {
    const peers = await startPeers({ delayMs, robots: 20, registry: false });
    try {
      for (const setting of settings) {
        if (setting.delayMs !== delayMs || setting.rounds === 0) continue;
        const robots = setting.robots === 1 ? "1 robot" : `${setting.robots} robots`;
        progress(`${setting.place}, ${delayMs} ms a round trip, ${robots}`);
        results.push({ ...setting, figures: await measure(setting, peers) });
      }
      if (delayMs === 0) {
        progress("memory, the post step, a minute of login --watch, promotions, the credential helper");
        extras = {
          memory: await measureMemory(peers),
          post: await measurePost(peers),
          watch: await measureWatch(peers, quick ? 10 : 60),
          promotion: [await measurePromotion(quick ? 2 : 8, 0), await measurePromotion(quick ? 2 : 4, 30)],
          helper: await measureHelper(peers, quick ? 10 : 100),
          spiffe,
        };
      }
    } finally {
      await peers.close();
    }
  }
  if (extras === undefined) return;
  const figures = await report(load, results, extras);
  console.log(figures);
  if (quick) return;
  await intoDocument(figures);
  await writeAll();
}

/** All commands of a setting by turns, each from the same empty state. */
async function measure({ place, robots, names, rounds, runs }: Setting, peers: Peers): Promise<Map<Name, Figure>> {
  const there: Place = place === "job" ? await enterJob(peers, robots) : await enterPod(peers);
  try {
    if (robots < 20) await verify(there, robots); // also warms up; takes too long for 20
    const commands = new Map(names.map((name) => [name, there.commands[name]]));
    return await inTurns(there.prepare, commands, { rounds, runs }, there.env);
  } finally {
    await there.close();
  }
}

async function measureMemory(peers: Peers): Promise<Map<string, number>> {
  const memory = new Map<string, number>();
  for (const robots of [1, 20]) {
    const { env, commands, prepare } = await enterJob(peers, robots);
    for (const name of ways) {
      await start(prepare, env);
      const kilobytes = await go("python3", ["-c", largest, ...commands[name].split(" ")], env);
      memory.set(`${name} ${robots}`, Number(kilobytes) / 1000);
    }
  }
  return memory;
}

/** The post step after a login of one robot. */
async function measurePost(peers: Peers): Promise<Figure> {
  const { env, commands } = await enterJob(peers, 1);
  const prepare = await script("before-post.sh", `bash ${at("prepare.sh")}\n${commands.ours} >/dev/null\n`);
  const find = `while IFS= read -r line; do [[ $line != "$RUNNER_TEMP"/* ]] || session=$line; done <"$GITHUB_STATE"\n`;
  const post = await script(
    "post.sh",
    `${find}STATE_session=$session STATE_logout=true exec ${process.execPath} dist/post/index.js\n`,
  );
  return hyperfine(prepare, post, quick ? 3 : 15, env);
}

try {
  await main();
} catch (error) {
  if (!isInterrupted()) throw error;
  process.exitCode = 130;
} finally {
  await removeScratch();
}
