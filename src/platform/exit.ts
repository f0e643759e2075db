/** The start and the end of a program. */
import { existsSync, writeSync } from "node:fs";

/** Node's exit code for a top-level await that never settles. */
const unsettled = 13;

/** As in package.json: what this code is written for. */
const oldest = [24, 5] as const;

/**
 * An older Node has functions less, which would look like bugs. Bun has them, and names an older version of Node.
 * @returns undefined if this Node is new enough
 */
export function whyTooOld({ version, versions, execPath }: Pick<NodeJS.Process, "version" | "versions" | "execPath">) {
  const [major = 0, minor = 0] = version.slice(1).split(".").map(Number);
  const isNew = versions.bun !== undefined || major > oldest[0] || (major === oldest[0] && minor >= oldest[1]);
  return isNew
    ? undefined
    : `quay-keyless-login needs Node ${oldest.join(".")} or newer; ${execPath} is ${version}. Put the folder of a newer one first in PATH; on GitHub, update the runner to 2.328.0 or newer.`;
}

const complain = (line: string): void => void writeSync(2, `Error: ${line}\n`);

/**
 * Runs a program to its end. A top-level `await` would say the same, but the bundler then wraps all modules in functions, which
 * are parsed twice: a tenth of the time until the first request. Node exits with 0 when nothing is left to wait for, even if
 * `program` has not settled: that is a failure here.
 * @param say prints why this Node can't run it
 */
export function run(program: () => Promise<void>, say = complain): void {
  const problem = whyTooOld(process);
  if (problem !== undefined) {
    say(problem);
    process.exitCode = 1;
    return;
  }
  let settled = false;
  process.once("exit", () => {
    if (!settled) {
      process.exitCode ||= unsettled;
    }
  });
  void program().finally(() => {
    settled = true;
    setImmediate(abandonLookUps);
  });
}

/**
 * Node's own exit waits for a name lookup in progress (getaddrinfo in a thread): 10 s and more with a name server that never
 * answers. Replacing the process by another program waits for nothing. Does nothing if no lookup is in progress.
 */
function abandonLookUps(): void {
  const shell = "/bin/sh";
  if (process.getActiveResourcesInfo().includes("GetAddrInfoReqWrap") && process.execve && existsSync(shell)) {
    process.execve(shell, ["sh", "-c", `exit ${process.exitCode ?? 0}`], {});
  }
}
