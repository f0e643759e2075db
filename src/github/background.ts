/** The process that keeps a login alive between main and post: started, stopped, and what it leaves for post to tell. */
import { spawn } from "node:child_process";
import { closeSync, openSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import type { Environment } from "../platform/environment.ts";
import { FileFailure, most, readTextWithin } from "../platform/files.ts";
import { createFile, replaceFile } from "../platform/replace.ts";
import type { Upkeep } from "../refresh.ts";
import { toolEnvironment } from "../registry/environment.ts";

/** What it is given, on its standard input: there is GitHub's request token in it. */
export interface Order {
  /** Main's, the inputs among them. */
  readonly env: Environment;
  readonly sessionFolder: string;
  readonly source: Pick<Upkeep, "tokenFile" | "identityEnds">;
}

const files = (folder: string) => ({
  /** What it prints: no secret. */
  log: join(folder, "refresh.log"),
  /** Its number and when it started, so that no other process is taken for it. */
  process: join(folder, "refresh.json"),
  /** There where the login has lapsed: what to tell. */
  lapse: join(folder, "refresh.lapsed"),
});

/** Leaves the process behind; it ends with post, or with the job. */
export async function startBackground(order: Order, isSecret: (text: string) => boolean): Promise<void> {
  const { log, process: record } = files(order.sessionFolder);
  const output = openSync(log, "a", 0o600);
  try {
    const { NODE_EXTRA_CA_CERTS, NODE_USE_SYSTEM_CA, RUNNER_TRACKING_ID = "" } = order.env;
    const env = {
      ...toolEnvironment(order.env, isSecret, undefined),
      // It trusts what the step trusted.
      ...{ NODE_EXTRA_CA_CERTS, NODE_USE_SYSTEM_CA },
      // The runner ends what carries this when the job is over.
      RUNNER_TRACKING_ID,
    };
    // It sleeps nearly all the time: without compiled code it needs 3 MB less.
    const args = ["--jitless", join(import.meta.dirname, "../refresh/index.js"), order.sessionFolder];
    const child = spawn(process.execPath, args, { detached: true, stdio: ["pipe", output, output], env });
    await new Promise<void>((resolve, reject) => {
      child.on("error", reject);
      child.stdin?.on("error", reject).end(JSON.stringify(order), () => resolve());
    });
    // From then on post can find it, whatever becomes of this process.
    const entered = async () => parseRecord(await read(record)).pid > 0;
    for (let left = 200; left > 0 && child.exitCode === null && !(await entered()); left--) {
      await new Promise((resolve) => setTimeout(resolve, 25));
    }
    child.unref();
  } finally {
    closeSync(output);
  }
}

/** What the process does first. @throws where there is one for this session already */
export async function enterBackground(folder: string): Promise<void> {
  const text = JSON.stringify({ pid: process.pid, started: await startOf(process.pid) });
  await createFile(files(folder).process, text);
}

export function noteLapse(folder: string, text: string): Promise<void> {
  return replaceFile(files(folder).lapse, text, { mode: 0o600 });
}

/** undefined: it is not there. What can't be read is in the way of nothing: its place is taken by why. */
async function read(path: string): Promise<string | undefined> {
  try {
    return await readTextWithin(path, most.log);
  } catch (error) {
    if (!(error instanceof FileFailure)) {
      throw error;
    }
    return error.code === "ENOENT" || error.code === "ENOTDIR" ? undefined : `${path} ${error.message}.`;
  }
}

export interface Ended {
  readonly log: string;
  /** Why the login was not alive all the time; undefined: it was. */
  readonly lapse: string | undefined;
}

/** @returns undefined where there was none */
export async function stopBackground(folder: string): Promise<Ended | undefined> {
  const { log, process: record, lapse } = files(folder);
  const told = await read(log);
  if (told === undefined) {
    return undefined;
  }
  const { pid, started } = parseRecord(await read(record));
  const runs = async () => pid > 0 && (await startOf(pid)) === started;
  const diedBefore = !(await runs());
  for (const signal of ["SIGTERM", "SIGKILL"] as const) {
    if (await runs()) {
      sendSignal(pid, signal);
    }
    for (let left = 40; left > 0 && (await runs()); left--) {
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }
  const why = diedBefore ? "The process that keeps the login alive had ended before the job." : undefined;
  return { log: (await read(log)) ?? told, lapse: (await read(lapse)) ?? why };
}

function parseRecord(text: string | undefined): { readonly pid: number; readonly started: string } {
  try {
    const { pid, started } = JSON.parse(text ?? "");
    if (Number.isInteger(pid) && typeof started === "string") {
      return { pid, started };
    }
  } catch {
    // damaged: as if it had ended, which post says
  }
  return { pid: 0, started: "" };
}

function sendSignal(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch {
    // It has ended meanwhile.
  }
}

/** When a process started, in the kernel's ticks (proc(5), stat, field 22); undefined: it doesn't run, or waits to be buried. */
async function startOf(pid: number): Promise<string | undefined> {
  try {
    const stat = await readFile(`/proc/${pid}/stat`, "utf8");
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    return fields[0] === "Z" ? undefined : fields[19];
  } catch {
    return undefined;
  }
}
