/**
 * Settles as `work` does, or rejects with the signal's reason as soon as it aborts: no wait outlasts the signal. `work` itself
 * releases what it holds.
 */
export function orAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  work.catch(() => {}); // after an abort nothing else handles its rejection
  return new Promise((resolve, reject) => {
    const stop = () => reject(signal.reason);
    if (signal.aborted) {
      stop();
      return;
    }
    signal.addEventListener("abort", stop, { once: true });
    work.then(resolve, reject).finally(() => signal.removeEventListener("abort", stop));
  });
}
