/** The literal passwords of a checkout's pipelines, and where they are. Pure. */
import { isMap, isScalar, isSeq, type Node, type Scalar, visit } from "yaml";
import { shellWord } from "../platform/text.ts";
import type { Range } from "./edits.ts";
import { formsOf, isShort, patternOf } from "./mask.ts";
import { addText, collectTexts, noPasswords, type Passwords, passwordName } from "./password-texts.ts";
import { collectFiles, collectPasswords } from "./script-passwords.ts";
import { secretsIn } from "./values.ts";
import { rangeOf, type Tree, textOrEmpty } from "./yaml-tree.ts";

export interface FoundPasswords {
  /** Long enough to be hidden wherever they are. */
  readonly values: readonly string[];
  /** By path: what is hidden in its place. */
  readonly places: ReadonlyMap<string, readonly Range[]>;
}

/** A text of a file, and the passwords in it. */
interface Place extends Range {
  readonly found: Passwords;
}

/** What names secrets: `secrets[matrix.key]`, and the names themselves. */
interface Names {
  readonly keys: ReadonlySet<string>;
  readonly secrets: ReadonlySet<string>;
}

export function findPasswords(trees: readonly Tree[]): FoundPasswords {
  const names = namesIn(trees);
  const places = new Map<string, Range[]>();
  const values = new Set<string>();
  for (const tree of trees) {
    const ranges = places.get(tree.path) ?? [];
    places.set(tree.path, ranges);
    for (const place of placesIn(tree, names)) {
      ranges.push(...rangesOf(place, tree.text));
      for (const found of place.found.literals.flatMap((each) => [...each.values, ...each.written])) {
        values.add(found);
      }
    }
  }
  return { values: [...values].filter((each) => !isShort(each)), places };
}

function namesIn(trees: readonly Tree[]): Names {
  const all = trees.map(({ text }) => text);
  const keys = all.flatMap((text) =>
    [...text.matchAll(/\bsecrets\s*\[([^\]]*)\]/g)].flatMap(([, inner = ""]) =>
      [...inner.matchAll(/\b(?:env|matrix|inputs|vars)\.([\w-]+)/g)].map(([, name = ""]) => name),
    ),
  );
  return { keys: new Set(keys), secrets: new Set(all.flatMap(secretsIn)) };
}

function placesIn(tree: Tree, names: Names): readonly Place[] {
  const places: Place[] = commentsIn(tree.text).map((comment) => {
    const found = noPasswords();
    collectPasswords(comment.text, found);
    return { ...comment, found };
  });
  const scalars = new Map<Node, Place>();
  const placeOf = (node: Scalar): Place => {
    const place = scalars.get(node) ?? { ...contentOf(tree.text, node), found: noPasswords() };
    scalars.set(node, place);
    return place;
  };
  visit(tree.root ?? null, {
    // A command as a list of its words.
    Seq: (_, { items, range }) => {
      const words = items.map((item) => textOrEmpty(tree.resolve(item)));
      if (range && words.every((word) => !/\s/.test(word))) {
        const found = noPasswords();
        collectPasswords(words.map(shellWord).join(" "), found);
        places.push({ start: range[0], end: range[1], found });
      }
    },
    Scalar: (key, node) => {
      const text = textOrEmpty(node);
      if (key !== "key" && /\s|[:=]/.test(text)) {
        collectPasswords(text, placeOf(node).found);
      }
    },
  });
  const all = () => [...places, ...scalars.values()];
  const files = new Set(all().flatMap(({ found }) => [...found.files]));
  all().forEach(({ found }) => {
    collectFiles(files, found);
  });
  // A variable's value may be another variable.
  for (let round = 0, known = -1; round < 8; round += 1) {
    const wanted = new Set(all().flatMap(({ found }) => [...found.names]));
    if (wanted.size === known) {
      break;
    }
    known = wanted.size;
    for (const node of valuesOf(
      tree,
      (name) => (wanted.has(name) || passwordName.test(name)) && !names.keys.has(name),
    )) {
      const text = textOrEmpty(node);
      if (!names.secrets.has(text.trim())) {
        addText(text, placeOf(node).found);
        collectTexts(text, placeOf(node).found);
      }
    }
  }
  return all();
}

/** The values of keys with such a name: a text, a list, `value` and `default` below it, and `name` with `value` beside it. */
function valuesOf(tree: Tree, isWanted: (name: string) => boolean): readonly Scalar[] {
  const found: Scalar[] = [];
  const add = (value: unknown) => {
    const node = tree.resolve(value);
    if (isScalar(node)) {
      found.push(node);
    } else if (isSeq(node)) {
      found.push(...node.items.map(tree.resolve).filter((item) => isScalar(item)));
    } else if (isMap(node)) {
      for (const name of ["value", "default"]) {
        const inner = tree.resolve(node.get(name, true));
        found.push(...(isScalar(inner) ? [inner] : []));
      }
    }
  };
  visit(tree.root ?? null, {
    Pair: (_, { key, value }) => {
      const name = isScalar(key) ? String(key.value) : "";
      if (isWanted(name)) {
        add(value);
      }
    },
    Map: (_, node) => {
      const name = node.get("name");
      if (typeof name === "string" && isWanted(name)) {
        add(node);
      }
    },
  });
  return found;
}

/** Comments of lines that follow each other are one text, as it was before someone put the signs there. */
function commentsIn(text: string): readonly (Range & { readonly text: string })[] {
  const found: { start: number; end: number; text: string }[] = [];
  let [at, isOpen] = [0, false];
  for (const line of text.split("\n")) {
    const [, before = "", comment] = /^(.*?(?:^|[ \t]))#+(.*)$/.exec(line) ?? [];
    const last = found.at(-1);
    const isWhole = comment !== undefined && before.trim() === "";
    if (isWhole && isOpen && last) {
      last.text += `\n${comment}`;
      last.end = at + line.length;
    } else if (comment !== undefined) {
      found.push({ start: at + before.length, end: at + line.length, text: comment });
    }
    isOpen = isWhole;
    at += line.length + 1;
  }
  return found;
}

/** Without the header of a block. */
function contentOf(text: string, node: Scalar): Range {
  const [start = 0, end = 0] = rangeOf(node);
  const isBlock = node.type === "BLOCK_LITERAL" || node.type === "BLOCK_FOLDED";
  return { start: isBlock ? Math.min(text.indexOf("\n", start) + 1, end) : start, end };
}

/** Each place of a password; the whole text where it is not found in any form that it is known in. */
function rangesOf({ start, end, found }: Place, file: string): readonly Range[] {
  const text = file.slice(start, end);
  const find = (password: string): readonly Range[] =>
    formsOf(password).flatMap((form) =>
      [...text.matchAll(patternOf(form))].map(({ 0: whole, index }) => ({
        start: start + index,
        end: start + index + whole.length,
      })),
    );
  return found.literals.flatMap(({ values, written }) => {
    const [read, raw] = [values.map(find), written.map(find)];
    const isFound = [read, raw].some((each) => each.length > 0 && each.every((ranges) => ranges.length > 0));
    return isFound ? [...read, ...raw].flat() : [{ start, end }];
  });
}
