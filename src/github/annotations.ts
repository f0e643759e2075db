import { error as annotate, debug, info, setSecret, warning } from "@actions/core";
import { asExplainedError, failureObject, formatError } from "../platform/errors.ts";
import { explanationUrl } from "../platform/project.ts";
import { createSecrets, type Reporter, shortestSecret } from "../platform/reporter.ts";
import { oneLine, plain } from "../platform/text.ts";
import { type Syntax, written } from "../platform/wording.ts";

export function createReporter(syntax: Syntax): Reporter {
  const { add, hide, holds } = createSecrets();
  return {
    info: (message) => info(withoutCommands(plain(oneLine(written(message, syntax), 8192)))),
    warning: (message) => warning(plain(written(message, syntax))),
    debug: (message) => debug(plain(written(message, syntax))),
    secret: (value) => {
      add(value);
      if (value.length >= shortestSecret) {
        setSecret(value);
      }
    },
    hide,
    holdsSecret: holds,
    syntax,
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
export function reportFailure(error: unknown, reporter: Reporter): void {
  process.exitCode = 1;
  const failure = asExplainedError(error);
  annotate(formatError(failureObject(failure, reporter)), { title: `quay-keyless-login: ${failure.code}` });
  if (failure.code === "unforeseen") {
    debug((failure.cause as Error | undefined)?.stack ?? "");
  }
}
