/** The tags of the repository: v1.2.3 stays for ever, v1 follows the newest 1.x.y. */
import { type Release, tagOf } from "./project.ts";
import { git, Refusal } from "./run.ts";

/** A tag as the remote has it; `commit` is what an annotated tag points to. */
interface Tag {
  readonly object: string;
  readonly commit: string;
}

/**
 * Moves the tag of the major version to the release's commit. It has no release of its own, so GitHub's immutable releases
 * allow that. A prerelease leaves it, and so does a version that is older than one that is tagged already.
 * @param cwd the clone, which has the release's commit checked out
 * @throws Refusal if the version's tag is missing there, not annotated, or of another commit
 */
export async function moveTags(release: Release, remote: string, cwd = "."): Promise<void> {
  const tag = tagOf(release);
  const { head, tags } = await requireVersion(release, remote, cwd);
  const [major] = tag.split(".") as [string];
  if (release.version.includes("-")) return console.log(`${major} stays: ${tag} is a prerelease.`);
  const later = [...tags.keys()].find((other) => isLater(other, tag));
  if (later !== undefined) return console.log(`${major} stays: ${later} is newer than ${tag}.`);
  const before = tags.get(major)?.object;
  if (before === head) return console.log(`${major} points to ${tag} already.`);
  // Whoever moved it meanwhile wins, and this fails.
  const lease = `--force-with-lease=refs/tags/${major}:${before ?? ""}`;
  await git(["push", "--quiet", lease, remote, `${head}:refs/tags/${major}`], { cwd });
  console.log(
    `${major} points to ${tag} now${before === undefined ? "" : `, before that to ${tags.get(major)?.commit}`}.`,
  );
}

/**
 * Asks the remote: where it has an annotated tag, the clone of actions/checkout may have a lightweight one (its issue 882).
 * @throws Refusal if the version's tag is missing there, not annotated, or of another commit than HEAD
 */
export async function requireVersion(
  release: Release,
  remote: string,
  cwd = ".",
): Promise<{ head: string; tags: ReadonlyMap<string, Tag> }> {
  const [head, tags] = await Promise.all([git(["rev-parse", "HEAD"], { cwd }), readTags(remote, cwd)]);
  requireTag(tagOf(release), tags.get(tagOf(release)), head, remote);
  return { head, tags };
}

async function readTags(remote: string, cwd: string): Promise<Map<string, Tag>> {
  const tags = new Map<string, Tag>();
  for (const line of (await git(["ls-remote", "--tags", remote], { cwd })).split("\n")) {
    const [, id = "", name = "", peeled] = /^(\S+)\trefs\/tags\/(.+?)(\^\{\})?$/.exec(line) ?? [];
    // The line with ^{} comes behind the tag's own.
    if (id) tags.set(name, { object: peeled ? (tags.get(name)?.object ?? id) : id, commit: id });
  }
  return tags;
}

function requireTag(tag: string, found: Tag | undefined, head: string, remote: string): void {
  if (found === undefined) {
    throw new Refusal(
      `${remote} has no tag ${tag}. Type: git tag --annotate ${tag} --message ${tag} && git push ${remote} ${tag}`,
    );
  }
  if (found.commit !== head) {
    throw new Refusal(
      `${tag} is ${found.commit} at ${remote}, but this is ${head}. A version's tag never moves: release the next version instead`,
    );
  }
  if (found.object === found.commit) {
    throw new Refusal(
      `${tag} at ${remote} is a lightweight tag. Delete it there, and make an annotated one: git tag --annotate ${tag}`,
    );
  }
}

/** Whether both are versions of one major version, no prereleases, and the first is newer. */
function isLater(tag: string, than: string): boolean {
  const [a, b] = [tag, than].map((each) => /^v(\d+)\.(\d+)\.(\d+)$/.exec(each)?.slice(1).map(Number));
  if (!a || !b || a[0] !== b[0]) return false;
  const [, aMinor = 0, aPatch = 0] = a;
  const [, bMinor = 0, bPatch = 0] = b;
  return aMinor > bMinor || (aMinor === bMinor && aPatch > bPatch);
}
