/** The options of `migrate`, checked. Pure. */
import { readOptions } from "../options/reader.ts";
import type { OptionValues } from "../options/table.ts";
import { invalidInput } from "../platform/errors.ts";
import { actionAddress } from "../platform/project.ts";
import { mention } from "../platform/wording.ts";
import { parseRegistry } from "../quay/scope.ts";

export interface MigrationRequest {
  readonly registry: string;
  /** The Action's address; undefined: GitHub's files are only looked at */
  readonly action: string | undefined;
  readonly write: boolean;
  /** As given; never empty. */
  readonly paths: readonly string[];
}

const example = mention("action", actionAddress);

/** @throws ExplainedError `invalid-input` */
export function readMigrationRequest(values: OptionValues): MigrationRequest {
  const reader = readOptions(values);
  const registry = parseRegistry(reader.text("registry"));
  const action = reader.optional("action");
  // The runner's form (docs.github.com, jobs.<id>.steps[*].uses): another repository's, or a folder of this one.
  if (action !== undefined && !/^(?:[\w.-]+\/[\w.-]+(?:\/[\w.-]+)*@[\w./+-]+|\.(?:\/[\w.-]+)*\/?)$/.test(action)) {
    throw invalidInput(
      "action",
      action,
      "it must be owner/repository@ref, or a folder of the checkout (./path)",
      example,
    );
  }
  const write = reader.boolean("write");
  if (write && action === undefined) {
    throw invalidInput("write", "true", "it needs the address of the Action that the steps become", example);
  }
  const paths = reader.list("path");
  return { registry, action, write, paths: paths.length > 0 ? paths : ["."] };
}
