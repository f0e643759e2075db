import { describe, expect, test } from "vitest";
import { exitCodeOf } from "../../src/cli/failure.ts";
import { type ErrorCode, ExplainedError, errorCodes } from "../../src/platform/errors.ts";

describe("the exit code", () => {
  const codeOf = (code: ErrorCode) => exitCodeOf(new ExplainedError(code, "", { remedy: [] }));

  test.each<[number, ErrorCode[]]>([
    [2, ["invalid-input"]],
    [1, ["identity-not-found", "robot-not-found", "tls-untrusted", "not-logged-in", "login-ends-soon", "unforeseen"]],
    [1, ["spiffe-no-identity", "logout-incomplete", "auth-file-unusable", "token-expired", "issuer-broken"]],
    [75, ["quay-unavailable", "quay-unreachable", "rate-limited", "quay-read-only", "timeout", "cancelled"]],
    [75, ["spiffe-unavailable", "identity-endpoint-failed", "auth-file-locked", "issuer-unreachable"]],
  ])("%i", (expected, codes) => {
    for (const code of codes) {
      expect(codeOf(code), code).toBe(expected);
    }
  });

  test("of several failures is 75 only if all are temporary", () => {
    const errorOf = (code: ErrorCode, also: ExplainedError[] = []) =>
      new ExplainedError(code, "", { remedy: [], also });
    const both = (first: ErrorCode, ...others: ErrorCode[]) =>
      exitCodeOf(
        errorOf(
          first,
          others.map((code) => errorOf(code)),
        ),
      );
    expect(both("timeout", "rate-limited", "registry-unavailable")).toBe(75);
    expect(both("timeout", "rate-limited", "tag-taken")).toBe(1);
    expect(both("tag-taken", "timeout")).toBe(1);
    expect(exitCodeOf(errorOf("timeout", [errorOf("timeout", [errorOf("verify-failed")])]))).toBe(1);
  });

  test("is one of four for every code; wrong use has only one code", () => {
    const codes = Object.keys(errorCodes) as ErrorCode[];
    expect(codes.filter((code) => ![1, 2, 3, 75].includes(codeOf(code)))).toEqual([]);
    expect(codeOf("trust-drift")).toBe(3);
    expect(codes.filter((code) => codeOf(code) === 2)).toEqual(["invalid-input"]);
  });
});
