/** Carries a plan out: verify-command -> copy by digest -> signatures -> tags -> read back. */
import { asExplainedError, ExplainedError } from "../platform/errors.ts";
import { assertMayPush } from "../registry/rights.ts";
import { type Artifact, assertStaying, copyArtifacts } from "./artifacts.ts";
import type { Copier } from "./copy.ts";
import { sourceGone } from "./image.ts";
import type { Plan, PromotionRun } from "./plan.ts";
import { byDigest, pathOf } from "./reference.ts";
import type { ArtifactResult, PromotionResult, TagResult } from "./result.ts";
import { assertFree, setTags } from "./tags.ts";

/** What the promotions of a run share to carry their plans out. Each call waits until its limit lets it run. */
export interface Means {
  /** The user's own check of this reference; undefined: the option verify-command is not set */
  readonly verify: ((reference: string) => Promise<void>) | undefined;
  readonly copy: Copier;
}

export type Applied = Pick<PromotionResult, "tags" | "artifacts" | "changed" | "failure">;

/** The result of a plan before anything is done. */
export const notApplied = ({ tags, artifacts }: Plan): Applied => ({
  tags,
  artifacts: artifacts.map((artifact) => asResult(artifact, false)),
  changed: false,
  failure: undefined,
});

const asResult = ({ kind, digest, subject, tag }: Artifact, copied: boolean): ArtifactResult => ({
  ...{ kind, digest, subject, tag, copied },
});

/** Never throws: the result holds the failure, beside what was done before it. */
export async function apply(plan: Plan, run: PromotionRun, means: Means): Promise<Applied> {
  let applied = notApplied(plan);
  try {
    await prepare(plan, run, means);
    if (plan.missing) {
      await copyImage(plan, plan.missing.bytes, run, means);
      applied = { ...applied, changed: true };
    }
    if (!plan.isWithin && plan.artifacts.length > 0) {
      const artifacts = await copyBeside(plan, run, means);
      applied = { ...applied, artifacts, changed: applied.changed || plan.lacking.length > 0 };
    }
    await tag(plan, run, (set) => {
      const tags = applied.tags.map((each) => (each.tag === set.tag ? set : each));
      applied = { ...applied, tags, changed: true };
    });
    return applied;
  } catch (error) {
    return { ...applied, failure: (await whyGone(error, plan, run)) ?? asExplainedError(error) };
  }
}

/** The checks before anything is copied. Quay creates a missing repository here, if the robot may create it. */
async function prepare(plan: Plan, run: PromotionRun, { verify }: Means): Promise<void> {
  const { source, destination, platform, onProgress } = run;
  if (verify !== undefined) {
    onProgress({ phase: "verifying" });
    await verify(byDigest(source, plan.image.digest));
  }
  await assertMayPush(destination);
  if (!plan.destinationExists) {
    platform.reporter.info(`${pathOf(destination)} did not exist: Quay created it.`);
  }
  assertFree(destination, plan.tags, plan.image.digest);
}

async function copyImage(
  { image }: Plan,
  bytes: number,
  { source, destination, onProgress }: PromotionRun,
  { copy }: Means,
): Promise<void> {
  const blobs = image.blobs.length;
  const report = (begun: number, sent: number) =>
    onProgress({
      phase: "copying",
      blobs: { begun: Math.min(begun, blobs), all: blobs },
      bytes: { sent: Math.min(sent, bytes), all: bytes },
    });
  report(0, 0);
  for (const part of image.parts) {
    if (typeof part === "string") {
      await copy({ from: source, to: destination, digest: part, onProgress: report });
    } else {
      await destination.putManifest(part.digest, part);
    }
  }
}

async function copyBeside(
  { artifacts, lacking }: Plan,
  { source, destination, onProgress }: PromotionRun,
  { copy }: Means,
): Promise<readonly ArtifactResult[]> {
  onProgress({ phase: "signatures" });
  await copyArtifacts({ copy, from: source, to: destination }, artifacts, lacking);
  return artifacts.map((artifact) => asResult(artifact, lacking.includes(artifact)));
}

/** @param onTag called as soon as a tag is set */
async function tag(
  { tags, image, artifacts, isWithin }: Plan,
  { destination, onProgress }: PromotionRun,
  onTag: (set: TagResult) => void,
): Promise<void> {
  const staying = isWithin ? artifacts : [];
  onProgress({ phase: "tags" });
  await assertStaying(destination, staying, "No tag was changed.");
  await setTags(destination, tags, image.manifest, onTag);
  await assertStaying(destination, staying, "The tags are set, on an image without it.");
}

/** Quay deletes an image as soon as its last tag moves. A copy that fails for that reason does not say so. */
async function whyGone(error: unknown, { image }: Plan, { source }: PromotionRun): Promise<ExplainedError | undefined> {
  if (!(error instanceof ExplainedError) || error.code !== "copy-failed") {
    return undefined;
  }
  const isGone = await source.digestOf(image.digest).then(
    (found) => found === undefined,
    () => false,
  );
  return isGone ? sourceGone(byDigest(source, image.digest)) : undefined;
}
