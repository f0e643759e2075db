/** How the command line speaks: people read standard error, programs standard output, and neither ever sees a secret. */
import { stripVTControlCharacters, styleText } from "node:util";
import { createSecrets, type Reporter } from "../reporter.ts";
import { mentioned } from "./failure.ts";

export interface Terminal extends Reporter {
  error(message: string): void;
  /** A line on standard output. */
  print(line: string): void;
  /** The one secret that is asked for, alone on standard output. */
  handOut(secret: string): void;
}

export function createTerminal(verbose: boolean): Terminal {
  const { add, hide } = createSecrets();
  // Escape sequences go first, since one could part a secret.
  const clean = (text: string) => hide(plain(text));
  const say = (text: string) => void process.stderr.write(`${text}\n`);
  // NO_COLOR, FORCE_COLOR and whether this is a terminal at all: styleText looks at them by itself.
  const paint = (style: "red" | "yellow" | "dim", text: string) => styleText(style, text, { stream: process.stderr });
  return {
    info: (message) => say(clean(mentioned(message))),
    warning: (message) => say(`${paint("yellow", "Warning:")} ${clean(mentioned(message))}`),
    error: (message) => say(`${paint("red", "Error:")} ${clean(message)}`),
    debug: (message) => verbose && say(paint("dim", clean(message))),
    secret: add,
    print: (line) => void process.stdout.write(`${clean(line)}\n`),
    handOut: (secret) => void process.stdout.write(`${secret}\n`),
  };
}

/** What others say (an issuer, a tool, a token's subject) must not move the cursor or paint over our words. */
function plain(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
  return stripVTControlCharacters(text).replaceAll(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f]/g, "\ufffd");
}
