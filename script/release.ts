// The steps of a release; `script/release --help` says what each does.
import { resolve } from "node:path";
import { type ParseArgsOptionsConfig, parseArgs } from "node:util";
import { draftChangelog, newestSection } from "./releasing/changelog.ts";
import { checkRelease } from "./releasing/check.ts";
import { makeFiles, requireFiles } from "./releasing/files.ts";
import { promoteImages, pushImages, signRelease } from "./releasing/images.ts";
import { readRelease } from "./releasing/project.ts";
import { Refusal } from "./releasing/run.ts";
import { moveTags } from "./releasing/tags.ts";
import { verifyRelease } from "./releasing/verify.ts";

/** What stands on the command line; paths are absolute. */
interface Given {
  readonly folder: string;
  readonly values: Readonly<Record<string, string | boolean | undefined>>;
  /** Behind `--`. */
  readonly more: readonly string[];
}

interface Step {
  readonly options?: ParseArgsOptionsConfig;
  /** Whether it is about a folder; a text is the folder that it takes by default. */
  readonly folder: boolean | string;
  /** The folder holds a release's files already. */
  readonly made?: true;
  /** It passes on what is behind `--`. */
  readonly more?: true;
  run(given: Given): unknown;
}

const text = { type: "string" } as const;
const steps: Readonly<Record<string, Step>> = {
  "--dry-run": {
    folder: ".cache/release",
    options: { stay: { type: "boolean" } },
    run: async ({ folder, values }) =>
      (await import("./releasing/rehearsal.ts")).rehearse(folder, { stay: values.stay === true }),
  },
  check: {
    folder: false,
    options: { tag: text, remote: text },
    run: ({ values }) => checkRelease(readRelease(), string(values.tag), string(values.remote)),
  },
  files: {
    folder: true,
    options: { image: text, base: text },
    run: ({ folder, values }) => makeFiles(readRelease(string(values.image)), folder, path(values.base)),
  },
  push: {
    folder: true,
    made: true,
    options: { staging: text },
    run: (given) => pushImages(given.folder, staging(given)),
  },
  sign: {
    folder: true,
    made: true,
    options: { staging: text, key: text },
    run: (given) => signRelease(given.folder, staging(given), path(given.values.key)),
  },
  promote: {
    folder: true,
    made: true,
    options: { staging: text, key: text },
    more: true,
    run: (given) => promoteImages(given.folder, staging(given), path(given.values.key), given.more),
  },
  verify: {
    folder: true,
    made: true,
    options: { key: text },
    run: ({ folder, values }) => verifyRelease(folder, path(values.key)),
  },
  tags: {
    folder: false,
    options: { remote: text },
    run: ({ values }) => moveTags(readRelease(), string(values.remote) ?? "origin"),
  },
  notes: { folder: false, run: () => process.stdout.write(newestSection()) },
  changelog: { folder: false, run: () => draftChangelog(readRelease()) },
};

const string = (value: string | boolean | undefined) => (typeof value === "string" ? value : undefined);
/** From where `script/release` was called. */
const path = (value: string | boolean | undefined) =>
  typeof value === "string" ? resolve(process.env.CALLED_IN ?? ".", value) : undefined;

function staging({ values }: Given): string {
  const repository = string(values.staging);
  if (!repository) throw new Refusal("needs --staging, such as --staging quay.io/acme/staging");
  return repository;
}

/** @throws Refusal for what the step does not take */
function read(step: Step, args: readonly string[]): Given {
  const end = args.includes("--") ? args.indexOf("--") : args.length;
  const more = args.slice(end + 1);
  const parsed = parse(step, args.slice(0, end));
  const [word = step.folder === true ? undefined : step.folder || ".", ...surplus] = parsed.positionals;
  if (!step.folder && parsed.positionals.length > 0) throw new Refusal(`takes no folder, not ${parsed.positionals[0]}`);
  if (surplus.length > 0) throw new Refusal(`takes one folder, not also ${surplus[0]}`);
  if (more.length > 0 && !step.more) throw new Refusal(`takes nothing behind --, not ${more[0]}`);
  const folder = path(word);
  if (folder === undefined) throw new Refusal("needs a folder, such as .cache/release");
  return { folder, values: parsed.values as Given["values"], more };
}

function parse({ options = {} }: Step, args: string[]) {
  try {
    return parseArgs({ args, allowPositionals: true, options });
  } catch (error) {
    throw new Refusal((error as Error).message.split(". ")[0]);
  }
}

const [name = "", ...args] = process.argv.slice(2);
try {
  const step = Object.hasOwn(steps, name) ? steps[name] : undefined;
  if (!step) throw new Refusal(`no such step: "${name}". Type: script/release --help`);
  const given = read(step, args);
  if (step.options?.staging) staging(given);
  if (step.made) requireFiles(given.folder);
  await step.run(given);
} catch (error) {
  // A file that can't be read or a program that is missing is no fault of this one.
  if (!(error instanceof Refusal || (error instanceof Error && "syscall" in error))) throw error;
  console.error(`release ${name}: ${error.message}`);
  process.exitCode = 1;
}
