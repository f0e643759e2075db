/** One promotion: an image, and the tags that it gets elsewhere. Pure. */

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
  /** Of references that name none. */
  readonly registry: string;
  /** Where tags are given, for messages. */
  readonly tagsGoInto: Words;
  readonly refuse: (field: "source" | "destination" | "tags") => Refuse;
}

/** @throws what `refuse` makes */
export function parsePromotion(text: PromotionText): Promotion {
  const { registry, refuse } = text;
  const source = parseSource(text.source, registry, refuse("source"));
  const destination = parseDestination(text.destination, registry, text.tagsGoInto, refuse("destination"));
  const tags = parseTags(text.tags, refuse("tags"));
  const own = pathOf(source) === pathOf(destination) && "tag" in source.by ? source.by.tag : undefined;
  if (own !== undefined && tags.includes(own)) {
    throw refuse("tags")(own, `${byTag(source, own)} is the source itself`, `${own}-released`.slice(-128));
  }
  return { source, destination, tags };
}
