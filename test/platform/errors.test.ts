import { readdirSync, readFileSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import {
  anotherFile,
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
  withOthers,
} from "../../src/platform/errors.ts";
import { type Mention, mention, text } from "../../src/platform/wording.ts";
import { failureOf } from "../fixtures.ts";
import { address } from "../support/project.ts";

const root = join(import.meta.dirname, "../..");
const codes = Object.keys(errorCodes);

describe("docs/troubleshooting.md", () => {
  const document = readFileSync(join(root, "docs/troubleshooting.md"), "utf8");
  const sections = document.split(/^## /m).slice(1);

  test("has one section per code, and no other", () => {
    expect(sections.map((section) => section.split("\n")[0]).sort()).toEqual([...codes].sort());
  });

  test("each section has text", () => {
    for (const section of sections) {
      const [heading, ...text] = section.split("\n");
      expect(text.join("\n").trim().length, heading).toBeGreaterThan(60);
    }
  });
});

test("every code is thrown somewhere", () => {
  const files = readdirSync(join(root, "src"), { recursive: true, encoding: "utf8" })
    .filter((file) => file.endsWith(".ts"))
    .map((file) => ({ file, text: readFileSync(join(root, "src", file), "utf8") }));
  const isThrown = (code: string) =>
    files.some(
      ({ file, text }) =>
        // The errors' own module throws only the unforeseen ones.
        (file !== "platform/errors.ts" || code === "unforeseen") &&
        // Quay's answers get their code from a table.
        ((file === "quay/answers.ts" && text.includes(`"${code}"`)) ||
          new RegExp(`(?:new ExplainedError|fail)\\(\\s*(?:[^,;()]*[?:]\\s*)?"${code}"`).test(text) ||
          (code === "invalid-input" && text.includes("throw invalidInput("))),
    );
  expect(codes.filter((code) => !isThrown(code))).toEqual([]);
});

test("an invalid input names the option, the value and an example; a long value is shortened", () => {
  const error = failureOf(invalidInput("timeout", 'so"on', "it is no number", mention("timeout", "120")));
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
    also: [new ExplainedError("robot-not-found", "Other.", { remedy: ["Look"] })],
  });
  expect(formatError(failureOf(error))).toBe(
    [
      "Headline.",
      "  Do this:",
      "  and that",
      "    issuer    https://i",
      "    subject   s",
      "    audience  quay",
      `  More: ${address("/blob/main/docs/troubleshooting.md#issuer-not-bound")}`,
      "Other.",
      "  Look",
      `  More: ${address("/blob/main/docs/troubleshooting.md#robot-not-found")}`,
    ].join("\n"),
  );
  expect(error).toBeInstanceOf(Error);
  expect(error.name).toBe("ExplainedError");
  expect(error.cause).toBe(cause);
  expect(error.also[0]).not.toHaveProperty("cause");
  expect(formatBinding({ issuer: "https://i", subject: "s", audience: "quay" })).toHaveLength(3);
});

test("an option that excludes another has no example: only one of the two may be set", () => {
  const error = invalidInput("token-file", "/token", text`${mention("token-env")} is given as well`, oneOfTheTwo);
  expect(error.remedy).toEqual(["Set only one of the two."]);
});

describe("for a program that reads JSON", () => {
  const binding = { issuer: "https://i", subject: "s", audience: "quay" };

  test("a failure is its code, message and remedy", () => {
    const error = new ExplainedError("timeout", "Late.", { remedy: ["Wait."], cause: new Error("geheim") });
    expect(failureOf(error)).toStrictEqual({ code: "timeout", message: "Late.", remedy: ["Wait."] });
  });

  test("the binding and the failures of other robots are included if there are any", () => {
    const also = [new ExplainedError("robot-not-found", "Other.", { remedy: ["Look"] })];
    const error = new ExplainedError("issuer-not-bound", "Headline.", { remedy: [], binding, also });
    expect(failureOf(error)).toStrictEqual({
      code: "issuer-not-bound",
      message: "Headline.",
      remedy: [],
      binding,
      also: [{ code: "robot-not-found", message: "Other.", remedy: ["Look"] }],
    });
  });
});

