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
  /** CPU of the servers, which are this process, for one run, milliseconds: the mean. */
  servers: number;
}

const scratch = await mkdtemp(join(tmpdir(), "quay-keyless-benchmark-"));
const stop = new AbortController();
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.once(signal, () => stop.abort());

/** A path in a folder that is removed at the end. */
export const at = (name: string): string => join(scratch, name);
export const removeScratch = (): Promise<void> => rm(scratch, { recursive: true, force: true });
export const isInterrupted = (): boolean => stop.signal.aborted;
export const progress = (text: string): void => console.error(text);

/** Runs a command without a shell, `prepare` before each run. */
export async function hyperfine(prepare: string, command: string, runs: number, env: Environment): Promise<Figure> {
  const results = at("results.json");
  const options = ["--shell=none", "--style=none", `--runs=${runs}`, `--export-json=${results}`];
  const before = process.cpuUsage();
  await go("hyperfine", [...options, "--prepare", prepare, command], env);
  const servers = process.cpuUsage(before);
  const [measured] = JSON.parse(await readFile(results, "utf8")).results;
  return {
    times: measured.times.map((seconds: number) => seconds * 1000),
    cpu: (measured.user + measured.system) * 1000,
    servers: (servers.user + servers.system) / 1000 / runs,
  };
}

/** All commands by turns, each from the same empty state: noise hits them alike. */
export async function inTurns<Name>(
  prepare: string,
  commands: ReadonlyMap<Name, string>,
  { rounds, runs }: { readonly rounds: number; readonly runs: number },
  env: Environment,
): Promise<Map<Name, Figure>> {
  const figures = new Map<Name, Figure>();
  for (let round = 0; round < rounds; round++) {
    for (const [name, command] of commands) {
      const figure = figures.get(name) ?? { times: [], cpu: 0, servers: 0 };
      const { times, cpu, servers } = await hyperfine(prepare, command, runs, env);
      figure.times.push(...times);
      figure.cpu += cpu / rounds;
      figure.servers += servers / rounds;
      figures.set(name, figure);
    }
  }
  return figures;
}

/** The median: a single slow run does not move it. */
export const typical = (figure: Figure | undefined): number => median(figure?.times ?? []);

/** Ours against another's, run by run. */
export interface Ratio {
  readonly median: number;
  /** Between which half of the runs are. */
  readonly half: readonly [number, number];
}

/** Both figures are of the same rounds. */
export function ratioOf(ours: Figure, other: Figure): Ratio {
  const ratios = ours.times.map((time, index) => time / (other.times[index] ?? Number.NaN)).toSorted((a, b) => a - b);
  const middle = ratios.length / 2;
  return {
    median: median(ratios),
    half: [median(ratios.slice(0, Math.ceil(middle))), median(ratios.slice(Math.floor(middle)))],
  };
}

function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
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
