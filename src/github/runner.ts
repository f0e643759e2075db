/**
 * The runner's protocol: inputs and state from the environment, commands on standard output, the rest through files
 * (GitHub docs, "Workflow commands"). Six small functions instead of @actions/core: docs/decisions/0002-no-actions-core.md.
 */
import { randomUUID } from "node:crypto";
import { appendFileSync, closeSync, constants, openSync } from "node:fs";
import type { Environment } from "../platform/environment.ts";
import { invalidInput } from "../platform/errors.ts";

type Command = "add-mask" | "debug" | "warning" | "error";
type FileCommand = "GITHUB_OUTPUT" | "GITHUB_ENV" | "GITHUB_STATE";

export interface Runner {
  input(name: string): string | undefined;
  state(name: string): string | undefined;
  print(line: string): void;
  command(command: Command, message: string, title?: string): void;
  /** Folds what `tell` prints. */
  group(title: string, tell: () => void): void;
  /** A name and its value for later steps, for the post step, or as an output. @throws ExplainedError `invalid-input` */
  set(file: FileCommand, name: string, value: string): void;
  /** Markdown for the job's summary page, which tells nothing that the log doesn't: without it, a warning. */
  summarize(markdown: string): void;
}

export function createRunner(env: Environment): Runner {
  const print = (line: string) => void process.stdout.write(`${line}\n`);
  const append = (file: string, text: string) => {
    const path = env[file];
    if (path) {
      appendTo(file, path, text);
    }
  };
  const command: Runner["command"] = (name, message, title) =>
    print(`::${name}${title ? ` title=${escapeProperty(title)}` : ""}::${escapeData(message)}`);
  return {
    print,
    command,
    input: (name) => env[`INPUT_${name.replaceAll(" ", "_").toUpperCase()}`],
    state: (name) => env[`STATE_${name}`],
    group: (title, tell) => {
      print(`::group::${escapeData(title)}`);
      tell();
      print("::endgroup::");
    },
    set: (file, name, value) => {
      // A delimiter that nobody can guess, so that no value can end itself and set something else.
      const delimiter = `end_${randomUUID()}`;
      append(file, `${name}<<${delimiter}\n${value}\n${delimiter}\n`);
    },
    summarize: (markdown) => {
      try {
        append("GITHUB_STEP_SUMMARY", markdown);
      } catch (error) {
        command("warning", `This step has no page in the summary. ${(error as Error).message}`);
      }
    },
  };
}

/** Waits for no reader: a wait in here would hold up signals too. */
function appendTo(variable: string, path: string, text: string): void {
  const { O_APPEND, O_CREAT, O_NONBLOCK, O_WRONLY } = constants;
  let file: number | undefined;
  try {
    file = openSync(path, O_WRONLY | O_APPEND | O_CREAT | O_NONBLOCK, 0o666);
    appendFileSync(file, text);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    throw invalidInput(variable, path, `the runner's file can't be written (${code})`, `${variable}=/path/of/a/file`);
  } finally {
    if (file !== undefined) {
      closeSync(file);
    }
  }
}

const escapeData = (text: string): string =>
  text.replaceAll("%", "%25").replaceAll("\r", "%0D").replaceAll("\n", "%0A");

const escapeProperty = (text: string): string => escapeData(text).replaceAll(":", "%3A").replaceAll(",", "%2C");
