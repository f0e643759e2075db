import { describe, expect, test } from "vitest";
import {
  type Mention,
  mention,
  mentionsIn,
  plainly,
  text,
  variable,
  withMentions,
  withText,
  written,
} from "../../src/platform/wording.ts";

const syntax = { write: ({ option, value }: Mention) => `<${option}${value === undefined ? "" : ` ${value}`}>` };

describe("a text", () => {
  test("accepts words, numbers, mentions and texts", () => {
    const inner = text`the option ${mention("timeout")}`;
    const outer = text`${"Raise"} ${inner} to ${600}, ${mention("timeout", "600")}.`;
    expect(written(outer, syntax)).toBe("Raise the option <timeout> to 600, <timeout 600>.");
    expect(mentionsIn(outer)).toEqual(["timeout", "timeout"]);
    expect(mentionsIn(text`${""}`)).toEqual([]);
  });

  test("may be a string, or a mention alone", () => {
    expect(["as it is", mention("robot", "a+b")].map((words) => written(words, syntax))).toEqual([
      "as it is",
      "<robot a+b>",
    ]);
    expect(["as it is", mention("robot")].map(mentionsIn)).toEqual([[], ["robot"]]);
  });

  test("without a syntax has names and values", () => {
    const words = text`${mention("ca-file")}, ${mention("ca-file", "a.pem")}, ${mention("source-auth-file", variable("F"))}`;
    expect(plainly(words)).toBe("ca-file, ca-file: a.pem, source-auth-file: F");
  });
});

describe("changed", () => {
  const words = text`a ${mention("robot", "b")} c ${mention("robot")} d ${mention("auth-file", variable("E"))}`;

  test("are its texts and the values of options, not the names of options and variables", () => {
    expect(withText(words, (part) => part.toUpperCase())).toEqual(
      text`A ${mention("robot", "B")} C ${mention("robot")} D ${mention("auth-file", variable("E"))}`,
    );
    expect(withText("a", (part) => `${part}!`)).toBe("a!");
    expect(withText(mention("robot", "a"), (part) => `${part}!`)).toEqual(mention("robot", "a!"));
  });

  test("are its mentions, into other words", () => {
    const other = withMentions(words, ({ option, value }) =>
      option === "robot" ? text`the ${mention("source-robot", value)}` : "file",
    );
    expect(written(other, syntax)).toBe("a the <source-robot b> c the <source-robot> d file");
    expect(
      written(
        withMentions(mention("robot"), () => "x"),
        syntax,
      ),
    ).toBe("x");
  });
});
