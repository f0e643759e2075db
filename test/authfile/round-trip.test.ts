/** What a new version would lose of other programs' JSON. */
import { expect, test } from "vitest";
import { lossOf } from "../../src/authfile/round-trip.ts";

const number = "holds a number that JavaScript can't keep exactly (such as a whole number over 2^53)";

test.each<[string, string | undefined]>([
  ['{"n": 9007199254740993}', number],
  ['{"n": -9007199254740993}', number],
  ['{"n": [[{"m": 123456789012345678901}]]}', number],
  ['{"n": 0.1000000000000000055}', number],
  ['{"n": 1e400}', number],
  ['{"n": 1e-400}', number],
  ['{"n": -0}', number],
  ['{"n": 9007199254740992}', undefined],
  ['{"n": 18014398509481984}', undefined],
  [
    '{"n": [0, 0.0, 0e5, -1, 1.50, 1E3, 1e+3, 1e-7, 5e-324, 1.7976931348623157e308, 0.1, 1000000000000000000000]}',
    undefined,
  ],
  ['{"a": 1, "a": 1}', 'holds the key "a" twice in one object'],
  ['{"a": 1, "\\u0061": 2}', 'holds the key "a" twice in one object'],
  ['{"x": [{"y": {"a": {}, "b": [], "a": {}}}]}', 'holds the key "a" twice in one object'],
  ['{"__proto__": 1, "x": 0, "__proto__": 2}', 'holds the key "__proto__" twice in one object'],
  ['{"a": {"a": {"a": 1}}, "b": [{"a": 1}, {"a": 1}], "c": "a"}', undefined],
  ['{"a": "{\\"a\\": 1, \\"a\\": 99999999999999999999}"}', undefined],
  ['{"a": "\\\\", "b": "\\\\\\"", "c": "x\\\\"}', undefined],
  ['{"a": "9007199254740993", "9007199254740993": "b"}', undefined],
  ['{"__proto__": {"a": 1}, "constructor": null, "toJSON": true, "10": 1, "9": false}', undefined],
  ['{"a": "\\ud800", "b": "\\u0000\\u2028"}', undefined],
  ["{}", undefined],
  [`${"[".repeat(1000)}${"]".repeat(1000)}`, undefined],
  [`${"[".repeat(1001)}${"]".repeat(1001)}`, "is nested more than 1000 deep"],
  [`${'{"a":'.repeat(200_000)}1${"}".repeat(200_000)}`, "is nested more than 1000 deep"],
])("%.60s: %s", (text, loss) => {
  expect(lossOf(text)).toBe(loss);
  if (loss === undefined) {
    // What is said to survive does.
    expect(JSON.parse(JSON.stringify(JSON.parse(text)))).toEqual(JSON.parse(text));
  }
});

test("reads long texts fast, and without recursion", () => {
  const before = performance.now();
  expect(lossOf(`{"a": "${"y".repeat(4_000_000)}", "b": "${"\\\\".repeat(2_000_000)}"}`)).toBeUndefined();
  expect(performance.now() - before).toBeLessThan(2_000);
});
