/** Images whose tags Quay deletes after a while. Builds of branches often have the label for that; a release must not. */
import { mapLimit } from "../platform/concurrency.ts";
import { ExplainedError } from "../platform/errors.ts";
import { isObject, type JsonObject, parseObject } from "../platform/json.ts";
import { mention, text } from "../platform/wording.ts";
import { maxConcurrentQuestions, type RepositoryClient } from "../registry/client.ts";
import type { Descriptor } from "../registry/manifest.ts";
import { byDigest } from "./reference.ts";

/** Where a manifest may have labels. Quay reads its annotations and, for an image, the labels of its config. */
export interface Labelled {
  readonly digest: string;
  readonly annotations: Readonly<Record<string, unknown>> | undefined;
  readonly config: Descriptor | undefined;
}

const label = "quay.expires-after";

/** Seconds to weeks, as Quay reads them. Quay ignores what it can't read, such as `never`. */
const time = /^\s*\+?[0-9]+\s*[smhdw]$/;

const imageConfigs = ["application/vnd.oci.image.config.v1+json", "application/vnd.docker.container.image.v1+json"];

/**
 * Every image of an index counts, because it is unknown which of their labels Quay applies.
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
      `${first}${more}: Quay deletes each tag of it that long after the tag is set.`,
      {
        remedy: [
          `Build the release without the label ${label}.`,
          text`Or, if this release should expire: ${mention("allow-expiring", "true")}`,
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
