/** A fresh clone of the project as it is here, changes included. */
import { execFileSync } from "node:child_process";
import { appendFileSync, symlinkSync } from "node:fs";
import { join, resolve } from "node:path";

const root = resolve(import.meta.dirname, "../..");

/** git with a name, in a folder. */
export const gitIn =
  (cwd: string) =>
  (...args: string[]): string =>
    execFileSync("git", ["-c", "user.name=A", "-c", "user.email=a@example.com", ...args], {
      cwd,
      encoding: "utf8",
    }).trim();

/**
 * One commit with the files that are committed here or about to be.
 * @param packages how the folder gets node_modules; a bundler follows a link out of it, and names its modules otherwise
 */
export function copyProject(folder: string, packages: "link" | "copy" = "link"): void {
  const files = "git ls-files -z --cached --others --exclude-standard --deduplicate";
  const pack = "tar --create --null --files-from - --ignore-failed-read 2>/dev/null"; // some may be deleted
  execFileSync("sh", ["-c", `${files} | ${pack} | tar --extract --directory "$0"`, folder], { cwd: root });
  if (packages === "link") symlinkSync(join(root, "node_modules"), join(folder, "node_modules"));
  else {
    // By links where both folders are on one file system.
    const copy = 'cp --archive --link "$0" "$1" 2>/dev/null || cp --archive "$0" "$1"';
    execFileSync("sh", ["-c", copy, join(root, "node_modules"), folder]);
  }
  const git = gitIn(folder);
  git("init", "--quiet", "--initial-branch", "main");
  appendFileSync(join(folder, ".git/info/exclude"), "/node_modules\n"); // a link is no folder, as .gitignore has it
  git("add", "--all");
  git("commit", "--quiet", "--message", "feat: all of it");
}
