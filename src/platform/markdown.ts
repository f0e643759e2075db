/** GitHub's Markdown, safe for any text. Pure. */
import { type FailureObject, formatError } from "./errors.ts";
import { oneLine } from "./text.ts";

/** In a block that begins with <pre>, everything up to </pre> is text (CommonMark 4.6), so only HTML needs escaping. */
export const quoted = (failure: FailureObject): string => `<pre>${escapeHtml(formatError(failure))}</pre>\n\n`;

/** A cell may have several lines. */
export function table(head: readonly string[], rows: readonly (readonly (string | readonly string[])[])[]): string[] {
  const row = (cells: readonly string[]) => `| ${cells.join(" | ")} |`;
  return [
    row(head),
    row(head.map(() => "---")),
    ...rows.map((cells) => row(cells.map((lines) => [lines].flat().map(cell).join("<br>")))),
  ];
}

/** Text from outside. Each character that has a meaning in Markdown, HTML or an autolink becomes an entity. */
export const cell = (text: string): string =>
  oneLine(text, 8192).replaceAll(/[^A-Za-z0-9 ./+,=-]/gu, (character) => `&#${character.codePointAt(0)};`);

const escapeHtml = (text: string): string =>
  text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
