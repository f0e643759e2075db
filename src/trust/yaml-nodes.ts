/** Values of a YAML document, each with its line and key for errors. Pure. */
import { closest } from "../options/closest.ts";
import { ExplainedError, invalidInput } from "../platform/errors.ts";
import { asGiven, oneLine, withoutTokens } from "../platform/text.ts";
import { text, type Words } from "../platform/wording.ts";
import { anchorsOf, compose, notYaml, type Resolve, type Yaml, type YamlKind } from "../platform/yaml.ts";

/** A value in the document, with aliases resolved. */
export interface Spot {
  readonly node: unknown;
  /** `robots.ci.bindings[0]`; "" for the whole document */
  readonly key: string;
  readonly line: number;
}

export type Fail = (spot: Spot, problem: Words, ...remedy: readonly Words[]) => ExplainedError;

export interface Nodes {
  readonly root: Spot;
  /** `quay-trust.yaml:12` */
  place(spot: Spot): string;
  /** An error: place and key, then `problem`, which follows them: `is "x": it …` */
  readonly fail: Fail;
  isList(spot: Spot): boolean;
  isMapping(spot: Spot): boolean;
  /** The entries, each key once. */
  entries(spot: Spot, what: string): ReadonlyMap<string, Spot>;
  items(spot: Spot): readonly Spot[];
  /** Text, numbers included: YAML's other types are errors, unless they are in quotes. */
  text(spot: Spot, example: string): string;
  boolean(spot: Spot): boolean;
}

/** Far beyond any organization: a few aliases can stand for millions of entries. */
const maxEntries = 50_000;

const fileName = (path: string): string => JSON.stringify(asGiven(path)).slice(1, -1);

/** The value for a message, without secrets. The beginning of a subject is no user, and what follows it no password. */
export const shown = (value: string): string =>
  JSON.stringify(
    /^(?:repo|ref|environment|project_path|system):/.test(value)
      ? withoutTokens(oneLine(value, 120))
      : asGiven(oneLine(value)),
  );

/** @throws ExplainedError `invalid-input` if the text is no YAML, too large, or several documents */
export function readNodes(yaml: Yaml, content: string, path: string, kind: YamlKind): Nodes {
  const { document, lineOf } = compose(yaml, content, path, kind);
  const resolve: Resolve = anchorsOf(yaml, document, (alias) =>
    notYaml(path, `line ${lineOf(alias)}: *${asGiven(alias.source)} has no anchor before it`, kind),
  );
  const place = ({ line }: Spot) => `${fileName(path)}:${line}`;
  const fail: Fail = (spot, problem, ...remedy) =>
    new ExplainedError("invalid-input", text`${place(spot)}: ${spot.key || "the file"} ${problem}.`, { remedy });
  let count = 0;
  const counted = (more: number) => {
    count += more;
    if (count > maxEntries) {
      throw invalidInput("file", path, `it has more than ${maxEntries} entries`, kind.smaller);
    }
  };
  const tree: Tree = { yaml, resolve, lineOf, fail, counted };
  return {
    root: { node: document.contents, key: "", line: 1 },
    place,
    fail,
    isList: ({ node }) => yaml.isSeq(node),
    isMapping: ({ node }) => yaml.isMap(node),
    entries: (spot, what) => entriesOf(tree, spot, what),
    items: (spot) => itemsOf(tree, spot),
    text: (spot, example) => textOf(tree, spot, example),
    boolean: (spot) => {
      const { node } = spot;
      const value = yaml.isScalar(node) && node.type === "PLAIN" ? String(node.value) : "";
      if (!/^(?:true|True|TRUE|false|False|FALSE)$/.test(value)) {
        throw fail(spot, "is neither true nor false", `Write, for example, ${lastKey(spot)}: true`);
      }
      return /^true$/i.test(value);
    },
  };
}

interface Tree {
  readonly yaml: Yaml;
  readonly resolve: Resolve;
  readonly lineOf: (node: unknown) => number;
  readonly fail: Fail;
  /** @throws ExplainedError if there are too many in all */
  readonly counted: (more: number) => void;
}

const isEmpty = (yaml: Yaml, node: unknown): boolean =>
  node === null || (yaml.isScalar(node) && node.type === "PLAIN" && node.value === "");

function entriesOf(
  { yaml, resolve, lineOf, fail, counted }: Tree,
  spot: Spot,
  what: string,
): ReadonlyMap<string, Spot> {
  const { node } = spot;
  if (!yaml.isMap(node)) {
    throw fail(spot, isEmpty(yaml, node) ? "is empty" : yaml.isSeq(node) ? "is a list" : "is not a mapping", what);
  }
  counted(node.items.length);
  const found = new Map<string, Spot>();
  for (const { key, value } of node.items) {
    const known = resolve(key);
    const name = yaml.isScalar(known) && typeof known.value === "string" ? known.value : undefined;
    const line = yaml.isNode(key) ? lineOf(key) : spot.line;
    if (name === undefined) {
      throw fail({ ...spot, line }, "has a key that is not text", what);
    }
    const inner = { node: resolve(value), key: keyWithin(spot.key, name), line };
    const other = found.get(name);
    if (other) {
      throw fail(inner, `is already in line ${other.line}`, "Leave one of the two out.");
    }
    found.set(name, inner);
  }
  return found;
}

function itemsOf({ yaml, resolve, lineOf, counted }: Tree, spot: Spot): readonly Spot[] {
  const items = yaml.isSeq(spot.node) ? spot.node.items : [];
  counted(items.length);
  return items.map((item, index) => ({
    node: resolve(item),
    key: `${spot.key}[${index}]`,
    line: yaml.isNode(item) ? lineOf(item) : spot.line,
  }));
}

function textOf({ yaml, fail }: Tree, spot: Spot, example: string): string {
  const { node } = spot;
  if (!yaml.isScalar(node) || typeof node.value !== "string" || isEmpty(yaml, node)) {
    throw fail(spot, isEmpty(yaml, node) ? "is empty" : "is not text", `Write, for example, ${example}`);
  }
  if (node.type === "PLAIN" && noText.test(node.value)) {
    throw fail(
      spot,
      `is ${node.value}, which is not text in YAML`,
      `Write it in quotes: ${JSON.stringify(node.value)}`,
    );
  }
  return node.value;
}

/** YAML 1.2, 10.3.2: null and booleans. Numbers are taken as the text that they are. */
const noText = /^(?:~|null|Null|NULL|true|True|TRUE|false|False|FALSE)$/;

const keyWithin = (outer: string, name: string): string => {
  const clean = asGiven(oneLine(name, 100));
  return outer === "" ? clean : `${outer}.${clean}`;
};

export const lastKey = ({ key }: Spot): string => key.replace(/^.*\./s, "");

/**
 * Checks that each key is known.
 * @throws ExplainedError `invalid-input` with the closest known key
 */
export function assertKnown(entries: ReadonlyMap<string, Spot>, known: readonly string[], fail: Fail): void {
  for (const [name, spot] of entries) {
    if (!known.includes(name)) {
      const near = closest(name, known);
      throw fail(spot, "is an unknown key", near ? `Did you mean: ${near}` : `The keys here are ${known.join(", ")}.`);
    }
  }
}
