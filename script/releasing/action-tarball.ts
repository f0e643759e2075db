/** The Actions as one file: what a runner downloads of this repository, and nothing else. */
import { join } from "node:path";
import { actionFile, type Release } from "./project.ts";
import { git, run } from "./run.ts";

/**
 * Takes the files from the commit: order, owner, time and modes follow from it, whatever the working tree's umask is. The
 * commit's name is in the tarball (`git get-tar-commit-id`).
 */
export async function packAction(release: Release, folder: string): Promise<void> {
  const actions = (await git(["ls-files", "--", "action.yml", ":(glob)*/action.yml"])).split("\n");
  const tar = join(folder, actionFile(release).replace(/\.gz$/, ""));
  const archive = ["-c", "tar.umask=0022", "archive", "--format=tar", `--output=${tar}`, "HEAD"];
  await git([...archive, "--", "LICENSE", "dist", ...actions]);
  // Neither the name nor the time of the file goes into it.
  await run("gzip", ["--no-name", "--best", "--force", tar]);
}
