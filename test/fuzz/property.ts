/**
 * Properties that hold for whatever comes in. In CI the cases are always the same; elsewhere they are new each time.
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

/** Where a hang begins, milliseconds: far more than all cases of one property take. */
const endless = 12_000 * times;

/** Fails with the smallest case found that makes `predicate` throw; one that never returns is named and ended. */
export function forAll<T>(values: fc.Arbitrary<T>, predicate: (value: T) => void, runs = 300): void {
  let last: { readonly value: T } | undefined;
  const property = fc.property(values, (value) => {
    last = { value };
    predicate(value);
  });
  const name = "quay-keyless-login: the property under test";
  Reflect.set(globalThis, Symbol.for(name), () => fc.assert(property, { seed, numRuns: runs * times }));
  try {
    // The only way to end a loop, or an expression that backtracks for hours, and still have a test that tells of it.
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

/** The same for what waits for files; vitest's own limit ends it. */
export function forAllAsync<T>(
  values: fc.Arbitrary<T>,
  predicate: (value: T) => Promise<void>,
  runs = 60,
): Promise<void> {
  return fc.assert(fc.asyncProperty(values, predicate), { seed, numRuns: runs * times });
}

/** @returns what `work` gives, or the error that it ends with, which is one of ours and foreseen, or the test fails */
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

/** Neither the text that people see nor what a debugger would show (stack, causes) holds the secret, in plain or base64. */
export function expectUnsaid(error: ExplainedError, secret: string): void {
  const causes: unknown[] = [];
  for (let cause: unknown = error; cause !== undefined; cause = (cause as Error).cause) {
    causes.push(cause instanceof Error ? `${cause.message}\n${cause.stack}` : cause);
  }
  const said = `${formatError(failureOf(error))}\n${causes.join("\n")}`;
  for (const form of [secret, Buffer.from(secret).toString("base64").replace(/=+$/, "")]) {
    expect(said.includes(form), `a secret is told: ${said.slice(0, 500)}`).toBe(false);
  }
}
