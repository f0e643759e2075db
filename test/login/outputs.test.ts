import { describe, expect, test } from "vitest";
import type { LoginResult } from "../../src/login/login.ts";
import { outputsOf } from "../../src/login/outputs.ts";
import { parseRequest } from "../../src/login/request.ts";
import { outputs } from "../../src/options/table.ts";
import { testIdentity } from "../fixtures.ts";

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

describe("what a login hands out", () => {
  test("has every name of the table, and no other", () => {
    const given = outputsOf(parseRequest({ robot: "acme+ci" }), resultOf([["acme+ci", end]]));
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

  test("of several robots: one per line, and the first end", () => {
    const request = parseRequest({ robot: "acme+ci\nother+ci", registry: "quay.example.com" });
    const given = outputsOf(
      request,
      resultOf([
        ["acme+ci", end + 9],
        ["other+ci", end],
      ]),
    );
    expect(given).toMatchObject({
      registry: "quay.example.com",
      robot: "acme+ci\nother+ci",
      "expires-at": "2026-11-24T08:09:26Z",
      token: "",
    });
  });

  test("the token only where it is asked for", () => {
    const request = parseRequest({ robot: "acme+ci", "export-token": "true" });
    expect(outputsOf(request, resultOf([["acme+ci", end]])).token).toBe("token of acme+ci");
  });
});
