import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import {
  asLoginError,
  errorCodes,
  formatBinding,
  formatError,
  invalidInput,
  LoginError,
  unreachable,
} from "../src/errors.ts";

const root = join(import.meta.dirname, "..");
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
        (file !== "errors.ts" || code === "unforeseen") &&
        // Quay's answers come with their code from a table.
        ((file === "quay/answers.ts" && text.includes(`"${code}"`)) ||
          new RegExp(`(?:new LoginError|fail)\\(\\s*(?:[^,;()]*[?:]\\s*)?"${code}"`).test(text) ||
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
  const error = new LoginError("issuer-not-bound", "Headline.", {
    remedy: ["Do this:", "and that"],
    binding: { issuer: "https://i", subject: "s", audience: "quay" },
    cause,
  });
  error.also = [new LoginError("robot-not-found", "Other.", { remedy: ["Look"] })];
  expect(formatError(error)).toBe(
    [
      "Headline.",
      "  Do this:",
      "  and that",
      "    issuer    https://i",
      "    subject   s",
      "    audience  quay",
      "  More: docs/troubleshooting.md#issuer-not-bound",
      "Other.",
      "  Look",
      "  More: docs/troubleshooting.md#robot-not-found",
    ].join("\n"),
  );
  expect(error).toBeInstanceOf(Error);
  expect(error.name).toBe("LoginError");
  expect(error.cause).toBe(cause);
  expect(error.also[0]).not.toHaveProperty("cause");
  expect(formatBinding({ issuer: "https://i", subject: "s", audience: "quay" })).toHaveLength(3);
});

describe("an error of any kind becomes one of ours", () => {
  test("one that is stays itself", () => {
    const error = new LoginError("timeout", "Late.", { remedy: [] });
    expect(asLoginError(error)).toBe(error);
  });

  test.each<[unknown, string]>([
    [new TypeError("x is not a function"), "TypeError: x is not a function"],
    ["thrown text", "Error: thrown text"],
    [undefined, "Error: undefined"],
    [{ message: "no Error" }, "Error: [object Object]"],
  ])("%s", (thrown, message) => {
    const error = asLoginError(thrown);
    expect(error).toBeInstanceOf(LoginError);
    expect(error).toMatchObject({ code: "unforeseen", message });
    expect(error.cause).toBe(thrown);
    expect(error.remedy.join()).toContain("please report it");
  });
});

test("a union's case that nobody handles is a mistake in the program", () => {
  expect(() => unreachable({ kind: "new" } as never)).toThrow('unhandled case {"kind":"new"}');
});
