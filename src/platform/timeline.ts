/** How long each part of a login takes: it shows why one is slow. */
import type { Platform } from "./platform.ts";

export interface Phase {
  readonly phase: string;
  readonly milliseconds: number;
}

export interface Timeline {
  readonly phases: readonly Phase[];
  /** Runs `work` and notes how long it took, also if it fails. */
  time<T>(phase: string, work: () => Promise<T>): Promise<T>;
}

export function createTimeline({ clock, reporter }: Pick<Platform, "clock" | "reporter">): Timeline {
  const phases: Phase[] = [];
  return {
    phases,
    async time(phase, work) {
      const began = clock.elapsed();
      try {
        return await work();
      } finally {
        const milliseconds = Math.round(clock.elapsed() - began);
        phases.push({ phase, milliseconds });
        reporter.debug(`${phase}: ${milliseconds} ms`);
      }
    },
  };
}
