/** Suggestions for a misspelt word. Pure. */

/** The candidate that differs in few letters; undefined if none is close. */
export function closest<T extends string>(word: string, candidates: readonly T[]): T | undefined {
  const [best] = candidates
    .map((candidate) => ({ candidate, distance: distance(word.slice(0, 64), candidate) }))
    .sort((a, b) => a.distance - b.distance);
  return best && best.distance <= Math.max(2, best.candidate.length / 3) ? best.candidate : undefined;
}

/** Levenshtein distance: how many letters to add, remove or change. */
function distance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (const [i, letter] of [...a].entries()) {
    let diagonal = i;
    let left = i + 1;
    row = row.map((above, j) => {
      const cost = j === 0 ? i + 1 : Math.min(above + 1, left + 1, diagonal + (letter === b[j - 1] ? 0 : 1));
      diagonal = above;
      left = cost;
      return cost;
    });
  }
  return row.at(-1) ?? 0;
}
