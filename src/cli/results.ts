/** The option result: outputs that go into files as well. */
import { access, constants, stat } from "node:fs/promises";
import { dirname } from "node:path";
import { invalidInput, type LoginError } from "../errors.ts";
import { readOptions } from "../option-values.ts";
import type { OptionValues } from "../options.ts";
import { assertRegular, FileFailure, writeRegularFile } from "../platform/files.ts";

export interface ResultFile<Name extends string> {
  readonly name: Name;
  readonly file: string;
}

/**
 * Where results belong is found out before anything is changed.
 * @throws LoginError `invalid-input`
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
        await assertWritable(file).catch((error) => {
          throw cannotWrite(entry, error, example);
        });
        return { name, file };
      }),
  );
}

export async function writeResults<Name extends string>(
  results: readonly ResultFile<Name>[],
  told: Readonly<Record<Name, string>>,
): Promise<void> {
  for (const { name, file } of results) {
    await writeRegularFile(file, told[name]).catch((error) => {
      throw cannotWrite(`${name}=${file}`, error, name);
    });
  }
}

const exampleOf = (name: string): string => `--result ${name}=/tekton/results/${name}`;

const cannotWrite = (entry: string, error: NodeJS.ErrnoException, example: string): LoginError => {
  const problem =
    error instanceof FileFailure ? `the file ${error.message}` : `the file can't be written (${error.code})`;
  return invalidInput("result", entry, problem, exampleOf(example));
};

async function assertWritable(file: string): Promise<void> {
  const there = await stat(file).catch(() => undefined);
  if (there) {
    assertRegular(there);
  }
  await access(there ? file : dirname(file), constants.W_OK);
}
