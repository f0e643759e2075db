/** The process that keeps a login alive between main and post: started, stopped, and what it leaves for post to tell. */
import { spawn } from "node:child_process";
import { closeSync, openSync, readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import type { RenewalOptions } from "../login/renewal.ts";
import type { OptionValues } from "../options/table.ts";
import type { Environment } from "../platform/environment.ts";
import { FileFailure, maxSize, readTextWithin } from "../platform/files.ts";
import { replaceFile } from "../platform/replace.ts";
import { toolEnvironment } from "../tools/tool-environment.ts";

/** What it is given, on its standard input: there is GitHub's request token in it. */
export interface Order {
  /** Main's. */
  readonly env: Environment;
  readonly inputs: OptionValues;
  readonly sessionFolder: string;
  readonly source: Pick<RenewalOptions, "tokenFile" | "identityEnds">;
}

const files = (folder: string) => ({
  /** What it prints: no secret. */
  log: join(folder, "refresh.log"),
  /** There where the login has lapsed: what to tell. */
  lapse: join(folder, "refresh.lapsed"),
});

/** Leaves the process behind; it ends with post, or with the job. */
export async function startBackground(order: Order, isSecret: (text: string) => boolean): Promise<void> {
  const output = openSync(files(order.sessionFolder).log, "a", 0o600);
  try {
    const env = {
      ...toolEnvironment(order.env, isSecret, undefined),
      ...trustOf(order.env, isSecret),
      // The runner ends what carries this when the job is over.
      RUNNER_TRACKING_ID: order.env.RUNNER_TRACKING_ID ?? "",
    };
    // It sleeps nearly all the time: without compiled code it needs 3 MB less.
    const args = ["--jitless", join(import.meta.dirname, `..${script}`), order.sessionFolder];
    const child = spawn(process.execPath, args, { detached: true, stdio: ["pipe", output, output], env });
    await new Promise<void>((resolve, reject) => {
      child.on("error", reject);
      child.stdin?.on("error", reject).end(JSON.stringify(order), () => resolve());
    });
    child.unref();
  } finally {
    closeSync(output);
  }
}

const script = "/refresh/index.js";

/** Whom Node itself trusts: read when it starts, so that the order on standard input would come too late. */
const trustOf = (env: Environment, isSecret: (text: string) => boolean): Environment =>
  Object.fromEntries(
    Object.entries(env).filter(
      ([name, value = ""]) =>
        /^(?:NODE_EXTRA_CA_CERTS|NODE_USE_SYSTEM_CA|NODE_OPTIONS|OPENSSL_CONF|OPENSSL_MODULES)$/.test(name) &&
        !isSecret(value),
    ),
  );

/** Where the folder is gone, post has to find that out by itself. */
export function noteLapse(folder: string, text: string): Promise<void> {
  return replaceFile(files(folder).lapse, text, { mode: 0o600 }).catch(() => {});
}

/** undefined: it is not there. What can't be read is in the way of nothing: its place is taken by why. */
async function read(path: string): Promise<string | undefined> {
  try {
    return await readTextWithin(path, maxSize.log);
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
  const { log, lapse } = files(folder);
  const found = processesOf(folder);
  for (const signal of ["SIGTERM", "SIGKILL"] as const) {
    for (const each of found.filter(runs)) {
      sendSignal(each.pid, signal);
    }
    for (let left = 40; left > 0 && found.some(runs); left--) {
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }
  const told = await read(log);
  if (told === undefined) {
    return found.length > 0 ? { log: "What it told is gone with its folder.", lapse: undefined } : undefined;
  }
  const why = found.length === 0 ? "The process that keeps the login alive had ended before the job." : undefined;
  return { log: told, lapse: (await read(lapse)) ?? why };
}

interface Process {
  readonly pid: number;
  /** In the kernel's ticks: with it a number means one process alone. */
  readonly started: string;
}

/**
 * Found by what it is, not by what a file says it is: a process of this user whose command is our script for this very folder.
 * A number in a file could be that of any other process by now, or by somebody's will.
 */
function processesOf(folder: string): readonly Process[] {
  return readdirSync("/proc").flatMap((name) => {
    const pid = Number(name);
    const started = Number.isInteger(pid) && isOurs(pid, folder) ? startOf(pid) : undefined;
    return started === undefined ? [] : [{ pid, started }];
  });
}

function isOurs(pid: number, folder: string): boolean {
  try {
    const [path, last] = readFileSync(`/proc/${pid}/cmdline`, "utf8").split("\0").slice(-3, -1);
    return last === folder && path?.endsWith(script) === true && statSync(`/proc/${pid}`).uid === process.getuid?.();
  } catch {
    return false; // it has ended meanwhile
  }
}

const runs = ({ pid, started }: Process): boolean => startOf(pid) === started;

function sendSignal(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch {
    // It has ended meanwhile.
  }
}

/** When a process started (proc(5), stat, field 22); undefined: it doesn't run, or waits to be buried. */
function startOf(pid: number): string | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    return fields[0] === "Z" ? undefined : fields[19];
  } catch {
    return undefined;
  }
}
