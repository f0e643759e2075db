/** Tags at the destination: all of them are looked at first, then set, then read back. */

import { mapLimit } from "../platform/concurrency.ts";
import { ExplainedError, reworded } from "../platform/errors.ts";
import { mention, text } from "../platform/wording.ts";
import { tagImmutable } from "../quay/states.ts";
import { maxConcurrentQuestions, type RepositoryClient } from "../registry/client.ts";
import { isImmutable } from "../registry/rights.ts";
import type { Manifest } from "../registry/types.ts";
import { byTag, type Repository } from "./reference.ts";
import type { ExistingTags } from "./request.ts";
import type { TagResult } from "./result.ts";

/** What would happen to each tag; changes nothing. */
export async function lookAtTags(
  destination: RepositoryClient,
  tags: readonly string[],
  digest: string,
  existing: ExistingTags,
): Promise<readonly TagResult[]> {
  return mapLimit(tags, maxConcurrentQuestions, async (tag): Promise<TagResult> => {
    const before = await destination.digestOf(tag);
    const isElsewhere = before !== undefined && before !== digest;
    const isFixed = isElsewhere && existing !== "forbidden" && (await isImmutable(destination, tag));
    return { tag, state: isFixed ? "immutable" : stateOf(before, digest, existing), before };
  });
}

function stateOf(before: string | undefined, digest: string, existing: ExistingTags): TagResult["state"] {
  if (before === undefined) {
    return "planned";
  }
  if (existing === "forbidden") {
    return "refused";
  }
  return before === digest ? "there" : existing === "move" ? "planned" : "refused";
}

/** @throws ExplainedError `tag-immutable`, `tag-taken`, with both digests */
export function assertFree(destination: Repository, tags: readonly TagResult[], digest: string): void {
  const immutable = tags.filter(({ state }) => state === "immutable");
  if (immutable.length > 0) {
    const lines = immutable.map(
      ({ tag, before }) => `${byTag(destination, tag)} points to ${before}, not to ${digest}`,
    );
    throw tagImmutable(`No tag was changed. ${lines.join(", ")}`);
  }
  const refused = tags.filter(({ state }) => state === "refused");
  if (refused.length === 0) {
    return;
  }
  const lines = refused.map(({ tag, before }) =>
    before === digest
      ? `${byTag(destination, tag)} already exists and points to this very image.`
      : `${byTag(destination, tag)} points to ${before}, not to ${digest}.`,
  );
  const onlyOlder = refused.every(({ before }) => before !== digest);
  throw new ExplainedError("tag-taken", `${lines.join(" ")} No tag was changed.`, {
    remedy: [
      "Give the image a new tag.",
      ...(onlyOlder
        ? [text`Or, if the tag should move, as latest does: ${mention("move-tags", "true")}`]
        : [text`Or leave ${mention("create-only")} out.`]),
    ],
  });
}

/**
 * Sets each planned tag, in order, and reads all tags back.
 * @param onTag called as soon as a tag is set
 * @throws ExplainedError `tag-taken` if a tag has changed since it was looked at, `digest-differs`
 */
export async function setTags(
  destination: RepositoryClient,
  planned: readonly TagResult[],
  manifest: Manifest,
  onTag: (result: TagResult) => void,
): Promise<void> {
  const now = await mapLimit(planned, maxConcurrentQuestions, ({ tag }) => destination.digestOf(tag));
  const changed = planned.filter(({ before }, index) => before !== now[index] && now[index] !== manifest.digest);
  if (changed.length > 0) {
    const names = changed.map(({ tag }) => byTag(destination, tag)).join(", ");
    throw new ExplainedError(
      "tag-taken",
      `Another process changed ${names} during the copy. This run changed no tag.`,
      {
        remedy: ["Find out what else sets these tags, and run the same again."],
      },
    );
  }
  const toSet = planned.filter(({ state }) => state === "planned");
  for (const [index, { tag, before }] of toSet.entries()) {
    await destination.putManifest(tag, manifest).catch((error) => {
      throw error instanceof ExplainedError ? withSetTags(error, toSet, index) : error;
    });
    onTag({ tag, state: before === undefined ? "new" : "moved", before });
  }
  await mapLimit(planned, maxConcurrentQuestions, async ({ tag }) => {
    const digest = await destination.digestOf(tag);
    if (digest !== manifest.digest) {
      throw new ExplainedError(
        "digest-differs",
        `${byTag(destination, tag)} was set to ${manifest.digest}, but is read back as ${digest ?? "missing"}.`,
        { remedy: ["Find out what else sets this tag or changes manifests on the way, and run the same again."] },
      );
    }
  });
}

/** @param failed index of the tag that could not be set; those before it are set */
function withSetTags(error: ExplainedError, tags: readonly TagResult[], failed: number): ExplainedError {
  const names = tags.map(({ tag }) => tag);
  const [set, left] = [names.slice(0, failed), names.slice(failed)];
  const state =
    set.length === 0 ? "No tag was changed." : `Set before that: ${set.join(", ")}. Not set: ${left.join(", ")}.`;
  return reworded(error, { headline: (words) => text`${words} ${state}` });
}
