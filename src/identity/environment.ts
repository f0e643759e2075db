import { LoginError } from "../errors.ts";
import { readTokenText } from "./text.ts";

/**
 * The token in the environment variable `name`, as GitLab's `id_tokens` leaves it.
 * @throws LoginError `token-variable-unusable`
 */
export function readTokenVariable(name: string, env: Readonly<Record<string, string | undefined>>): string {
  const read = readTokenText(env[name] ?? "");
  if (!read.ok) {
    const problem = env[name] === undefined ? "is not set" : read.problem;
    throw new LoginError(
      "token-variable-unusable",
      `The variable ${name}, which should hold the identity token, ${problem}.`,
      {
        remedy: [
          `GitLab: id_tokens: {${name}: {aud: quay}} in the job. Elsewhere: put the JWT into ${name} for this step only.`,
        ],
      },
    );
  }
  return read.token;
}
