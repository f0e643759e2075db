/** The API token of Quay's management API: where it comes from. */
import { isVariable } from "../identity/source.ts";
import { readTokenText } from "../identity/token-text.ts";
import type { OptionReader } from "../options/reader.ts";
import type { Environment } from "../platform/environment.ts";
import { ExplainedError, invalidInput } from "../platform/errors.ts";
import { FileFailure, maxSize, readFileOrPipeWithin, readStandardInputWithin } from "../platform/files.ts";
import { pathAsGiven } from "../platform/fs.ts";
import { isJwt } from "../platform/jwt.ts";
import type { Platform } from "../platform/platform.ts";
import { withoutSecrets } from "../platform/text.ts";
import { mention, text, type Words } from "../platform/wording.ts";

/** Checked options. */
export type ApiTokenSource =
  | { readonly kind: "variable"; readonly name: string }
  /** `-` is standard input. */
  | { readonly kind: "file"; readonly path: string };

/** @throws ExplainedError `invalid-input` */
export function parseApiTokenSource(reader: OptionReader): ApiTokenSource {
  const path = reader.optional("api-token-file");
  const name = reader.text("api-token-env");
  if (!isVariable(name)) {
    // A user may have put the token itself in place of the variable's name.
    const problem = "it must be the name of a variable, not the token";
    throw invalidInput("api-token-env", "…", problem, mention("api-token-env", "QUAY_API_TOKEN"));
  }
  return path === undefined ? { kind: "variable", name } : { kind: "file", path };
}

const howToMake =
  "Make one in Quay: Organization > Applications > the application > Generate token, with the scopes org:admin repo:admin.";

/**
 * Masked before it is returned. Its variable never reaches a child: no child's environment holds a known secret.
 * @throws ExplainedError `api-token-not-found`, `api-token-unusable`, which never show it; the signal's reason once it aborts
 */
export async function readApiToken(
  source: ApiTokenSource,
  { env, reporter, signal }: Pick<Platform, "reporter" | "signal"> & { readonly env: Environment },
): Promise<string> {
  const where = nameOf(source);
  const content = source.kind === "variable" ? env[source.name] : await readContent(source.path, signal);
  if (content === undefined) {
    throw new ExplainedError("api-token-not-found", `There is no API token: ${where} is not set.`, {
      remedy: [
        howToMake,
        text`Put it into the variable ${where} for this command only, or name another place with ${mention("api-token-env", "NAME")} or ${mention("api-token-file", "FILE")}`,
      ],
    });
  }
  if (/^\s*(?:export\s+)?[A-Za-z_]\w*=[^\s=]/.test(content)) {
    throw unusable(where, "holds NAME=…, a line for a shell", "Keep only the token, which follows the equals sign.");
  }
  const read = readTokenText(content);
  if (!read.ok) {
    throw unusable(where, read.problem, read.remedy);
  }
  reporter.secret(read.token);
  if (isJwt(read.token)) {
    throw unusable(where, "holds a JWT, such as an identity token or a robot token");
  }
  if (!/^[\w.~+/-]{14,1024}={0,2}$/.test(read.token)) {
    throw unusable(where, "holds something that is no token of Quay");
  }
  return read.token;
}

const nameOf = (source: ApiTokenSource): string =>
  source.kind === "variable"
    ? withoutSecrets(source.name)
    : source.path === "-"
      ? "standard input"
      : `the file ${pathAsGiven(source.path)}`;

async function readContent(path: string, signal: AbortSignal): Promise<string> {
  try {
    const bytes =
      path === "-"
        ? await readStandardInputWithin(maxSize.token, signal)
        : await readFileOrPipeWithin(path, maxSize.token, signal);
    return bytes.toString("utf8");
  } catch (error) {
    if (!(error instanceof FileFailure)) {
      throw error;
    }
    throw unusable(nameOf({ kind: "file", path }), error.message);
  }
}

const unusable = (where: string, problem: string, remedy: Words = howToMake): ExplainedError =>
  new ExplainedError("api-token-unusable", `The API token can't be read: ${where} ${problem}.`, { remedy: [remedy] });
