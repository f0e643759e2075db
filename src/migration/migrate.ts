/** The story of a migration: reads the checkout, makes the plan, says what would change, and writes it if asked to. */

import { stat } from "node:fs/promises";
import { dirname } from "node:path";
import type { Environment } from "../platform/environment.ts";
import { ExplainedError, invalidInput } from "../platform/errors.ts";
import { actionAddress } from "../platform/project.ts";
import { mention, text } from "../platform/wording.ts";
import { readTexts, resolvePaths, rootWithoutGit, selects, walk } from "./checkout.ts";
import { unifiedDiff } from "./diff.ts";
import type { Finding } from "./finding.ts";
import { openGit } from "./git.ts";
import { maskAll } from "./mask.ts";
import { type ChangedFile, type Plan, planMigration, shownDiff } from "./plan.ts";
import type { MigrationRequest } from "./request.ts";
import type { SecretUse } from "./secrets.ts";
import { notWritten, whyNotWritten, writeFiles } from "./write.ts";

export interface ShownFile {
  readonly path: string;
  /** A literal password in it is `***`. */
  readonly diff: string;
  /** Whether git can apply the diff: it hides no password. */
  readonly applicable: boolean;
  /** With write: why this file is left as it is. */
  readonly whyNotWritten: string | undefined;
}

export interface Migration {
  readonly findings: readonly Finding[];
  readonly files: readonly ShownFile[];
  readonly secrets: readonly SecretUse[];
  readonly unread: readonly string[];
  /** Files that may use the secrets, and were not looked at. */
  readonly unsearched: readonly string[];
  /** Why git was not asked; undefined: it was. */
  readonly withoutGit: string | undefined;
  /** The literal passwords that were found. */
  readonly passwords: readonly string[];
  /** Writes the files. Call it after the `federate` commands are shown. @returns the paths. @throws ExplainedError `file-not-written` */
  write(): Promise<readonly string[]>;
}

/** @throws ExplainedError `invalid-input`, `not-in-git` */
export async function migrate(
  request: MigrationRequest,
  { folder, env, signal }: { readonly folder: string; readonly env: Environment; readonly signal: AbortSignal },
): Promise<Migration> {
  const given = await resolvePaths(request.paths, folder);
  const [first = folder] = given;
  const start = (await stat(first)).isDirectory() ? first : dirname(first);
  const git = await openGit({ folder: start, env, signal });
  const known = typeof git === "string" ? undefined : git;
  if (request.write && typeof git === "string") {
    throw new ExplainedError("not-in-git", `Nothing is written: ${git}.`, {
      remedy: [
        text`Only files that git tracks and that have no changes are written. To see the change, leave out ${mention("write")}.`,
      ],
    });
  }
  const root = known?.root ?? (await rootWithoutGit(start));
  for (const [index, path] of given.entries()) {
    if (path !== root && !path.startsWith(`${root}/`)) {
      throw invalidInput(
        "path",
        request.paths[index] ?? path,
        `it is not in the checkout ${root}`,
        mention("path", "."),
      );
    }
  }
  const read = await readTexts(root, await (known?.listFiles() ?? walk(root)));
  const plan = planMigration(
    { ...read, isSelected: selects(root, given), remote: known?.remote, defaultBranch: known?.defaultBranch },
    { registry: request.registry, action: request.action ?? actionAddress },
  );
  const files = request.action === undefined ? [] : plan.files;
  const reasons = new Map<string, string | undefined>();
  for (const file of known && request.write ? files : []) {
    reasons.set(file.path, known && (await whyNotWritten(known, file)));
  }
  return {
    ...maskAll(
      { findings: plan.findings, secrets: plan.secrets, unread: plan.unread, unsearched: plan.unsearched },
      plan.mask,
    ),
    files: files.map((file) => shownFile(file, plan, reasons.get(file.path))),
    withoutGit: known ? undefined : String(git),
    passwords: plan.passwords,
    write: () => writeAll(root, files, reasons),
  };
}

function shownFile(file: ChangedFile, plan: Plan, whyNot: string | undefined): ShownFile {
  const { path, text, edits } = file;
  const diff = shownDiff(file, plan);
  return { path, diff, applicable: diff === unifiedDiff(path, text, edits), whyNotWritten: whyNot };
}

/** Writes all files, or none if one of them must not be written: a login and the permission that it needs can be in two files. */
async function writeAll(
  root: string,
  files: readonly ChangedFile[],
  reasons: ReadonlyMap<string, string | undefined>,
): Promise<readonly string[]> {
  const [first, ...others] = files.flatMap(({ path }) => {
    const why = reasons.get(path);
    return why === undefined ? [] : [notWritten(path, why)];
  });
  if (first) {
    const { code, headline, remedy } = first;
    throw new ExplainedError(code, headline, { remedy: [...remedy, "No file was written."], also: others });
  }
  await writeFiles(root, files);
  return files.map(({ path }) => path);
}
