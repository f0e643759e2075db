import { describe, expect, test } from "vitest";
import { assertNoSecret, createSecrets } from "../../src/platform/reporter.ts";
import { failure } from "../fixtures.ts";

const secret = "sixteen letters.";

describe("secrets", () => {
  test("does not mask shorter ones: the letter e is in every word", () => {
    const { add, hide } = createSecrets();
    for (const short of ["", "e", secret.slice(0, 7)]) {
      add(short);
    }
    expect(hide(`e ${secret}`)).toBe(`e ${secret}`);
    add(secret);
    expect(hide(`e ${secret}`)).toBe("e ***");
  });

  test("rejects a result that contains one, by name, and never rewrites it", async () => {
    const secrets = createSecrets();
    secrets.add(secret);
    expect(() => assertNoSecret({ digest: "sha256:1", subject: "a" }, secrets)).not.toThrow();
    const error = await failure(() => assertNoSecret({ digest: "sha256:1", subject: `a${secret}b` }, secrets));
    expect([error.code, error.message]).toEqual([
      "secret-in-result",
      expect.stringContaining("The result subject would"),
    ]);
    expect(error.message).not.toContain(secret);
  });
});
