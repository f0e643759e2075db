/** The version of a file in the base branch, by git, from the commits that the checkout has. */
import { execFile } from "node:child_process";
import { realpath } from "node:fs/promises";
import { basename, dirname } from "node:path";
import { promisify } from "node:util";
import type { Environment } from "../platform/environment.ts";
import { codeOf, ExplainedError } from "../platform/errors.ts";
import { which } from "../platform/exec.ts";
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
  const program = await which("git", env);
  if (program === undefined) {
    throw new ExplainedError(
      "run-refused",
      "git is not installed, so the file can't be compared with the base branch.",
      {
        remedy: ["Install git on the runner, or in the job's container."],
      },
    );
  }
  // src/platform/exec.ts keeps only the end of a long output, and has both streams in it.
  const run = (args: readonly string[]) =>
    promisify(execFile)(program, ["-C", folder, ...args], { env: ofGit(env), maxBuffer: maxBytes, signal });
  const failed = (error: unknown): ExplainedError => {
    signal.throwIfAborted();
    const { stderr = "" } = Object(error) as { readonly stderr?: string };
    const why =
      codeOf(error) === "ERR_CHILD_PROCESS_STDIO_MAXBUFFER" ? "it is larger than 1 MiB" : oneLine(stderr.trim());
    return new ExplainedError("run-refused", `The file in the base branch can't be read: ${why || "git failed"}.`, {
      remedy: ["Check the file out before this step: uses: actions/checkout, with: fetch-depth: 0"],
      cause: error,
    });
  };
  const exitOf = (error: unknown) => (Object(error) as { readonly code?: unknown }).code;
  return {
    find: (revision) =>
      run(["rev-parse", "--verify", "-q", `${revision}^{commit}`]).then(
        ({ stdout }) => stdout.trim(),
        (error) => {
          // With -q, 1 means that there is none.
          if (exitOf(error) === 1) {
            return undefined;
          }
          throw failed(error);
        },
      ),
    ask: (...args) =>
      run(args).then(
        ({ stdout }) => stdout.trim(),
        () => undefined,
      ),
    need: (...args) =>
      run(args).then(
        ({ stdout }) => stdout,
        (error) => {
          throw failed(error);
        },
      ),
  };
}

/** git gets no secret of the job. */
const ofGit = ({ PATH, HOME }: Environment): NodeJS.ProcessEnv => ({
  ...(PATH !== undefined && { PATH }),
  ...(HOME !== undefined && { HOME }),
  LC_ALL: "C",
  GIT_TERMINAL_PROMPT: "0",
});
