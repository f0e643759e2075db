import { describe, expect, test } from "vitest";
import type { LoginResult } from "../../src/login/login.ts";
import { outputsOf, parseExportToken } from "../../src/login/outputs.ts";
import { readOptions } from "../../src/options/reader.ts";
import { outputs } from "../../src/options/table.ts";
import { failure, testIdentity } from "../fixtures.ts";

const end = 1795507766;

function resultOf(robots: readonly [robot: string, expiresAt: number][]): LoginResult {
  return {
    source: { source: "file", path: "/run/token", why: "the option token-file" },
    identity: testIdentity({ audience: ["quay", "sts"] }),
    tool: { name: "skopeo", file: "/usr/bin/skopeo" },
    realm: { url: new URL("https://quay.io/v2/auth"), service: "quay.io" },
    authFile: "/run/auth.json",
    files: ["/run/auth.json"],
    phases: [],
    tokens: robots.map(([robot, expiresAt]) => ({ robot, expiresAt, lifeSeconds: 3600, token: `token of ${robot}` })),
    session: {
      version: 1,
      folder: "/run/session",
      named: false,
      id: "abc",
      files: [],
      certificates: [],
      robots: robots.map(([robot, expiresAt]) => ({ robot, scope: "quay.io", expiresAt, lifeSeconds: 3600 })),
    },
  };
}

describe("the outputs of a login", () => {
  test("have every name of the table, and no other", () => {
    const given = outputsOf(resultOf([["acme+ci", end]]), { registry: "quay.io", exportToken: false });
    expect(Object.keys(given)).toEqual(outputs.map(({ name }) => name));
    expect(given).toEqual({
      "logged-in": "true",
      registry: "quay.io",
      robot: "acme+ci",
      "expires-at": "2026-11-24T08:09:26Z",
      "auth-file": "/run/auth.json",
      issuer: testIdentity().issuer,
      subject: testIdentity().subject,
      audience: "quay sts",
      token: "",
    });
  });

  test("of several robots: one per line, and the first expiry", () => {
    const given = outputsOf(
      resultOf([
        ["acme+ci", end + 9],
        ["other+ci", end],
      ]),
      { registry: "quay.example.com", exportToken: false },
    );
    expect(given).toMatchObject({
      registry: "quay.example.com",
      robot: "acme+ci\nother+ci",
      "expires-at": "2026-11-24T08:09:26Z",
      token: "",
    });
  });

  test("have the token only on request", () => {
    const asked = { registry: "quay.io", exportToken: true };
    expect(outputsOf(resultOf([["acme+ci", end]]), asked).token).toBe("token of acme+ci");
  });
});

describe("the option export-token", () => {
  const one = { robot: "acme+ci", scope: "quay.io/acme" };
  const other = { robot: "other+ci", scope: "quay.io/other" };
  const parse = (value: string | undefined, ...robots: (typeof one)[]) =>
    parseExportToken(readOptions({ "export-token": value }), robots);

  test("asks for the token of one robot", () => {
    expect([parse(undefined, one), parse(undefined, one, other), parse("false", one, other)]).toEqual([
      false,
      false,
      false,
    ]);
    expect(parse("true", one)).toBe(true);
  });

  test("is rejected with several robots", async () => {
    const error = await failure(() => parse("true", one, other));
    expect(error.code).toBe("invalid-input");
    expect(error.message).toBe(
      'The option "export-token" is "true": it returns one token, and there are several robots.',
    );
    expect(error.remedy).toEqual(["Write, for example, one step per robot"]);
  });
});
