import { asLoginError, formatError } from "../errors.ts";
import { createSecrets, type Reporter } from "../reporter.ts";
import type { Runner } from "./runner.ts";

export function createReporter(runner: Runner): Reporter {
  const secrets = createSecrets();
  return {
    // What an issuer or a tool says must not be read as a command, of which the runner knows two notations. Its blanks are .NET's.
    info: (message) => runner.print(message.replaceAll(/^([\s\u0085]*)::/gm, "$1: :").replaceAll("##[", "# #[")),
    warning: (message) => runner.command("warning", message),
    debug: (message) => runner.command("debug", message),
    secret: (value) => {
      secrets.add(value);
      runner.command("add-mask", value);
    },
    holdsSecret: secrets.holds,
  };
}

/** What a failure looks like in the log, and as an annotation of the run. */
export function reportFailure(runner: Runner, error: unknown): void {
  process.exitCode = 1;
  const failure = asLoginError(error);
  runner.command("error", formatError(failure), `quay-keyless-login: ${failure.code}`);
  if (failure.code === "unforeseen") {
    runner.command("debug", (failure.cause as Error | undefined)?.stack ?? "");
  }
}
