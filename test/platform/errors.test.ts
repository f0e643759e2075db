import { readdirSync, readFileSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import {
  asExplainedError,
  codeOf,
  ExplainedError,
  errorCodes,
  failureObject,
  formatBinding,
  formatError,
  invalidInput,
  oneOfTheTwo,
  reworded,
  unreachable,
} from "../../src/platform/errors.ts";

const root = join(import.meta.dirname, "../..");
const codes = Object.keys(errorCodes);

describe("docs/troubleshooting.md", () => {
  const document = readFileSync(join(root, "docs/troubleshooting.md"), "utf8");
  const sections = document.split(/^## /m).slice(1);

  test("has one section per code, and no other", () => {
    expect(sections.map((section) => section.split("\n")[0]).sort()).toEqual([...codes].sort());
  });

  test("each section says something", () => {
    for (const section of sections) {
      const [heading, ...text] = section.split("\n");
      expect(text.join("\n").trim().length, heading).toBeGreaterThan(60);
    }
  });
});

test("every code is one that something throws", () => {
  const files = readdirSync(join(root, "src"), { recursive: true, encoding: "utf8" })
    .filter((file) => file.endsWith(".ts"))
    .map((file) => ({ file, text: readFileSync(join(root, "src", file), "utf8") }));
  const isThrown = (code: string) =>
    files.some(
      ({ file, text }) =>
        // The errors' own module throws nothing but what nobody foresaw.
        (file !== "platform/errors.ts" || code === "unforeseen") &&
        // Quay's answers come with their code from a table.
        ((file === "quay/answers.ts" && text.includes(`"${code}"`)) ||
          new RegExp(`(?:new ExplainedError|fail)\\(\\s*(?:[^,;()]*[?:]\\s*)?"${code}"`).test(text) ||
          (code === "invalid-input" && text.includes("throw invalidInput("))),
    );
  expect(codes.filter((code) => !isThrown(code))).toEqual([]);
});

test("an invalid input names the option, the value and an example; a long value is shortened", () => {
  const error = invalidInput("timeout", 'so"on', "it is no number", "timeout: 120");
  expect(error.message).toBe('The option "timeout" is "so\\"on": it is no number.');
  expect(error.remedy).toEqual(["Write, for example, timeout: 120"]);
  expect(invalidInput("robot", "x".repeat(121), "too long", "").message).toContain(`"${"x".repeat(120)}…"`);
  expect(invalidInput("robot", "x".repeat(120), "too long", "").message).toContain(`"${"x".repeat(120)}"`);
});

test("the text holds headline, remedy, binding, code, and the failures of other robots", () => {
  const cause = new Error("below");
  const error = new ExplainedError("issuer-not-bound", "Headline.", {
    remedy: ["Do this:", "and that"],
    binding: { issuer: "https://i", subject: "s", audience: "quay" },
    cause,
  });
  error.also = [new ExplainedError("robot-not-found", "Other.", { remedy: ["Look"] })];
  expect(formatError(error)).toBe(
    [
      "Headline.",
      "  Do this:",
      "  and that",
      "    issuer    https://i",
      "    subject   s",
      "    audience  quay",
      "  More: https://github.com/OWNER/quay-keyless-login/blob/main/docs/troubleshooting.md#issuer-not-bound",
      "Other.",
      "  Look",
      "  More: https://github.com/OWNER/quay-keyless-login/blob/main/docs/troubleshooting.md#robot-not-found",
    ].join("\n"),
  );
  expect(error).toBeInstanceOf(Error);
  expect(error.name).toBe("ExplainedError");
  expect(error.cause).toBe(cause);
  expect(error.also[0]).not.toHaveProperty("cause");
  expect(formatBinding({ issuer: "https://i", subject: "s", audience: "quay" })).toHaveLength(3);
});

test("an option that excludes another has no example: one of the two is to go", () => {
  const error = invalidInput("token-file", "/token", "token-variable is given as well", oneOfTheTwo);
  expect(error.remedy).toEqual(["Give one of the two."]);
});

describe("for a program that reads JSON", () => {
  const binding = { issuer: "https://i", subject: "s", audience: "quay" };

  test("a failure is its code, message and remedy", () => {
    const error = new ExplainedError("timeout", "Late.", { remedy: ["Wait."], cause: new Error("geheim") });
    expect(failureObject(error)).toStrictEqual({ code: "timeout", message: "Late.", remedy: ["Wait."] });
  });

  test("the binding and the failures of other robots stand in it where there are any", () => {
    const error = new ExplainedError("issuer-not-bound", "Headline.", { remedy: [], binding });
    error.also = [new ExplainedError("robot-not-found", "Other.", { remedy: ["Look"] })];
    expect(failureObject(error)).toStrictEqual({
      code: "issuer-not-bound",
      message: "Headline.",
      remedy: [],
      binding,
      also: [{ code: "robot-not-found", message: "Other.", remedy: ["Look"] }],
    });
  });
});

describe("in other words", () => {
  const cause = new Error("below");
  const error = new ExplainedError("login-refused", "No.", { remedy: ["Do this."], cause });
  error.also = [new ExplainedError("timeout", "Late.", { remedy: ["Wait."] })];

  test("an error keeps its code and cause, and those of other robots are told in the same way", () => {
    const told = reworded(error, { message: (text) => `Source: ${text}` });
    expect(told).toMatchObject({ code: "login-refused", message: "Source: No.", remedy: ["Do this."], cause });
    expect(told.also).toMatchObject([{ code: "timeout", message: "Source: Late.", remedy: ["Wait."] }]);
    expect(error.message).toBe("No.");
  });

  test("of what to do, the message stays", () => {
    const told = reworded(error, { remedy: (lines) => [...lines, "Then that."] });
    expect(told).toMatchObject({ message: "No.", remedy: ["Do this.", "Then that."] });
    expect(told.also).toMatchObject([{ message: "Late.", remedy: ["Wait.", "Then that."] }]);
  });
});

test.each<[unknown, string]>([
  [Object.assign(new Error("no"), { code: "ENOENT" }), "ENOENT"],
  [Object.assign(new Error("no"), { code: 7 }), ""],
  [new Error("no"), ""],
  [undefined, ""],
  [null, ""],
  ["ENOENT", ""],
])("the code of %s is %j", (error, code) => {
  expect(codeOf(error)).toBe(code);
});

describe("an error of any kind becomes one of ours", () => {
  test("one that is stays itself", () => {
    const error = new ExplainedError("timeout", "Late.", { remedy: [] });
    expect(asExplainedError(error)).toBe(error);
  });

  test.each<[unknown, string]>([
    [new TypeError("x is not a function"), "TypeError: x is not a function"],
    ["thrown text", "Error: thrown text"],
    [undefined, "Error: undefined"],
    [{ message: "no Error" }, "Error: [object Object]"],
  ])("%s", (thrown, message) => {
    const error = asExplainedError(thrown);
    expect(error).toBeInstanceOf(ExplainedError);
    expect(error).toMatchObject({ code: "unforeseen", message });
    expect(error.cause).toBe(thrown);
    expect(error.remedy.join()).toContain("please report it");
  });

  test("a file that can't be used is named", async () => {
    const thrown = await readFile("/nowhere/at-all").catch((error: unknown) => error);
    expect(asExplainedError(thrown)).toMatchObject({
      code: "auth-file-unusable",
      message: "/nowhere/at-all can't be used (open: ENOENT).",
      remedy: [expect.stringContaining("auth-file: /path/auth.json")],
      cause: thrown,
    });
  });

  test.each<[string, object]>([
    ["a call that is about no file", { code: "ECONNREFUSED", syscall: "connect", path: "/run/socket" }],
    ["a call that names no file", { code: "EBADF", syscall: "read" }],
    ["a file without a call", { code: "ENOENT", path: "/nowhere" }],
  ])("%s is not taken for a file that can't be used", (_, parts) => {
    expect(asExplainedError(Object.assign(new Error("no"), parts))).toMatchObject({
      code: "unforeseen",
      message: "Error: no",
    });
  });
});

test("a union's case that nobody handles is a mistake in the program", () => {
  expect(() => unreachable({ kind: "new" } as never)).toThrow('unhandled case {"kind":"new"}');
});
