/** What `audit` reports, for readers, for a job's summary and for programs; and what it fails on. Pure. */

import { isoTime } from "../identity/token.ts";
import { findingNames } from "../options/table.ts";
import { dayMs } from "../platform/clock.ts";
import { ExplainedError, reworded } from "../platform/errors.ts";
import { cell, table } from "../platform/markdown.ts";
import { counted } from "../platform/text.ts";
import { mention, text } from "../platform/wording.ts";
import type { Audit } from "./audit.ts";
import { type FindingName, type Row, rowsOf, staticSays, timeOf, unknownSays } from "./findings.ts";
import type { Gap, JudgedUses, Uses, Window } from "./judge.ts";

type Pair = readonly [name: string, value: string | readonly string[]];

/** Names and values, to be aligned; then what the findings are in all. */
export function reportOf(audit: Audit): { readonly pairs: readonly Pair[]; readonly conclusion: string } {
  const rows = allRows(audit);
  const byRobot = Map.groupBy(rows, ({ robot }) => robot);
  return {
    pairs: [
      ...headOf(audit),
      ...[...byRobot].map(
        ([robot, own]): Pair => [robot, own.map(({ label, says }) => `${label.padEnd(15)}  ${says}`)],
      ),
    ],
    conclusion: conclusionOf(rows),
  };
}

export function markdownOf(audit: Audit): readonly string[] {
  const rows = allRows(audit);
  return [
    `### Audit of ${cell(audit.organization)}`,
    "",
    cell(conclusionOf(rows)),
    "",
    ...headOf(audit).flatMap(([name, value]) => [value].flat().map((line) => `- ${name}: ${cell(line)}`)),
    "",
    ...table(
      ["Robot", "Finding", "Details"],
      rows.map(({ robot, label, says }) => [robot, label, says]),
    ),
  ];
}

const allRows = (audit: Audit): readonly Row[] => audit.robots.flatMap((usage) => rowsOf(usage, audit.days));

function headOf({
  registry,
  organization,
  window,
  days,
  log,
  knowsPermissions,
  guests,
  deleted,
}: Audit): readonly Pair[] {
  const needed = "unknown: needs repo:admin";
  return [
    ["organization", `${organization} on ${registry}`],
    ["window", `${timeOf(window.from)} to ${timeOf(window.to)} (${counted(days, "day")})`],
    ["usage-log", logLines(log, window.from)],
    ...(knowsPermissions ? [] : [["admin", needed] as const, ["wide-permission", needed] as const]),
    ...(deleted.length > 0 ? [["deleted-robots", deletedSay(deleted)] as const] : []),
    ...(guests.length > 0 ? [["other-robots", guestsSay(guests)] as const] : []),
  ];
}

/** In lines of their own: no finding, because their tokens no longer work. */
function deletedSay(deleted: Audit["deleted"]): readonly string[] {
  const lines = deleted.flatMap(({ name, static: certain, unknown }) => [
    ...(certain ? [`${name}, static-token: ${staticSays(certain, undefined)}`] : []),
    ...(unknown ? [`${name}, unknown: ${unknownSays(unknown)}`] : []),
  ]);
  return [...lines.slice(0, 10), ...(lines.length > 10 ? [`and ${lines.length - 10} more`] : [])];
}

const guestsSay = (guests: readonly string[]): string =>
  `${guests.slice(0, 10).join(", ")}${guests.length > 10 ? ` and ${guests.length - 10} more` : ""}: robots of others that were used here; how they log in is in the log of their own organization`;

function logLines({ entries, gaps, keptSince }: Audit["log"], from: number): readonly string[] {
  const days = new Set(gaps.map(({ day }) => day)).size;
  return [
    gaps.length === 0
      ? `complete: ${counted(entries, "entry", "entries")}, as many as Quay counts`
      : `incomplete: entries of ${counted(days, "day")} are missing or can't be counted, so some of this is unknown`,
    ...gaps.slice(0, 10).map(gapSays),
    ...(gaps.length > 10 ? [`and ${gaps.length - 10} more gaps`] : []),
    ...(keptSince > from ? [`begins ${timeOf(keptSince)}: Quay may have removed what was before`] : []),
  ];
}

function gapSays({ day, kind = "all kinds", read, counted: all }: Gap): string {
  const of = all === undefined ? "Quay does not count them" : `Quay counts ${all}`;
  return `${isoTime(day / 1000).slice(0, 10)}, ${kind}: ${counted(read, "entry", "entries")} read, ${of}`;
}

function conclusionOf(rows: readonly Row[]): string {
  const parts = findingNames.flatMap((name) => {
    const robots = new Set(rows.filter(({ label }) => label === name).map(({ robot }) => robot)).size;
    return robots > 0 ? [`${name}: ${counted(robots, "robot")}`] : [];
  });
  return parts.length > 0 ? `Findings: ${parts.join(", ")}.` : "No findings.";
}

