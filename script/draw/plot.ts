/** The benchmark against what people use today: a dot plot of the ratios in docs/performance.md, on a logarithmic axis. */
import { type Picture, round, text } from "./svg.ts";

interface Dot {
  readonly ratio: number;
  /** Between which half of the runs are. */
  readonly half: readonly [number, number];
}

interface Row {
  readonly group: string;
  readonly label: string;
  /** With a tool, and without one; each at 0 and at 30 ms. */
  readonly lanes: readonly (readonly [Dot, Dot])[];
}

const width = 800;
const plot = { left: 336, right: 772 };
const groups: Readonly<Record<string, string>> = {
  "a login": "A login of one robot, against",
  "20 images": "A promotion of 20 small images, against",
};
const lane = 22;

/**
 * @param page docs/performance.md
 * @throws Error if its table of ratios is missing
 */
export function drawPlot(page: string): Picture {
  const rows = read(page);
  const [, date, machine] = /^Measured on (\S+): (.*)\.$/m.exec(page) ?? [];
  const ratios = rows.flatMap(({ lanes }) => lanes.flat().flatMap(({ ratio, half }) => [ratio, ...half]));
  const from = Math.min(-1, Math.floor(Math.log2(Math.min(...ratios))));
  const to = Math.max(1, Math.ceil(Math.log2(Math.max(...ratios))));
  const at = (ratio: number) => plot.left + ((Math.log2(ratio) - from) / (to - from)) * (plot.right - plot.left);

  const top = 112;
  const body: string[] = [];
  let y = top + 6;
  let group = "";
  for (const row of rows) {
    if (row.group !== group) {
      group = row.group;
      body.push(text(28, y + 20, groups[group] ?? group, 'class="group"'));
      y += 34;
    }
    body.push(text(40, y + (row.lanes.length * lane) / 2 + 5, row.label.replaceAll("`", "")));
    row.lanes.forEach((dots, index) => {
      body.push(...drawLane(dots, index, y + lane * index + lane / 2, at));
    });
    y += row.lanes.length * lane + 12;
  }
  const axis = Array.from({ length: to - from + 1 }, (_, index) => 2 ** (from + index)).flatMap((ratio) => [
    `<path class="${ratio === 1 ? "one" : "grid"}" d="M${round(at(ratio))} ${top - 6}V${y}"/>`,
    text(at(ratio), top - 14, `${ratio}×`, 'class="tick"'),
  ]);
  return {
    title: "How long a login and a promotion take, against what people use today",
    description: describe(rows),
    width,
    height: y + 52,
    style: ({ accent, good, line, muted, ground }) =>
      [
        `.heading{font-size:16px;font-weight:600}.group{font-weight:600}.tick{font-size:12.5px;text-anchor:middle;fill:${muted}}`,
        `.small{font-size:12.5px;fill:${muted}}.grid{stroke:${line}}.one{stroke:${muted};stroke-width:1.5}`,
        `.tool{stroke:${accent};fill:${accent}}.none{stroke:${good};fill:${good}}.near{fill:${ground}}circle{stroke-width:2}.half{stroke-width:2;opacity:.45}`,
      ].join("\n"),
    body: [...heading(at(1), top), ...axis, ...body, text(28, y + 32, caption(date, machine), 'class="small"')],
  };
}

const caption = (date = "", machine = ""): string =>
  `Medians of paired runs; half of the runs are on the line. ${date}, ${machine}.`;

/** Title, legend, and which way is which. */
function heading(one: number, top: number): string[] {
  const dot = (x: number, classes: string) => `<circle class="${classes}" cx="${x}" cy="61" r="5"/>`;
  return [
    text(28, 38, "Time that this project takes, as a multiple of the other's", 'class="heading"'),
    dot(34, "tool near"),
    dot(50, "tool"),
    text(62, 65, "with a tool, at 0 and at 30 ms a round trip", 'class="small"'),
    dot(352, "none near"),
    dot(368, "none"),
    text(380, 65, "the same with tool: none", 'class="small"'),
    text(one - 34, top - 30, "← faster", 'class="small" text-anchor="end"'),
    text(one + 34, top - 30, "slower →", 'class="small"'),
  ];
}

function drawLane(dots: readonly [Dot, Dot], index: number, y: number, at: (ratio: number) => number): string[] {
  const kind = index === 0 ? "tool" : "none";
  const lines = dots.map(
    ({ half: [low, high] }) => `<path class="half ${kind}" d="M${round(at(low))} ${y}H${round(at(high))}"/>`,
  );
  const circles = dots.map(
    ({ ratio }, place) =>
      `<circle class="${kind}${place === 0 ? " near" : ""}" cx="${round(at(ratio))}" cy="${y}" r="5"/>`,
  );
  return [...lines, ...circles];
}

function describe(rows: readonly Row[]): string {
  const of = ({ group, label, lanes }: Row) => {
    const [near, far] = lanes[0] ?? [];
    return `${group} against ${label.replaceAll("`", "")}: ${near?.ratio} times at 0 ms, ${far?.ratio} times at 30 ms.`;
  };
  return rows.map(of).join(" ");
}

function read(page: string): Row[] {
  const table = /^\| against \|.*\n.*\n((?:\|.*\n)+)/m.exec(page)?.[1];
  if (table === undefined) throw new Error("docs/performance.md has no table of ratios: script/benchmark writes it");
  return table
    .trim()
    .split("\n")
    .map((line) => {
      const [name = "", ...cells] = line.replaceAll(/^\| | \|$/g, "").split(" | ");
      const [group = "", label = ""] = name.split(/: (.*)/);
      const dots = cells.flatMap((cell): Dot[] => {
        const [ratio, low, high] = (/^([\d.]+) \(([\d.]+)–([\d.]+)\)$/.exec(cell) ?? []).slice(1).map(Number);
        return ratio === undefined || low === undefined || high === undefined ? [] : [{ ratio, half: [low, high] }];
      });
      const lanes = [0, 2].flatMap((first) => {
        const [near, far] = dots.slice(first, first + 2);
        return near && far ? [[near, far] as const] : [];
      });
      return { group, label, lanes };
    });
}
