/** Progress of the promotions, in few lines: for a log that is read later. */

import { formatBytes, formatPart, formatTime } from "./report.ts";
import type { Progress } from "./result.ts";

/** Pause between two lines about the same copy. */
const quietMs = 30_000;

interface Copying {
  readonly began: number;
  reportedAt: number;
}

/** One line when the copy of an image begins, one every 30 s during it, one at the end of each promotion. */
export function createCalmProgress(
  names: readonly string[],
  info: (line: string) => void,
  clock: { elapsed(): number },
): (index: number, progress: Progress) => void {
  const begun = new Map<number, number>();
  const copies = new Map<number, Copying>();
  return (index, progress) => {
    const now = clock.elapsed();
    const began = begun.get(index) ?? now;
    begun.set(index, began);
    const say = (what: string) => info(`${names[index]}: ${what}`);
    switch (progress.phase) {
      case "copying": {
        const copy = copies.get(index);
        if (copy === undefined) {
          copies.set(index, { began: now, reportedAt: now });
          say(`copying${amountOf(progress)}.`);
        } else if (now - copy.reportedAt >= quietMs) {
          copy.reportedAt = now;
          say(`still copying: ${[...partsOf(progress), `for ${formatTime(now - copy.began)} now`].join(", ")}.`);
        }
        break;
      }
      case "done":
        say(`done after ${formatTime(now - began)}.`);
        break;
      case "failed":
        say(`failed after ${formatTime(now - began)}; details below.`);
        break;
      default:
    }
  };
}

/** How much there is to copy, as far as it is known. */
function amountOf({ blobs, bytes }: Progress): string {
  const all = blobs === undefined ? "" : ` ${blobs.all} ${blobs.all === 1 ? "blob" : "blobs"}`;
  return `${all}${bytes === undefined ? "" : `; ${formatBytes(bytes.all)} are new there`}`;
}

/** How far the copy is. The bytes sent are 0 on systems that do not count them. */
export function partsOf({ blobs, bytes }: Progress): readonly string[] {
  return [
    ...(blobs === undefined ? [] : [`blobs ${Math.min(blobs.begun, blobs.all)}/${blobs.all}`]),
    ...(bytes === undefined ? [] : [bytes.sent > 0 ? formatPart(bytes.sent, bytes.all) : formatBytes(bytes.all)]),
  ];
}
