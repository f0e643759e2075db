/** Child processes: a secret goes in by standard input, what comes out is bounded, nothing is inherited but what is named. */
import { type ChildProcess, spawn } from "node:child_process";
import { constants } from "node:fs";
import { access, stat } from "node:fs/promises";
import { delimiter, isAbsolute, join } from "node:path";
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
const maxRest = 1_000;

/**
 * Starts `command`, which will wait for its standard input: so its own start costs no time later.
 * @param onOutput is given what it prints, as it comes
 */
export function start(command: Command, signal: AbortSignal, onOutput?: (text: string) => void): Running {
  signal.throwIfAborted();
  const child = spawn(command.file, command.args, {
    env: command.env as NodeJS.ProcessEnv,
    stdio: ["pipe", "pipe", "pipe"],
    // A group of its own, so that what a wrapper has started ends with it; and no terminal that it could ask.
    detached: true,
  });
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
  child.stdout.setEncoding("utf8").on("data", collect);
  child.stderr.setEncoding("utf8").on("data", collect);
  // A tool that ends before it has read everything breaks the pipe; its exit code tells the story.
  child.stdin.on("error", () => {});
  child.on("exit", () => {
    // What it has left running ends with it, or this would wait for as long as that holds the pipes open.
    killGroup(child);
    setTimeout(closePipes, maxRest).unref();
  });
  const ended = new Promise<Finished>((resolve) => {
    child.on("error", (error) => resolve({ exitCode: undefined, output: error.message }));
    child.on("close", (exitCode) =>
      resolve({ exitCode: exitCode ?? undefined, output: isCut ? output.replace(/^.*\n?/, "") : output }),
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
  signal.addEventListener("abort", kill, { once: true });
  void ended.then(() => signal.removeEventListener("abort", kill));
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
