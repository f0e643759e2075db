/** YAML with positions. Aliases are followed one at a time, never expanded. Pure. */
import {
  Composer,
  type Document,
  isAlias,
  isMap,
  isScalar,
  isSeq,
  Lexer,
  type Node,
  Parser,
  type Scalar,
  visit,
  type YAMLMap,
} from "yaml";
import { tokensWithin } from "../platform/yaml.ts";
import { lineAt } from "./edits.ts";

export interface Entry {
  readonly key: Scalar;
  /** As it stands there: an alias is not followed. */
  readonly raw: Node | undefined;
  /** With an alias followed. */
  readonly value: Node | undefined;
}

export type Entries = ReadonlyMap<string, Entry>;

/** One document of a file. */
export interface Tree {
  readonly path: string;
  readonly text: string;
  readonly root: Node | undefined;
  readonly resolve: (node: unknown) => Node | undefined;
  /** Whether the node has a name that an alias uses. */
  readonly isShared: (node: Node) => boolean;
  readonly lineOf: (node: Node) => number;
}

/** @returns undefined if the text is not YAML, or beyond the bounds of src/platform/yaml.ts */
export function parseTrees(path: string, text: string): readonly Tree[] | undefined {
  const parser = new Parser();
  const composer = new Composer({ logLevel: "silent", prettyErrors: false, uniqueKeys: false });
  const { stackTraceLimit } = Error;
  const trees: Tree[] = [];
  try {
    Error.stackTraceLimit = 0; // broken text makes an error for each of its characters
    for (const document of composer.compose(
      tokensWithin({ Lexer }, parser, text, () => new Error("bounds")),
      true,
      text.length,
    )) {
      if (document.errors.length > 0) {
        return undefined;
      }
      trees.push(treeOf(path, text, document as Document));
    }
    return trees;
  } catch {
    return undefined;
  } finally {
    Error.stackTraceLimit = stackTraceLimit;
  }
}

function treeOf(path: string, text: string, document: Document): Tree {
  const anchors = new Map<string, Node>();
  const targets = new Map<Node, Node>();
  visit(document, {
    Node: (_, node) => {
      if (isAlias(node)) {
        const target = anchors.get(node.source);
        if (target) {
          targets.set(node, target);
        }
      } else if (node.anchor) {
        anchors.set(node.anchor, node);
      }
    },
  });
  const used = new Set(targets.values());
  const resolve = (node: unknown): Node | undefined =>
    isAlias(node) ? targets.get(node) : isMap(node) || isSeq(node) || isScalar(node) ? node : undefined;
  return {
    path,
    text,
    root: resolve(document.contents),
    resolve,
    isShared: (node) => used.has(node),
    lineOf: (node) => lineAt(text, startOf(node)),
  };
}

/** The keys of a map; none for any other node. */
export function entriesOf(tree: Tree, node: Node | undefined): Entries {
  const found = new Map<string, Entry>();
  if (isMap(node)) {
    for (const { key, value } of node.items) {
      const name = tree.resolve(key);
      if (isScalar(name)) {
        const raw = (value ?? undefined) as Node | undefined;
        found.set(String(name.source), { key: name, raw, value: tree.resolve(raw) });
      }
    }
  }
  return found;
}

/** The items of a list, aliases followed; a single value is a list of one. */
export const itemsOf = (tree: Tree, node: Node | undefined): readonly Node[] =>
  isSeq(node) ? node.items.flatMap((item) => tree.resolve(item) ?? []) : node === undefined ? [] : [node];

/** A scalar as text; undefined for other nodes and for null. */
export function textOf(node: Node | undefined): string | undefined {
  if (!isScalar(node) || node.value === null) {
    return undefined;
  }
  return typeof node.value === "string" ? node.value : String(node.source);
}

/** The same with "" for what has none. */
export const textOrEmpty = (node: Node | undefined): string => textOf(node) ?? "";

/** The text at a path of keys. */
export const textAt = (tree: Tree, node: Node | undefined, ...keys: readonly string[]): string | undefined =>
  textOf(nodeAt(tree, node, ...keys));

export const nodeAt = (tree: Tree, node: Node | undefined, ...keys: readonly string[]): Node | undefined =>
  keys.reduce<Node | undefined>((at, key) => entriesOf(tree, at).get(key)?.value, node);

/** A map whose keys stand one below the other. */
export const isBlock = (node: Node | undefined): node is YAMLMap => isMap(node) && node.flow !== true;

/** Every node of a parsed text has a range: its start, the position behind its value, and the one behind its comment. */
export const rangeOf = (node: Node): readonly number[] => node.range as readonly number[];

export const startOf = (node: Node): number => Number(rangeOf(node)[0]);

/** The position behind the node's last visible character. */
export function endOf(text: string, node: Node): number {
  const [start = 0, end = 0] = rangeOf(node);
  return start + text.slice(start, end).trimEnd().length;
}
