import type { OptionValues } from "../options/table.ts";
import type { Environment } from "../platform/environment.ts";
import { ExplainedError } from "../platform/errors.ts";
import { createPlatform, type Platform } from "../platform/platform.ts";
import type { Reporter } from "../platform/reporter.ts";
import { oneLine } from "../platform/text.ts";
import type { Terminal } from "./terminal.ts";

/** The input of a command. Nothing below this entry point reads the process's environment itself. */
export interface Call {
  readonly values: OptionValues;
  readonly env: Environment;
  readonly terminal: Terminal;
}

/** The result of a command, for readers and for programs. */
export interface Outcome {
  readonly lines: readonly string[];
  readonly object: Readonly<Record<string, unknown>>;
  /** Printed behind `lines`; the object holds it too. */
  readonly diff?: string | undefined;
  /** The result in brief, for standard error if it is a terminal. A program that reads standard output still gets `lines`. */
  readonly brief?: readonly string[] | undefined;
  /** A command that failed can still have results. */
  readonly failure?: ExplainedError | undefined;
  /** Printed instead of all results. */
  readonly token?: string | undefined;
  /** What the command did to others, in a sentence: it goes to standard error if standard output can't be written. */
  readonly effect?: string | undefined;
  /** What the command does after its results are printed. */
  readonly afterOutput?: (() => Promise<void>) | undefined;
}

/** Runs `work` with a platform that ends after the timeout, and on a signal. */
export async function withPlatform<T>(
  { env, terminal: reporter }: { readonly env: Environment; readonly terminal: Reporter },
  {
    timeoutSeconds,
    roots,
    work: what,
  }: {
    readonly timeoutSeconds: number;
    readonly roots?: string | undefined;
    readonly work?: string;
  },
  work: (platform: Platform) => Promise<T>,
): Promise<T> {
  const platform = createPlatform({
    env,
    reporter,
    timeoutSeconds,
    work: what,
    extraRoots: roots,
    cancelled: interruption(),
  });
  try {
    return await work(platform);
  } finally {
    platform.close();
  }
}

let interrupted: AbortController | undefined;

/**
 * Aborts on SIGINT, SIGTERM and SIGHUP.
 * @param remedy the remedy of that error; the first call's counts
 */
export function interruption(remedy = "All changes were undone."): AbortSignal {
  if (interrupted === undefined) {
    const controller = new AbortController();
    for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
      process.once(signal, () =>
        controller.abort(new ExplainedError("cancelled", `Received ${signal}, stopping.`, { remedy: [remedy] })),
      );
    }
    interrupted = controller;
  }
  return interrupted.signal;
}

/** Names and values, aligned. Each of several values has the name before it. */
export function aligned(rows: readonly (readonly [name: string, value: string | readonly string[]])[]): string[] {
  const width = Math.max(...rows.map(([name]) => name.length));
  return rows.flatMap(([name, value]) => [value].flat().map((line) => `${name.padEnd(width)}  ${oneLine(line, 8192)}`));
}
