/** The examples of README.md, so that tests can run them as they stand there. */
import { readFileSync } from "node:fs";
import { resolve } from "node:path";

const file = resolve(import.meta.dirname, "../../README.md");

/**
 * @param heading as it stands there, hashes included: `### Tekton`
 * @param language of the block
 * @returns the first such block below the heading, before the next heading of its level or above
 * @throws Error where there is none
 */
export function readmeBlock(heading: string, language: string): string {
  const block = blocksOf(sectionOf(heading)).find((each) => each.language === language);
  if (block === undefined) throw new Error(`README.md has no block of ${language} under ${heading}`);
  return block.text;
}

/** All blocks of a language, in order. */
export function readmeBlocks(language: string): string[] {
  return blocksOf(readFileSync(file, "utf8")).flatMap((each) => (each.language === language ? [each.text] : []));
}

function sectionOf(heading: string): string {
  const lines = readFileSync(file, "utf8").split("\n");
  const start = lines.indexOf(heading);
  if (start < 0) throw new Error(`README.md has no heading ${heading}`);
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
 * Puts something of the test's own in place of what an example says.
 * @throws Error where the example no longer says it
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
