/** What all pictures share: colours, fonts, the frame of an SVG, the width of a text. GitHub shows an SVG as an image: no script, no font. */

export type Theme = "light" | "dark";

/** GitHub's own colours of text and lines; each text has a contrast of 4.5 to 1 or more on `ground` and on `panel`. */
export const palettes = {
  light: {
    ground: "#ffffff",
    panel: "#f6f8fa",
    text: "#1f2328",
    muted: "#59636e",
    line: "#d1d9e0",
    accent: "#0969da",
    good: "#1a7f37",
    bad: "#cf222e",
    warning: "#9a6700",
  },
  dark: {
    ground: "#0d1117",
    panel: "#151b23",
    text: "#f0f6fc",
    muted: "#9198a1",
    line: "#3d444d",
    accent: "#4493f8",
    good: "#3fb950",
    bad: "#f85149",
    warning: "#d29922",
  },
} as const;

export type Colours = Readonly<Record<keyof (typeof palettes)["light"], string>>;

export const fonts = {
  sans: `-apple-system,BlinkMacSystemFont,"Segoe UI","Noto Sans",Helvetica,Arial,sans-serif`,
  mono: `ui-monospace,SFMono-Regular,"SF Mono",Menlo,Consolas,"Liberation Mono","DejaVu Sans Mono",monospace`,
} as const;

export interface Picture {
  /** For screen readers. */
  readonly title: string;
  readonly description: string;
  readonly width: number;
  readonly height: number;
  /** Further rules of CSS. */
  readonly style: (colours: Colours) => string;
  /** Elements. */
  readonly body: readonly string[];
}

/** An SVG with a frame, in one of the themes. */
export function draw({ title, description, width, height, style, body }: Picture, theme: Theme): string {
  const colours = palettes[theme];
  const size = `viewBox="0 0 ${width} ${height}" width="${width}" height="${height}"`;
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" ${size} role="img" aria-labelledby="title description">`,
    `<title id="title">${escaped(title)}</title>`,
    `<desc id="description">${escaped(description)}</desc>`,
    "<style>",
    `text{font-family:${fonts.sans};font-size:14px;fill:${colours.text}}`,
    `.muted{fill:${colours.muted}}`,
    style(colours),
    "</style>",
    `<rect x=".5" y=".5" width="${width - 1}" height="${height - 1}" rx="8" fill="${colours.ground}" stroke="${colours.line}"/>`,
    ...body,
    "</svg>",
    "",
  ].join("\n");
}

const escaped = (text: string): string =>
  text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;").replaceAll('"', "&quot;");

/** Text whose spaces count: an SVG collapses others, and browsers differ in how to prevent it. */
export const spaced = (text: string): string => escaped(text).replaceAll(" ", "\u00a0");

/** @param more attributes, such as `class="muted"` */
export const text = (x: number, y: number, content: string, more = ""): string =>
  `<text x="${round(x)}" y="${round(y)}"${more && ` ${more}`}>${spaced(content)}</text>`;

export const round = (value: number): number => Math.round(value * 10) / 10;

/** Advance widths of Helvetica, in thousandths of the font's size, by character code from 32 to 126 (Adobe's AFM files). */
const helvetica =
  `278 278 355 556 556 889 667 191 333 333 389 584 278 333 278 278 556 556 556 556 556 556 556 556 556 556 278 278 584 584 584 556
1015 667 667 722 722 667 611 778 722 278 500 667 556 833 722 778 667 778 722 667 611 722 667 944 667 667 611 278 278 278 469 556
333 556 556 500 556 556 278 556 556 222 222 500 222 833 556 556 556 556 333 500 278 556 500 722 500 500 500 334 260 334 584`
    .split(/\s+/)
    .map(Number);

/** About how wide a text is. The reader's font is not known: Segoe UI and Noto Sans are up to a tenth wider than Helvetica. */
export const widthOf = (content: string, size: number): number =>
  ([...content].reduce((sum, character) => sum + (helvetica[character.charCodeAt(0) - 32] ?? 600), 0) * size * 1.08) /
  1000;

/** Lines of words that are not wider than `width`; a longer word has a line of its own. */
export function wrap(content: string, size: number, width: number): string[] {
  const lines: string[] = [];
  for (const word of content.split(" ")) {
    const longer = `${lines.at(-1)} ${word}`;
    if (lines.length > 0 && widthOf(longer, size) <= width) lines[lines.length - 1] = longer;
    else lines.push(word);
  }
  return lines;
}
