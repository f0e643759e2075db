/** The Action's process that keeps a login alive, seen from outside: by what it leaves in the session's folder and by /proc. */
import { readFile, readlink } from "node:fs/promises";
import { join } from "node:path";
import type { Background } from "./job.ts";

/** @returns undefined where there is none, or it runs no more */
export async function readBackground(session: string | undefined): Promise<Background | undefined> {
  if (!session) return undefined;
  const read = () => readFile(join(session, "refresh.json"), "utf8").catch(() => undefined);
  let record = (await read()) ?? "";
  // It is there before it is written.
  for (let left = 20; left > 0 && record === ""; left--) {
    if ((await read()) === undefined) return undefined;
    await new Promise((resolve) => setTimeout(resolve, 50));
    record = (await read()) ?? "";
  }
  const pid = Number(/"pid":(\d+)/.exec(record)?.[1]);
  return Number.isNaN(pid) ? undefined : look(pid);
}

/** Ends those that nobody has ended. */
export async function endBackgrounds(pids: Iterable<number>): Promise<void> {
  for (const pid of pids) {
    if (await look(pid)) process.kill(pid, "SIGKILL");
  }
}

async function look(pid: number): Promise<Background | undefined> {
  const text = (name: string) => readFile(`/proc/${pid}/${name}`, "utf8").catch(() => "");
  const argv = (await text("cmdline")).split("\0").slice(0, -1);
  // A number is used again: only a process with our script is ours.
  if (!argv.some((arg) => arg.endsWith("/refresh/index.js"))) return undefined;
  const stdin = await readlink(`/proc/${pid}/fd/0`).catch(() => "");
  return { pid, argv, env: await text("environ"), stdin };
}
