/** test/stability/surface.txt: what has been promised, and what a change of it means. Pure. */
import type { Surface } from "./promised.ts";

const title = (major: string): string =>
  `What ${major} promises: docs/stability.md. To add what is new, type: UPDATE_SURFACE=1 script/test test/stability\n`;

/** @param major such as v1 */
export const surfaceText = (surface: Surface, major: string): string =>
  [
    title(major),
    ...[...surface].map(([name, lines]) => `# ${name}\n${lines.map((line) => `${line}\n`).join("")}`),
  ].join("\n");

export function parseSurface(text: string): { readonly major: string; readonly surface: Surface } {
  const sections = text.split(/^# /m).slice(1);
  const surface = sections.map((section) => {
    const [name = "", ...lines] = section.split("\n");
    return [name, lines.filter(Boolean)] as const;
  });
  return { major: /^What (v\d+) /.exec(text)?.[1] ?? "", surface: new Map(surface) };
}

/** @returns the lines of `one` that `other` has not, as `SECTION: LINE` */
export const missing = (one: Surface, other: Surface): readonly string[] =>
  [...one].flatMap(([name, lines]) =>
    lines.filter((line) => !other.get(name)?.includes(line)).map((line) => `${name}: ${line}`),
  );

/** What a maintainer has to do. */
export const goneText = (gone: readonly string[], major: string): string =>
  [
    `These are promised for ${major}, and users rely on them:`,
    ...gone.map((line) => `  - ${line}`),
    "Keep them: let the old name work beside the new one, as docs/stability.md#deprecation says. If they have to go, that is a new major version:",
    'mark the commit as breaking ("feat!: …"), set "version" in package.json to it, and type: script/generate && UPDATE_SURFACE=1 script/test test/stability',
  ].join("\n");

export const newText = (added: readonly string[]): string =>
  [
    "These are new, and become a promise:",
    ...added.map((line) => `  + ${line}`),
    "If you want to keep it, type: UPDATE_SURFACE=1 script/test test/stability",
  ].join("\n");
