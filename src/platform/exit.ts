/** Leaving while something still runs that nobody can stop. */
import { existsSync } from "node:fs";

/**
 * Node's own exit waits for a name that is being looked up (getaddrinfo in a thread): with a name server that never answers,
 * 10 s and more. Another program in this one's place waits for nothing. Does nothing where no name is being looked up.
 */
export function abandonLookUps(): void {
  const shell = "/bin/sh";
  if (process.getActiveResourcesInfo().includes("GetAddrInfoReqWrap") && process.execve && existsSync(shell)) {
    process.execve(shell, ["sh", "-c", `exit ${process.exitCode ?? 0}`], {});
  }
}
