/**
 * A page that is walked as its reader walks it, from top to bottom: a block whose first line is a comment with a file's name is saved
 * under that name, commands are typed, and what they print is compared with what the page shows.
 */
import { expect } from "vitest";
import { type Block, blocksOf } from "./readme.ts";

/** One command of a page; `shown`: what it prints, if the page says so. */
interface Command {
  readonly command: string;
  readonly shown?: string;
}

/** What the reader of a page does. */
export interface Reader {
  save(file: string, content: string): Promise<void>;
  /** @returns what it prints, standard error included */
  type(command: string): Promise<string>;
  /** What the test has, and what the page says instead. */
  names: readonly (readonly [here: string, onThePage: string])[];
}

/** The name under which the reader saves a block. */
export const fileName = ({ text }: Pick<Block, "text">): string | undefined =>
  /^# ([\w./-]*(?:\.ya?ml|Containerfile))\n/.exec(text)?.[1];

/** A file of a page. @throws Error if the page has none of that name */
export function pageFile(page: string, name: string): string {
  const block = blocksOf(page).find((each) => fileName(each) === name);
  if (block === undefined) throw new Error(`${page} has no file ${name}`);
  return block.text;
}

/** What the page shows of a job's log, an error or the like: the blocks `text` below a heading, in order. */
export const shownUnder = (page: string, heading: string): string[] =>
  blocksOf(page).flatMap((each) => (each.heading === heading && each.language === "text" ? [each.text] : []));

function commandsOf({ language, text }: Block): Command[] {
  if (language === "sh") return [{ command: text }];
  return text
    .split(/^\$ /m)
    .slice(1)
    .map((part) => {
      const lines = part.split("\n");
      const end = lines.findIndex((line) => !line.endsWith("\\")) + 1;
      return { command: lines.slice(0, end).join("\n"), shown: lines.slice(end).join("\n") };
    });
}

/** Saves the files and types the commands of a page, in order. @param isWanted of a heading: whether to do what is below it */
export async function walk(page: string, reader: Reader, isWanted = (_heading: string) => true): Promise<void> {
  for (const block of blocksOf(page)) {
    const { heading, language, isIllustration } = block;
    if (isIllustration || !isWanted(heading)) continue;
    const name = fileName(block);
    if (name !== undefined) await reader.save(name, block.text);
    else if (language === "sh" || language === "console") {
      for (const { command, shown } of commandsOf(block)) {
        const printed = await reader.type(command);
        if (shown !== undefined) expectShown(printed, shown, reader.names);
      }
    }
  }
}

/**
 * Compares what was printed with what a page shows. Times, digests and ages may be others; `…` in it stands for any text, alone in a line
 * for any lines.
 * @param part: the page shows a part of it
 */
export function expectShown(printed: string, shown: string, names: Reader["names"] = [], { part = false } = {}): void {
  const actual = tidy(names.reduce((text, [here, onThePage]) => text.replaceAll(here, onThePage), printed));
  const lines = tidy(shown).split("\n").map(patternOf).join("");
  const expected = new RegExp(part ? `^${lines}` : `^${lines}$`, part ? "m" : "");
  if (!expected.test(`${actual}\n`)) expect(actual).toBe(tidy(shown));
}

/** Columns are as wide as what is in them. */
const tidy = (text: string): string =>
  text
    .split("\n")
    .map((line) => line.trimEnd().replaceAll(/(?<=\S) {2,}/g, "  "))
    .join("\n")
    .trim();

const varying: readonly (readonly [RegExp, string])[] = [
  [/\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ/g, "\\d{4}-\\d\\d-\\d\\dT\\d\\d:\\d\\d:\\d\\dZ"],
  [/\b[0-9a-f]{64}\b/g, "[0-9a-f]{64}"],
  [/\b\d+s\b/g, "(?:\\d+m)?\\d+s"],
  [/…/g, ".*?"],
];

function patternOf(line: string): string {
  if (line.trim() === "…") return "(?:.*\n)*?";
  const escaped = line.replaceAll(/[\\^$.*+?()[\]{}|]/g, "\\$&");
  return `${varying.reduce((text, [form, pattern]) => text.replaceAll(form, () => pattern), escaped)}\n`;
}
