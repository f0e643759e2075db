import { describe, expect, test } from "vitest";
import { goneText, missing, newText, parseSurface, surfaceText } from "./file.ts";

const surface = new Map([
  ["action.yml", ["input registry", "output robot"]],
  ["login --output json", ["robots: list"]],
]);

test("what is written is read", () => {
  expect(parseSurface(surfaceText(surface, "v2"))).toEqual({ major: "v2", surface });
});

describe("a change", () => {
  test("of a name is one that is gone and one that is new", () => {
    const renamed = new Map([...surface, ["action.yml", ["input host", "output robot"]]]);
    expect(missing(surface, renamed)).toEqual(["action.yml: input registry"]);
    expect(missing(renamed, surface)).toEqual(["action.yml: input host"]);
  });

  test("that removes a whole section names all its lines", () => {
    const less = new Map([...surface].slice(0, 1));
    expect(missing(surface, less)).toEqual(["login --output json: robots: list"]);
  });

  test("says what to do", () => {
    expect(goneText(["action.yml: input registry"], "v1")).toMatch(
      /promised for v1.*\n {2}- action\.yml: input registry\nKeep them: .*\n.*"version" in package\.json.*script\/generate && UPDATE_SURFACE=1/,
    );
    expect(newText(["action.yml: input host"])).toMatch(
      /\n {2}\+ action\.yml: input host\n.*type: UPDATE_SURFACE=1 script\/test/,
    );
  });
});
