/** What git knows of a checkout. It is asked by its own program, which gets no secret and none of this process's variables for git. */
import type { Environment } from "../platform/environment.ts";
import { start, which } from "../platform/exec.ts";
import { oneLine } from "../platform/text.ts";
import type { Remote } from "./plan.ts";

export interface Git {
  /** The checkout's root, absolute. */
  readonly root: string;
  readonly remote: Remote | undefined;
  readonly defaultBranch: string | undefined;
  /** The paths of all files that git tracks or does not ignore, from the root. */
  listFiles(): Promise<readonly string[]>;
  /** Why a file must not be written; undefined: it is tracked, and is what the last commit holds. */
  whyNotClean(path: string): Promise<string | undefined>;
}

export interface GitPlace {
  readonly folder: string;
  readonly env: Environment;
  readonly signal: AbortSignal;
}

/** @returns text: why there is none */
export async function openGit({ folder, env, signal }: GitPlace): Promise<Git | string> {
  const file = await which("git", env);
  if (file === undefined) {
    return "git is not on PATH";
  }
  const kept = ["PATH", "HOME", "XDG_CONFIG_HOME"].flatMap((name) =>
    env[name] === undefined ? [] : [[name, env[name]]],
  );
  const own: Environment = {
    ...Object.fromEntries(kept),
    LC_ALL: "C",
    GIT_OPTIONAL_LOCKS: "0",
    GIT_TERMINAL_PROMPT: "0",
  };
  const ask = async (at: string, ...args: readonly string[]) => {
    let output = "";
    // A setting of the repository can name a program for these; none is needed to read.
    const safe = ["-c", "core.fsmonitor=false", "-c", "core.hooksPath=/dev/null"];
    const running = start({ file, args: ["-C", at, ...safe, ...args], env: own }, signal, {
      onOutput: (text) => {
        output += text;
      },
    });
    const { exitCode } = await running.finish("");
    return { isDone: exitCode === 0, output };
  };
  const top = await ask(folder, "rev-parse", "--show-toplevel");
  if (!top.isDone) {
    return `git does not know ${folder}: ${oneLine(top.output.trim(), 300)}`;
  }
  const root = top.output.replace(/\n$/, "");
  const one = async (...args: readonly string[]): Promise<string | undefined> => {
    const { isDone, output } = await ask(root, ...args);
    return isDone && output.trim() !== "" ? output.trim() : undefined;
  };
  const branch = await one("symbolic-ref", "--short", "refs/remotes/origin/HEAD");
  return {
    root,
    remote: remoteOf((await one("config", "--get", "remote.origin.url")) ?? ""),
    defaultBranch: branch?.replace(/^origin\//, ""),
    listFiles: async () =>
      (await ask(root, "ls-files", "-z", "--cached", "--others", "--exclude-standard")).output
        .split("\0")
        .filter(Boolean),
    whyNotClean: async (path) => {
      const [index, commit, hash] = await Promise.all([
        ask(root, "ls-files", "--stage", "-z", "--", `:(literal)${path}`),
        ask(root, "rev-parse", "--verify", "-q", `HEAD:./${path}`),
        ask(root, "hash-object", "--", path),
      ]);
      const [, staged] = /^100(?:644|755) ([0-9a-f]+) 0\t[^\0]*\0$/.exec(index.output) ?? [];
      if (index.output === "") {
        return "git does not track it";
      }
      if (!commit.isDone) {
        return "it is in no commit yet";
      }
      const isClean = hash.isDone && staged === hash.output.trim() && staged === commit.output.trim();
      return isClean ? undefined : "it has changes that are not committed";
    },
  };
}

/** `git@github.com:acme/app.git`, `https://github.com/acme/app`; what stands before an at sign is left out. */
export function remoteOf(url: string): Remote | undefined {
  const [, host, path] =
    /^(?:(?:https?|ssh|git):\/\/(?:[^@/]*@)?|[^@/:]+@)([\w.-]+)(?::[0-9]+(?=\/))?[:/]\/?([^?#]+?)(?:\.git)?\/?$/.exec(
      url,
    ) ?? [];
  return host === undefined || path === undefined || !/^[\w.-]+(?:\/[\w.-]+)+$/.test(path)
    ? undefined
    : { host: host.toLowerCase(), path };
}
