import { ExplainedError, withOthers } from "./errors.ts";

/**
 * Runs `work` on all items, at most `limit` at a time, and waits for every one.
 * @throws ExplainedError the first of the failures, with the others in `also`: one run shows everything that needs fixing
 */
export async function mapLimit<T, R>(
  items: readonly T[],
  limit: number,
  work: (item: T, index: number) => Promise<R>,
): Promise<R[]> {
  const results: R[] = new Array(items.length);
  const failures: { readonly index: number; readonly error: unknown }[] = [];
  let next = 0;
  const worker = async () => {
    while (next < items.length) {
      const index = next++;
      try {
        results[index] = await work(items[index] as T, index);
      } catch (error) {
        failures.push({ index, error });
      }
    }
  };
  await Promise.all(Array.from({ length: Math.min(limit, items.length) }, worker));
  if (failures.length === 0) {
    return results;
  }
  const errors = [...new Set(failures.sort((a, b) => a.index - b.index).map(({ error }) => error))];
  const first = errors.find((error) => !(error instanceof ExplainedError)) ?? errors[0];
  throw first instanceof ExplainedError
    ? withOthers(first, errors.filter((error) => error !== first) as ExplainedError[])
    : first;
}

/**
 * Runs all works at the same time. If one fails, aborts the signal that each was given, and waits for the others: nothing runs or
 * reports after the end.
 * @throws the first failure
 */
export async function together<const Works extends readonly ((signal: AbortSignal) => Promise<unknown>)[]>(
  ...works: Works
): Promise<{ readonly [Index in keyof Works]: Awaited<ReturnType<Works[Index]>> }> {
  const ended = new AbortController();
  const running = works.map((work) => work(ended.signal));
  try {
    return (await Promise.all(running)) as { [Index in keyof Works]: Awaited<ReturnType<Works[Index]>> };
  } catch (error) {
    ended.abort(error);
    await Promise.allSettled(running);
    throw error;
  }
}

/** @returns a function that runs the given work, at most `limit` at a time; the rest waits in a queue */
export function createLimit(limit: number): <T>(work: () => Promise<T>) => Promise<T> {
  const waiting: (() => void)[] = [];
  let free = limit;
  return async (work) => {
    if (free === 0) {
      await new Promise<void>((resolve) => void waiting.push(resolve));
    } else {
      free--;
    }
    try {
      return await work();
    } finally {
      const next = waiting.shift();
      if (next) {
        next(); // it takes over this slot
      } else {
        free++;
      }
    }
  };
}
