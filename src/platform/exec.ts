/** Child processes: a secret goes to standard input, the output is bounded, and only the given environment is inherited. */
import type { ChildProcess, ChildProcessByStdio } from "node:child_process";
import { constants, readFileSync } from "node:fs";
import { access, stat } from "node:fs/promises";
import { delimiter, isAbsolute, join } from "node:path";
import type { Readable, Writable } from "node:stream";
import { systemClock } from "./clock.ts";
import type { Environment } from "./environment.ts";

export interface Command {
  /** An absolute path. */
  readonly file: string;
  readonly args: readonly string[];
  readonly env: Environment;
}

export interface Finished {
  /** undefined if a signal ended it or it could not be started */
  readonly exitCode: number | undefined;
  /**
   * stdout and stderr as they came; with `maxStdout` stderr alone. Beyond 64 KiB only the last whole lines are kept: a secret that is
   * cut would not be masked.
   */
  readonly output: string;
  /** With `maxStdout`: standard output, up to that. */
  readonly stdout?: string;
  /** It wrote more than `maxStdout` to standard output, and was killed. */
  readonly isTooLong?: true;
  /** It was idle for longer than `idleMs`, and was killed. */
  readonly wasIdle?: true;
}

export interface StartOptions {
  /** Bytes. Keeps standard output apart, as a result. The process is killed when it writes more. */
  readonly maxStdout?: number;
  /** Called with each piece of output as it arrives. */
  readonly onOutput?: (text: string) => void;
  /** Called twice a second with the bytes sent so far (0 if the system does not count them). */
  readonly onSent?: (bytes: number) => void;
  /** Milliseconds. It is killed when it has sent and received next to nothing for longer (if the system counts bytes). */
  readonly idleMs?: number;
}

export interface Running {
  /** undefined if it could not be started */
  readonly pid: number | undefined;
  /** Writes `input` to the waiting process and waits until it exits. */
  finish(input: string): Promise<Finished>;
  /** Kills it with SIGKILL; resolves when it has exited. */
  kill(): Promise<void>;
}

const maxOutput = 65_536;

/** Milliseconds to read what is left in its pipes after it exits. */
const maxRestMs = 1_000;

/** Milliseconds between two looks at the traffic. */
const watchMs = 500;

/** Bytes between two looks that count as idle: a Go program writes some to itself while it waits. */
const maxIdleBytes = 1_000;

/** Starts `command`, which waits for its standard input: its start-up then costs no time later. */
export function start(command: Command, signal: AbortSignal, options: StartOptions = {}): Running {
  signal.throwIfAborted();
  // Loaded with the first process: a login without a tool starts none.
  const { spawn } = process.getBuiltinModule("node:child_process");
  const child = spawn(command.file, command.args, {
    env: command.env as NodeJS.ProcessEnv,
    stdio: ["pipe", "pipe", "pipe"],
    // A process group of its own: killing it also kills what a wrapper started. And no terminal that could ask for a password.
    detached: true,
  });
  const outputOf = collectOutput(child, options, () => void kill());
  // A tool that exits before it has read everything breaks the pipe; its exit code is what counts.
  child.stdin.on("error", () => {});
  child.on("exit", () => {
    // Kills what it left running, which would otherwise hold the pipes open and delay the result.
    killGroup(child);
    setTimeout(closePipes, maxRestMs).unref();
  });
  const ended = new Promise<Finished>((resolve) => {
    child.on("error", (error) => resolve({ exitCode: undefined, output: error.message }));
    child.on("close", (exitCode) =>
      resolve({ exitCode: exitCode ?? undefined, ...outputOf(), ...(traffic.wasIdle() && { wasIdle: true }) }),
    );
  });
  /** A process that left the group may still hold them open. */
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

/** @returns a function that gives the output so far */
function collectOutput(
  { stdout, stderr }: ChildProcessByStdio<Writable, Readable, Readable>,
  { onOutput, maxStdout }: StartOptions,
  kill: () => void,
): () => Pick<Finished, "output" | "stdout" | "isTooLong"> {
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
  const result = maxStdout === undefined ? undefined : collectResult(stdout, maxStdout, kill);
  if (result === undefined) {
    stdout.setEncoding("utf8").on("data", collect);
  }
  stderr.setEncoding("utf8").on("data", collect);
  return () => ({ output: isCut ? output.replace(/^.*\n?/, "") : output, ...result?.() });
}

function collectResult(
  stdout: Readable,
  maxBytes: number,
  kill: () => void,
): () => Pick<Finished, "stdout" | "isTooLong"> {
  const pieces: Buffer[] = [];
  let left = maxBytes;
  stdout.on("data", (piece: Buffer) => {
    pieces.push(piece.subarray(0, Math.max(0, left)));
    left -= piece.length;
    if (left < 0) {
      kill();
    }
  });
  return () => ({ stdout: Buffer.concat(pieces).toString("utf8"), ...(left < 0 && { isTooLong: true }) });
}

/** @returns `wasIdle`: whether it was killed for being idle */
function watchTraffic(
  pid: number | undefined,
  { onSent, idleMs }: StartOptions,
  kill: () => Promise<void>,
): { wasIdle(): boolean; stop(): void } {
  let wasIdle = false;
  let last = { bytes: 0, at: systemClock.elapsed() };
  const look = () => {
    const { sent, bytes } = trafficOf(pid);
    onSent?.(sent);
    const at = systemClock.elapsed();
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

/** Bytes that a process has sent, and sent or received, mostly over its connections: proc(5), io. 0: not known. */
function trafficOf(pid: number | undefined): { readonly sent: number; readonly bytes: number } {
  try {
    const text = readFileSync(`/proc/${pid}/io`, "utf8");
    const [received = 0, sent = 0] = ["rchar", "wchar"].map((name) =>
      Number(new RegExp(`^${name}: (\\d+)`, "m").exec(text)?.[1]),
    );
    return { sent, bytes: received + sent };
  } catch {
    return { sent: 0, bytes: 0 }; // not Linux, or it has exited
  }
}

function killGroup({ pid }: ChildProcess): void {
  try {
    if (pid !== undefined) {
      process.kill(-pid, "SIGKILL");
    }
  } catch {
    // It has already exited.
  }
}

/**
 * The first executable of this name on PATH. Relative and empty entries are ignored (as by Go's os/exec: ErrDot): they lead into
 * the job's working directory, where any pull request may have put a file.
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
