/** A terminal recording as an animated SVG: CSS alone, since GitHub shows it as an image. It loops. */
import { type Colours, fonts, type Picture, round, spaced, text } from "./svg.ts";

interface Span {
  readonly text: string;
  readonly classes: string;
}

interface Line {
  readonly row: number;
  readonly spans: readonly Span[];
}

/** Lines that appear together. */
interface Group {
  /** Seconds. */
  readonly from: number;
  readonly lines: Line[];
}

/** From one clearing of the screen to the next. */
interface Screen {
  readonly title: string;
  readonly groups: Group[];
}

type Event = readonly [time: number, kind: string, data: string];

const width = 800;
const bar = 40;
const margin = 20;
const rowHeight = 19;
/** Seconds that the last screen stays; and the pause that separates groups. */
const last = 4;
const pause = 0.3;

/**
 * @param cast an asciicast, version 2, of lines with SGR styles; a marker before a screen is its title
 * @param still number of the screen that readers see who prefer reduced motion
 */
export function drawCast(cast: string, still: number, about: Pick<Picture, "title" | "description">): Picture {
  const [header, ...events] = cast
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line));
  const screens = screensOf(events, header.width);
  const end = events.at(-1)[0] + last;
  const rows = Math.max(
    ...screens.flatMap(({ groups }) => groups.flatMap(({ lines }) => lines.map(({ row }) => row + 1))),
  );
  const keyframes: string[] = [];
  const body = screens.flatMap(({ title, groups }, number) => {
    const until = screens[number + 1]?.groups[0]?.from ?? end;
    return groups.map(({ from, lines }, index) => {
      const name = `k${keyframes.length}`;
      keyframes.push(`@keyframes ${name}${frames(from / end, until / end)}.${name}{animation-name:${name}}`);
      const titled = index === 0 ? text(width / 2, 25, title, 'class="title"') : "";
      const shown = lines.map(drawLine).join("");
      return `<g class="group ${name}${number === still ? " still" : ""}">${titled}${shown}</g>`;
    });
  });
  return {
    ...about,
    width,
    height: bar + rows * rowHeight + 2 * 18,
    style: (colours) => [rules(colours, header.width, end), ...keyframes].join("\n"),
    body: [`<path class="bar" d="M1 ${bar}V8a7 7 0 0 1 7-7h${width - 16}a7 7 0 0 1 7 7v${bar - 8}z"/>`, ...body],
  };
}

/** Every common fixed font is at most 0.61 em wide. */
const fontSize = (columns: number): number => Math.floor(((width - 2 * margin) / columns / 0.61) * 10) / 10;

const rules = ({ panel, muted, line, bad, warning, accent }: Colours, columns: number, end: number): string =>
  [
    `.bar{fill:${panel}}.title{font-size:13px;font-weight:600;text-anchor:middle;fill:${muted}}`,
    `.row{font-family:${fonts.mono};font-size:${fontSize(columns)}px}`,
    `.bold{font-weight:700}.dim{fill:${line}}.red{fill:${bad}}.yellow{fill:${warning}}.cyan{fill:${accent}}`,
    `.group{opacity:0;animation:${round(end)}s step-end infinite}.still{opacity:1}`,
    "@media (prefers-reduced-motion:reduce){.group{animation:none}}",
  ].join("\n");

/** Visible from one share of the time to another. */
function frames(from: number, until: number): string {
  const at = (share: number) => `${Math.round(share * 10_000) / 100}%`;
  const begin = from === 0 ? "" : "0%{opacity:0}";
  const end = until === 1 ? "" : `${at(until)}{opacity:0}`;
  return `{${begin}${at(from)}{opacity:1}${end}100%{opacity:${until === 1 ? 1 : 0}}}`;
}

function screensOf(events: readonly Event[], columns: number): Screen[] {
  const screens: Screen[] = [];
  let row = 0;
  let before = 0;
  for (const [time, kind, data] of events) {
    const screen = screens.at(-1);
    if (kind === "m") {
      screens.push({ title: data, groups: [{ from: time, lines: [] }] });
      row = 0;
    } else if (screen && !data.startsWith("\u001b[2J")) {
      if (time - before > pause) screen.groups.push({ from: time, lines: [] });
      for (const spans of breakLine(data.trimEnd(), columns)) screen.groups.at(-1)?.lines.push({ row: row++, spans });
    }
    before = time;
  }
  return screens;
}

const classes: Readonly<Record<string, string>> = { 1: "bold", 2: "dim", 31: "red", 33: "yellow", 36: "cyan" };
/** What ends them: bold and dim have one end (ECMA-48, SGR). */
const ends: Readonly<Record<string, readonly string[]>> = { 22: ["bold", "dim"], 39: ["red", "yellow", "cyan"] };

/** A line with its styles, broken as a terminal breaks it: wherever it is too long. */
function breakLine(line: string, columns: number): Span[][] {
  const active = new Set<string>();
  const rows: Span[][] = [[]];
  let used = 0;
  for (const [index, part] of line.split("\u001b[").entries()) {
    const end = index === 0 ? 0 : part.indexOf("m") + 1;
    const code = part.slice(0, Math.max(end - 1, 0));
    const begins = classes[code];
    if (begins) active.add(begins);
    for (const name of ends[code] ?? []) active.delete(name);
    for (let rest = [...part.slice(end)]; rest.length > 0; ) {
      if (used === columns) {
        rows.push([]);
        used = 0;
      }
      const piece = rest.slice(0, columns - used);
      rows.at(-1)?.push({ text: piece.join(""), classes: [...active].join(" ") });
      used += piece.length;
      rest = rest.slice(piece.length);
    }
  }
  return rows;
}

function drawLine({ row, spans }: Line): string {
  if (spans.length === 0) return "";
  const parts = spans.map(({ text, classes }) =>
    classes === "" ? spaced(text) : `<tspan class="${classes}">${spaced(text)}</tspan>`,
  );
  return `<text class="row" x="${margin}" y="${bar + 30 + row * rowHeight}">${parts.join("")}</text>`;
}
