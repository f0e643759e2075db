/** Changes of a text by position: what no edit touches stays as it is, character by character. Pure. */

export interface Range {
  readonly start: number;
  /** The position behind the last character. */
  readonly end: number;
}

/** Replaces a range by `text`; an empty range is an insertion. */
export interface Edit extends Range {
  readonly text: string;
}

/** An anchor's node is found once for each of its aliases: the same edit counts once. */
const ordered = (edits: readonly Edit[]): readonly Edit[] =>
  [...new Map(edits.map((edit) => [`${edit.start} ${edit.end} ${edit.text}`, edit])).values()].toSorted(
    (one, other) => one.start - other.start || one.end - other.end,
  );

/** Whether two of the edits change the same characters. */
export const collide = (edits: readonly Edit[]): boolean =>
  ordered(edits).some((edit, index, all) => edit.start < (all[index - 1]?.end ?? 0));

/** @throws Error if two of them change the same characters */
export function applyEdits(text: string, edits: readonly Edit[]): string {
  let at = 0;
  let result = "";
  for (const { start, end, text: replacement } of ordered(edits)) {
    if (start < at) {
      throw new Error(`two edits change the character at ${start}`);
    }
    result += text.slice(at, start) + replacement;
    at = end;
  }
  return result + text.slice(at);
}

export const startOfLine = (text: string, at: number): number => text.lastIndexOf("\n", at - 1) + 1;

/** The position of the line break, or the end of the text. */
export function endOfLine(text: string, at: number): number {
  const found = text.indexOf("\n", at);
  const end = found === -1 ? text.length : found;
  return end > at && text[end - 1] === "\r" ? end - 1 : end;
}

/** The line break that the text's first line has. */
export const lineBreakOf = (text: string): string => (/^[^\n]*\r\n/.test(text) ? "\r\n" : "\n");

/** The line of a position, counted from 1. */
export function lineAt(text: string, at: number): number {
  let line = 1;
  for (let found = text.indexOf("\n"); found !== -1 && found < at; found = text.indexOf("\n", found + 1)) {
    line += 1;
  }
  return line;
}

/** Removes the lines of a range, from the first one's begin. At the end of the text, the line break before goes with them. */
export function deleteLines(text: string, { start, end }: Range): Edit {
  const first = startOfLine(text, start);
  const last = text.indexOf("\n", Math.max(start, end - 1));
  if (last !== -1) {
    return { start: first, end: last + 1, text: "" };
  }
  const before = first === 0 ? 0 : endOfLine(text, startOfLine(text, first - 1));
  return { start: before, end: text.length, text: "" };
}
