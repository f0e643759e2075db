/** The programs under test: those of dist/, or the one file that the variable PROGRAM names (script/executable). */
import { join, resolve } from "node:path";

const dist = resolve(import.meta.dirname, "../../dist");

/** Does the program under test bring its own Node? */
export const oneFile = process.env.PROGRAM === undefined ? undefined : resolve(process.env.PROGRAM);

export const helperName = "docker-credential-quay-keyless";

/** The words that run the command line, on any PATH. */
export const commandLine: readonly string[] = oneFile ? [oneFile] : [process.execPath, join(dist, "cli/index.js")];

/** The words that run the credential helper, on any PATH; `argv0` has to be its name. */
export const helperProgram: readonly string[] = oneFile ? [oneFile] : [process.execPath, join(dist, "helper/index.js")];
