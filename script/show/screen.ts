/** What the demo prints, and how it stops if an outcome differs from what it says. */
import { styleText } from "node:util";

type Style = "bold" | "red" | "yellow";
type Kind = "chapter" | "text" | "quote" | "log";

const width = Math.min(process.stdout.columns || 100, 100);
let printed = "";
let chapters = 0;
let latest: Kind = "chapter";

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

export function act(title: string): void {
  chapters = 0;
  if (printed !== "") print("", "");
  print(styleText("bold", title));
  latest = "text";
}

export function chapter(title: string): void {
  space("chapter");
  print(styleText(["bold", "cyan"], `${++chapters}. ${title}`));
}

export function say(text: string): void {
  space("text");
  print(...wrap(text.replaceAll(/\s+/g, " "), width));
}

export function quote(text: string): void {
  space("quote");
  print(...text.split("\n").map((line) => `  ${line}`));
}

/** A command as you type it, with each option beside its value. Its output follows. */
export function prompt(command: string): void {
  space("quote");
  const lines = [""];
  for (const part of command.match(/--\S+(?: (?!--)\S+)?|\S+/g) ?? []) {
    const line = lines.pop() ?? "";
    if (line.length + part.length > width - 10) lines.push(line, `    ${part}`);
    else lines.push(line === "" ? part : `${line} ${part}`);
  }
  print(
    ...lines
      .join(" \\\n")
      .split("\n")
      .map((line, index) => (index === 0 ? `  ${styleText("bold", "$")} ${line}` : `  ${line}`)),
  );
}

export function output(text: string, style?: Style): void {
  for (const line of text.split("\n")) if (line !== "") print(...fold(line, style));
}

/** The beginning of a step's log. */
export function heading(title: string): void {
  space("log");
  print(...fold(title, "bold"));
}

/** All that has been printed. */
export const screen = (): string => printed;

/** A line of a log between margins, broken between words if it is too long. */
function fold(line: string, style?: Style): string[] {
  const margin = `  ${styleText("dim", "|")} `;
  return wrap(line, width - 4).map((part) => margin + (style ? styleText(style, part) : part));
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
  printed += text;
  process.stdout.write(text);
}

class Interrupted extends Error {}

// The running step ends first, and nothing more is printed: everything can then be cleaned up.
let interrupted = false;
const interrupt = () => {
  interrupted = true;
};
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, interrupt);
process.stdout.on("error", interrupt); // nobody reads on

export const isInterrupted = (): boolean => interrupted;
