/** What the renewal of a login costs: `login --watch` in a pod. */
import { spawn } from "node:child_process";
import { readFile, writeFile } from "node:fs/promises";
import { setTimeout as sleep } from "node:timers/promises";
import type { Peers } from "../../test/quay-stand-in/peers.ts";
import { enterPod } from "./commands.ts";
import { at, start } from "./run.ts";

export interface WatchCost {
  /** Peak, MB, a renewal included. */
  memory: number;
  /** CPU, milliseconds, in an idle minute. */
  cpu: number;
}

export async function measureWatch(peers: Peers, seconds: number): Promise<WatchCost> {
  const { env, commands, prepare, close } = await enterPod(peers);
  await start(prepare, env);
  const [program = "", ...args] = `${commands.ours} --watch`.split(" ");
  const watch = spawn(program, args, { env, stdio: ["ignore", "ignore", "pipe"] });
  let told = "";
  watch.stderr.setEncoding("utf8").on("data", (text: string) => {
    told += text;
  });
  const until = async (words: string) => {
    for (let left = 200; !told.includes(words); left--) {
      if (left === 0 || watch.exitCode !== null) throw new Error(`login --watch did not say "${words}":\n${told}`);
      await sleep(50);
    }
  };
  try {
    await until("Logged in to");
    await sleep(2_000);
    const before = await cpuOf(watch.pid);
    await sleep(seconds * 1000);
    const cpu = (((await cpuOf(watch.pid)) - before) / seconds) * 60;
    await writeFile(at("identity"), await peers.issuer.sign({ exp: Math.floor(Date.now() / 1000) + 3600 }));
    await until("was renewed");
    const status = await readFile(`/proc/${watch.pid}/status`, "utf8");
    return { memory: Number(/VmHWM:\s+(\d+)/.exec(status)?.[1]) / 1000, cpu };
  } finally {
    watch.kill();
    await close();
  }
}

/** User and system time so far, milliseconds: proc(5), stat, in ticks of 10 ms. */
async function cpuOf(pid: number | undefined): Promise<number> {
  const stat = await readFile(`/proc/${pid}/stat`, "utf8");
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return (Number(fields[11]) + Number(fields[12])) * 10;
}
