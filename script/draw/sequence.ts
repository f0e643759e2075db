/** Sequence diagrams: who says what to whom, from top to bottom. */
import { type Picture, round, text, widthOf, wrap } from "./svg.ts";

export interface Participant {
  readonly name: string;
  readonly detail: string;
  /** The middle of its column. */
  readonly x: number;
}

export type Step<Name extends string> =
  | { readonly from: Name; readonly to: Name; readonly says: string; readonly answers?: true }
  /** What one does by itself. */
  | { readonly at: Name; readonly does: string };

export interface Sequence<Name extends string> {
  readonly title: string;
  readonly description: string;
  readonly participants: Readonly<Record<Name, Participant>>;
  /** The one that this project is. */
  readonly ours: Name;
  readonly steps: readonly Step<Name>[];
}

const width = 800;
const box = { top: 24, width: 164, height: 54 };
const noteWidth = 164;

/** @throws Error if a message has no room between its participants */
export function sequence<Name extends string>(asked: Sequence<Name>): Picture {
  const { title, description, participants, ours, steps } = asked;
  const of = (name: Name): Participant => participants[name];
  const drawn: string[] = [];
  let y = box.top + box.height + 18;
  let number = 0;
  for (const step of steps) {
    if ("does" in step) {
      const lines = wrap(step.does, 13, noteWidth - 24);
      drawn.push(...note(of(step.at).x, y, lines));
      y += lines.length * 18 + 16 + 12;
    } else {
      y += 26;
      drawn.push(...message({ ...step, number: ++number }, of(step.from).x, of(step.to).x, y));
      y += 14;
    }
  }
  const bottom = y + 10;
  const all = Object.entries(participants) as [Name, Participant][];
  return {
    title,
    description,
    width,
    height: bottom + 20,
    style: ({ ground, panel, muted, line, accent, text: ink }) =>
      [
        `.life{stroke:${line};stroke-width:1.5}.box,.note{fill:${panel};stroke:${line}}`,
        `.ours{fill:${accent};stroke:${accent}}.name{font-weight:600;text-anchor:middle}.detail{font-size:12.5px;text-anchor:middle}`,
        `.ours~.name,.ours~.detail{fill:${ground}}`,
        `.arrow{stroke:${ink};stroke-width:1.5;fill:none}.answer{stroke-dasharray:5 4}.head{fill:${ink}}`,
        `.says{font-size:13.5px;text-anchor:middle;stroke:${ground};stroke-width:6px;paint-order:stroke;stroke-linejoin:round}`,
        `.count{fill:${ground};stroke:${muted}}.number{font-size:11px;font-weight:600;text-anchor:middle;fill:${muted}}`,
        `.does{font-size:13px;text-anchor:middle}`,
      ].join("\n"),
    body: [
      ...all.map(([, { x }]) => `<path class="life" d="M${x} ${box.top + box.height}V${bottom}"/>`),
      ...all.map(([name, each]) => head(each, name === ours)),
      ...drawn,
    ],
  };
}

function head({ name, detail, x }: Participant, isOurs: boolean): string {
  const place = `x="${x - box.width / 2}" y="${box.top}" width="${box.width}" height="${box.height}" rx="6"`;
  return `<g><rect class="box${isOurs ? " ours" : ""}" ${place}/>${text(x, box.top + 23, name, 'class="name"')}${text(
    x,
    box.top + 41,
    detail,
    isOurs ? 'class="detail"' : 'class="detail muted"',
  )}</g>`;
}

function note(x: number, y: number, lines: readonly string[]): string[] {
  const height = lines.length * 18 + 16;
  return [
    `<rect class="note" x="${x - noteWidth / 2}" y="${y}" width="${noteWidth}" height="${height}" rx="6"/>`,
    ...lines.map((line, index) => text(x, y + 21 + index * 18, line, 'class="does"')),
  ];
}

interface Message {
  readonly number: number;
  readonly says: string;
  readonly answers?: true;
}

/** An arrow with its text above; its number stands where it begins. */
function message({ number, says, answers }: Message, from: number, to: number, y: number): string[] {
  const way = Math.sign(to - from);
  const room = Math.abs(to - from) - 36;
  if (widthOf(says, 13.5) > room)
    throw new Error(`no room for "${says}": ${Math.round(widthOf(says, 13.5))} of ${room}`);
  const tip = to - way * 2;
  return [
    `<path class="arrow${answers ? " answer" : ""}" d="M${from} ${y}H${tip - way * 8}"/>`,
    `<path class="head" d="M${tip} ${y}l${-way * 10} -5v10z"/>`,
    text(round((from + to) / 2 + way * 6), y - 9, says, 'class="says"'),
    `<circle class="count" cx="${from}" cy="${y}" r="9"/>`,
    text(from, y + 4, String(number), 'class="number"'),
  ];
}
