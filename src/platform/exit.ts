/** Exiting while something runs that cannot be stopped. */
import { existsSync } from "node:fs";

/**
 * Node's own exit waits for a name lookup in progress (getaddrinfo in a thread): 10 s and more with a name server that never
 * answers. Replacing the process by another program waits for nothing. Does nothing if no lookup is in progress.
 */
export function abandonLookUps(): void {
  const shell = "/bin/sh";
  if (process.getActiveResourcesInfo().includes("GetAddrInfoReqWrap") && process.execve && existsSync(shell)) {
    process.execve(shell, ["sh", "-c", `exit ${process.exitCode ?? 0}`], {});
  }
}
