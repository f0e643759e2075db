import { expect, test } from "vitest";
import { isObject, parseObject } from "../../src/platform/json.ts";

test.each([
  ["{}", {}],
  ['{"a":[1]}', { a: [1] }],
  [' {"a":null}\n', { a: null }],
])("%s is an object", (text, object) => {
  expect(parseObject(text)).toEqual(object);
});

test.each(["", "{", "null", "[]", "[{}]", '"{}"', "1", "true", "{}{}"])("%j is not an object", (text) => {
  expect(parseObject(text)).toBeUndefined();
});

test("neither a list nor null is an object", () => {
  expect([{}, [], null, undefined, "", () => {}].map(isObject)).toEqual([true, false, false, false, false, false]);
});
