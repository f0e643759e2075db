/** Tests that only root can run, and whether this process is root. */
import { execFileSync } from "node:child_process";

export const isRoot = process.getuid?.() === 0;

/** Ends the title of a test that other users skip: script/test knows by these words that nothing is missing. */
export const needsRoot = "(needs root)";

/** Whether a script that asks sudo becomes root without a password. */
export function becomesRoot(): boolean {
  if (isRoot) return true;
  try {
    execFileSync("sudo", ["--non-interactive", "true"], { stdio: "ignore" });
    return true;
  } catch {
    return false;
  }
}
