import { describe, expect, test } from "vitest";
import { parseTimeout, readOptions, requireOptions } from "../../src/options/reader.ts";
import { failure } from "../fixtures.ts";

describe("an option's text", () => {
  test.each<[string | undefined, string]>([
    ["quay.example.com", "quay.example.com"],
    ["  quay.example.com\n", "quay.example.com"],
    [undefined, "quay.io"],
    ["", "quay.io"],
    [" \t\n", "quay.io"],
  ])("%j, with a default: %s", (value, expected) => {
    expect(readOptions({ registry: value }).text("registry")).toBe(expected);
    expect(readOptions({ registry: value }).optional("registry")).toBe(expected);
  });

  test.each<[string | undefined, string]>([
    ["/t", "/t"],
    [undefined, ""],
    [" ", ""],
  ])("%j, without a default: %j", (value, expected) => {
    expect(readOptions({ "token-file": value }).text("token-file")).toBe(expected);
    expect(readOptions({ "token-file": value }).optional("token-file")).toBe(expected || undefined);
  });

  test("the default of what only the platform sets is the platform's", () => {
    expect(readOptions({}).optional("workflow-ref")).toBeUndefined();
    expect(readOptions({ "workflow-ref": "acme/app@r" }).optional("workflow-ref")).toBe("acme/app@r");
  });
});

describe("a choice", () => {
  test("may be written in capitals; not given it is the default", () => {
    expect(readOptions({ output: "JSON" }).choice("output")).toBe("json");
    expect(readOptions({}).choice("output")).toBe("text");
  });

  test("rejects another value, and names the allowed ones and the default", async () => {
    const error = await failure(() => readOptions({ output: "Yaml" }).choice("output", ["text", "json"]));
    expect(error.code).toBe("invalid-input");
    expect(error.message).toBe('The option "output" is "Yaml": it must be one of text, json.');
    expect(error.remedy).toEqual(["Write, for example, output: text"]);
  });

  test.each<[string | undefined, boolean]>([
    ["true", true],
    ["TRUE", true],
    ["false", false],
    ["False", false],
    [undefined, false],
  ])("%j is %s", (value, expected) => {
    expect(readOptions({ verbose: value }).boolean("verbose")).toBe(expected);
  });

  test.each(["1", "yes", "truee", "on"])("%s is neither true nor false", async (value) => {
    const error = await failure(() => readOptions({ verbose: value }).boolean("verbose"));
    expect(error.message).toBe(`The option "verbose" is "${value}": it must be one of true, false.`);
  });
});

test.each<[string | undefined, string[]]>([
  [undefined, []],
  [" \n\r\n", []],
  ["a=b", ["a=b"]],
  ["  a b \r\n\n\t c\n", ["a b", "c"]],
])("the list %j", (value, expected) => {
  expect(readOptions({ result: value }).list("result")).toEqual(expected);
});

test.each([
  [undefined, 120],
  ["1", 1],
  ["007", 7],
  ["3600", 3600],
])("the timeout %j is %i s", (value, expected) => {
  expect(parseTimeout(readOptions({ timeout: value }))).toBe(expected);
});

test.each(["0", "3601", "-1", "1.5", "1e2", "2m", "0x10", "99999999999999999999"])("the timeout %s", async (value) => {
  const error = await failure(() => parseTimeout(readOptions({ timeout: value })));
  expect(error.message).toBe(`The option "timeout" is "${value}": it must be a whole number of seconds, 1 to 3600.`);
  expect(error.remedy).toEqual(["Write, for example, timeout: 120"]);
});

describe("required options", () => {
  const examples = { source: "acme/staging:1.0", destination: "acme/app" };

  test("that are given, are enough", () => {
    expect(() => requireOptions(readOptions({ source: "x", destination: "y" }), examples)).not.toThrow();
  });

  test("that are missing or blank, are named all at once, each with an example", async () => {
    const both = await failure(() => requireOptions(readOptions({ source: " \n " }), examples));
    expect([both.code, both.message, both.remedy]).toEqual([
      "invalid-input",
      "Missing required options source, destination.",
      ["Write, for example, source: acme/staging:1.0", "Write, for example, destination: acme/app"],
    ]);
    const one = await failure(() => requireOptions(readOptions({ source: "x" }), examples));
    expect(one.message).toBe("Missing required option destination.");
  });
});
