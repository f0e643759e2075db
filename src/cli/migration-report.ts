/** The results of a migration, as text and as JSON. Pure. */
import type { Finding } from "../migration/finding.ts";
import type { Migration, ShownFile } from "../migration/migrate.ts";
import type { MigrationRequest } from "../migration/request.ts";
import { actionAddress } from "../platform/project.ts";
import { oneLine, printable } from "../platform/text.ts";
import { mention } from "../platform/wording.ts";
import { flagSyntax } from "./syntax.ts";

const flag = (...[option, value]: Parameters<typeof mention>): string =>
  flagSyntax("migrate").write(mention(option, value));

interface Federation {
  readonly command: string;
  /** `.github/workflows/release.yml, job publish` */
  readonly for: readonly string[];
}

const placeOf = ({ path, place }: Finding): string =>
  place === ""
    ? path
    : /^(?:Task|ClusterTask|Pipeline|TaskRun|PipelineRun|StepAction) /.test(place)
      ? `${path}, ${place}`
      : `${path}, job ${place}`;

/** Each command once, with the jobs that it is for. */
export function commandsOf({ findings }: Pick<Migration, "findings">): readonly Federation[] {
  const found = new Map<string, Set<string>>();
  for (const finding of findings) {
    for (const options of finding.federate) {
      const command = ["quay-keyless-login", "federate", ...options.map(flagSyntax("federate").write)].join(" ");
      found.set(command, (found.get(command) ?? new Set()).add(placeOf(finding)));
    }
  }
  return [...found].map(([command, places]) => ({ command, for: [...places] }));
}

/** The diff comes behind it: `git apply` leaves out what is before a diff. */
export function migrationReport(found: Migration, request: MigrationRequest): readonly string[] {
  const { registry, write } = request;
  const { findings, files, unread, withoutGit } = found;
  if (findings.length === 0) {
    return [`No login to ${registry} with a stored password was found.`, ...unreadLines(unread)];
  }
  const lines = [
    ...findings.flatMap((finding) => findingLines(finding, request)),
    ...unreadLines(unread),
    ...federationLines(commandsOf(found)),
    ...secretLines(found),
    ...(withoutGit === undefined ? [] : ["", `Without git: ${withoutGit}. Repository and branch are not known.`]),
    ...files.flatMap(({ path, whyNotWritten }) =>
      whyNotWritten === undefined ? [] : ["", `${path} is not written: ${whyNotWritten}.`],
    ),
    ...applicability(files),
    ...(files.length > 0 ? ["", write ? "The change:" : "The change, which is not written yet:", ""] : []),
  ];
  // A file's name must not begin a line of its own, among commands that are pasted.
  return lines.map((line) => oneLine(line, 8192));
}

function findingLines(finding: Finding, { action }: MigrationRequest): readonly string[] {
  const { line, what, robot, change, notes, path } = finding;
  const head = `${path}:${line}  ${placeOf(finding).slice(path.length + 2) || "file"}: ${what}`;
  const address = action === undefined ? `: name the Action, ${flag("action", actionAddress)}` : "";
  const verdict = change.kind === "rewritten" ? `Can be rewritten${address}.` : `Not rewritten: ${change.why}.`;
  const who = "name" in robot ? `as ${robot.name}` : `its robot is not known (${robot.from})`;
  return [`${head}, ${who}`, `  ${verdict}`, ...notes.map((note) => `  ${note}`)];
}

const unreadLines = (unread: readonly string[]): readonly string[] =>
  unread.map((path) => `${path} was not looked at: it is no YAML in UTF-8 of at most 512 KiB that this user can read.`);

const federationLines = (commands: readonly Federation[]): readonly string[] =>
  commands.length === 0
    ? []
    : [
        "",
        "Let each robot trust its jobs. Run this before the change is pushed:",
        ...commands.flatMap(({ command, for: places }) => [`  # ${places.join("; ")}`, `  ${command}`]),
      ];

function secretLines({ secrets, unsearched }: Migration): readonly string[] {
  const free = secrets.filter(({ usedIn }) => usedIn === undefined).map(({ name }) => name);
  return [
    ...(free.length > 0 ? ["", `Secrets that nothing in this checkout uses after the change: ${free.join(", ")}`] : []),
    ...(free.length > 0 && unsearched.length > 0
      ? [
          `Look there before you delete them, since migrate could not: ${unsearched.slice(0, 20).join(", ")}${unsearched.length > 20 ? ` and ${unsearched.length - 20} more` : ""}`,
        ]
      : []),
    ...secrets.flatMap(({ name, usedIn }) =>
      usedIn === undefined ? [] : [`The secret ${name} is still used: ${usedIn}`],
    ),
  ];
}

/** Whether the printed diff is what git needs. */
function applicability(files: readonly ShownFile[]): readonly string[] {
  const hidden = files.filter(({ applicable }) => !applicable).map(({ path }) => path);
  const changed = files
    .filter(
      ({ diff, applicable }) =>
        applicable && printable(diff.replaceAll("\r\n", "\n")) !== diff.replaceAll("\r\n", "\n"),
    )
    .map(({ path }) => path);
  return [
    ...(hidden.length > 0
      ? ["", `git can't apply this diff: *** stands for a password in ${hidden.join(", ")}. Use ${flag("write")}.`]
      : []),
    ...(changed.length > 0
      ? [
          "",
          `git can't apply this diff: ${changed.join(", ")} has characters that are not printed. Use ${flag("write")} or ${flag("output", "json")}.`,
        ]
      : []),
  ];
}

export const migrationDiff = ({ files }: Migration): string | undefined =>
  files.length > 0 ? files.map(({ diff }) => diff).join("") : undefined;

export function migrationObject(
  found: Migration,
  { registry, action }: MigrationRequest,
): Readonly<Record<string, unknown>> {
  const { findings, files, secrets, unread, unsearched, withoutGit } = found;
  return {
    registry,
    action: action ?? null,
    logins: findings.map(({ path, line, place, what, robot, change, notes }) => ({
      file: path,
      line,
      place,
      what,
      robot: "name" in robot ? robot.name : null,
      rewritable: change.kind === "rewritten",
      ...(change.kind === "listed" && { why: change.why }),
      notes,
    })),
    files: files.map(({ path, diff, applicable, whyNotWritten }) => ({
      file: path,
      applicable,
      diff,
      ...(whyNotWritten !== undefined && { "not-written": whyNotWritten }),
    })),
    federate: commandsOf(found),
    secrets: {
      deletable: secrets.filter(({ usedIn }) => usedIn === undefined).map(({ name }) => name),
      "still-used": secrets
        .filter(({ usedIn }) => usedIn !== undefined)
        .map(({ name, usedIn }) => ({ name, in: usedIn })),
    },
    unread,
    unsearched,
    ...(withoutGit !== undefined && { "without-git": withoutGit }),
  };
}
