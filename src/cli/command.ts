import type { OptionValues } from "../options/table.ts";
import type { Environment } from "../platform/environment.ts";
import { ExplainedError } from "../platform/errors.ts";
import { createPlatform, type Platform } from "../platform/platform.ts";
import type { Reporter } from "../platform/reporter.ts";
import { oneLine } from "../platform/text.ts";
import type { Terminal } from "./terminal.ts";

/** What a command is given: nothing below this entry point looks at the process's environment by itself. */
export interface Call {
  readonly values: OptionValues;
  readonly env: Environment;
  readonly terminal: Terminal;
}

/** What a command has found out: the same for people and for programs. */
export interface Outcome {
  readonly lines: readonly string[];
  readonly object: Readonly<Record<string, unknown>>;
  /** The same for people at a terminal, on standard error. Programs that read standard output get `lines` all the same. */
  readonly brief?: readonly string[] | undefined;
  /** Also where there is something to tell although the command has failed. */
  readonly failure?: ExplainedError | undefined;
  /** Takes the place of all results. */
  readonly token?: string | undefined;
  /** What the command goes on with once this has been told. */
  readonly afterOutput?: (() => Promise<void>) | undefined;
}

/** Runs `work` with a platform that ends in time, and when the process is told to end. */
export async function withPlatform<T>(
  { env, terminal: reporter }: { readonly env: Environment; readonly terminal: Reporter },
  { timeoutSeconds, roots }: { readonly timeoutSeconds: number; readonly roots?: string | undefined },
  work: (platform: Platform) => Promise<T>,
): Promise<T> {
  const platform = createPlatform({
    env,
    reporter,
    timeoutSeconds,
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
 * @param remedy what to say then; whoever asks first says it
 */
export function interruption(remedy = "What had been done is taken back."): AbortSignal {
  if (interrupted === undefined) {
    const controller = new AbortController();
    for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
      process.once(signal, () =>
        controller.abort(new ExplainedError("cancelled", `Interrupted (${signal}).`, { remedy: [remedy] })),
      );
    }
    interrupted = controller;
  }
  return interrupted.signal;
}

/** Names and values, aligned; of several values, each has the name before it. */
export function aligned(rows: readonly (readonly [name: string, value: string | readonly string[]])[]): string[] {
  const width = Math.max(...rows.map(([name]) => name.length));
  return rows.flatMap(([name, value]) => [value].flat().map((line) => `${name.padEnd(width)}  ${oneLine(line, 8192)}`));
}
