/** What an audit finds about a robot, in words. Pure. */
import { isoTime } from "../identity/token.ts";
import type { findingNames } from "../options/table.ts";
import { counted } from "../platform/text.ts";
import type { Doubt, Uses } from "./judge.ts";
import type { BindingUse, RobotUsage, WidePermission } from "./usage.ts";

export type FindingName = (typeof findingNames)[number];

/** The finding, what is no finding, or what can't be known. */
export type Label = FindingName | "keyless" | "token-replaced" | "unknown";

/** One statement about a robot. */
export interface Row {
  readonly robot: string;
  readonly label: Label;
  readonly says: string;
}

/** @param days the length of the window */
export function rowsOf(usage: RobotUsage, days: number): readonly Row[] {
  const row = (label: Label, says: string): Row => ({ robot: usage.name, label, says });
  const { exchanges, unknown, regenerated, bindings, isUsed, adminTeams } = usage;
  const inDays = `in ${counted(days, "day")}`;
  return [
    ...exchanges.map((each) => row("keyless", keylessSays(each))),
    ...(usage.static ? [row("static-token", staticSays(usage.static, usage.regenerated))] : []),
    ...(unknown ? [row("unknown", unknownSays(unknown))] : []),
    ...(regenerated !== undefined && !usage.static
      ? [
          row(
            "token-replaced",
            `the static token was replaced ${timeOf(regenerated)}; no use of the new one is certain`,
          ),
        ]
      : []),
    ...(bindings.length === 0
      ? [row("no-binding", "trusts no identity, so it can only be used with its static token")]
      : []),
    ...bindings.flatMap((binding) => bindingRow(binding, row, inDays)),
    ...(isUsed === false ? [row("unused-robot", unusedSays(usage, inDays))] : []),
    ...(isUsed === "unknown" ? [row("unknown", `nothing of it is in the log ${inDays}, but the log has gaps`)] : []),
    ...adminTeams.map((team) => row("admin", `administers the organization, by the team ${team}`)),
    ...usage.adminOf.map(({ repository, team }) => row("admin", `administers ${repository}${byTeam(team)}`)),
    ...usage.wide.map((each) => wideRow(each, row, inDays)),
  ];
}

type MakeRow = (label: Label, says: string) => Row;

export const timeOf = (milliseconds: number): string => isoTime(milliseconds / 1000);

const keylessSays = ({ issuer, subject, count, last, isBound }: RobotUsage["exchanges"][number]): string =>
  `${counted(count, "exchange")} by ${subject} of ${issuer}, last ${timeOf(last)}${isBound ? "" : " (no longer bound)"}`;

export function staticSays(uses: Uses, regenerated: number | undefined): string {
  const replaced = regenerated === undefined ? "" : `; the token before was replaced ${timeOf(regenerated)}`;
  return `${usesSay(uses)}${replaced}`;
}

export const unknownSays = (uses: NonNullable<RobotUsage["unknown"]>): string =>
  `${usesSay(uses)}: ${uses.doubts.map((doubt) => doubts[doubt]).join("; ")}`;

function usesSay({ first, last, kinds, repositories }: Uses): string {
  const shown = repositories.slice(0, 5);
  const more = repositories.length - shown.length;
  const where = shown.length > 0 ? ` (${[...shown, ...(more > 0 ? [`${more} more`] : [])].join(", ")})` : "";
  const what = Object.entries(words).flatMap(([kind, [one, several]]) => {
    const count = kinds[kind as keyof typeof words] ?? 0;
    return count > 0 ? [counted(count, one, several)] : [];
  });
  return `${what.join(", ")}${where}, ${first === last ? timeOf(first) : `from ${timeOf(first)} to ${timeOf(last)}`}`;
}

const words = {
  push: ["push", "pushes"],
  pull: ["pull", "pulls"],
  other: ["change", "changes"],
  login: ["login", "logins"],
  unlogged: ["login for what this log does not show", "logins for what this log does not show"],
} as const;

const doubts: Readonly<Record<Doubt, string>> = {
  "after-exchange": "shortly after an exchange, so keyless or with the static token",
  "log-incomplete": "exchanges may be missing from the log",
  "log-begins-later": "so old that exchanges before it may be gone from the log",
  "token-replaced": "shortly after the static token was replaced, so with the earlier or the present one",
};

function bindingRow({ issuer, subject, lastUsed, since }: BindingUse, row: MakeRow, inDays: string): readonly Row[] {
  const what = `${subject} of ${issuer}`;
  switch (lastUsed) {
    case "never":
      return [row("unused-binding", `${what}: no exchange ${inDays}${since ? `; entered ${timeOf(since)}` : ""}`)];
    case "unknown":
      return [row("unknown", `binding ${what}: no exchange is in the log ${inDays}, but the log has gaps`)];
    default:
      return [];
  }
}

const unusedSays = ({ lastAccessed }: RobotUsage, inDays: string): string =>
  `no exchange, login, push or pull ${inDays}; last login ${
    lastAccessed === undefined ? "unknown or never" : timeOf(lastAccessed)
  }; pulls of another organization's repositories are not in this log`;

const byTeam = (team: string | undefined): string => (team === undefined ? "" : `, by the team ${team}`);

function wideRow({ repository, role, team, enough }: WidePermission, row: MakeRow, inDays: string): Row {
  const what = `${role} on ${repository}${byTeam(team)}`;
  switch (enough) {
    case "unknown":
      return row("unknown", `${what}: the log has gaps, so whether it is needed is not known`);
    case "none":
      return row("wide-permission", `${what}: nothing was done there ${inDays}`);
    default:
      return row("wide-permission", `${what}: ${enough} is enough for what was done ${inDays}`);
  }
}
