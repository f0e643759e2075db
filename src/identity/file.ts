import { ExplainedError } from "../platform/errors.ts";
import { FileFailure, maxSize, readTextWithin } from "../platform/files.ts";
import { pathAsGiven } from "../platform/fs.ts";
import { mention, text } from "../platform/wording.ts";
import { readTokenText } from "./token-text.ts";

/**
 * The token in `path`, read again at each call: the kubelet renews a projected token (at 80 % of its life) by switching a symbolic
 * link, so an open file or an earlier copy would expire.
 * @throws ExplainedError `token-file-unusable`; the signal's reason once it aborts
 */
export async function readTokenFile(path: string, signal?: AbortSignal): Promise<string> {
  const fail = (problem: string, { cause, remedy }: { cause?: unknown; remedy?: string | undefined } = {}) =>
    new ExplainedError("token-file-unusable", `The token file ${pathAsGiven(path)} ${problem}.`, {
      remedy: [
        remedy ??
          text`Mount a projected service-account token there (serviceAccountToken, for the audience quay), or name the right file: ${mention("token-file", "/path")}`,
      ],
      cause,
    });
  let content: string;
  try {
    content = await readTextWithin(path, maxSize.token, signal);
  } catch (error) {
    throw error instanceof FileFailure ? fail(error.message, { cause: error }) : error;
  }
  const read = readTokenText(content);
  if (!read.ok) {
    throw fail(read.problem, read);
  }
  return read.token;
}