export function objectOf(audit: Audit): Readonly<Record<string, unknown>> {
  const { registry, organization, window, log, robots, knowsPermissions, guests, deleted } = audit;
  return {
    registry,
    organization,
    from: timeOf(window.from),
    to: timeOf(window.to),
    log: {
      complete: log.gaps.length === 0,
      entries: log.entries,
      "kept-since": log.keptSince > window.from ? timeOf(log.keptSince) : null,
      gaps: log.gaps.map(({ day, kind, read, counted: all }) => ({
        day: isoTime(day / 1000).slice(0, 10),
        kind: kind ?? null,
        read,
        counted: all ?? null,
      })),
    },
    unknown: knowsPermissions ? [] : ["admin: needs repo:admin", "wide-permission: needs repo:admin"],
    "other-robots": guests,
    "deleted-robots": deleted.map(({ name, ...uses }) => ({ robot: name, ...judgedObject(uses) })),
    robots: robots.map((usage) => ({
      robot: usage.name,
      keyless: usage.exchanges.map(({ issuer, subject, count, last, isBound }) => ({
        ...{ issuer, subject, exchanges: count, "last-used": timeOf(last), bound: isBound },
      })),
      ...judgedObject(usage),
      "token-replaced": usage.regenerated === undefined ? null : timeOf(usage.regenerated),
      bindings: usage.bindings.map(({ issuer, subject, lastUsed, since }) => ({
        ...{ issuer, subject, "last-used": typeof lastUsed === "number" ? timeOf(lastUsed) : lastUsed },
        since: since === undefined ? null : timeOf(since),
      })),
      used: usage.isUsed,
      "last-login": usage.lastAccessed === undefined ? null : timeOf(usage.lastAccessed),
      "admin-of": knowsPermissions ? usage.adminOf.map(({ repository }) => repository) : null,
      "admin-teams": usage.adminTeams,
      "wide-permissions": knowsPermissions
        ? usage.wide.map(({ repository, role, team, enough }) => ({ repository, role, team: team ?? null, enough }))
        : null,
    })),
    findings: allRows(audit)
      .filter(({ label }) => findingNames.some((name) => name === label))
      .map(({ robot, label, says }) => ({ finding: label, robot, details: says })),
  };
}

const judgedObject = ({ static: certain, unknown }: JudgedUses) => ({
  "static-token": certain ? usesObject(certain) : null,
  unknown: unknown ? { ...usesObject(unknown), why: unknown.doubts } : null,
});

const usesObject = ({ count, first, last, kinds, repositories }: Uses) => ({
  ...{ uses: count, first: timeOf(first), last: timeOf(last), kinds, repositories },
});

/** What `fail-on` makes of it: `audit-finding`, or that it can't be known. undefined: nothing of that was found. */
export function failureOf(audit: Audit, failOn: readonly FindingName[]): ExplainedError | undefined {
  const rows = allRows(audit).filter(({ label }) => failOn.some((name) => name === label));
  if (rows.length > 0) {
    const robots = [...new Set(rows.map(({ robot }) => robot))];
    const shown = `${robots.slice(0, 5).join(", ")}${robots.length > 5 ? ` and ${robots.length - 5} more` : ""}`;
    const names = findingNames.filter((name) => rows.some(({ label }) => label === name));
    return new ExplainedError(
      "audit-finding",
      `The audit of ${audit.organization} found ${names.join(", ")}: ${shown}.`,
      {
        remedy: names.map((name) => remedies[name](rows.find(({ label }) => label === name)?.robot ?? "")),
      },
    );
  }
  if (!audit.knowsPermissions && failOn.some((name) => name === "admin" || name === "wide-permission")) {
    return new ExplainedError("api-rights-missing", notReadable(audit), {
      remedy: [
        "Make a token with the scopes org:admin repo:admin, in Quay: Organization > Applications > the application > Generate token.",
      ],
    });
  }
  const isOfLog = failOn.some((name) => name !== "admin" && name !== "no-binding");
  const { organization, log, window } = audit;
  if (!isOfLog || log.gaps.length === 0) {
    return undefined;
  }
  const since = daysWithoutGaps(log.gaps, window);
  return reworded(incomplete(organization, log.gaps), {
    remedy: (lines) => [
      ...lines,
      ...(since > 0 ? [text`To look only at later days: ${mention("since", `${since}d`)}`] : []),
    ],
  });
}

const notReadable = ({ organization, registry }: Audit): string =>
  `${registry} does not show the permissions on the repositories of ${organization}: the API token lacks the scope repo:admin.`;

/** Without the option since that may help: see `daysWithoutGaps`. */
export function incomplete(organization: string, gaps: readonly Gap[]): ExplainedError {
  const [headline, remedy] = isUncounted(gaps)
    ? [
        `Quay does not count the entries of the usage log of ${organization}, so nothing tells whether all of them came.`,
        "Ask Quay's administrator to turn on its feature AGGREGATED_LOG_COUNT_RETRIEVAL, then run it again.",
      ]
    : [
        `The usage log of ${organization} did not come as a whole, so what is not in it may have happened all the same.`,
        "Run it again: if entries are missing then too, Quay's pages lose entries of the same time.",
      ];
  return new ExplainedError("usage-log-incomplete", headline, { remedy: [remedy] });
}

const isUncounted = (gaps: readonly Gap[]): boolean => gaps.some(({ counted: all }) => all === undefined);

/** The most days up to now whose log is complete; 0 or less: none. */
export function daysWithoutGaps(gaps: readonly Gap[], { to }: Window): number {
  // The day before the window is read too.
  return isUncounted(gaps) ? 0 : Math.floor((to - Math.max(...gaps.map(({ day }) => day))) / dayMs) - 2;
}

/** With the first robot of such a finding. */
const remedies: Readonly<Record<FindingName, (robot: string) => string>> = {
  "static-token": (robot) =>
    `Log in with quay-keyless-login where the static token is used. Then replace it: quay-keyless-login retire-static-token ${robot}`,
  "no-binding": (robot) => `To bind an identity to it: quay-keyless-login federate --robot ${robot}`,
  "unused-binding": () =>
    "Remove a binding that nothing needs, in Quay: Robot accounts > the robot > Set robot federation.",
  "unused-robot": () => "Delete a robot that nothing needs, in Quay: Robot accounts.",
  admin: () => "Give it the role Write instead, in Quay: the repository > Settings > User and Robot Permissions.",
  "wide-permission": () =>
    "Give it the role that is enough, in Quay: the repository > Settings > User and Robot Permissions.",
};
