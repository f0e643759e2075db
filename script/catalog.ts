/** The branch `catalog`; `script/catalog` says what it is for. */
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { readCommit, stampAll } from "./stamp.ts";

const folder = mkdtempSync(join(tmpdir(), "quay-keyless-catalog-"));
// An index of its own: nobody's working tree changes.
const env: NodeJS.ProcessEnv = { ...process.env, GIT_INDEX_FILE: join(folder, "index") };
const git = (args: readonly string[], input = ""): string =>
  execFileSync("git", args, { env, input, encoding: "utf8", stdio: ["pipe", "pipe", "inherit"] }).trim();

/** @returns the commit */
function commitCatalog(image: string): string {
  const resources = stampAll(image, readCommit(git));
  git(["read-tree", "HEAD"]);
  for (const { file, text } of resources) {
    const blob = git(["hash-object", "-w", "--stdin"], text);
    git(["update-index", "--cacheinfo", `100644,${blob},${file}`]);
  }
  // Author and time are those of the commit below: the same for each who makes it.
  const [name = "", email = "", date = ""] = git(["log", "-1", "--format=%cn%n%ce%n%cI"]).split("\n");
  Object.assign(env, {
    GIT_AUTHOR_NAME: name,
    GIT_AUTHOR_EMAIL: email,
    GIT_AUTHOR_DATE: date,
    GIT_COMMITTER_NAME: name,
    GIT_COMMITTER_EMAIL: email,
    GIT_COMMITTER_DATE: date,
  });
  return git(["commit-tree", git(["write-tree"]), "-p", "HEAD"], `build: the catalog with ${image}\n`);
}

try {
  const options = { image: { type: "string" }, push: { type: "string" } } as const;
  const { values } = parseArgs({ args: process.argv.slice(2), options });
  const commit = commitCatalog(values.image ?? "");
  if (values.push !== undefined) {
    git(["push", "--quiet", "--force", values.push, `${commit}:refs/heads/catalog`]);
  }
  console.log(commit);
} catch (error) {
  console.error(`catalog: ${(error as Error).message}`);
  process.exitCode = 2;
} finally {
  rmSync(folder, { recursive: true });
}
