/** Progress of the promotions, in lines that change in place, for a terminal. */
import { partsOf } from "../promotion/progress.ts";
import type { Progress } from "../promotion/result.ts";

export interface LiveProgress {
  show(index: number, progress: Progress): void;
  /** Removes the lines. */
  end(): void;
}

/** At most five times a second. */
const pauseMs = 200;

/** One line for each running promotion, and one that counts all of them. */
export function createLiveProgress(
  names: readonly string[],
  draw: (lines: readonly string[]) => void,
  clock: { elapsed(): number },
): LiveProgress {
  const states = new Map<number, Progress>();
  let drawnAt = Number.NEGATIVE_INFINITY;
  let timer: NodeJS.Timeout | undefined;
  let ended = false;
  const redraw = () => {
    timer = undefined;
    drawnAt = clock.elapsed();
    draw(linesOf(names, states));
  };
  return {
    show(index, progress) {
      states.set(index, progress);
      if (timer === undefined && !ended) {
        const wait = drawnAt + pauseMs - clock.elapsed();
        if (wait <= 0) {
          redraw();
        } else {
          timer = setTimeout(redraw, wait).unref();
        }
      }
    },
    end() {
      ended = true;
      clearTimeout(timer);
      draw([]);
    },
  };
}

const words = {
  resolving: "looking",
  verifying: "verifying",
  copying: "copying",
  signatures: "signatures",
  tags: "tags",
} as const;

function linesOf(names: readonly string[], states: ReadonlyMap<number, Progress>): readonly string[] {
  const width = Math.max(...names.map((name) => name.length));
  const rows = [...states]
    .sort(([a], [b]) => a - b)
    .flatMap(([index, progress]) => {
      const { phase } = progress;
      if (phase === "done" || phase === "failed") {
        return [];
      }
      const parts = phase === "copying" ? partsOf(progress) : [];
      return [`${(names[index] ?? "").padEnd(width)}  ${[words[phase].padEnd(10), ...parts].join("  ").trimEnd()}`];
    });
  return names.length === 1 ? rows : [...rows, countOf(names.length, [...states.values()])];
}

function countOf(all: number, states: readonly Progress[]): string {
  const count = (wanted: Progress["phase"]) => states.filter(({ phase }) => phase === wanted).length;
  const failed = count("failed");
  return `${count("done")} of ${all} done${failed > 0 ? `, ${failed} failed` : ""}`;
}
