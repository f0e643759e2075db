import { error as annotate, debug, info, setSecret, warning } from "@actions/core";
import { asExplainedError, formatError } from "../platform/errors.ts";
import { explanationUrl } from "../platform/project.ts";
import { createSecrets, type Reporter, shortestSecret } from "../platform/reporter.ts";
import { oneLine, plain } from "../platform/text.ts";

export function createReporter(): Reporter {
  const { add, hide, holds } = createSecrets();
  return {
    info: (message) => info(withoutCommands(plain(oneLine(message, 8192)))),
    warning: (message) => warning(plain(message)),
    debug: (message) => debug(plain(message)),
    secret: (value) => {
      add(value);
      if (value.length >= shortestSecret) {
        setSecret(value);
      }
    },
    hide,
    holdsSecret: holds,
    moreOn: explanationUrl,
  };
}

/**
 * What an issuer or a tool says must not be read as a command, of which the runner knows two notations. Its blanks are .NET's.
 * Line by line: an expression that looks for blanks at the beginning of each may go over all that follow, for each again.
 */
const withoutCommands = (text: string): string =>
  text
    .replaceAll(/[^\r\n]+/g, (line) => (/^[\s\u0085]*::/.test(line) ? line.replace("::", ": :") : line))
    .replaceAll("##[", "# #[");

/** What a failure looks like in the log, and as an annotation of the run. */
export function reportFailure(error: unknown): void {
  process.exitCode = 1;
  const failure = asExplainedError(error);
  annotate(formatError(failure), { title: `quay-keyless-login: ${failure.code}` });
  if (failure.code === "unforeseen") {
    debug((failure.cause as Error | undefined)?.stack ?? "");
  }
}
