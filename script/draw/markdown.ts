/** A drawing of a summary page: of Markdown, what src/platform/markdown.ts writes (headings, tables, quoted text, paragraphs). */
import { fonts, type Picture, text, widthOf, wrap } from "./svg.ts";

const width = 800;
const margin = 28;
const inner = width - 2 * margin;

type Block =
  | { readonly kind: "heading" | "paragraph"; readonly content: string }
  | { readonly kind: "table"; readonly rows: readonly (readonly string[])[] }
  | { readonly kind: "quote"; readonly lines: readonly string[] };

/** @throws Error if there is other Markdown in it */
export function drawMarkdown(markdown: string, about: Pick<Picture, "title" | "description">): Picture {
  const body: string[] = [];
  let y = margin;
  for (const block of parse(markdown)) {
    const [elements, height] = drawBlock(block, y);
    body.push(...elements);
    y += height + 18;
  }
  body.push(
    text(margin, y + 12, "A rendering of the page that GitHub shows beside the job's log.", 'class="caption muted"'),
  );
  return {
    ...about,
    width,
    height: y + 34,
    style: ({ line, panel, ground }) =>
      [
        `.heading{font-size:20px;font-weight:600}.head{font-weight:600}.caption{font-size:12.5px;font-style:italic}`,
        `.cell{fill:${ground};stroke:${line}}.second{fill:${panel}}.quote{fill:${panel}}`,
        `.code{font-family:${fonts.mono};font-size:12px}`,
      ].join("\n"),
    body,
  };
}

function parse(markdown: string): Block[] {
  const quoted = /^<pre>([\s\S]*?)<\/pre>$/;
  return markdown
    .trim()
    .split(/\n\n(?![^<]*<\/pre>)/)
    .map((part): Block => {
      const quote = quoted.exec(part)?.[1];
      if (quote !== undefined) return { kind: "quote", lines: plain(quote).split("\n") };
      if (part.startsWith("### ")) return { kind: "heading", content: plain(part.slice(4)) };
      if (part.startsWith("| ")) return { kind: "table", rows: part.split("\n").flatMap(cellsOf) };
      if (/[<#*`]|^>/m.test(part.replaceAll(/&#\d+;/g, ""))) throw new Error(`no drawing for this Markdown: ${part}`);
      return { kind: "paragraph", content: plain(part) };
    });
}

/** The line below a table's head has no cells. */
const cellsOf = (row: string): string[][] =>
  /^[| -]+$/.test(row)
    ? []
    : [
        row
          .replaceAll(/^\| | \|$/g, "")
          .split(" | ")
          .map(plain),
      ];

const plain = (text: string): string =>
  text
    .replaceAll(/&#(\d+);/g, (_, code) => String.fromCodePoint(Number(code)))
    .replaceAll("&lt;", "<")
    .replaceAll("&gt;", ">")
    .replaceAll("&amp;", "&");

/** @returns its elements, and its height */
function drawBlock(block: Block, y: number): readonly [readonly string[], number] {
  switch (block.kind) {
    case "heading":
      return [[text(margin, y + 18, block.content, 'class="heading"')], 22];
    case "paragraph": {
      const lines = wrap(block.content, 14, inner);
      return [lines.map((line, index) => text(margin, y + 14 + 21 * index, line)), 21 * lines.length];
    }
    case "table":
      return drawTable(block.rows, y);
    case "quote": {
      const lines = block.lines.flatMap(fold);
      const height = lines.length * 19 + 26;
      const frame = `<rect class="quote" x="${margin}" y="${y}" width="${inner}" height="${height}" rx="6"/>`;
      return [
        [frame, ...lines.map((line, index) => text(margin + 14, y + 27 + 19 * index, line, 'class="code"'))],
        height,
      ];
    }
  }
}

function drawTable(rows: readonly (readonly string[])[], y: number): readonly [readonly string[], number] {
  const columns = (rows[0] ?? []).map((_, column) =>
    Math.ceil(Math.max(...rows.map((row) => widthOf(row[column] ?? "", 15))) + 26),
  );
  const height = 35;
  const cells = rows.flatMap((row, index) => {
    let x = margin;
    return row.flatMap((content, column) => {
      const left = x;
      x += columns[column] ?? 0;
      const place = `x="${left + 0.5}" y="${y + index * height + 0.5}" width="${x - left}" height="${height}"`;
      const classes = `cell${index > 0 && index % 2 === 0 ? " second" : ""}`;
      return [
        `<rect class="${classes}" ${place}/>`,
        text(left + 13, y + index * height + 23, content, index === 0 ? 'class="head"' : ""),
      ];
    });
  });
  return [cells, rows.length * height];
}

const columns = 99;

/** A line that GitHub would let the reader scroll: it continues below the beginning of its text, and a long word breaks. */
function fold(line: string): string[] {
  const indent = /^ */.exec(line)?.[0] ?? "";
  const lines: string[] = [];
  const words = line.trimStart().split(" ");
  for (const word of words.flatMap((each) => each.match(/.{1,95}/g) ?? "")) {
    const longer = `${lines.at(-1)} ${word}`;
    if (lines.length > 0 && longer.length <= columns) lines[lines.length - 1] = longer;
    else lines.push(`${indent}${lines.length > 0 ? "  " : ""}${word}`);
  }
  return lines;
}
