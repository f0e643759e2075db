/** The file of promotions: YAML, a list with source, destination and tags in each entry. Every value in it is text. */
import type { YAMLMap } from "yaml";
import { closest } from "../options/closest.ts";
import { ExplainedError, invalidInput } from "../platform/errors.ts";
import { asGiven } from "../platform/text.ts";
import { text, type Words } from "../platform/wording.ts";
import { anchorsOf, compose, notYaml, type Resolve, readYamlText, type Yaml, type YamlKind } from "../platform/yaml.ts";
import { type Promotion, parsePromotion } from "./promotion.ts";
import { byTag, formatReference, pathOf, shownOf } from "./reference.ts";

export interface FileWanted {
  /** The path as given. */
  readonly path: string;
  /** The registry of references that name none. */
  readonly registry: string;
  /** Whether a robot reads the sources. A robot logs in to one registry. */
  readonly hasSourceRobot: boolean;
}

const keys = ["source", "destination", "tags"] as const;
type Key = (typeof keys)[number];

/** Far beyond any release. */
const maxTags = 10_000;

/**
 * @param signal ends the wait for a pipe without a writer
 * @throws ExplainedError `invalid-input`
 */
export async function readPromotionFile(wanted: FileWanted, signal: AbortSignal): Promise<readonly Promotion[]> {
  const text = await readYamlText(wanted.path, kind, signal);
  // Only a promotion with a file loads the parser.
  const yaml = await import(/* webpackMode: "eager" */ "yaml");
  return parsePromotionFile(yaml, text, wanted);
}

const kind: YamlKind = {
  name: "release.yaml",
  holds: "a list in which each entry has source, destination and tags",
  smaller: "a file for each part of the release",
};

/**
 * @param yaml the library, which only this needs
 * @throws ExplainedError `invalid-input`, naming the entry
 */
export function parsePromotionFile(yaml: Yaml, text: string, wanted: FileWanted): readonly Promotion[] {
  const { document, lineOf } = compose(yaml, text, wanted.path, kind);
  const resolve = anchorsOf(yaml, document, (alias) =>
    notYaml(wanted.path, `line ${lineOf(alias)}: *${asGiven(alias.source)} has no anchor before it`, kind),
  );
  const list = document.contents;
  const isBlank = list === null || (yaml.isScalar(list) && list.value === "");
  if (isBlank) {
    throw invalidInput("file", wanted.path, "it is empty", kind.holds);
  }
  if (!yaml.isSeq(list)) {
    const isOne = yaml.isMap(list) && keys.some((key) => list.has(key));
    const problem = isOne ? "it is not a list; each entry begins with a dash" : "it is not a list";
    throw invalidInput("file", wanted.path, problem, kind.holds);
  }
  if (list.items.length === 0) {
    throw invalidInput("file", wanted.path, "it has no entries", kind.holds);
  }
  const entries: Entry[] = [];
  let tags = 0;
  for (const [index, item] of list.items.entries()) {
    const place = `entry ${index + 1} (line ${lineOf(item ?? list)})`;
    const entry = parseEntry(yaml, { node: resolve(item), place, resolve, wanted });
    entries.push(entry);
    tags += entry.promotion.tags.length;
    if (tags > maxTags) {
      throw invalidInput("file", wanted.path, `it has more than ${maxTags} tags`, "a file for each part of it");
    }
  }
  checkTogether(entries, wanted);
  return entries.map(({ promotion }) => promotion);
}

interface Entry {
  readonly promotion: Promotion;
  /** `entry 3 (line 12)`, for messages */
  readonly place: string;
}

interface EntryText {
  readonly node: unknown;
  readonly place: string;
  readonly resolve: Resolve;
  readonly wanted: FileWanted;
}

