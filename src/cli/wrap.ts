/** Text at the width of the terminal. Pure, but for `widthOf`. */

/** Wider lines are hard to read. */
const widest = 100;

/** Columns of the terminal on standard output; 80 if it is no terminal, or has no size. */
export const widthOf = ({ stdout }: NodeJS.Process): number => Math.min(stdout.columns || 80, widest);

/** @param indent begins each line but the first, which begins with `first` */
export function wrap(text: string, width: number, indent = "", first = indent): string[] {
  const lines = [first];
  let isEmpty = true;
  for (const word of text.split(/\s+/).filter(Boolean)) {
    const line = lines.at(-1) ?? "";
    if (!isEmpty && line.length + 1 + word.length > width) {
      lines.push(`${indent}${word}`);
    } else {
      lines[lines.length - 1] = isEmpty ? `${line}${word}` : `${line} ${word}`;
      isEmpty = false;
    }
  }
  return lines;
}
