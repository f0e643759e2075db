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
 * The runner must not read text of an issuer or a tool as a command, of which it knows two notations. Its blanks are .NET's.
 * Works line by line: one expression for blanks at the beginning of each line may scan all following lines for each of them.
 */
const withoutCommands = (text: string): string =>
  text
    .replaceAll(/[^\r\n]+/g, (line) => (/^[\s\u0085]*::/.test(line) ? line.replace("::", ": :") : line))
    .replaceAll("##[", "# #[");

/** Writes a failure to the log, which makes it an annotation of the run. */
export function reportFailure(error: unknown, reporter: Reporter): void {
  process.exitCode = 1;
  const failure = asExplainedError(error);
  annotate(formatError(failureObject(failure, reporter)), { title: `quay-keyless-login: ${failure.code}` });
  if (failure.code === "unforeseen") {
    debug((failure.cause as Error | undefined)?.stack ?? "");
  }
}
