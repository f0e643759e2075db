/** How the command line speaks: people read standard error, programs standard output, and neither ever sees a secret. */
import { styleText } from "node:util";
import type { Command } from "../options/table.ts";
import { createSecrets, type Reporter } from "../platform/reporter.ts";
import { oneLine, plain, printable } from "../platform/text.ts";
import { type Words, written } from "../platform/wording.ts";
import { createBlock } from "./block.ts";
import { flagSyntax } from "./syntax.ts";

export interface Terminal extends Reporter {
  error(message: Words): void;
  /** Results on standard output. They are not rewritten: what holds a secret must not be given. */
  print(text: string): void;
  /** The one secret that is asked for, alone on standard output. */
  printSecret(secret: string): void;
  /** Whether somebody watches, on a screen whose lines can change. */
  readonly isWatched: boolean;
  /** Whether three lines tell a login: somebody watches, and asked for neither more nor less. */
  readonly isBrief: boolean;
  /** Where a login is brief: an information takes the place of the one before, in a line at the end of the screen. */
  briefly(): Reporter;
  /** Keeps these lines at the end of the screen, in place of those before, whatever is said meanwhile; none: takes them away. */
  live(lines: readonly string[]): void;
}

/** How much goes to standard error: errors alone, what happens, or each step of it too. */
export type Verbosity = "quiet" | "normal" | "verbose";

/** @param command whose options are mentioned; undefined: not known yet */
export function createTerminal(verbosity: Verbosity = "normal", command?: Command): Terminal {
  const { add, hide, holds } = createSecrets();
  const syntax = flagSyntax(command);
  // What others say (an issuer, a tool, a token's subject) must not move the cursor or paint over our words. Escape sequences
  // go first, since one could part a secret.
  const clean = (words: Words) => plain(hide(printable(written(words, syntax))));
  const { stderr, stdout } = process;
  // A log that people read later, and a terminal that can't move its cursor, get lines that stay.
  const isWatched = verbosity !== "quiet" && stderr.isTTY === true && !process.env.CI && process.env.TERM !== "dumb";
  // A terminal that nobody has given a size has 0 columns.
  const block = createBlock(() => ({ columns: stderr.columns || 80, rows: stderr.rows || 24 }));
  const write = (text: string) => void (text && stderr.write(text));
  const say = (text: string) => write(block.around(`${text}\n`));
  const sayUnlessQuiet = (text: string) => verbosity !== "quiet" && say(text);
  const print = (text: string) => {
    // Both streams may lead to the same screen.
    write(block.hide());
    stdout.write(`${text}\n`);
    write(block.show());
  };
  // NO_COLOR, FORCE_COLOR and whether this is a terminal at all: styleText looks at them by itself.
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
    printSecret: print,
    isWatched,
    isBrief,
    briefly: () => (isBrief ? { ...reporter, info: (message) => live([information(message)]) } : reporter),
    live,
  };
}
