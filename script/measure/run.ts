/** Starts commands and measures them. commands.ts says which. */
import { execFile } from "node:child_process";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";

export type Environment = Record<string, string>;

export interface Figure {
  /** Wall clock, milliseconds, of each run. */
  times: number[];
  /** CPU, user and system, milliseconds: the mean. */
  cpu: number;
}

const scratch = await mkdtemp(join(tmpdir(), "quay-keyless-benchmark-"));
const stop = new AbortController();
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.once(signal, () => stop.abort());

/** A path in a folder that is removed at the end. */
export const at = (name: string): string => join(scratch, name);
export const removeScratch = (): Promise<void> => rm(scratch, { recursive: true, force: true });
export const isInterrupted = (): boolean => stop.signal.aborted;
export const progress = (text: string): void => console.error(text);

/** Runs commands by turns without a shell, `prepare` before each run. */
export async function hyperfine(prepare: string, commands: readonly string[], runs: number, env: Environment) {
  const results = at("results.json");
  const options = ["--shell=none", "--style=none", `--runs=${runs}`, `--export-json=${results}`];
  await go("hyperfine", [...options, "--prepare", prepare, ...commands], env);
  const measured: { times: number[]; user: number; system: number }[] = JSON.parse(
    await readFile(results, "utf8"),
  ).results;
  return measured.map(
    ({ times, user, system }): Figure => ({
      times: times.map((seconds) => seconds * 1000),
      cpu: (user + system) * 1000,
    }),
  );
}

/** The median: a single slow run does not move it. */
export function typical(figure: Figure | undefined): number {
  const sorted = figure?.times.toSorted((a, b) => a - b) ?? [];
  const middle = sorted.length / 2;
  const [low = Number.NaN, high = Number.NaN] = [sorted[Math.ceil(middle) - 1], sorted[Math.floor(middle)]];
  return (low + high) / 2;
}

/** A command as hyperfine would start it: words between blanks. @returns its standard output */
export async function start(command: string, env: Environment): Promise<string> {
  const [program = "", ...args] = command.split(" ");
  return go(program, args, env);
}

export async function go(program: string, args: readonly string[], env: Environment): Promise<string> {
  return (await promisify(execFile)(program, args, { env, signal: stop.signal })).stdout;
}
