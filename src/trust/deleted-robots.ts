/** Uses by robots that were deleted since: what used their static token is broken now, or uses another one. Pure. */
import { type JudgedUses, judged, type UsageLog, type Use, type Window } from "./judge.ts";

export interface DeletedUsage extends JudgedUses {
  /** `acme+old`. There may be a new robot of this name. */
  readonly name: string;
}

/** @param robots the names of all that still exist. @returns by name; those without a use in the window are left out */
export function usageOfDeleted(
  organization: string,
  robots: readonly string[],
  log: UsageLog,
  window: Window,
): readonly DeletedUsage[] {
  const byRobot = Map.groupBy(log.events, ({ robot }) => robot);
  return [...byRobot]
    .filter(([name]) => name.startsWith(`${organization}+`))
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .flatMap(([name, all]) => {
      const events = robots.includes(name)
        ? all.slice(0, all.findLastIndex(({ kind }) => kind === "deleted") + 1)
        : all;
      const uses = events.filter((event): event is Use => event.kind === "use" && event.at >= window.from);
      // Its bindings are gone with it: it may have had one. Which of its tokens it was no longer matters.
      const history = { boundUntil: Number.POSITIVE_INFINITY, regenerated: undefined };
      return uses.length > 0 ? [{ name, ...judged(uses, { ...log, events }, history) }] : [];
    });
}
