import { formatError, LoginError } from "../errors.ts";
import type { Reporter } from "../reporter.ts";
import type { Runner } from "./runner.ts";

export function createReporter(runner: Runner): Reporter {
  return {
    // What an issuer or a tool says must not be read as a command, of which the runner knows two notations.
    info: (message) => runner.print(message.replaceAll(/^(\s*)::/gm, "$1: :").replaceAll("##[", "# #[")),
    warning: (message) => runner.command("warning", message),
    debug: (message) => runner.command("debug", message),
    secret: (value) => runner.command("add-mask", value),
  };
}

/** What a failure looks like in the log, and as an annotation of the run. */
export function reportFailure(runner: Runner, error: unknown): void {
  process.exitCode = 1;
  if (error instanceof LoginError) {
    runner.command("error", formatError(error), `quay-keyless-login: ${error.code}`);
    return;
  }
  const { name, message, stack } = error instanceof Error ? error : new Error(String(error));
  runner.command(
    "error",
    `${name}: ${message}\n  This is a mistake in quay-keyless-login: please report it with this line.`,
  );
  runner.command("debug", stack ?? "");
}
