/** Output of the command line: messages on standard error, results on standard output. Secrets are hidden in both. */
import { styleText } from "node:util";
import type { Command } from "../options/table.ts";
import { createSecrets, type Reporter } from "../platform/reporter.ts";
import { oneLine, plain, printable } from "../platform/text.ts";
import { type Words, written } from "../platform/wording.ts";
import { createBlock } from "./block.ts";
import { flagSyntax } from "./syntax.ts";

export interface Terminal extends Reporter {
  error(message: Words): void;
  /** Prints results to standard output. They are not rewritten: the caller passes no secret. */
  print(text: string): void;
  /** Prints a diff to standard output. Its lines keep the ends that they have in a file, those of Windows too. */
  printDiff(diff: string): void;
  /** Prints a secret that the user asked for, alone on standard output. */
  printSecret(secret: string): void;
  /** Whether standard error is a terminal whose lines can change. */
  readonly isWatched: boolean;
  /** Whether a login prints three lines: on a terminal, without --quiet and --verbose. */
  readonly isBrief: boolean;
  /** If a login is brief: each message replaces the one before, in a line at the end of the screen. */
  briefly(): Reporter;
  /** Keeps these lines at the end of the screen, below all other output. They replace those before; none removes them. */
  live(lines: readonly string[]): void;
}

/** What goes to standard error: only errors, what happens, or each step of it too. */
export type Verbosity = "quiet" | "normal" | "verbose";

/** @param command the command whose options are mentioned; undefined: not known yet */
export function createTerminal(verbosity: Verbosity = "normal", command?: Command): Terminal {
  const { add, hide, holds } = createSecrets();
  const syntax = flagSyntax(command);
  // Text from outside (an issuer, a tool, a token's subject) must not move the cursor or overwrite our text. Escape sequences
  // are removed first, since one could split a secret.
  const clean = (words: Words) => plain(hide(printable(written(words, syntax))));
  const { stderr, stdout } = process;
  // A log, and a terminal that can't move its cursor, get lines that do not change.
  const isWatched = verbosity !== "quiet" && stderr.isTTY === true && !process.env.CI && process.env.TERM !== "dumb";
  // A terminal without a size has 0 columns.
  const block = createBlock(() => ({ columns: stderr.columns || 80, rows: stderr.rows || 24 }));
  const write = (text: string) => void (text && stderr.write(text));
  const say = (text: string) => write(block.around(`${text}\n`));
  const sayUnlessQuiet = (text: string) => verbosity !== "quiet" && say(text);
  const print = (text: string) => {
    // Both streams may be the same screen.
    write(block.hide());
    stdout.write(`${text}\n`);
    write(block.show());
  };
  // styleText itself respects NO_COLOR, FORCE_COLOR and whether this is a terminal.
  const paint = (style: "red" | "yellow" | "dim", text: string) => styleText(style, text, { stream: stderr });
  const isBrief = isWatched && verbosity === "normal";
  const information = (message: Words) => clean(oneLine(written(message, syntax), 8192));
  const live = (lines: readonly string[]) => {
    if (isWatched) {
      write(block.change(lines.map((line) => clean(line).replaceAll(/[\n\t]/g, " "))));
    }
  };
  const reporter: Reporter = {
    info: (message) => sayUnlessQuiet(information(message)),
    warning: (message) => sayUnlessQuiet(`${paint("yellow", "Warning:")} ${clean(message)}`),
    debug: (message) => verbosity === "verbose" && say(paint("dim", clean(message))),
    secret: add,
    hide,
    holdsSecret: holds,
    syntax,
    moreOn: (code) => `quay-keyless-login explain ${code}`,
  };
  return {
    ...reporter,
    error: (message) => say(`${paint("red", "Error:")} ${clean(message)}`),
    print: (text) => print(printable(text)),
    printDiff: (diff) => print(diff.split("\r\n").map(printable).join("\r\n")),
    printSecret: print,
    isWatched,
    isBrief,
    briefly: () => (isBrief ? { ...reporter, info: (message) => live([information(message)]) } : reporter),
    live,
  };
}
