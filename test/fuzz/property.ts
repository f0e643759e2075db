/**
 * Properties that hold for any input. In CI the cases are always the same; elsewhere they are new each time.
 * A failure prints its seed: `FUZZ_SEED=… script/test test/fuzz` runs the same cases, `FUZZ_RUNS=20` twenty times as many.
 */
import { runInThisContext } from "node:vm";
import fc from "fast-check";
import { expect } from "vitest";
import { ExplainedError, formatError } from "../../src/platform/errors.ts";
import { failureOf } from "../fixtures.ts";

const fixed = process.env.FUZZ_SEED ?? (process.env.CI ? "20261124" : undefined);
const seed = fixed === undefined ? Date.now() % 2 ** 31 : Number(fixed);
const times = Number(process.env.FUZZ_RUNS ?? 1);

/** Milliseconds that count as a hang: far more than all cases of one property take. */
const endless = 12_000 * times;

/** Fails with the smallest case found that makes `predicate` throw; reports and stops one that never returns. */
export function forAll<T>(values: fc.Arbitrary<T>, predicate: (value: T) => void, runs = 300): void {
  let last: { readonly value: T } | undefined;
  const property = fc.property(values, (value) => {
    last = { value };
    predicate(value);
  });
  const name = "quay-keyless-login: the property under test";
  Reflect.set(globalThis, Symbol.for(name), () => fc.assert(property, { seed, numRuns: runs * times }));
  try {
    // The only way to stop a loop, or an expression that backtracks for hours, and still report it in a test.
    runInThisContext(`globalThis[Symbol.for(${JSON.stringify(name)})]()`, { timeout: endless });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ERR_SCRIPT_EXECUTION_TIMEOUT") {
      throw error;
    }
    throw new Error(
      `No end within ${endless} ms; seed ${seed}, at last with ${fc.stringify(last?.value).slice(0, 2000)}`,
    );
  }
}

/** The same for asynchronous work; vitest's own timeout stops it. */
export function forAllAsync<T>(
  values: fc.Arbitrary<T>,
  predicate: (value: T) => Promise<void>,
  runs = 60,
): Promise<void> {
  return fc.assert(fc.asyncProperty(values, predicate), { seed, numRuns: runs * times });
}

/** @returns the result of `work`, or its error. The test fails if that is not an explained and foreseen one */
export function outcome<T>(work: () => T): T | ExplainedError {
  try {
    return work();
  } catch (error) {
    return foreseen(error);
  }
}

export function outcomeAsync<T>(work: () => Promise<T>): Promise<T | ExplainedError> {
  return work().catch(foreseen);
}

function foreseen(error: unknown): ExplainedError {
  if (!(error instanceof ExplainedError) || error.code === "unforeseen") {
    throw error;
  }
  return error;
}

/** Neither the printed text nor what a debugger shows (stack, causes) contains the secret, in plain or base64. */
export function expectUnsaid(error: ExplainedError, secret: string): void {
  const causes: unknown[] = [];
  for (let cause: unknown = error; cause !== undefined; cause = (cause as Error).cause) {
    causes.push(cause instanceof Error ? `${cause.message}\n${cause.stack}` : cause);
  }
  const shown = `${formatError(failureOf(error))}\n${causes.join("\n")}`;
  for (const form of [secret, Buffer.from(secret).toString("base64").replace(/=+$/, "")]) {
    expect(shown.includes(form), `a secret is shown: ${shown.slice(0, 500)}`).toBe(false);
  }
}
