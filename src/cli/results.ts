/** The option result: outputs that are also written to files. */
import { access, constants, lstat, writeFile } from "node:fs/promises";
import { dirname } from "node:path";
import { readOptions } from "../options/reader.ts";
import type { OptionValues } from "../options/table.ts";
import { codeOf, ExplainedError, invalidInput } from "../platform/errors.ts";
import { replaceFile } from "../platform/replace.ts";
import { mention } from "../platform/wording.ts";

export interface ResultFile<Name extends string> {
  readonly name: Name;
  readonly file: string;
}

/**
 * Checks the files of results before anything is changed.
 * @throws ExplainedError `invalid-input`
 */
export function parseResults<Name extends string>(
  values: OptionValues,
  names: readonly Name[],
  example: Name,
): Promise<readonly ResultFile<Name>[]> {
  return Promise.all(
    readOptions(values)
      .list("result")
      .map(async (entry) => {
        const [, given, file] = /^([^=]*)=(.+)$/.exec(entry) ?? [];
        const name = names.find((candidate) => candidate === given);
        if (name === undefined || file === undefined) {
          throw invalidInput(
            "result",
            entry,
            `it is NAME=FILE, with a name of ${names.join(", ")}`,
            exampleOf(example),
          );
        }
        await assertWritable(file).catch((error: unknown) => {
          throw cannotWrite(entry, error, example);
        });
        return { name, file };
      }),
  );
}

export async function writeResults<Name extends string>(
  results: readonly ResultFile<Name>[],
  outputs: Readonly<Record<Name, string>>,
): Promise<void> {
  for (const { name, file } of results) {
    await write(file, outputs[name]).catch((error: unknown) => {
      throw cannotWrite(`${name}=${file}`, error, name);
    });
  }
}

async function write(file: string, text: string): Promise<void> {
  const found = await existing(file);
  if (found?.isCharacterDevice()) {
    return writeFile(file, text); // a device can't be replaced
  }
  const mode = found ? found.mode & 0o777 : 0o666 & ~process.umask(); // no secrets: the usual mode
  return replaceFile(file, text, { mode, owner: found });
}

const exampleOf = (name: string) => mention("result", `${name}=/tekton/results/${name}`);

function cannotWrite(entry: string, error: unknown, example: string): ExplainedError {
  const known = error instanceof ExplainedError ? "can't keep its owner" : problems[codeOf(error)];
  return invalidInput(
    "result",
    entry,
    `the file ${known ?? `can't be written (${codeOf(error)})`}`,
    exampleOf(example),
  );
}

const problems: Readonly<Record<string, string>> = {
  EISDIR: "is a folder",
  ELOOP: "is a link, a pipe or a socket, and must be a file",
  ENOENT: "is in a folder that does not exist",
  ENOTDIR: "is in a folder that does not exist",
  EACCES: "can't be written by this user",
};

const existing = (file: string) => lstat(file).catch(() => undefined);

/** A result replaces an existing file, which must be a regular file in a writable folder. */
async function assertWritable(file: string): Promise<void> {
  const found = await existing(file);
  if (found?.isCharacterDevice()) {
    return access(file, constants.W_OK);
  }
  if (found && !found.isFile()) {
    throw Object.assign(new Error("no file"), { code: found.isDirectory() ? "EISDIR" : "ELOOP" });
  }
  await access(dirname(file), constants.W_OK | constants.X_OK);
}
