/** git, by its own program: it gets no secret, and none of this process's variables for git. */
import type { Environment } from "./environment.ts";
import { start, which } from "./exec.ts";

export interface GitAnswer {
  /** undefined: it was ended, or could not be started. */
  readonly exitCode: number | undefined;
  readonly stdout: string;
  readonly stderr: string;
  /** The output was larger than `maxBytes`. */
  readonly isTooLarge: boolean;
}

export interface GitProgram {
  /** @throws the signal's reason once it aborts */
  ask(folder: string, ...args: readonly string[]): Promise<GitAnswer>;
}

export interface GitOptions {
  readonly env: Environment;
  readonly signal: AbortSignal;
  /** Of an answer. */
  readonly maxBytes?: number;
}

/** A setting of the repository can name a program for these; none is needed to read. */
const safe = ["-c", "core.fsmonitor=false", "-c", "core.hooksPath=/dev/null"];

/** @returns undefined: git is not on PATH */
export async function findGit(options: GitOptions): Promise<GitProgram | undefined> {
  const { env, signal, maxBytes = Number.POSITIVE_INFINITY } = options;
  const file = await which("git", env);
  if (file === undefined) {
    return undefined;
  }
  return {
    async ask(folder, ...args) {
      const command = { file, args: ["-C", folder, ...safe, ...args], env: ofGit(env) };
      // A warning of git is no part of its answer: standard output is kept apart.
      const running = start(command, signal, { maxStdout: maxBytes });
      const { exitCode, stdout = "", output, isTooLong = false } = await running.finish("");
      // It may have exited before it could be killed: a part of an answer is none.
      return { exitCode: isTooLong ? undefined : exitCode, stdout, stderr: output, isTooLarge: isTooLong };
    },
  };
}

const ofGit = (env: Environment): Environment => ({
  ...Object.fromEntries(
    ["PATH", "HOME", "XDG_CONFIG_HOME"].flatMap((name) => (env[name] === undefined ? [] : [[name, env[name]]])),
  ),
  LC_ALL: "C",
  GIT_OPTIONAL_LOCKS: "0",
  GIT_TERMINAL_PROMPT: "0",
});
