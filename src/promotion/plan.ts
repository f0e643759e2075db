/** What a promotion would do: asks both registries, and changes nothing. A dry run is this alone. */
import { mapLimit, together } from "../platform/concurrency.ts";
import { asExplainedError, type ExplainedError } from "../platform/errors.ts";
import type { Platform } from "../platform/platform.ts";
import { maxConcurrentQuestions, type RepositoryClient } from "../registry/client.ts";
import { canPull } from "../registry/rights.ts";
import { type Artifact, findArtifacts, missingArtifacts } from "./artifacts.ts";
import { assertLasting } from "./expiry.ts";
import { type Image, readImage, resolve } from "./image.ts";
import { pathOf } from "./reference.ts";
import type { Promotion, PromotionRequest } from "./request.ts";
import type { Progress, TagResult } from "./result.ts";
import { lookAtTags } from "./tags.ts";

/** One promotion, and what it works with. */
export interface PromotionRun {
  readonly promotion: Promotion;
  readonly request: PromotionRequest;
  readonly source: RepositoryClient;
  readonly destination: RepositoryClient;
  readonly platform: Platform;
  readonly onProgress: (progress: Progress) => void;
}

export interface Plan extends Comparison {
  readonly image: Image;
  /** What belongs to the image. */
  readonly artifacts: readonly Artifact[];
  /** Source and destination are one repository: nothing is copied, and the artifacts must not disappear. */
  readonly isWithin: boolean;
  /** The destination's repository exists, and its robot may read it. */
  readonly destinationExists: boolean;
}

/** What the destination already has of the image. */
interface Comparison {
  readonly tags: readonly TagResult[];
  readonly lacking: readonly Artifact[];
  /** undefined: it has the whole image */
  readonly missing: { readonly bytes: number } | undefined;
}

/** What was found in the source, with the plan or the reason that there is none. */
export type Planned = Pick<Image, "platforms"> & { readonly digest: string | undefined } & (
    | { readonly plan: Plan; readonly failure?: never }
    | { readonly plan?: never; readonly failure: ExplainedError }
  );

/** Never throws. */
export async function plan(run: PromotionRun): Promise<Planned> {
  const { promotion, request, source, destination, platform, onProgress } = run;
  const { reporter } = platform;
  let digest: string | undefined;
  let platforms: readonly string[] = [];
  try {
    platform.signal.throwIfAborted();
    onProgress({ phase: "resolving" });
    const [[image, artifacts], destinationExists] = await together(
      async (ended) => {
        const reader = source.until(ended);
        digest = await resolve(reader, promotion.source, reporter);
        const image = await readImage(reader, digest, request.platforms);
        platforms = image.platforms;
        return [image, await belongingTo(image, reader, run)] as const;
      },
      (ended) => canPull(destination.until(ended)),
    );
    // In one repository, the artifacts are already there.
    const isWithin = pathOf(source) === pathOf(destination);
    const toCopy = isWithin ? [] : artifacts;
    const comparison = destinationExists ? await compare(image, toCopy, run) : nothingThere(image, toCopy, promotion);
    const missing = isWithin ? undefined : comparison.missing;
    const plan = { ...comparison, missing, image, artifacts, isWithin, destinationExists };
    return { digest: image.digest, platforms, plan };
  } catch (error) {
    return { digest, platforms, failure: asExplainedError(error) };
  }
}

/** @returns what belongs to the image, if with-signatures is set @throws ExplainedError `image-expires`, `signatures-missing` */
async function belongingTo(
  { digest, children, labelled }: Image,
  source: RepositoryClient,
  { request, platform }: PromotionRun,
): Promise<readonly Artifact[]> {
  const { withSignatures, allowExpiring } = request;
  const subjects = [digest, ...children];
  const [artifacts] = await together(
    async (ended) => (withSignatures ? findArtifacts(source.until(ended), subjects, platform.reporter) : []),
    async (ended) => (allowExpiring ? undefined : assertLasting(source.until(ended), labelled)),
  );
  return artifacts;
}

async function compare(
  image: Image,
  artifacts: readonly Artifact[],
  { promotion, request, destination }: PromotionRun,
): Promise<Comparison> {
  const { existingTags } = request;
  const [tags, lacking, missing] = await together(
    (ended) => lookAtTags(destination.until(ended), promotion.tags, image.digest, existingTags),
    (ended) => missingArtifacts(destination.until(ended), artifacts, existingTags),
    (ended) => missingBlobs(destination.until(ended), image),
  );
  return { tags, lacking, missing };
}

const nothingThere = ({ blobs }: Image, artifacts: readonly Artifact[], { tags }: Promotion): Comparison => ({
  tags: tags.map((tag) => ({ tag, state: "planned", before: undefined })),
  lacking: artifacts,
  missing: { bytes: blobs.reduce((sum, { size }) => sum + size, 0) },
});

/** A registry accepts a manifest only after its blobs. If it has the manifest, it has the whole image. */
async function missingBlobs(
  destination: RepositoryClient,
  { digest, blobs }: Image,
): Promise<{ readonly bytes: number } | undefined> {
  if ((await destination.digestOf(digest)) !== undefined) {
    return undefined;
  }
  const sizes = await mapLimit(blobs, maxConcurrentQuestions, async (blob) =>
    (await destination.hasBlob(blob.digest)) ? 0 : blob.size,
  );
  return { bytes: sizes.reduce((sum, size) => sum + size, 0) };
}
