/** The user's own check of an image, before it is promoted. */
import { dirname } from "node:path";
import { commandEnvironment } from "../platform/child-environment.ts";
import { ExplainedError } from "../platform/errors.ts";
import { start } from "../platform/exec.ts";
import type { Platform } from "../platform/platform.ts";
import { mention, text } from "../platform/wording.ts";
import type { Endpoints } from "./logins.ts";

/**
 * Runs the command in a shell that exits at the first failure, with the reference as `$1` and the source's login in its
 * environment. Processes that it leaves running are killed with it.
 * @throws ExplainedError `verify-failed`
 */
export async function verify(
  { command, maxSeconds }: { readonly command: string; readonly maxSeconds: number },
  reference: string,
  { source, certificates }: Endpoints,
  platform: Platform,
): Promise<void> {
  const { reporter, env, signal } = platform;
  const { authFile } = source;
  const running = start(
    {
      file: "/bin/sh",
      args: ["-e", "-c", scriptOf(command), "sh", reference],
      env: {
        ...commandEnvironment(env, reporter.holdsSecret, certificates),
        // skopeo reads the first, cosign the second.
        ...(authFile && { REGISTRY_AUTH_FILE: authFile, DOCKER_CONFIG: dirname(authFile) }),
      },
    },
    signal,
  );
  let isLate = false;
  const timer = setTimeout(() => {
    isLate = true;
    void running.kill();
  }, maxSeconds * 1000);
  const { exitCode, output } = await running.finish("").finally(() => clearTimeout(timer));
  const lines = reporter.hide(output).trim().split("\n").filter(Boolean);
  for (const line of lines) {
    reporter.debug(line);
  }
  if (isLate || exitCode !== 0) {
    const how = isLate
      ? text`took longer than ${maxSeconds} s, twice the option ${mention("timeout")}, and was killed,`
      : exitCode === undefined
        ? "was killed"
        : `exited with ${exitCode}`;
    const last = lines.slice(-5).map((line) => `  ${line.slice(0, 500)}`);
    const byHand = command.includes("\n")
      ? `it by hand, with ${reference} as $1.`
      : `it by hand: ${command} ${reference}`;
    throw new ExplainedError(
      "verify-failed",
      text`The option ${mention("verify-command")} ${how} for ${reference}, so it is not promoted.`,
      {
        remedy: [
          ...(last.length > 0 ? ["Its last lines:", ...last] : []),
          ...(isLate ? [text`If it needs more time: ${mention("timeout", "600")}`] : []),
          `Try ${byHand}`,
        ],
      },
    );
  }
  reporter.info(text`The option ${mention("verify-command")} accepts ${reference}.`);
}

/**
 * The reference is the last argument, unless a script of several lines names $1 itself. POSIX has `pipefail` only since 2024,
 * hence the test for it. That test is on the script's first line, which keeps the shell's line numbers right.
 */
function scriptOf(command: string): string {
  const saysWhere = command.includes("\n") && /\$(?:[1@*]|\{[1@*])/.test(command);
  return `(set -o pipefail) 2>/dev/null && set -o pipefail; ${command}${saysWhere ? "" : ' "$@"'}`;
}
