import { expect, test } from "vitest";
import { readTokenVariable } from "../../src/identity/variable.ts";
import { failureText } from "../fixtures.ts";

test("reads the token without surrounding spaces", () => {
  expect(readTokenVariable("QUAY_ID_TOKEN", { QUAY_ID_TOKEN: " a.b.c\n" })).toBe("a.b.c");
});

test.each<[string | undefined, string]>([
  [undefined, "is not set"],
  ["", "is empty"],
  [" ", "is empty"],
  ["a.b.c a.b.c", "holds more than one word or line; a token is a single one"],
])("%j", async (value, problem) => {
  const shown = await failureText("token-variable-unusable", () =>
    readTokenVariable("QUAY_ID_TOKEN", { QUAY_ID_TOKEN: value }),
  );
  expect(shown).toContain(`The variable QUAY_ID_TOKEN, which should hold the identity token, ${problem}.`);
  expect(shown).toContain("id_tokens: {QUAY_ID_TOKEN: {aud: quay}}");
  expect(shown).not.toContain("a.b.c");
});
