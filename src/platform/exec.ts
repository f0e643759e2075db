/** Child processes: a secret goes in by standard input, what comes out is bounded, nothing is inherited but what is named. */
import { type ChildProcess, type ChildProcessByStdio, spawn } from "node:child_process";
import { constants, readFileSync } from "node:fs";
import { access, stat } from "node:fs/promises";
import { delimiter, isAbsolute, join } from "node:path";
import type { Readable, Writable } from "node:stream";
import type { Environment } from "./environment.ts";

export interface Command {
  /** An absolute path. */
  readonly file: string;
  readonly args: readonly string[];
  readonly env: Environment;
}

export interface Finished {
  /** undefined where a signal ended it or it could not be started */
  readonly exitCode: number | undefined;
  /** stdout and stderr as they came; of more than 64 KiB the last whole lines, since a secret that is cut is not recognized */
  readonly output: string;
  /** It was idle for too long, and was killed. */
  readonly wasIdle?: true;
}

export interface StartOptions {
  /** Called with what it prints, as it comes. */
  readonly onOutput?: (text: string) => void;
  /** Called twice a second with the bytes that it has sent so far (0 where the system does not tell). */
  readonly onSent?: (bytes: number) => void;
  /** Milliseconds: it is killed when it has sent and received nothing to speak of for longer (where the system tells). */
  readonly idleMs?: number;
}

export interface Running {
  /** undefined where it could not be started */
  readonly pid: number | undefined;
  /** Gives `input` to the waiting process and waits for its end. */
  finish(input: string): Promise<Finished>;
  /** Ends it at once; resolves when it is gone. */
  kill(): Promise<void>;
}

const maxOutput = 65_536;

/** Milliseconds after its end in which what it has written is read; it is there already. */
const maxRestMs = 1_000;

/** How often the traffic is looked at. */
const watchMs = 500;

/** Bytes: a Go program writes some to itself while it waits. */
const maxIdleBytes = 1_000;

/** Starts `command`, which will wait for its standard input: so its own start costs no time later. */
export function start(command: Command, signal: AbortSignal, options: StartOptions = {}): Running {
  signal.throwIfAborted();
  const child = spawn(command.file, command.args, {
    env: command.env as NodeJS.ProcessEnv,
    stdio: ["pipe", "pipe", "pipe"],
    // A group of its own, so that what a wrapper has started ends with it; and no terminal that it could ask.
    detached: true,
  });
  const outputOf = collectOutput(child, options.onOutput);
  // A tool that ends before it has read everything breaks the pipe; its exit code tells the story.
  child.stdin.on("error", () => {});
  child.on("exit", () => {
    // What it has left running ends with it, or this would wait for as long as that holds the pipes open.
    killGroup(child);
    setTimeout(closePipes, maxRestMs).unref();
  });
  const ended = new Promise<Finished>((resolve) => {
    child.on("error", (error) => resolve({ exitCode: undefined, output: error.message }));
    child.on("close", (exitCode) =>
      resolve({ exitCode: exitCode ?? undefined, output: outputOf(), ...(traffic.wasIdle() && { wasIdle: true }) }),
    );
  });
  /** Whatever has left the group may hold them open. */
  const closePipes = () => {
    child.stdout.destroy();
    child.stderr.destroy();
  };
  const kill = async () => {
    killGroup(child);
    closePipes();
    await ended;
  };
  const traffic = watchTraffic(child.pid, options, kill);
  signal.addEventListener("abort", kill, { once: true });
  void ended.then(() => {
    traffic.stop();
    signal.removeEventListener("abort", kill);
  });
  return {
    pid: child.pid,
    kill,
    async finish(input) {
      child.stdin.end(input);
      const finished = await ended;
      signal.throwIfAborted();
      return finished;
    },
  };
}

/** @returns gives what has come by then */
function collectOutput(
  { stdout, stderr }: ChildProcessByStdio<Writable, Readable, Readable>,
  onOutput: StartOptions["onOutput"],
): () => string {
  let output = "";
  let isCut = false;
  const collect = (text: string) => {
    output += text;
    if (output.length > maxOutput) {
      output = output.slice(-maxOutput);
      isCut = true;
    }
    onOutput?.(text);
  };
  stdout.setEncoding("utf8").on("data", collect);
  stderr.setEncoding("utf8").on("data", collect);
  return () => (isCut ? output.replace(/^.*\n?/, "") : output);
}

/** @returns `wasIdle`: whether that was why it was killed */
function watchTraffic(
  pid: number | undefined,
  { onSent, idleMs }: StartOptions,
  kill: () => Promise<void>,
): { wasIdle(): boolean; stop(): void } {
  let wasIdle = false;
  let last = { bytes: 0, at: performance.now() };
  const look = () => {
    const { sent, bytes } = trafficOf(pid);
    onSent?.(sent);
    const at = performance.now();
    if (bytes - last.bytes > maxIdleBytes || bytes === 0) {
      last = { bytes, at };
    } else if (idleMs !== undefined && at - last.at > idleMs) {
      wasIdle = true;
      void kill();
    }
  };
  const timer = (onSent ?? idleMs) === undefined ? undefined : setInterval(look, watchMs);
  return { wasIdle: () => wasIdle, stop: () => clearInterval(timer) };
}

/** Bytes that a process has sent, and sent or received, over its connections for the most part: proc(5), io. 0: not told. */
function trafficOf(pid: number | undefined): { readonly sent: number; readonly bytes: number } {
  try {
    const text = readFileSync(`/proc/${pid}/io`, "utf8");
    const [received = 0, sent = 0] = ["rchar", "wchar"].map((name) =>
      Number(new RegExp(`^${name}: (\\d+)`, "m").exec(text)?.[1]),
    );
    return { sent, bytes: received + sent };
  } catch {
    return { sent: 0, bytes: 0 }; // not Linux, or it has ended
  }
}

function killGroup({ pid }: ChildProcess): void {
  try {
    if (pid !== undefined) {
      process.kill(-pid, "SIGKILL");
    }
  } catch {
    // It has ended by itself.
  }
}

/**
 * The first executable of this name on PATH. Entries that are relative, or empty, don't count (Go's os/exec: ErrDot): they lead into
 * the folder where the job is, and so to what anybody's change has put there.
 * @returns its absolute path
 */
export async function which(name: string, env: Environment): Promise<string | undefined> {
  for (const folder of (env.PATH ?? "").split(delimiter).filter(isAbsolute)) {
    const candidate = join(folder, name);
    const found = await access(candidate, constants.X_OK).then(
      async () => (await stat(candidate)).isFile(),
      () => false,
    );
    if (found) {
      return candidate;
    }
  }
  return undefined;
}
