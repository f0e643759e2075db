import { describe, expect, test } from "vitest";
import type { IssuerFinding } from "../../src/identity/issuer.ts";
import { formatError } from "../../src/platform/errors.ts";
import { type FailureKind, HttpFailure } from "../../src/platform/http.ts";
import type { ExchangeResult, RefusalCode } from "../../src/quay/answers.ts";
import { explainFailure, explainIssuer, explainResult } from "../../src/quay/explain.ts";
import { failureOf, issuer, subject, testIdentity } from "../fixtures.ts";
import { address } from "../support/project.ts";

const identity = testIdentity({
  audience: ["quay", "other"],
  issuedAt: Date.parse("2026-11-24T06:58:00Z") / 1000,
  expiresAt: Date.parse("2026-11-24T07:03:00Z") / 1000,
});
const context = {
  registry: "quay.example.com",
  robot: "acme+ci",
  identity,
  now: Date.parse("2026-11-24T07:04:05.678Z"),
};
const binding = { issuer, subject, audience: "quay" };

test("prints a refusal with headline, remedy and binding", () => {
  const error = explainResult(
    { kind: "refused", code: "subject-not-bound", reason: "Token does not match robot" },
    { ...context, registry: "quay.io", identity: testIdentity() },
  );
  expect(formatError(failureOf(error))).toBe(
    [
      'Quay refused the identity of this job: "Token does not match robot"',
      "  acme+ci on quay.io has a binding for this issuer, but for another subject.",
      "  With a token of Quay's API: quay-keyless-login federate --robot acme+ci --issuer https://token.actions.githubusercontent.com --subject repo:acme/app:environment:production",
      "  Or add to acme+ci, under Robot accounts > acme+ci > Set robot federation:",
      "    issuer    https://token.actions.githubusercontent.com",
      "    subject   repo:acme/app:environment:production",
      "    audience  quay",
      `  More: ${address("/blob/main/docs/troubleshooting.md#subject-not-bound")}`,
    ].join("\n"),
  );
});

/** Who is refused, what the remedy must mention, whether it ends in a binding. */
const refused: Record<RefusalCode, [who: "robot" | "identity", remedy: RegExp[], bound: boolean]> = {
  "robot-not-found": ["robot", [/no robot acme\+ci on quay\.example\.com/, /option robot/], false],
  "robot-not-federated": ["robot", [/no binding at all/, /acme\+ci > Set robot federation:$/m], true],
  "issuer-not-bound": ["identity", [/match exactly/, /trailing slash/, /acme\+ci > Set robot federation:$/m], true],
  "subject-not-bound": ["identity", [/another subject/, /acme\+ci > Set robot federation:$/m], true],
  "audience-refused": ["identity", [/another audience/, /option audience/, /Set robot federation:$/m], true],
  "binding-ambiguous": ["identity", [/more than one binding/, /Keep only this one/], true],
  "issuer-mismatch": [
    "identity",
    [/https:\/\/token\.actions\.githubusercontent\.com\/\.well-known\/openid-configuration/, /trailing slash/],
    false,
  ],
  "signature-refused": ["identity", [/publishes as rsa1/, /another one by the same name/], false],
  "token-expired": ["identity", [/2026-11-24T07:03:00Z/, /2026-11-24T07:04:05Z/, /clock/], false],
  "token-from-the-future": ["identity", [/2026-11-24T06:58:00Z/, /2026-11-24T07:04:05Z/, /clocks/], false],
  "token-incomplete": ["identity", [/kid, iss, sub, iat and exp/], false],
  "token-algorithm": ["identity", [/RS256/, /RS384/], false],
  "robots-disabled": ["robot", [/ROBOTS_DISALLOW/, /administrator/], false],
  "quay-refused": ["identity", [/Compare this identity/, /Set robot federation:$/m], true],
};

describe("refusals", () => {
  test.each(Object.entries(refused))("%s", (code, [who, remedies, bound]) => {
    const reason = "what Quay said";
    const error = explainResult({ kind: "refused", code: code as RefusalCode, reason }, context);
    expect(error.code).toBe(code);
    const whom = who === "robot" ? "acme+ci" : "the identity of this job";
    expect(error.message).toBe(`Quay refused ${whom}: "what Quay said"`);
    for (const remedy of remedies) {
      expect(failureOf(error).remedy.join("\n")).toMatch(remedy);
    }
    expect(error.binding).toEqual(bound ? binding : undefined);
    // The text always contains the identity's own values, in the binding or the remedy.
    for (const [name, value] of Object.entries(binding)) {
      expect(formatError(failureOf(error))).toMatch(new RegExp(`^ +${name} +${value}$`, "m"));
    }
    expectHarmless(error);
  });
});

