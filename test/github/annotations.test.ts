import { afterEach, expect, test, vi } from "vitest";
import { createReporter, reportFailure } from "../../src/github/annotations.ts";
import { ExplainedError } from "../../src/platform/errors.ts";
import { everyOption } from "../fixtures.ts";
import { show } from "../support/workflow-commands.ts";

afterEach(() => {
  process.exitCode = 0;
  vi.restoreAllMocks();
});

function printed(work: () => void): string {
  const write = vi.spyOn(process.stdout, "write").mockReturnValue(true);
  work();
  return write.mock.calls.map(([text]) => text).join("");
}

test("masks each line of a secret with several lines", () => {
  const output = printed(() => createReporter(everyOption).secret("first-line\r\nsecond-line"));
  expect(output).toBe("::add-mask::first-line%0D%0Asecond-line\n");
  expect(show(`${output}second-line, first-line`).text).toBe("***, ***");
});

test("fails the step, with the code of the failure as the annotation's title", () => {
  const error = new ExplainedError("quay-refused", "50 %: no, not", { remedy: [] });
  const output = printed(() => reportFailure(error, createReporter(everyOption)));
  expect(process.exitCode).toBe(1);
  expect(output).toMatch(/^::error title=quay-keyless-login%3A quay-refused::50 %25: no, not%0A[^\n]*\n$/);
});
