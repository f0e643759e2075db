import { afterEach, expect, test, vi } from "vitest";
import { readInputs } from "../../src/github/inputs.ts";

afterEach(() => vi.unstubAllEnvs());

test("keeps blanks of inputs; one without a variable is empty", () => {
  vi.stubEnv("INPUT_ROBOT", "  acme+ci\n ");
  vi.stubEnv("INPUT_TOKEN-FILE", undefined);
  expect(readInputs()).toMatchObject({ robot: "  acme+ci\n ", "token-file": "" });
});

test("reads the inputs of each Action", () => {
  expect(Object.keys(readInputs("promote-action"))).toContain("destination-robot");
  expect(Object.keys(readInputs("federate-action"))).toContain("api-token-env");
  expect(Object.keys(readInputs())).not.toContain("destination-robot");
});
