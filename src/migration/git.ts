/** What git knows of a checkout. */
import type { Environment } from "../platform/environment.ts";
import { findGit } from "../platform/git.ts";
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
  const git = await findGit({ env, signal });
  if (git === undefined) {
    return "git is not on PATH";
  }
  const top = await git.ask(folder, "rev-parse", "--show-toplevel");
  if (top.exitCode !== 0) {
    return `git does not know ${folder}: ${oneLine(top.stderr.trim(), 300)}`;
  }
  const root = top.stdout.replace(/\n$/, "");
  const one = async (...args: readonly string[]): Promise<string | undefined> => {
    const { exitCode, stdout } = await git.ask(root, ...args);
    return exitCode === 0 && stdout.trim() !== "" ? stdout.trim() : undefined;
  };
  const branch = await one("symbolic-ref", "--short", "refs/remotes/origin/HEAD");
  return {
    root,
    remote: remoteOf((await one("config", "--get", "remote.origin.url")) ?? ""),
    defaultBranch: branch?.replace(/^origin\//, ""),
    listFiles: async () =>
      (await git.ask(root, "ls-files", "-z", "--cached", "--others", "--exclude-standard")).stdout
        .split("\0")
        .filter(Boolean),
    whyNotClean: async (path) => {
      const [index, commit, hash] = await Promise.all([
        git.ask(root, "ls-files", "--stage", "-z", "--", `:(literal)${path}`),
        git.ask(root, "rev-parse", "--verify", "-q", `HEAD:./${path}`),
        git.ask(root, "hash-object", "--", path),
      ]);
      const [, staged] = /^100(?:644|755) ([0-9a-f]+) 0\t[^\0]*\0$/.exec(index.stdout) ?? [];
      if (index.stdout === "") {
        return "git does not track it";
      }
      if (commit.exitCode !== 0) {
        return "it is in no commit yet";
      }
      const isClean = hash.exitCode === 0 && staged === hash.stdout.trim() && staged === commit.stdout.trim();
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
