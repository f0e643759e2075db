/** The Action's process that keeps a login alive, seen from outside: by /proc. */
import { readdir, readFile, readlink } from "node:fs/promises";
import type { Background } from "./job.ts";

/** @returns undefined where there is none, or it runs no more */
export async function readBackground(session: string | undefined): Promise<Background | undefined> {
  const pids = session ? (await readdir("/proc")).filter((name) => /^\d+$/.test(name)).map(Number) : [];
  const found = await Promise.all(pids.map(look));
  return found.find((process) => process?.argv.at(-1) === session);
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
