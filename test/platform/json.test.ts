import { expect, test } from "vitest";
import { isObject, parseExactly, parseObject } from "../../src/platform/json.ts";

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

test.each([
  '{"id":9007199254740993,"rate":1.0,"big":1e400,"small":-0.0,"plain":12,"text":"1.0","é":[null,true,{"__proto__":1}]}',
  "[]",
  "12345678901234567890",
])("%s is written as it was read", (text) => {
  expect(JSON.stringify(parseExactly(text))).toBe(text);
});

test("an ordinary number stays a number", () => {
  expect(parseExactly('{"n":12,"f":0.5}')).toEqual({ n: 12, f: 0.5 });
});
