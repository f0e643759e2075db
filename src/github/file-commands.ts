/**
 * What a step passes to later steps, to its post step and to the job's summary page, in files that the runner creates and names
 * in variables (GitHub docs, "Workflow commands"). @actions/core writes them, after a check that they can be written.
 */
import { closeSync, constants, openSync } from "node:fs";
// biome-ignore lint/performance/noNamespaceImport: every function of it that writes to the runner's files is guarded here.
import * as core from "@actions/core";
import { codeOf, invalidInput } from "../platform/errors.ts";

/** @throws ExplainedError `invalid-input` if the runner's file can't be written */
type FileCommand = (name: string, value: string) => void;

/** Sets an output of this step. */
export const setOutput: FileCommand = guarded("GITHUB_OUTPUT", core.setOutput);

/** Sets a variable of later steps, and of this process: call it after the last child process was started. */
export const exportVariable: FileCommand = guarded("GITHUB_ENV", core.exportVariable);

/** Puts a folder first on PATH of later steps. */
export const addPath = (folder: string): void => guarded("GITHUB_PATH", core.addPath)(folder, "");

/** Sets a state of the post step. */
export const saveState: FileCommand = guarded("GITHUB_STATE", core.saveState);

/** Adds Markdown to the job's summary page. A failure is a warning only: the log says the same. */
export async function summarize(markdown: string): Promise<void> {
  const variable = "GITHUB_STEP_SUMMARY";
  if (!process.env[variable]) {
    return;
  }
  try {
    assertWritable(variable);
    await core.summary.emptyBuffer().addRaw(markdown).write();
  } catch (error) {
    core.warning(`This step has no page in the summary. ${unwritable(variable, error).message}`);
  }
}

function guarded(variable: string, write: FileCommand): FileCommand {
  return (name, value) => {
    try {
      assertWritable(variable);
      write(name, value);
    } catch (error) {
      throw unwritable(variable, error);
    }
  };
}

/**
 * If the variable is not set, @actions/core prints the value, even a secret (`::set-output name=token::…`). If it names a pipe
 * without a reader, @actions/core blocks, and signals with it.
 */
function assertWritable(variable: string): void {
  const { O_APPEND, O_NONBLOCK, O_WRONLY } = constants;
  closeSync(openSync(process.env[variable] ?? "", O_WRONLY | O_APPEND | O_NONBLOCK));
}

function unwritable(variable: string, error: unknown): Error {
  const path = process.env[variable] ?? "";
  const problem =
    path === ""
      ? "the runner has not set it"
      : `the runner's file can't be written (${codeOf(error) || (error as Error).message})`;
  return invalidInput({ variable }, path, problem, `${variable}=/path/of/a/file`);
}
