/** A failure as the command line tells it: options as they are typed here, and the exit code. Pure. */

import { type Option, options } from "../options/table.ts";
import { type ExplainedError, errorCodes, reworded, type Severity } from "../platform/errors.ts";

/** sysexits.h: EX_TEMPFAIL for what may pass by itself. */
const exitCodes: Readonly<Record<Severity, number>> = { refused: 1, "wrong-use": 2, temporary: 75 };

/** Of several failures: what may pass by itself must be all of them, else trying again is of no use. */
export function exitCodeOf(error: ExplainedError): number {
  const severities = severitiesOf(error);
  return exitCodes[severities.find((severity) => severity !== "temporary") ?? "temporary"];
}

const severitiesOf = ({ code, also }: ExplainedError): readonly Severity[] => [
  errorCodes[code],
  ...also.flatMap(severitiesOf),
];

const all: readonly Option[] = options;
const namesOf = (some: readonly Option[]) => some.map(({ name }) => name).join("|");
const typed = all.filter(({ entryPoints }) =>
  entryPoints.some((entryPoint) => entryPoint !== "action" && entryPoint !== "promote-action"),
);
const mention = new RegExp(`\\b(option "?)(${namesOf(typed)})\\b`, "g");
// Those that the core speaks of; for, output, result, source, tag and file are English words as well.
const spokenOf = typed.filter(
  ({ name, entryPoints }) =>
    entryPoints.includes("action") || ["scope", "session"].includes(name) || /^(?:source|destination)-/.test(name),
);
const flag = new RegExp(`(?<![\\w-])(${namesOf(typed.filter(({ takes }) => takes === "flag"))}): true\\b`, "g");
const assignment = new RegExp(`(?<![\\w-])(${namesOf(spokenOf)}): (?=\\S)`, "g");
const example = new RegExp(`^(Write, for example, )(${namesOf(typed)}): `);
const ofTheAction = new RegExp(`\\b(?:${namesOf(all.filter((option) => !typed.includes(option)))}): `);

/** An expression of GitHub Actions for a variable. */
const variable = /\$\{\{ env\.(\w+) \}\}/g;

/** The core writes `ca-file: root.pem` and `move-tags: true`, as workflows do; here it is typed `--ca-file root.pem`, `--move-tags`. */
export const withFlags = (error: ExplainedError): ExplainedError =>
  reworded(error, {
    message: mentioned,
    remedy: (lines) =>
      lines
        .filter((line) => !ofTheAction.test(line))
        .map((line) =>
          mentioned(line)
            .replaceAll(variable, '"$$$1"')
            .replaceAll(flag, "--$1")
            .replace(example, "$1--$2 ")
            .replaceAll(assignment, "--$1 "),
        ),
  });

/** The option audience becomes the option --audience. */
export const mentioned = (text: string): string => text.replaceAll(mention, "$1--$2");
