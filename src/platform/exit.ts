/** The start and the end of a program. */
import { existsSync } from "node:fs";

/** Node's exit code for a top-level await that never settles. */
const unsettled = 13;

/**
 * Runs a program to its end. A top-level `await` would say the same, but the bundler then wraps all modules in functions, which
 * are parsed twice: a tenth of the time until the first request. Node exits with 0 when nothing is left to wait for, even if
 * `program` has not settled: that is a failure here.
 */
export function run(program: () => Promise<void>): void {
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
