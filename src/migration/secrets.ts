/** Which secrets nothing uses any more. Pure. */
import { asPattern } from "../platform/text.ts";
import { lineAt } from "./edits.ts";
import type { GithubFile } from "./github.ts";
import { nodeAt, textAt, textOrEmpty } from "./yaml-tree.ts";

export interface SecretUse {
  readonly name: string;
  /** Where it is still used: `ci/push.sh:3`; undefined: nowhere, it can be deleted */
  readonly usedIn: string | undefined;
}

export interface Remaining {
  readonly files: readonly GithubFile[];
  /** The whole checkout's text files as they are after the change, by path. */
  readonly texts: ReadonlyMap<string, string>;
}

export const secretUses = (names: readonly string[], remaining: Remaining): readonly SecretUse[] =>
  [...new Set(names)].toSorted().map((name) => ({ name, usedIn: useOf(name, remaining) }));

/** GitHub compares names of secrets without regard to case. A name that is made when the job runs may be any. */
function useOf(name: string, { files, texts }: Remaining): string | undefined {
  const escaped = asPattern(name);
  const inGithub = new RegExp(
    `\\bsecrets\\s*(?:\\.\\s*${escaped}\\b(?!-)|\\[\\s*['"]${escaped}['"])|\\btoJSON\\(\\s*secrets\\s*\\)|\\bsecrets\\s*\\[(?!\\s*(?:'[^']*'|"[^"]*")\\s*\\])`,
    "i",
  );
  const elsewhere = new RegExp(`(?<![\\w-])${escaped}(?![\\w-])`);
  const github = new Set(files.map(({ tree }) => tree.path));
  for (const [path, text] of texts) {
    if (/\.(?:md|markdown|rst|adoc)$/i.test(path)) {
      continue;
    }
    const found = (github.has(path) ? inGithub : elsewhere).exec(text);
    if (found) {
      return `${path}:${lineAt(text, found.index)}`;
    }
  }
  return passedOn(name, files);
}

/** A reusable workflow that demands it, or another repository's workflow that gets all secrets. */
function passedOn(name: string, files: readonly GithubFile[]): string | undefined {
  for (const { tree, jobs } of files) {
    const declared = nodeAt(tree, tree.root, "on", "workflow_call", "secrets", name);
    const inherits = jobs.find(
      ({ node, entries }) =>
        textAt(tree, node, "secrets") === "inherit" &&
        entries.has("uses") &&
        !textOrEmpty(entries.get("uses")?.value).startsWith("./"),
    );
    const node = declared ?? inherits?.node;
    if (node) {
      return `${tree.path}:${tree.lineOf(node)}${declared ? " (callers pass it)" : " (secrets: inherit)"}`;
    }
  }
  return undefined;
}
