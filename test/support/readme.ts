/**
 * The blocks of README.md and docs/, for tests that run them unchanged. test/pages.test.ts sees to it that each block is taken
 * by a test, or marked as an illustration.
 */
import { readFileSync } from "node:fs";
import { resolve } from "node:path";

const root = resolve(import.meta.dirname, "../..");

/** The line before a block that no test runs, such as a fragment with `…`. */
const ILLUSTRATION = "<!-- illustration -->";

export interface Block {
  /** The nearest heading above it, hashes included: `### Tekton`. */
  readonly heading: string;
  /** Empty if the block names none. */
  readonly language: string;
  /** Without the indentation of a list. */
  readonly text: string;
  readonly line: number;
  readonly isIllustration: boolean;
}

/** @returns each fenced block of a page, in order. @param document its path from the project's root */
export function blocksOf(document: string): Block[] {
  return blocksIn(readFileSync(resolve(root, document), "utf8"));
}

/** @throws Error where a block has tildes, more than three backticks, or more than a language behind them: no test would see it */
export function blocksIn(page: string): Block[] {
  const blocks: Block[] = [];
  let heading = "";
  let open: (Block & { indent: string; lines: string[] }) | undefined;
  let above = "";
  for (const [index, line] of page.split("\n").entries()) {
    const [, indent = "", language] = /^( *)```([\w-]*)$/.exec(line) ?? [];
    if (open !== undefined && line === `${open.indent}\`\`\``) {
      blocks.push({ ...open, text: open.lines.map((each) => `${each}\n`).join("") });
      open = undefined;
    } else if (open !== undefined) {
      open.lines.push(line.startsWith(open.indent) ? line.slice(open.indent.length) : line);
    } else if (language !== undefined) {
      const isIllustration = above === ILLUSTRATION;
      open = { heading, language, text: "", line: index + 1, isIllustration, indent, lines: [] };
    } else if (/^[\s>]*(?:[-*+]\s+|\d+\.\s+)?(?:~~~|```)/.test(line)) {
      throw new Error(
        `line ${index + 1}: a block begins with three backticks and a language alone, and not with: ${line.trim()}`,
      );
    } else if (/^#+ /.test(line)) heading = line;
    if (line.trim() !== "") above = line.trim();
  }
  if (open !== undefined) throw new Error(`line ${open.line}: the block has no end`);
  return blocks;
}

/**
 * @param heading directly above the block, hashes included
 * @returns the only such block
 * @throws Error if there is none, or another one that no test runs then
 */
export function documentBlock(document: string, heading: string, language: string): string {
  const [block = ""] = blocksUnder(document, heading, language, 1);
  return block;
}

/**
 * All blocks of a language directly below a heading, but illustrations.
 * @param count how many the caller takes, and runs
 * @throws Error if there are more or fewer
 */
export function blocksUnder(document: string, heading: string, language: string, count: number): string[] {
  const found = blocksOf(document).filter(
    (block) => block.heading === heading && block.language === language && !block.isIllustration,
  );
  if (found.length !== count) {
    throw new Error(`${document} has ${found.length} blocks of ${language} under ${heading}, and a test runs ${count}`);
  }
  return found.map(({ text }) => text);
}

/**
 * Replaces a part of an example with the test's.
 * @throws Error if the example no longer has that part
 */
export function substitute(
  example: string,
  replacements: readonly (readonly [said: string, instead: string])[],
): string {
  return replacements.reduce((text, [said, instead]) => {
    if (!text.includes(said)) throw new Error(`the example no longer says ${said}:\n${example}`);
    return text.replaceAll(said, () => instead);
  }, example);
}