describe("in the syntax of an entry point", () => {
  const syntax = {
    has: (option: string) => option !== "auth-file",
    write: ({ option, value }: Mention) => `<${option} ${value}>`,
  };

  test("options are written in its syntax, and a remedy that mentions an option it does not have is left out", () => {
    const late = new ExplainedError("timeout", "Late.", { remedy: [anotherFile, "Wait."] });
    const error = new ExplainedError("invalid-input", text`No ${mention("auth-file")}, ${mention("robot", "a+b")}.`, {
      remedy: [anotherFile, text`Or ${mention("robot", "c+d")}.`, "Do this."],
      also: [late],
    });
    expect(failureObject(error, { syntax, hide: String })).toStrictEqual({
      code: "invalid-input",
      message: "No <auth-file undefined>, <robot a+b>.",
      remedy: ["Or <robot c+d>.", "Do this."],
      also: [{ code: "timeout", message: "Late.", remedy: ["Wait."] }],
    });
    expect(error.message).toBe("No auth-file, robot: a+b.");
  });

  test("its secrets are hidden, in values of options and in failures of other robots too", () => {
    const also = [new ExplainedError("quay-refused", "nor geheim", { remedy: [] })];
    const remedy = [text`not ${mention("robot", "geheim")}`];
    const error = new ExplainedError("quay-refused", "no geheim", { remedy, also });
    const hide = (shown: string) => shown.replaceAll("geheim", "***");
    const shown = failureObject(error, { syntax, hide });
    expect(shown).toMatchObject({ message: "no ***", remedy: ["not <robot ***>"], also: [{ message: "nor ***" }] });
  });

  test("a token that a value cuts in two is not shown", () => {
    const error = new ExplainedError("quay-refused", text`${mention("robot", "eyJhbGci")}OiJSUzI1NiJ9.x.y`, {
      remedy: [],
    });
    const inOne = { has: () => true, write: ({ value }: Mention) => String(value) };
    expect(failureObject(error, { syntax: inOne, hide: String }).message).not.toContain("OiJSUzI1NiJ9");
  });
});

describe("changed", () => {
  const cause = new Error("below");
  const also = [new ExplainedError("timeout", "Late.", { remedy: ["Wait."] })];
  const error = new ExplainedError("login-refused", "No.", { remedy: ["Do this."], cause, also });

  test("an error keeps its code and cause, and those of other robots are reworded in the same way", () => {
    const changed = reworded(error, { headline: (words) => text`Source: ${words}` });
    expect(changed).toMatchObject({ code: "login-refused", message: "Source: No.", remedy: ["Do this."], cause });
    expect(changed.also).toMatchObject([{ code: "timeout", message: "Source: Late.", remedy: ["Wait."] }]);
    expect(error.message).toBe("No.");
  });

  test("keeps the message if only the remedy is changed", () => {
    const changed = reworded(error, { remedy: (lines) => [...lines, "Then that."] });
    expect(changed).toMatchObject({ message: "No.", remedy: ["Do this.", "Then that."] });
    expect(changed.also).toMatchObject([{ message: "Late.", remedy: ["Wait.", "Then that."] }]);
  });

  test("adds other errors to the existing ones", () => {
    const other = new ExplainedError("quay-refused", "Other.", { remedy: [] });
    const both = withOthers(error, [other]);
    expect(both).toMatchObject({ code: "login-refused", message: "No.", remedy: ["Do this."], cause });
    expect(both.also).toEqual([...also, other]);
    expect(withOthers(error, [])).toBe(error);
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

describe("any thrown value becomes an ExplainedError", () => {
  test("keeps an ExplainedError", () => {
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

  test("names a file that can't be used", async () => {
    const thrown = await readFile("/nowhere/at-all").catch((error: unknown) => error);
    expect(asExplainedError(thrown)).toMatchObject({
      code: "auth-file-unusable",
      message: "/nowhere/at-all can't be used (open: ENOENT).",
      remedy: ["Check that it exists, that this user may use it, and that the disk has room.", anotherFile],
      cause: thrown,
    });
  });

  test.each<[string, object]>([
    ["a call without a file", { code: "ECONNREFUSED", syscall: "connect", path: "/run/socket" }],
    ["a call that names no file", { code: "EBADF", syscall: "read" }],
    ["a file without a call", { code: "ENOENT", path: "/nowhere" }],
  ])("does not report %s as a file that can't be used", (_, parts) => {
    expect(asExplainedError(Object.assign(new Error("no"), parts))).toMatchObject({
      code: "unforeseen",
      message: "Error: no",
    });
  });
});

test("throws on an unhandled case of a union", () => {
  expect(() => unreachable({ kind: "new" } as never)).toThrow('unhandled case {"kind":"new"}');
});
