/** What must be true before anything is made. */
import { newestSection } from "./changelog.ts";
import { type Release, tagOf } from "./project.ts";
import { attempt, git, Refusal } from "./run.ts";
import { requireVersion } from "./tags.ts";

/**
 * @param pushed the tag that the release is for; without it, the version's tag may still be missing
 * @param remote that has this tag
 * @throws Refusal for a changed tree, another tag than the version's, a tag of another commit or without an author, a
 *   changelog without the version, and a dist/ that is not what the source builds
 */
export async function checkRelease(release: Release, pushed?: string, remote = "origin"): Promise<void> {
  const tag = tagOf(release);
  if (pushed !== undefined && pushed !== tag) {
    throw new Refusal(
      `the tag is ${pushed}, but package.json says ${release.version}. Tag the commit whose package.json says ${pushed.slice(1)}`,
    );
  }
  const changed = await git(["status", "--porcelain"]);
  if (changed !== "")
    throw new Refusal(`these are not committed:\n${changed}\nCommit or remove them: a release is a commit`);
  if (pushed === undefined) await requireFree(tag);
  else await requireVersion(release, remote);
  newestSection(release.version);
  const dist = await attempt("script/check", ["dist", "generated"]);
  if (dist.code !== 0) throw new Refusal(dist.output.trimEnd());
}

/** @throws Refusal if another commit has the tag */
async function requireFree(tag: string): Promise<void> {
  const [head, tagged] = await Promise.all([
    git(["rev-parse", "HEAD"]),
    attempt("git", ["rev-parse", "--verify", `${tag}^{commit}`]),
  ]);
  if (tagged.code === 0 && tagged.stdout.trim() !== head) {
    throw new Refusal(`${tag} is ${tagged.stdout.trim()}, but this is ${head}. Type: git switch --detach ${tag}`);
  }
}
