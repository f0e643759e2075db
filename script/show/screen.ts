/** What the demo prints, and how it stops if an outcome differs from what it says. */
import { styleText } from "node:util";

type Style = "bold" | "red" | "yellow";
type Kind = "chapter" | "text" | "quote" | "log";
type Styles = Parameters<typeof styleText>[0];

/** A piece of what has been printed, with the titles that it stands below. */
export interface Printed {
  readonly act: string;
  readonly chapter: string;
  readonly text: string;
}

let width = Math.min(process.stdout.columns || 100, 100);
let inColours = false;
let rewrite = (text: string): string => text;
const printed: Printed[] = [];
let latestAct = "";
let latestChapter = "";
let chapters = 0;
let latest: Kind = "chapter";

/** A screen that looks the same on each machine: its width, its colours, and what differs from run to run. */
export function settle(columns: number, rewriting: (text: string) => string): void {
  width = columns;
  inColours = true;
  rewrite = rewriting;
}

const styled = (style: Styles, text: string): string => styleText(style, text, { validateStream: !inColours });

export class Unexpected extends Error {}

/** The part of a finished step or command that is printed with an unexpected outcome. */
export interface Told {
  code: number | null;
  output: string;
}

export function expect(what: string, holds: boolean, told?: Told): void {
  if (holds) return;
  if (interrupted) throw new Interrupted(); // the signal reached the step too
  const code = told ? ` (exit code ${told.code})` : "";
  throw new Unexpected(`This is not so: ${what}${code}.\n${told?.output ?? ""}`);
}

export function act(name: string): void {
  chapters = 0;
  if (printed.length > 0) print("", "");
  latestAct = name;
  latestChapter = "";
  print(styled("bold", name));
  latest = "text";
}

export function chapter(name: string): void {
  space("chapter");
  latestChapter = name;
  print(styled(["bold", "cyan"], `${++chapters}. ${name}`));
}

export function say(text: string): void {
  space("text");
  print(...wrap(rewrite(text).replaceAll(/\s+/g, " "), width));
}

export function quote(text: string): void {
  space("quote");
  print(
    ...rewrite(text)
      .split("\n")
      .map((line) => `  ${line}`),
  );
}

/** A command as you type it, with each option beside its value. Its output follows. */
export function prompt(command: string): void {
  space("quote");
  const lines = [""];
  for (const part of rewrite(command).match(/--\S+(?: (?!--)\S+)?|\S+/g) ?? []) {
    const line = lines.pop() ?? "";
    if (line.length + part.length > width - 10) lines.push(line, `    ${part}`);
    else lines.push(line === "" ? part : `${line} ${part}`);
  }
  print(
    ...lines
      .join(" \\\n")
      .split("\n")
      .map((line, index) => (index === 0 ? `  ${styled("bold", "$")} ${line}` : `  ${line}`)),
  );
}

export function output(text: string, style?: Style): void {
  for (const line of rewrite(text).split("\n")) if (line !== "") print(...fold(line, style));
}

/** The beginning of a step's log. */
export function heading(title: string): void {
  space("log");
  print(...fold(title, "bold"));
}

/** All that has been printed. */
export const screen = (): readonly Printed[] => printed;

/** A line of a log between margins, broken between words if it is too long. */
function fold(line: string, style?: Style): string[] {
  const margin = `  ${styled("dim", "|")} `;
  return wrap(line, width - 4).map((part) => margin + (style ? styled(style, part) : part));
}

/** Continues a line that is too long below the beginning of its text. A long word, such as an address, stays whole: it is copied. */
function wrap(line: string, columns: number): string[] {
  const indent = /^ */.exec(line)?.[0] ?? "";
  const lines: string[] = [];
  let rest = line;
  while (rest.length > columns) {
    const blank = rest.lastIndexOf(" ", columns);
    const next = rest.indexOf(" ", columns);
    const end = blank > indent.length ? blank : next < 0 ? rest.length : next;
    if (end === rest.length) break;
    lines.push(rest.slice(0, end));
    rest = indent + rest.slice(end).trimStart();
  }
  return [...lines, rest];
}

/** An empty line between two things that don't belong together. */
function space(next: Kind): void {
  if (next === "chapter" || next === "log" || (next !== latest && latest !== "chapter")) print("");
  latest = next;
}

function print(...lines: string[]): void {
  if (interrupted) throw new Interrupted();
  const text = lines.map((line) => `${line}\n`).join("");
  printed.push({ act: latestAct, chapter: latestChapter, text });
  process.stdout.write(text);
}

class Interrupted extends Error {}

const interruption = Promise.withResolvers<void>();

// The running step ends first, and nothing more is printed: everything can then be cleaned up.
let interrupted = false;
const interrupt = () => {
  interrupted = true;
  interruption.resolve();
};
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, interrupt);
process.stdout.on("error", interrupt); // nobody reads on

export const isInterrupted = (): boolean => interrupted;
export const untilInterrupted = (): Promise<void> => interruption.promise;
