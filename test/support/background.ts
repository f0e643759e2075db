/** The Action's process that renews a login, seen from outside: through /proc. */
import { readdir, readFile, readlink } from "node:fs/promises";
import type { Background } from "./job.ts";

/** @returns undefined if there is none, or it no longer runs */
export async function readBackground(session: string | undefined): Promise<Background | undefined> {
  const pids = session ? (await readdir("/proc")).filter((name) => /^\d+$/.test(name)).map(Number) : [];
  const found = await Promise.all(pids.map(look));
  return found.find((process) => process?.argv.at(-1) === session);
}

/** Stops those that still run. */
export async function endBackgrounds(pids: Iterable<number>): Promise<void> {
  for (const pid of pids) {
    if (await look(pid)) process.kill(pid, "SIGKILL");
  }
}

async function look(pid: number): Promise<Background | undefined> {
  const text = (name: string) => readFile(`/proc/${pid}/${name}`, "utf8").catch(() => "");
  const argv = (await text("cmdline")).split("\0").slice(0, -1);
  // Process ids are reused: only a process with our script is ours.
  if (!argv.some((arg) => arg.endsWith("/refresh/index.js"))) return undefined;
  const stdin = await readlink(`/proc/${pid}/fd/0`).catch(() => "");
  return { pid, argv, env: await text("environ"), stdin };
}
