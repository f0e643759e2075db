/** The process that renews a login between main and post: its start, its end, and the files that post shows. */
import { closeSync, openSync, readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import type { RenewalOptions } from "../login/renewal.ts";
import type { OptionValues } from "../options/table.ts";
import { toolEnvironment } from "../platform/child-environment.ts";
import type { Environment } from "../platform/environment.ts";
import { FileFailure, maxSize, readTextWithin } from "../platform/files.ts";
import { replaceFile } from "../platform/replace.ts";

/** What it gets on its standard input, because GitHub's request token is in it. */
export interface Order {
  /** The main step's environment. */
  readonly env: Environment;
  readonly inputs: OptionValues;
  readonly sessionFolder: string;
  readonly source: Pick<RenewalOptions, "tokenFile" | "identityEnds">;
}

const files = (folder: string) => ({
  /** Its output, which holds no secret. */
  log: join(folder, "refresh.log"),
  /** Exists if the login has lapsed: the message for post. */
  lapse: join(folder, "refresh.lapsed"),
});

/** Starts the process and does not wait for it; it ends with post, or with the job. */
export async function startBackground(order: Order, isSecret: (text: string) => boolean): Promise<void> {
  const output = openSync(files(order.sessionFolder).log, "a", 0o600);
  try {
    const env = {
      ...toolEnvironment(order.env, isSecret, undefined),
      ...trustOf(order.env, isSecret),
      // At the end of the job the runner kills the processes that have this variable.
      RUNNER_TRACKING_ID: order.env.RUNNER_TRACKING_ID ?? "",
    };
    // It sleeps nearly all the time, and needs 3 MB less without compiled code.
    const args = ["--jitless", join(import.meta.dirname, `..${script}`), order.sessionFolder];
    const { spawn } = process.getBuiltinModule("node:child_process"); // most logins are not renewed
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

/** Variables of trust that Node reads when it starts, which is before the order on standard input. */
const trustOf = (env: Environment, isSecret: (text: string) => boolean): Environment =>
  Object.fromEntries(
    Object.entries(env).filter(
      ([name, value = ""]) =>
        /^(?:NODE_EXTRA_CA_CERTS|NODE_USE_SYSTEM_CA|NODE_OPTIONS|OPENSSL_CONF|OPENSSL_MODULES)$/.test(name) &&
        !isSecret(value),
    ),
  );

/** Ignores a failure: if the folder is gone, post notices that itself. */
export function noteLapse(folder: string, text: string): Promise<void> {
  return replaceFile(files(folder).lapse, text, { mode: 0o600 }).catch(() => {});
}

/** @returns undefined if the file does not exist; for one that can't be read, the reason */
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
  /** The reason that the login was not valid all the time; undefined: it was. */
  readonly lapse: string | undefined;
}

/** @returns undefined if there was no process */
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
  const output = await read(log);
  if (output === undefined) {
    return found.length > 0 ? { log: "Its log was removed with its folder.", lapse: undefined } : undefined;
  }
  const why = found.length === 0 ? "The process that renews the login ended before the job." : undefined;
  return { log: output, lapse: (await read(lapse)) ?? why };
}

interface Process {
  readonly pid: number;
  /** In the kernel's ticks. Together with the process ID it names exactly one process. */
  readonly started: string;
}

/**
 * Finds processes of this user whose command is our script for this folder. A process ID in a file could by now belong to
 * another process, or be forged.
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
    return false; // it has ended
  }
}

const runs = ({ pid, started }: Process): boolean => startOf(pid) === started;

function sendSignal(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch {
    // It has ended.
  }
}

/** When a process started (proc(5), stat, field 22); undefined: it does not run, or is a zombie. */
function startOf(pid: number): string | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    return fields[0] === "Z" ? undefined : fields[19];
  } catch {
    return undefined;
  }
}