describe("other answers", () => {
  type Other = Exclude<ExchangeResult, { kind: "token" } | { kind: "refused" }>;
  test.each<[Other, string, RegExp, RegExp]>([
    [{ kind: "unclear", status: 500 }, "quay-unavailable", /answered 500 without a reason/, /Check whether quay/],
    [{ kind: "busy", code: "quay-unavailable", status: 504 }, "quay-unavailable", /answered 504/, /status page/],
    [{ kind: "busy", code: "rate-limited", status: 429 }, "rate-limited", /too many requests/, /later/],
    [{ kind: "busy", code: "quay-read-only", status: 503 }, "quay-read-only", /read-only/, /maintenance/],
    [{ kind: "without-federation" }, "quay-without-federation", /no robot federation/, /3\.13/],
    [{ kind: "too-big" }, "token-too-big", new RegExp(`${identity.token.length} characters`), /6 kB/],
    [
      { kind: "unusable", why: "a page" },
      "quay-answer-unusable",
      /without a usable robot token: a page\./,
      /option registry/,
    ],
  ])("%j", (result, code, message, remedy) => {
    const error = explainResult(result, context);
    expect(error.code).toBe(code);
    expect(error.message).toMatch(message);
    expect(error.message).toContain("quay.example.com");
    expect(failureOf(error).remedy.join("\n")).toMatch(remedy);
    expectHarmless(error);
  });
});

describe("findings about the issuer", () => {
  const mustReach = /Quay itself must reach the issuer; this check ran from here\./;
  test.each<[IssuerFinding, number, string, RegExp, RegExp]>([
    [{ kind: "sound" }, 500, "quay-unavailable", /answered 500, and the issuer looks right/, /Quay has a fault/],
    [{ kind: "sound" }, 502, "quay-unavailable", /answered 502, and the issuer looks right/, /cannot reach https:/],
    [
      { kind: "unreachable", why: "no such name", untrusted: false },
      502,
      "issuer-unreachable",
      /502: .*no such name\.$/,
      mustReach,
    ],
    [{ kind: "broken", why: "it answers 404" }, 500, "issuer-broken", /500: .*it answers 404\.$/, mustReach],
    [
      { kind: "key-not-published", keys: ["rsa2", "ec1"] },
      500,
      "key-not-published",
      /500: the key that signed/,
      /kid is rsa1; the issuer publishes rsa2, ec1\./,
    ],
  ])("%j after a %i", (finding, status, code, message, remedy) => {
    const error = explainIssuer(finding, status, context);
    expect(error.code).toBe(code);
    expect(error.message).toMatch(message);
    expect(failureOf(error).remedy.join("\n")).toMatch(remedy);
    expectHarmless(error);
  });
});

describe("failures below HTTP", () => {
  test.each<[FailureKind, string, RegExp]>([
    ["untrusted", "tls-untrusted", /ca-file/],
    ["too-big", "quay-answer-unusable", /option registry/],
    ["cut", "quay-answer-unusable", /option registry/],
    ["unknown-name", "quay-unreachable", /HTTPS_PROXY/],
    ["unreachable", "quay-unreachable", /quay\.example\.com/],
    ["timeout", "quay-unreachable", /firewall/],
  ])("%s", (kind, code, remedy) => {
    const cause = new HttpFailure(kind, "the reason");
    const error = explainFailure(cause, context);
    expect(error.code).toBe(code);
    expect(error.message).toContain("the reason");
    expect(failureOf(error).remedy.join("\n")).toMatch(remedy);
    expect(error.cause).toBe(cause);
    expectHarmless(error);
  });
});

/** The JWT is in no part of the error, nor is any part of the JWT. */
function expectHarmless(error: ReturnType<typeof explainResult>): void {
  const text = `${formatError(failureOf(error))}\n${error.stack}\n${JSON.stringify(error)}`;
  for (const part of identity.token.split(".")) {
    expect(text).not.toContain(part);
  }
}
