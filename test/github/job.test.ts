import { expect, test } from "vitest";
import { parseJobOptions } from "../../src/github/job.ts";
import { readOptions } from "../../src/options/reader.ts";
import type { OptionValues } from "../../src/options/table.ts";
import { failure } from "../fixtures.ts";

test.each<[OptionValues, object]>([
  [{}, { refresh: false, logout: true, withoutIdentity: "fail" }],
  [
    { refresh: "", logout: " ", "without-identity": "" },
    { refresh: false, logout: true, withoutIdentity: "fail" },
  ],
  [{ refresh: "true" }, { refresh: true }],
  [{ logout: "False" }, { logout: false }],
  [{ "without-identity": "skip" }, { withoutIdentity: "skip" }],
])("accepts %j", (values, expected) => {
  expect(parseJobOptions(readOptions(values))).toMatchObject(expected);
});

test.each<[OptionValues, string, string]>([
  [{ refresh: "1" }, 'The option "refresh" is "1": it must be one of true, false.', "refresh: false"],
  [{ logout: "no" }, 'The option "logout" is "no": it must be one of true, false.', "logout: true"],
  [
    { "without-identity": "ignore" },
    'The option "without-identity" is "ignore": it must be one of fail, skip.',
    "without-identity: fail",
  ],
])("rejects %j", async (values, message, example) => {
  const error = await failure(() => parseJobOptions(readOptions(values)));
  expect([error.code, error.message]).toEqual(["invalid-input", message]);
  expect(error.remedy).toEqual([`Write, for example, ${example}`]);
});
