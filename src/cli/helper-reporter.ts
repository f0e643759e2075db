/** What the credential helper prints besides its answers. Clients show standard error to the user, and standard output in an error. */

import { helperSyntax, type Origin } from "../helper/configuration.ts";
import { asExplainedError, failureObject, formatError } from "../platform/errors.ts";
import { createSecrets, type Reporter } from "../platform/reporter.ts";
import { oneLine, plain, printable } from "../platform/text.ts";
import { mentionsIn, type Words, written } from "../platform/wording.ts";
import { writeLine } from "./streams.ts";

export interface HelperReporter extends Reporter {
  /** One line of reason on standard output, and all that is known on standard error. Sets the exit code. */
  fail(error: unknown): void;
}

export function createHelperReporter(origin: Origin): HelperReporter {
  const syntax = helperSyntax(origin);
  const { add, hide, holds } = createSecrets();
  const clean = (words: Words) => plain(hide(printable(written(words, syntax))));
  const moreOn = (code: string) => `quay-keyless-login explain ${code}`;
  return {
    // A build asks many times: what goes well is not worth a line.
    info: () => {},
    debug: () => {},
    warning: (message) => writeLine(2, `Warning: ${clean(message)}`),
    secret: add,
    hide,
    holdsSecret: holds,
    syntax,
    moreOn,
    fail(error) {
      const explained = asExplainedError(error);
      const { remedy, ...failure } = failureObject(explained, { syntax, hide });
      const isOfFile =
        origin.kind === "file" && [explained.headline, ...explained.remedy].flatMap(mentionsIn).length > 0;
      const where = isOfFile ? [`The options are in ${clean(origin.path)}.`] : [];
      writeLine(2, `Error: ${clean(formatError({ ...failure, remedy: [...remedy, ...where] }, moreOn))}`);
      writeLine(1, clean(oneLine(failure.message, 1000)));
      process.exitCode = 1;
    },
  };
}
