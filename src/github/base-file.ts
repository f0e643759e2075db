/** The version of a file in the base branch, by git, from the commits that the checkout has. */
import { realpath } from "node:fs/promises";
import { basename, dirname } from "node:path";
import { ExplainedError } from "../platform/errors.ts";
import { findGit, type GitAnswer } from "../platform/git.ts";
import type { Platform } from "../platform/platform.ts";
import { oneLine } from "../platform/text.ts";
import type { Base } from "./stage.ts";

/** As much as a file of the trust may have. */
const maxBytes = 1024 * 1024;

export interface BaseFile {
  /** The commit that it was compared with. */
  readonly commit: string;
  /** undefined: the commit has no such file. */
  readonly content: string | undefined;
}

/**
 * @param path of the file now
 * @throws ExplainedError `run-refused` if the commit is not in the checkout, or git can't read it; the signal's reason once it aborts
 */
export async function readBaseFile(path: string, base: Base, platform: Platform): Promise<BaseFile> {
  const file = await realpath(path);
  const git = await openGit(dirname(file), platform);
  const commit = await findBase(git, base);
  if (commit === undefined) {
    throw new ExplainedError("run-refused", `The checkout lacks the commit of the base branch, ${base.base}.`, {
      remedy: ["Fetch it too: at the step actions/checkout, with: fetch-depth: 0"],
    });
  }
  // A name is looked up in git's tree, so a missing file differs from a failure.
  const entry = await git.need("ls-tree", "-z", commit, "--", `./${basename(file)}`);
  const [, id] = /^\d+ blob ([0-9a-f]+)\t/.exec(entry) ?? [];
  return { commit, content: id === undefined ? undefined : await git.need("cat-file", "blob", id) };
}

/** The commit that the change starts from. */
async function findBase({ find, ask }: Git, { base, head, commit }: Base): Promise<string | undefined> {
  // GitHub's merge commit: its first parent is the base branch, also if that has moved on since the event.
  if ((await find("HEAD")) === commit && (await find(`${commit}^2`)) === head) {
    return find(`${commit}^1`);
  }
  if ((await find(base)) === undefined) {
    return undefined;
  }
  // A checkout of the change itself: what has come to the base branch meanwhile is no part of it.
  return (await ask("merge-base", base, "HEAD")) || base;
}

interface Git {
  /** @returns the name of a commit that the checkout has */
  find(revision: string): Promise<string | undefined>;
  /** @returns the output; undefined: git failed */
  ask(...args: readonly string[]): Promise<string | undefined>;
  /** @throws ExplainedError `run-refused` */
  need(...args: readonly string[]): Promise<string>;
}

async function openGit(folder: string, { env, signal }: Platform): Promise<Git> {
  const git = await findGit({ env, signal, maxBytes });
  if (git === undefined) {
    throw new ExplainedError(
      "run-refused",
      "git is not installed, so the file can't be compared with the base branch.",
      {
        remedy: ["Install git on the runner, or in the job's container."],
      },
    );
  }
  const run = (...args: readonly string[]) => git.ask(folder, ...args);
  const failed = ({ stderr, isTooLarge }: GitAnswer): ExplainedError => {
    const why = isTooLarge ? "it is larger than 1 MiB" : oneLine(stderr.trim());
    return new ExplainedError("run-refused", `The file in the base branch can't be read: ${why || "git failed"}.`, {
      remedy: ["Check the file out before this step: uses: actions/checkout, with: fetch-depth: 0"],
    });
  };
  const need = async (...args: readonly string[]) => {
    const answer = await run(...args);
    if (answer.exitCode !== 0) {
      throw failed(answer);
    }
    return answer.stdout;
  };
  return {
    async find(revision) {
      const answer = await run("rev-parse", "--verify", "-q", `${revision}^{commit}`);
      if (answer.exitCode === 0) {
        return answer.stdout.trim();
      }
      // With -q, 1 means that there is none.
      if (answer.exitCode === 1) {
        return undefined;
      }
      throw failed(answer);
    },
    async ask(...args) {
      const { exitCode, stdout } = await run(...args);
      return exitCode === 0 ? stdout.trim() : undefined;
    },
    need,
  };
}
