/** The story of a promotion: log in on both sides -> plan -> copy by digest -> signatures -> tags -> read back. */

import { createLimit, mapLimit, together } from "../platform/concurrency.ts";
import { asExplainedError, ExplainedError } from "../platform/errors.ts";
import type { Platform } from "../platform/platform.ts";
import { assertMayPush, createRegistryClient, isThere, type RegistryClient } from "../registry/client.ts";
import { findTool } from "../tools/tools.ts";
import { type Artifact, assertStaying, copyArtifacts, findArtifacts, missingArtifacts } from "./artifacts.ts";
import { type Copier, copyByDigest } from "./copy.ts";
import { assertLasting } from "./expiry.ts";
import { type Image, readImage, resolve, sourceGone } from "./image.ts";
import { openSides, type Side, type Sides } from "./logins.ts";
import { byDigest, pathOf, type Reference, type Repository } from "./reference.ts";
import type { ExistingTags, Promotion, PromotionRequest } from "./request.ts";
import type { ArtifactResult, Progress, PromotionContext, PromotionResult, TagResult } from "./result.ts";
import { assertFree, lookAtTags, setTags } from "./tags.ts";
import { verify } from "./verify.ts";

/**
 * Promotes everything in the request.
 * @returns a result for each promotion, in order, also for those that failed
 * @throws ExplainedError what concerns them all: a login that failed, no skopeo
 */
export async function promote(
  request: PromotionRequest,
  context: PromotionContext,
): Promise<readonly PromotionResult[]> {
  const platform = context.createPlatform(undefined);
  try {
    const tool = await findTool("skopeo", false, platform.env);
    const sides = await openSides(request, context, platform);
    try {
      const gate = createLimit(request.parallel);
      const run: Run = {
        request,
        sides,
        clientOf: clientsOf(request, platform),
        look: createLimit(request.parallel),
        copy: (image) => gate(() => copyByDigest(tool, sides, image, 5 * request.timeoutSeconds, platform)),
        platform,
      };
      // While as many as may be are copied, the next ones are looked at.
      return await mapLimit(request.promotions, 2 * request.parallel, (promotion, index) =>
        promoteOne(promotion, run, (progress) => context.onProgress(index, progress)),
      );
    } finally {
      await sides.close();
    }
  } finally {
    platform.close();
  }
}

interface Run {
  readonly request: PromotionRequest;
  readonly sides: Sides;
  /** As many are looked at as are copied: the first copies should not have to wait for looks at the last. */
  readonly look: <T>(work: () => Promise<T>) => Promise<T>;
  readonly copy: Copier;
  readonly clientOf: (side: Side, repository: Repository) => RegistryClient;
  readonly platform: Platform;
}

/** One for each login at each registry: what it has found out about its rights serves all promotions. */
function clientsOf({ timeoutSeconds }: PromotionRequest, platform: Platform): Run["clientOf"] {
  const clients = new Map<string, RegistryClient>();
  return ({ name, login, others }, repository) => {
    const { registry } = repository;
    const other = others.get(pathOf(repository));
    const key = `${name} ${registry} ${other?.key}`;
    const client =
      clients.get(key) ??
      createRegistryClient(
        {
          ...{ registry, side: name, robot: login?.robot, timeoutSeconds },
          credential: () => login?.credential(),
          realm: () => login?.realm(),
          basic: other?.auth,
        },
        platform,
      );
    clients.set(key, client);
    return client;
  };
}

type Draft = { -readonly [key in keyof PromotionResult]: PromotionResult[key] };

/** Never throws: what went wrong is in the result, beside what had been done by then. */
async function promoteOne(
  promotion: Promotion,
  run: Run,
  onProgress: (progress: Progress) => void,
): Promise<PromotionResult> {
  const { clock, signal } = run.platform;
  const began = clock.elapsed();
  const result: Draft = {
    promotion,
    digest: undefined,
    platforms: [],
    tags: [],
    artifacts: [],
    changed: false,
    bytes: 0,
    milliseconds: 0,
    failure: undefined,
  };
  try {
    signal.throwIfAborted();
    await perform(promotion, run, result, onProgress);
    onProgress({ phase: "done" });
  } catch (error) {
    result.failure = asExplainedError(error);
    onProgress({ phase: "failed" });
  }
  result.milliseconds = Math.round(clock.elapsed() - began);
  return result;
}

async function perform(
  promotion: Promotion,
  run: Run,
  result: Draft,
  onProgress: (progress: Progress) => void,
): Promise<void> {
  const found = await run.look(() => lookAt(promotion, run, result, onProgress));
  if (!run.request.dryRun) {
    await carryOut(promotion, found, run, result, onProgress).catch(async (error) => {
      throw (await whetherGone(error, promotion.source, found.image, run)) ?? error;
    });
  }
}

/** Quay deletes an image the moment its last tag moves: what fails for that reason says much, but not that. */
async function whetherGone(
  error: unknown,
  source: Reference,
  { digest }: Image,
  { sides, clientOf }: Run,
): Promise<ExplainedError | undefined> {
  if (!(error instanceof ExplainedError) || error.code !== "copy-failed") {
    return undefined;
  }
  const reader = clientOf(sides.source, source);
  const isGone = await reader.digestOf(source.repository, digest).then(
    (found) => found === undefined,
    () => false,
  );
  return isGone ? sourceGone(byDigest(source, digest)) : undefined;
}

/** What there is to promote, and what the destination has of it already. */
interface Found extends Comparison {
  readonly image: Image;
  /** That go along; none within one repository. */
  readonly artifacts: readonly Artifact[];
  /** That must stay: within one repository. */
  readonly staying: readonly Artifact[];
}

