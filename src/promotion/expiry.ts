/** Images whose tags Quay deletes by itself: builds of branches often have the label for it, and a release must not. */
import { mapLimit } from "../platform/concurrency.ts";
import { ExplainedError } from "../platform/errors.ts";
import { isObject, type JsonObject, parseObject } from "../platform/json.ts";
import { mention, text } from "../platform/wording.ts";
import { maxConcurrentQuestions, type RepositoryClient } from "../registry/client.ts";
import type { Descriptor } from "../registry/manifest.ts";
import { byDigest } from "./reference.ts";

/** What of a manifest may hold labels: Quay takes its annotations and, of an image, its config's labels for them. */
export interface Labelled {
  readonly digest: string;
  readonly annotations: Readonly<Record<string, unknown>> | undefined;
  readonly config: Descriptor | undefined;
}

const label = "quay.expires-after";

/** Seconds to weeks, as Quay reads them; what it can't read, such as `never`, it does not act upon. */
const time = /^\s*\+?[0-9]+\s*[smhdw]$/;

const imageConfigs = ["application/vnd.oci.image.config.v1+json", "application/vnd.docker.container.image.v1+json"];

/**
 * Of an index each image counts: what Quay does for them is not known.
 * @throws ExplainedError `image-expires`
 */
export async function assertLasting(source: RepositoryClient, manifests: readonly Labelled[]): Promise<void> {
  const found = await mapLimit(manifests, maxConcurrentQuestions, async ({ digest, annotations, config }) => {
    const reads = config !== undefined && imageConfigs.includes(config.mediaType);
    const after = timeIn(annotations) ?? (reads ? timeIn(labelsIn(await source.blob(config.digest))) : undefined);
    return after === undefined ? [] : [`${byDigest(source, digest)} has the label ${label}=${after}`];
  });
  const [first, ...others] = found.flat();
  if (first !== undefined) {
    const more = others.length === 0 ? "" : ` (and ${others.length} more of its images)`;
    throw new ExplainedError(
      "image-expires",
      `${first}${more}: Quay deletes each tag that it gets, that long after it was set.`,
      {
        remedy: [
          `Build what is to be released without the label ${label}.`,
          text`Or, if this release may vanish: ${mention("allow-expiring", "true")}`,
        ],
      },
    );
  }
}

function timeIn(labels: Readonly<Record<string, unknown>> | null | undefined): string | undefined {
  const value = labels?.[label];
  return typeof value === "string" && time.test(value) ? value.trim() : undefined;
}

function labelsIn(image: string | undefined): JsonObject | undefined {
  const { config } = parseObject(image ?? "") ?? {};
  return isObject(config) && isObject(config.Labels) ? config.Labels : undefined;
}
