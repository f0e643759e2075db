/** Progress of reading a usage log: a line that changes on a terminal, a line every ten seconds in a log. */
import type { LogProgress } from "../trust/logs.ts";
import type { Terminal } from "./terminal.ts";

const pauseMs = { watched: 200, calm: 10_000 } as const;

export function watchLog(
  terminal: Pick<Terminal, "isWatched" | "live" | "info">,
  clock: { elapsed(): number },
): { readonly show: (progress: LogProgress) => void; readonly end: () => void } {
  const { isWatched, live, info } = terminal;
  // A log that is read in less needs no progress.
  let shownAt = isWatched ? Number.NEGATIVE_INFINITY : clock.elapsed();
  return {
    show({ read, all }) {
      const now = clock.elapsed();
      if (now - shownAt < pauseMs[isWatched ? "watched" : "calm"]) {
        return;
      }
      shownAt = now;
      const line = `Reading the usage log: ${read}${all === undefined ? "" : ` of ${all}`} entries`;
      if (isWatched) {
        live([line]);
      } else {
        info(line);
      }
    },
    end: () => live([]),
  };
}
