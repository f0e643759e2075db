import { readFile } from "node:fs/promises";
import { LoginError } from "../errors.ts";
import { readTokenText } from "./text.ts";

/**
 * The token in `path`, read anew at each call, since the kubelet renews a projected token in place (at 80 % of its life)
 * by turning a symbolic link: an open file or an earlier copy would go stale.
 * @throws LoginError `token-file-unusable`
 */
export async function readTokenFile(path: string): Promise<string> {
  const fail = (problem: string, cause?: unknown) =>
    new LoginError("token-file-unusable", `The token file ${path} ${problem}.`, {
      remedy: [
        "Mount a projected service-account token there (serviceAccountToken, for the audience quay), or name the right file: token-file: /path",
      ],
      cause,
    });
  let text: string;
  try {
    text = await readFile(path, "utf8");
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? "";
    throw fail(problems[code] ?? `cannot be read (${code})`, error);
  }
  const read = readTokenText(text);
  if (!read.ok) {
    throw fail(read.problem);
  }
  return read.token;
}

const problems: Record<string, string> = {
  ENOENT: "does not exist",
  ENOTDIR: "does not exist",
  EISDIR: "is a folder",
  EACCES: "may not be read by this user",
};
