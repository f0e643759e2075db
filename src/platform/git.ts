/** git, by its own program: it gets no secret, and none of this process's variables for git. */
import { execFile } from "node:child_process";
import { promisify } from "node:util";
import type { Environment } from "./environment.ts";
import { codeOf } from "./errors.ts";
import { which } from "./exec.ts";

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

/**
 * Not by exec.ts, which gives both streams in one: a warning of git is no part of its answer.
 * @returns undefined: git is not on PATH
 */
export async function findGit(options: GitOptions): Promise<GitProgram | undefined> {
  const { env, signal, maxBytes = Number.POSITIVE_INFINITY } = options;
  const file = await which("git", env);
  if (file === undefined) {
    return undefined;
  }
  const settings = { env: ofGit(env), maxBuffer: maxBytes, signal };
  return {
    async ask(folder, ...args) {
      try {
        const { stdout, stderr } = await promisify(execFile)(file, ["-C", folder, ...safe, ...args], settings);
        return { exitCode: 0, stdout, stderr, isTooLarge: false };
      } catch (error) {
        signal.throwIfAborted();
        const { code, stdout = "", stderr = "" } = error as { code?: unknown; stdout?: string; stderr?: string };
        const isTooLarge = codeOf(error) === "ERR_CHILD_PROCESS_STDIO_MAXBUFFER";
        return { exitCode: typeof code === "number" ? code : undefined, stdout, stderr, isTooLarge };
      }
    },
  };
}

const ofGit = (env: Environment): NodeJS.ProcessEnv => ({
  ...Object.fromEntries(
    ["PATH", "HOME", "XDG_CONFIG_HOME"].flatMap((name) => (env[name] === undefined ? [] : [[name, env[name]]])),
  ),
  LC_ALL: "C",
  GIT_OPTIONAL_LOCKS: "0",
  GIT_TERMINAL_PROMPT: "0",
});
