/** The examples of README.md and docs/, for tests that run them unchanged. */
import { readFileSync } from "node:fs";
import { resolve } from "node:path";

const root = resolve(import.meta.dirname, "../..");
const file = "README.md";
const read = (document: string) => readFileSync(resolve(root, document), "utf8");

/** As `documentBlock`, of README.md. */
export const readmeBlock = (heading: string, language: string): string => documentBlock(file, heading, language);

/**
 * @param document its path from the project's root
 * @param heading as in the document, hashes included: `### Tekton`
 * @param language of the block
 * @returns the first such block below the heading, before the next heading of its level or above
 * @throws Error if there is none
 */
export function documentBlock(document: string, heading: string, language: string): string {
  const block = blocksOf(sectionOf(document, heading)).find((each) => each.language === language);
  if (block === undefined) throw new Error(`${document} has no block of ${language} under ${heading}`);
  return block.text;
}

/** All blocks of a language, in order. */
export const readmeBlocks = (language: string): string[] => documentBlocks(file, language);

/** All blocks of a language in a document, in order; not those that are indented. */
export function documentBlocks(document: string, language: string): string[] {
  return blocksOf(read(document)).flatMap((each) => (each.language === language ? [each.text] : []));
}

/** All blocks of a language below a heading, in order; those of list items too, without their indentation. */
export function blocksUnder(document: string, heading: string, language: string): string[] {
  const found = sectionOf(document, heading).matchAll(/^( *)```(\w+)\n([\s\S]*?)^\1```$/gm);
  return [...found].flatMap(([, indent = "", name, text = ""]) =>
    name === language ? [text.replaceAll(new RegExp(`^${indent}`, "gm"), "")] : [],
  );
}

function sectionOf(document: string, heading: string): string {
  const lines = read(document).split("\n");
  const start = lines.indexOf(heading);
  if (start < 0) throw new Error(`${document} has no heading ${heading}`);
  const level = heading.indexOf(" ");
  let fenced = false;
  const end = lines.findIndex((line, index) => {
    if (line.startsWith("```")) fenced = !fenced;
    const hashes = /^(#+) /.exec(line)?.[1];
    return index > start && !fenced && hashes !== undefined && hashes.length <= level;
  });
  return lines.slice(start + 1, end < 0 ? undefined : end).join("\n");
}

function blocksOf(text: string): { language: string; text: string }[] {
  return [...text.matchAll(/^```(\w+)\n([\s\S]*?)^```$/gm)].map(([, language = "", block = ""]) => ({
    language,
    text: block,
  }));
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
