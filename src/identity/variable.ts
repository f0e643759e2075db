import { ExplainedError } from "../platform/errors.ts";
import { withoutSecrets } from "../platform/text.ts";
import { mention, text } from "../platform/wording.ts";
import { conventionalVariable } from "./source.ts";
import { readTokenText } from "./token-text.ts";

/**
 * The token in the environment variable `name`, as GitLab's `id_tokens` leaves it.
 * @throws ExplainedError `token-variable-unusable`
 */
export function readTokenVariable(name: string, env: Readonly<Record<string, string | undefined>>): string {
  const read = readTokenText(env[name] ?? "");
  if (!read.ok) {
    const problem = env[name] === undefined ? "is not set" : read.problem;
    // A user may have put the token itself in place of its name.
    const shown = withoutSecrets(name);
    throw new ExplainedError(
      "token-variable-unusable",
      `The variable ${shown}, which should hold the identity token, ${problem}.`,
      {
        remedy: [
          read.remedy ??
            `GitLab: id_tokens: {${shown}: {aud: quay}} in the job. Elsewhere: put the JWT into ${shown} for this step only.`,
          ...(name === conventionalVariable
            ? [
                text`It is taken because it is set. To use another source, unset it, or name the source by ${mention("identity", "file")}`,
              ]
            : []),
        ],
      },
    );
  }
  return read.token;
}
