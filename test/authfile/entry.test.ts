import { describe, expect, test } from "vitest";
import { isRobotLogin, readEntry, robotLoginState } from "../../src/authfile/entry.ts";
import type { AuthEntry } from "../../src/authfile/read.ts";
import { entryOf, now, robotToken, unsignedJwt } from "../fixtures.ts";

const robot = (expiresAt = now + 600, name = "acme+ci") => entryOf(name, robotToken(expiresAt));

describe("an entry", () => {
  test.each<[string, unknown, object | undefined]>([
    ["a robot token", robot(), { robot: "acme+ci", expiresAt: now + 600 }],
    ["a password", entryOf("acme+ci", "geheim"), { robot: "acme+ci", expiresAt: undefined }],
    ["a password with colons and dots", entryOf("me", "a:b.c.d"), { robot: "me", expiresAt: undefined }],
    ["an empty password", entryOf("me", ""), { robot: "me", expiresAt: undefined }],
    ["a token without an end", entryOf("acme+ci", robotToken(undefined)), { robot: "acme+ci", expiresAt: undefined }],
    [
      "a token whose exp is not a number",
      entryOf("acme+ci", unsignedJwt({ exp: "soon" })),
      { robot: "acme+ci", expiresAt: undefined },
    ],
    ["a user without a password", { auth: Buffer.from("acme+ci").toString("base64") }, undefined],
    ["docker's placeholder of a store", {}, undefined],
    ["an identity token of docker's", { identitytoken: "x" }, undefined],
    ["an empty auth", { auth: "" }, undefined],
    ["an auth that is no text", { auth: 5 }, undefined],
    ["null", null, undefined],
  ])("%s", (_, entry, expected) => {
    expect(readEntry(entry as AuthEntry)).toEqual(expected);
  });

  test.each([
    ["acme+ci", now + 5, true],
    // Also if it has expired: it is still ours to delete.
    ["acme+ci", now - 5, true],
    ["acme+ci", undefined, false],
    // A token of another registry, such as Azure's.
    ["00000000-0000-0000-0000-000000000000", now + 5, false],
    ["me", undefined, false],
  ])("of %s that expires at %s is a robot token: %s", (name, expiresAt, expected) => {
    expect(isRobotLogin({ robot: name, expiresAt })).toBe(expected);
  });

  test.each<[string, AuthEntry, string]>([
    ["a robot token of now", robot(now + 5), "valid"],
    ["a robot token of then", robot(now - 5), "expired"],
    ["a robot token at its very end", robot(now), "expired"],
    ["a robot's password", entryOf("acme+ci", "geheim"), "no robot token"],
    ["another registry's token", robot(now - 5, "me"), "no robot token"],
    ["a placeholder", {}, "no robot token"],
  ])("%s is worth keeping: %s", (_, entry, expected) => {
    expect(robotLoginState(entry, now * 1000)).toBe(expected);
  });
});
