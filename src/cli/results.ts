/** The option result: outputs that go into files as well. */
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
 * Where results belong is found out before anything is changed.
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
  const there = await existing(file);
  if (there?.isCharacterDevice()) {
    return writeFile(file, text); // no name to be put in its place
  }
  const mode = there ? there.mode & 0o777 : 0o666 & ~process.umask(); // no secrets: as any program writes it
  return replaceFile(file, text, { mode, owner: there });
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
  EACCES: "may not be written by this user",
};

const existing = (file: string) => lstat(file).catch(() => undefined);

/** A result takes the place of the file that is there: so that is one, and its folder can be written to. */
async function assertWritable(file: string): Promise<void> {
  const there = await existing(file);
  if (there?.isCharacterDevice()) {
    return access(file, constants.W_OK);
  }
  if (there && !there.isFile()) {
    throw Object.assign(new Error("no file"), { code: there.isDirectory() ? "EISDIR" : "ELOOP" });
  }
  await access(dirname(file), constants.W_OK | constants.X_OK);
}
