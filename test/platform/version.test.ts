import { expect, test } from "vitest";
import { version } from "../../src/platform/version.ts";
import * as project from "../support/project.ts";

test("the version is the package's", () => {
  expect(version).toBe(project.version);
});
