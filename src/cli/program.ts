/** The command line: parses arguments, runs the command, prints its result. */

import { type OptionReader, readOptions } from "../options/reader.ts";
import { type Command, optionsOf } from "../options/table.ts";
import { withoutTlsSwitch } from "../platform/environment.ts";
import {
  asExplainedError,
  codeOf,
  failureObject,
  formatError,
  invalidInput,
  oneOfTheTwo,
  unreachable,
  withOthers,
} from "../platform/errors.ts";
import { assertNoSecret } from "../platform/reporter.ts";
import { unprintable } from "../platform/text.ts";
import { version } from "../platform/version.ts";
import { mention, text } from "../platform/wording.ts";
import { parseArguments, type Shell } from "./arguments.ts";
import type { Call, Outcome } from "./command.ts";
import { exitCodeOf } from "./failure.ts";
import { createTerminal, type Verbosity } from "./terminal.ts";
import { widthOf } from "./wrap.ts";

const env = withoutTlsSwitch(process.env);
const args = process.argv.slice(2);
const asJson = args.some((arg, index) =>
  /^--output=json$/i.test(arg === "--output" ? `${arg}=${args[index + 1]}` : arg),
);
let terminal = createTerminal();
let effect: string | undefined;
process.stdout.on("error", (error) => {
  const code = codeOf(error);
  // A reader that closes the pipe early, such as head, has what it wanted.
  if (code !== "EPIPE") {
    terminal.error([`Standard output can't be written (${code}).`, ...(effect ? [effect] : [])].join(" "));
    process.exitCode = 1;
  } else if (effect) {
    terminal.info(effect);
  }
});
process.stderr.on("error", () => {});

type Run = (call: Call) => Promise<Outcome>;

/** Runs the command of the arguments, which `load` imports. @param completion only in the bundle with all commands */
export async function runCommand(
  load: (command: Command) => Promise<Run>,
  completion?: (shell: Shell) => Promise<string>,
): Promise<void> {
  try {
    const invocation = parseArguments(args);
    switch (invocation.kind) {
      case "version":
        terminal.print(`quay-keyless-login ${version}`);
        break;
      case "licenses": {
        const { readPage } = await import(/* webpackMode: "eager" */ "./beside.ts");
        terminal.print((await readPage("all/licenses.txt")).trimEnd());
        break;
      }
      case "help": {
        const { help } = await import(/* webpackMode: "eager" */ "./help.ts");
        terminal.print(help(invocation.topic, widthOf(process)));
        break;
      }
      case "explain": {
        const { explain } = await import(/* webpackMode: "eager" */ "./commands/explain.ts");
        terminal.print(await explain(invocation.code, widthOf(process)));
        break;
      }
      case "completion":
        terminal.print((await completion?.(invocation.shell)) ?? "");
        break;
      case "run": {
        const reader = readOptions(invocation.values);
        reader.choice("output", outputFormats(invocation.command));
        terminal = createTerminal(verbosityOf(reader), invocation.command);
        const command = await load(invocation.command);
        const outcome = await command({ values: invocation.values, env, terminal });
        effect = outcome.effect;
        show(outcome);
        await outcome.afterOutput?.();
        break;
      }
      default:
        unreachable(invocation);
    }
  } catch (error) {
    show({ lines: [], object: {}, failure: asExplainedError(error) });
  }
}

const outputFormats = (command: Command): readonly string[] | undefined =>
  optionsOf(command).find(({ name }) => name === "output")?.choices;

function verbosityOf({ boolean }: OptionReader): Verbosity {
  const [quiet, verbose] = [boolean("quiet"), boolean("verbose")];
  if (quiet && verbose) {
    throw invalidInput("quiet", "true", text`${mention("verbose")} is set too`, oneOfTheTwo);
  }
  return quiet ? "quiet" : verbose ? "verbose" : "normal";
}

/** The commands of the first bundle. */
const ofLogins = ["login", "logout", "status", "identity"] as const satisfies readonly Command[];

export const isOfLogins = (word: string): word is (typeof ofLogins)[number] => ofLogins.some((name) => name === word);

/** Each command runs only the modules that it needs. `eager` keeps them in the one bundle. */
export async function load(command: (typeof ofLogins)[number]): Promise<Run> {
  switch (command) {
    case "login":
      return (await import(/* webpackMode: "eager" */ "./commands/login.ts")).login;
    case "logout":
      return (await import(/* webpackMode: "eager" */ "./commands/logout.ts")).logout;
    case "status":
      return (await import(/* webpackMode: "eager" */ "./commands/status.ts")).status;
    case "identity":
      return (await import(/* webpackMode: "eager" */ "./commands/identity.ts")).identity;
    default:
      return unreachable(command);
  }
}

/** Prints results to standard output and the failure to standard error, and sets the exit code. */
function show(outcome: Outcome): void {
  const { token, lines, object, diff, brief, failure } = withoutSecret(outcome);
  const shown = failure && failureObject(failure, terminal);
  const isBrief = brief !== undefined && terminal.isBrief;
  if (isBrief) {
    brief.forEach(terminal.info);
  }
  if (token !== undefined) {
    terminal.printSecret(token);
  } else if (asJson) {
    terminal.print(json({ ...object, ...(shown && { error: shown }) }));
  } else if (lines.length > 0 && !(isBrief && process.stdout.isTTY)) {
    terminal.print(lines.join("\n"));
  }
  if (diff !== undefined && !asJson) {
    terminal.printDiff(diff);
  }
  if (failure && shown) {
    terminal.error(formatError(shown, terminal.moreOn));
    if (failure.code === "unforeseen") {
      terminal.debug((failure.cause as Error | undefined)?.stack ?? "");
    }
    process.exitCode = exitCodeOf(failure);
  }
}

/** Replaces results that would print a secret by an error. */
function withoutSecret(outcome: Outcome): Outcome {
  try {
    assertNoSecret({ "standard output": JSON.stringify([outcome.lines, outcome.object]) }, terminal);
    return outcome;
  } catch (error) {
    const failure = withOthers(asExplainedError(error), outcome.failure ? [outcome.failure] : []);
    return { lines: [], object: {}, failure };
  }
}

/** Escapes characters that JSON allows and a terminal must not get, which leaves every value unchanged. */
function json(value: unknown): string {
  const escaped = (character: string) =>
    character.replaceAll(/[\s\S]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`);
  // The line breaks between values are ours, and are printable here.
  return JSON.stringify(value, undefined, 2).replaceAll(unprintable, escaped);
}