function parseEntry(yaml: Yaml, { node, place, resolve, wanted }: EntryText): Entry {
  const fail = failing(wanted.path, place);
  if (!yaml.isMap(node)) {
    throw fail("it is not an entry with source, destination and tags", writeInFile("source", "quay.io/acme/app:1.0"));
  }
  const values = readKeys(yaml, node, resolve, fail);
  const textOf = (value: unknown): string | undefined => {
    const known = resolve(value);
    return yaml.isScalar(known) && typeof known.value === "string" ? known.value.trim() : undefined;
  };
  const textAt = (key: "source" | "destination", sample: string): string => {
    const value = textOf(values.get(key));
    if (!value) {
      throw fail(`its ${key} is ${value === "" ? "empty" : "not text"}`, writeInFile(key, sample));
    }
    return value;
  };
  const source = textAt("source", "quay.io/acme/staging:1.0");
  const destination = textAt("destination", "quay.io/acme/app");
  const list = values.get("tags");
  if (!yaml.isSeq(list)) {
    const alone = textOf(list);
    throw fail("its tags are not a list", writeInFile("tags", quoted(/^[\w.-]+$/.test(alone ?? "") ? alone : "1.0")));
  }
  if (list.items.length === 0) {
    throw fail("its list of tags is empty", writeInFile("tags", quoted("1.0")));
  }
  const tags = list.items.map((item, index) => {
    const tag = textOf(item);
    if (!tag) {
      throw fail(`tag ${index + 1} is ${tag === "" ? "empty" : "not text"}`, writeInFile("tags", quoted("1.0")));
    }
    return tag;
  });
  const { registry } = wanted;
  const refuse = (field: Key) => (shown: string, problem: Words, sample: string) =>
    fail(
      text`its ${field === "tags" ? "tag" : field} is ${JSON.stringify(asGiven(shown))}: ${problem}`,
      writeInFile(field, field === "tags" ? quoted(sample) : sample),
    );
  return {
    promotion: parsePromotion({ source, destination, tags, registry, tagsGoInto: "the key tags", refuse }),
    place,
  };
}

const quoted = (tag = ""): string => `[${JSON.stringify(tag)}]`;

const writeInFile = (key: Key, value: string): string => `Write in the file, for example, ${key}: ${value}`;

type Fail = (problem: Words, remedy: string) => ExplainedError;

const failing =
  (path: string, place: string): Fail =>
  (problem, remedy) =>
    new ExplainedError("invalid-input", text`${nameOf(path)}, ${place}: ${problem}.`, { remedy: [remedy] });

const nameOf = (path: string): string => JSON.stringify(asGiven(path)).slice(1, -1);

/** The entry's values by key. Each key occurs once, and there is no other. */
function readKeys(yaml: Yaml, map: YAMLMap, resolve: Resolve, fail: Fail): ReadonlyMap<Key, unknown> {
  const values = new Map<Key, unknown>();
  const whole = `An entry has ${keys.join(", ")}.`;
  for (const { key, value } of map.items) {
    const node = resolve(key);
    const name = yaml.isScalar(node) ? String(node.value) : "";
    const known = keys.find((candidate) => candidate === name);
    if (!known) {
      const close = closest(name, keys);
      throw fail(
        `it has the unknown key ${JSON.stringify(asGiven(shownOf(name)))}`,
        close ? `Did you mean: ${close}` : whole,
      );
    }
    if (values.has(known)) {
      throw fail(`it has ${known} twice`, whole);
    }
    values.set(known, resolve(value));
  }
  const missing = keys.find((key) => !values.has(key));
  if (missing) {
    throw fail(`it has no ${missing}`, whole);
  }
  return values;
}

/** The checks across entries. */
function checkTogether(entries: readonly Entry[], { path, hasSourceRobot }: FileWanted): void {
  const [first] = entries;
  const takenBy = new Map<string, Entry>();
  for (const entry of entries) {
    const fail = failing(path, entry.place);
    const { source, destination, tags } = entry.promotion;
    for (const tag of tags) {
      const reference = byTag(destination, tag);
      const other = takenBy.get(reference);
      if (other) {
        const isSame = same(entry.promotion, other.promotion);
        throw fail(
          isSame ? `it repeats ${other.place}` : `${reference} is already a tag of ${other.place}`,
          isSame ? "Leave one of the two out." : "Leave the tag out of one of the two.",
        );
      }
      takenBy.set(reference, entry);
    }
    const elsewhere = (what: string, own: string, its: string) =>
      fail(
        `its ${what} is on ${own}, and that of ${first?.place} on ${its}; one robot logs in to one registry`,
        "Make a file for each registry.",
      );
    const one = first?.promotion ?? entry.promotion;
    if (destination.registry !== one.destination.registry) {
      throw elsewhere("destination", destination.registry, one.destination.registry);
    }
    if (hasSourceRobot && source.registry !== one.source.registry) {
      throw elsewhere("source", source.registry, one.source.registry);
    }
  }
}

const same = (one: Promotion, other: Promotion): boolean =>
  formatReference(one.source) === formatReference(other.source) &&
  pathOf(one.destination) === pathOf(other.destination) &&
  [...one.tags].sort().join() === [...other.tags].sort().join();