async function lookAt(
  { source, destination, tags }: Promotion,
  { request, sides, clientOf, platform }: Run,
  result: Draft,
  onProgress: (progress: Progress) => void,
): Promise<Found> {
  const { existingTags, allowExpiring, platforms, withSignatures, verifyCommand, dryRun, timeoutSeconds } = request;
  const { reporter } = platform;
  const writer = clientOf(sides.destination, destination);

  onProgress({ phase: "resolving" });
  const [[image, artifacts], hasPlace] = await together(
    async (ended) => {
      const reader = clientOf(sides.source, source).until(ended);
      const digest = await resolve(reader, source, reporter);
      result.digest = digest;
      const image = await readImage(reader, source, digest, platforms);
      result.platforms = image.platforms;
      const subjects = [digest, ...image.children];
      const [artifacts] = await together(
        async (ended) => (withSignatures ? findArtifacts(reader.until(ended), source, subjects, reporter) : []),
        async (ended) => (allowExpiring ? undefined : assertLasting(reader.until(ended), source, image.labelled)),
      );
      return [image, artifacts] as const;
    },
    (ended) => isThere(writer.until(ended), destination.repository),
  );

  if (!dryRun) {
    if (verifyCommand !== undefined) {
      onProgress({ phase: "verifying" });
      await verify(verifyCommand, byDigest(source, image.digest), 2 * timeoutSeconds, sides, platform);
    }
    await assertMayPush(writer, destination.repository);
  }
  if (!hasPlace) {
    reporter.info(
      dryRun
        ? `${pathOf(destination)} does not exist yet, or its robot may not read it.`
        : `${pathOf(destination)} did not exist: Quay has made it.`,
    );
  }
  // In one repository, what belongs to the image is there already.
  const within = pathOf(source) === pathOf(destination);
  const toCopy = within ? [] : artifacts;
  const there =
    dryRun && !hasPlace
      ? nothingThere(tags, image, toCopy)
      : await compare(writer, destination, tags, image, toCopy, existingTags);
  const missing = within ? undefined : there.missing;
  result.tags = there.tags;
  result.artifacts = artifacts.map((artifact) => asResult(artifact, false));
  result.bytes = missing?.bytes ?? 0;
  return { ...there, missing, image, artifacts: toCopy, staying: within ? artifacts : [] };
}

async function carryOut(
  { source, destination }: Promotion,
  { image, artifacts, staying, missing, lacking }: Found,
  { sides, clientOf, copy }: Run,
  result: Draft,
  onProgress: (progress: Progress) => void,
): Promise<void> {
  const writer = clientOf(sides.destination, destination);
  assertFree(destination, result.tags, image.digest);

  if (missing) {
    const blobs = image.blobs.length;
    const tell = (begun: number, sent: number) =>
      onProgress({
        phase: "copying",
        blobs: { begun: Math.min(begun, blobs), all: blobs },
        bytes: { sent: Math.min(sent, missing.bytes), all: missing.bytes },
      });
    tell(0, 0);
    for (const part of image.parts) {
      if (typeof part === "string") {
        await copy({ from: source, to: destination, digest: part, onProgress: tell });
      } else {
        await writer.putManifest(destination.repository, part.digest, part);
      }
    }
    result.changed = true;
  }
  if (artifacts.length > 0) {
    onProgress({ phase: "signatures" });
    await copyArtifacts({ copy, from: source, to: destination, client: writer }, artifacts, lacking);
    result.artifacts = artifacts.map((artifact) => asResult(artifact, lacking.includes(artifact)));
    result.changed ||= lacking.length > 0;
  }
  onProgress({ phase: "tags" });
  await assertStaying(writer, destination, staying, "No tag was changed.");
  await setTags(writer, destination, result.tags, image.manifest, (set) => {
    result.tags = result.tags.map((each) => (each.tag === set.tag ? set : each));
    result.changed = true;
  });
  await assertStaying(writer, destination, staying, "The tags are set, on an image that lacks it.");
}

const asResult = ({ kind, digest, subject, tag }: Artifact, copied: boolean): ArtifactResult => ({
  kind,
  digest,
  subject,
  tag,
  copied,
});

interface Comparison {
  readonly tags: readonly TagResult[];
  readonly lacking: readonly Artifact[];
  /** undefined where the destination has the whole image */
  readonly missing: { readonly bytes: number } | undefined;
}

/** What the destination has of all this already. */
async function compare(
  client: RegistryClient,
  destination: Repository,
  tags: readonly string[],
  image: Image,
  artifacts: readonly Artifact[],
  existing: ExistingTags,
): Promise<Comparison> {
  const [seen, lacking, missing] = await together(
    (ended) => lookAtTags(client.until(ended), destination, tags, image.digest, existing),
    (ended) => missingArtifacts(client.until(ended), destination, artifacts, existing),
    (ended) => missingBlobs(client.until(ended), destination, image),
  );
  return { tags: seen, lacking, missing };
}

const nothingThere = (tags: readonly string[], { blobs }: Image, artifacts: readonly Artifact[]): Comparison => ({
  tags: tags.map((tag) => ({ tag, state: "planned", before: undefined })),
  lacking: artifacts,
  missing: { bytes: blobs.reduce((sum, { size }) => sum + size, 0) },
});

/** A registry takes no manifest before it has what that consists of, so the manifest stands for the whole. */
async function missingBlobs(
  client: RegistryClient,
  { repository }: Repository,
  { digest, blobs }: Image,
): Promise<{ readonly bytes: number } | undefined> {
  if ((await client.digestOf(repository, digest)) !== undefined) {
    return undefined;
  }
  const sizes = await mapLimit(blobs, 4, async (blob) =>
    (await client.hasBlob(repository, blob.digest)) ? 0 : blob.size,
  );
  return { bytes: sizes.reduce((sum, size) => sum + size, 0) };
}
