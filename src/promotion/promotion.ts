/** One promotion: an image, and the tags that it gets at the destination. Pure. */

import type { Words } from "../platform/wording.ts";
import {
  byTag,
  parseDestination,
  parseSource,
  parseTags,
  pathOf,
  type Reference,
  type Refuse,
  type Repository,
} from "./reference.ts";

export interface Promotion {
  readonly source: Reference;
  readonly destination: Repository;
  /** At least one, none twice. */
  readonly tags: readonly string[];
}

export interface PromotionText {
  readonly source: string;
  readonly destination: string;
  readonly tags: readonly string[];
  /** The registry of references that name none. */
  readonly registry: string;
  /** Where to write tags, for messages. */
  readonly tagsGoInto: Words;
  readonly refuse: (field: "source" | "destination" | "tags") => Refuse;
}

/** @throws what `refuse` makes */
export function parsePromotion(text: PromotionText): Promotion {
  const { registry, refuse } = text;
  const source = parseSource(text.source, registry, refuse("source"));
  const destination = parseDestination(text.destination, registry, text.tagsGoInto, refuse("destination"));
  const tags = parseTags(text.tags, refuse("tags"));
  const sourceTag = pathOf(source) === pathOf(destination) && "tag" in source.by ? source.by.tag : undefined;
  if (sourceTag !== undefined && tags.includes(sourceTag)) {
    throw refuse("tags")(
      sourceTag,
      `${byTag(source, sourceTag)} is the source itself`,
      `${sourceTag}-released`.slice(-128),
    );
  }
  return { source, destination, tags };
}
