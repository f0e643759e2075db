/** Every answer recorded on a running Quay (docs/quay.md), and its meaning. */
import { describe, expect, test } from "vitest";
import { isoTime } from "../../src/identity/token.ts";
import { type ExchangeResult, type RefusalCode, readExchangeAnswer } from "../../src/quay/answers.ts";
import { unsignedJwt } from "../fixtures.ts";
import {
  GATEWAY_TIMEOUT,
  HEADERS_TOO_LARGE,
  INTERNAL_ERROR,
  LOADING,
  MOVED,
  methodNotAllowed,
  notFound,
  PLAIN_HTTP,
  REQUEST_TOO_LARGE,
  type Reply,
  slashRedirect,
  TOO_MANY_LOGINS,
  TOO_MANY_REQUESTS,
} from "../quay-stand-in/quay/pages.ts";

const read = ({ status, body, headers = {} }: Reply, robot = "acme+ci"): ExchangeResult =>
  readExchangeAnswer({ status, body, headers }, robot, recorded.iat * 1000);

/** The robot token of the recorded success. */
const recorded = {
  iss: "quay",
  aud: "localhost:8443",
  nbf: 1795504166,
  iat: 1795504166,
  exp: 1795507766,
  sub: "acme+ci",
  access: {},
  context: { version: 2, entity_kind: "robot", entity_reference: "acme+ci", kind: "user", user: "acme+ci" },
};

describe("success", () => {
  test("returns the robot token and its exp", () => {
    const token = unsignedJwt(recorded);
    expect(read({ status: 200, body: `{"token":"${token}"}\n` })).toEqual({
      kind: "token",
      token,
      expiresAt: 1795507766,
      lifeSeconds: 3600,
    });
  });

  test.each<[string, object, number]>([
    ["from when it was issued", { iat: recorded.exp - 90, nbf: recorded.exp - 100 }, 90],
    ["or from its nbf", { iat: undefined, nbf: recorded.exp - 100 }, 100],
    ["an hour without either", { iat: undefined, nbf: undefined }, 3600],
    ["with a fractional exp", { iat: recorded.exp - 90, exp: recorded.exp - 0.5 }, 89.5],
  ])("the lifetime: %s", (_, change, lifeSeconds) => {
    const token = unsignedJwt({ ...recorded, ...change });
    expect(read({ status: 200, body: JSON.stringify({ token }) })).toMatchObject({ kind: "token", lifeSeconds });
  });

  test.each<[string, string, string]>([
    ["nothing, as to HEAD and OPTIONS", "", "its answer holds no token"],
    ["a page", "<!doctype html><title>Sign in</title>", "its answer holds no token"],
    ["null", "null", "its answer holds no token"],
    ["a list", "[]", "its answer holds no token"],
    ["another object", '{"access_token":"x"}', "its answer holds no token"],
    ["an empty token", '{"token":""}', "its answer holds no token"],
    ["a number", '{"token":5}', "its answer holds no token"],
    ["the robot's static token", '{"token":"ABCDEF0123456789"}', "its token is not a JWT"],
    [
      "another robot's token",
      JSON.stringify({ token: unsignedJwt({ ...recorded, sub: "acme+other" }) }),
      'its token is for "acme+other", not for acme+ci',
    ],
    [
      "a token without a subject",
      JSON.stringify({ token: unsignedJwt({ ...recorded, sub: undefined }) }),
      "its token is for no subject, not for acme+ci",
    ],
    [
      "a token without end",
      JSON.stringify({ token: unsignedJwt({ ...recorded, exp: undefined }) }),
      "its token does not say when it expires",
    ],
  ])("rejects 200 with %s", (_, body, why) => {
    expect(read({ status: 200, body })).toEqual({ kind: "unusable", why });
  });

  test("accepts a life of a day from now, and rejects a longer one", () => {
    const lasting = (seconds: number, iat: number | undefined) => {
      const token = unsignedJwt({ ...recorded, iat, nbf: iat, exp: recorded.iat + seconds });
      return read({ status: 200, body: JSON.stringify({ token }) }).kind;
    };
    const { iat } = recorded;
    expect([lasting(86_400, iat), lasting(86_401, iat)]).toEqual(["token", "unusable"]);
    // Each by its own: how long it lives from now, and how long it lived in all.
    expect([lasting(86_400, undefined), lasting(86_401, undefined)]).toEqual(["token", "unusable"]);
    expect([lasting(1, iat - 86_399), lasting(1, iat - 86_400)]).toEqual(["token", "unusable"]);
  });

  const [header = "", payload = "", signature = ""] = unsignedJwt(recorded).split(".");
  test.each<[string, string]>([
    ["a line and a command in its header", `${header}\n::warning::forged\n.${payload}.${signature}`],
    ["sequences for a terminal", `\u001b[2J\u001b]0;owned\u0007${header}.${payload}.${signature}`],
    ["a NUL", `${header}\0.${payload}.${signature}`],
    ["a space", `${header} x.${payload}.${signature}`],
    ["a colon", `${header}:x.${payload}.${signature}`],
    ["letters outside ASCII", `${header}ü.${payload}.${signature}`],
    ["base64 that is not base64url", `${header}+/=.${payload}.${signature}`],
    ["short lines", `e\na\ni.${payload}.t`],
    ["no header", `.${payload}.${signature}`],
    ["no signature", `${header}.${payload}.`],
    ["a fourth part", `${header}.${payload}.${signature}.x`],
    ["a space behind it", `${header}.${payload}.${signature} `],
  ])("rejects a token with %s", (_, token) => {
    const result = read({ status: 200, body: JSON.stringify({ token }) });
    expect(result).toEqual({ kind: "unusable", why: "its token is not a JWT" });
  });

  test("rejects a token too long for the tools", () => {
    const token = `${header}.${payload}.${"A".repeat(60_000)}`;
    expect(read({ status: 200, body: JSON.stringify({ token }) })).toMatchObject({
      kind: "unusable",
      why: expect.stringMatching(/characters, too many/),
    });
  });

  const [exp, iat] = [recorded.exp, recorded.iat];
  const noEnd = "its token does not say when it expires";
  const noBeginning = "its token does not say when it was issued";
  test.each<[string, object, string]>([
    ["an exp outside any calendar", { exp: 1e300 }, noEnd],
    ["an exp in the year 10000", { exp: 253_402_300_800 }, noEnd],
    ["an unbounded lifetime", { exp: 1.7e308, iat: -1.7e308 }, noEnd],
    ["an exp before 1970", { exp: -5 }, noEnd],
    ["an exp of 0", { exp: 0 }, noEnd],
    ["an exp in words", { exp: "soon" }, noEnd],
    ["an iat in words", { iat: "abc" }, noBeginning],
    ["an object for iat", { iat: {} }, noBeginning],
    ["a list for iat", { iat: [1] }, noBeginning],
    ["an iat before 1970", { iat: -1e300 }, noBeginning],
    ["only a wrong nbf", { iat: undefined, nbf: "x" }, noBeginning],
    [
      "a life of years",
      { exp: exp + 16 * 365 * 86_400 },
      "its token expires only at 2042-11-20T08:09:26Z, not after an hour",
    ],
    [
      "its end in years, and nothing of its beginning",
      { exp: exp + 16 * 365 * 86_400, iat: undefined, nbf: undefined },
      "its token expires only at 2042-11-20T08:09:26Z, not after an hour",
    ],
    ["its end where it begins", { iat: exp }, `its token had already expired, at ${isoTime(exp)}`],
    ["its end before it begins", { iat: exp + 5 }, `its token had already expired, at ${isoTime(exp)}`],
    ["its end behind us", { iat: iat - 7200, exp: iat }, `its token had already expired, at ${isoTime(iat)}`],
  ])("rejects implausible times: %s", (_, change, why) => {
    const token = unsignedJwt({ ...recorded, ...change });
    expect(read({ status: 200, body: JSON.stringify({ token }) })).toEqual({ kind: "unusable", why });
  });

  test("Quay's clock decides whether it has expired", () => {
    const body = JSON.stringify({ token: unsignedJwt(recorded) });
    const at = (seconds: number) => ({ date: new Date(seconds * 1000).toUTCString() });
    const late = (exp + 86_400) * 1000;
    expect(readExchangeAnswer({ status: 200, body, headers: at(iat) }, "acme+ci", late).kind).toBe("token");
    expect(readExchangeAnswer({ status: 200, body, headers: {} }, "acme+ci", late).kind).toBe("unusable");
    expect(readExchangeAnswer({ status: 200, body, headers: at(exp) }, "acme+ci", iat * 1000).kind).toBe("unusable");
  });
});

const refusals: [status: number, key: "error" | "message", reason: string, code: RefusalCode][] = [
  [401, "error", "No auth header", "quay-refused"],
  [401, "error", "Invalid basic auth header", "quay-refused"],
  [401, "error", "Could not parse basic auth header", "quay-refused"],
  [401, "error", "Unexpected number of credentials found in basic auth header", "quay-refused"],
  [401, "error", "Invalid robot", "robot-not-found"],
  [400, "message", "Could not find robot with specified username", "robot-not-found"],
  [400, "message", "Robot does not have federated login configured", "robot-not-federated"],
  [400, "message", "issuer quay not configured for this robot", "issuer-not-bound"],
  [400, "message", "issuer https://localhost:9443/unbound not configured for this robot", "issuer-not-bound"],
  [400, "message", "issuer 5 not configured for this robot", "issuer-not-bound"],
  [400, "message", "issuer https://localhost:9443/slash/ not configured for this robot", "issuer-not-bound"],
  [400, "message", "Token does not contain issuer", "token-incomplete"],
  [400, "message", "Invalid token: Signature has expired", "token-expired"],
  [400, "message", "Invalid token: Issued At claim (iat) cannot be in the future.", "token-from-the-future"],
  [400, "message", 'Invalid token: Token is missing the "exp" claim', "token-incomplete"],
  [400, "message", 'Invalid token: Token is missing the "iat" claim', "token-incomplete"],
  [400, "message", "Invalid token: Expiration Time claim (exp) must be an integer.", "token-incomplete"],
  [400, "message", "Invalid token: Issued At claim (iat) must be an integer.", "token-incomplete"],
  [400, "message", "Invalid token: Missing `kid` header", "token-incomplete"],
  [400, "message", "Invalid token: Subject must be a string", "token-incomplete"],
  [400, "message", "Invalid token: The specified alg value is not allowed", "token-algorithm"],
  [400, "message", "Invalid token: Signature verification failed", "signature-refused"],
  [400, "message", "Token does not match robot", "subject-not-bound"],
  [400, "message", "Invalid token: Audience doesn't match", "audience-refused"],
  [400, "message", 'Invalid token: Token is missing the "aud" claim', "audience-refused"],
  [
    400,
    "message",
    "Invalid token: Issuer 'https://localhost:9443/redirect' not in configured issuers: ['https://localhost:9443/main']",
    "issuer-mismatch",
  ],
  [
    400,
    "message",
    "Invalid token: Issuer 'https://localhost:9443/mismatch' not in configured issuers: ['https://localhost:9443/elsewhere']",
    "issuer-mismatch",
  ],
  [400, "message", "Invalid token: Invalid issuer", "issuer-mismatch"], // 3.17
  // Read in newer source, not seen on the wire.
  [400, "message", "Token audience is not allowed for this robot", "audience-refused"],
  [400, "message", "Ambiguous federation binding for this robot", "binding-ambiguous"],
  // Its wording at /v2/auth and in the management API, in case the exchange learns it.
  [401, "message", "Robot account have been disabled. Please contact your administrator.", "robots-disabled"],
  [400, "message", "Robot accounts have been disabled. Please contact your administrator.", "robots-disabled"],
  // An unknown reason is shown as it is.
  [400, "message", "The moon is in the wrong phase", "quay-refused"],
  [403, "message", "Forbidden by policy", "quay-refused"],
];

describe("refusals, in Quay's words", () => {
  test.each(refusals)('%i {"%s": %j} is %s', (status, key, reason, code) => {
    expect(read({ status, body: `${JSON.stringify({ [key]: reason })}\n` })).toEqual({ kind: "refused", code, reason });
  });

  test("recognizes a reason with line feeds in the issuer", () => {
    const reason = "issuer a\nToken does not match robot not configured for this robot";
    expect(read({ status: 400, body: JSON.stringify({ message: reason }) })).toMatchObject({
      code: "issuer-not-bound",
    });
  });

  test("reads the reason in the management API's detail", () => {
    const body = JSON.stringify({ detail: "Unauthorized", error_type: "insufficient_scope", status: 403 });
    expect(read({ status: 403, body })).toEqual({ kind: "refused", code: "quay-refused", reason: "Unauthorized" });
  });

  test("cuts an endless reason", () => {
    const body = JSON.stringify({ message: "x".repeat(10_000) });
    expect(read({ status: 400, body })).toMatchObject({ reason: `${"x".repeat(500)}…` });
  });
});

describe("answers without a reason", () => {
  const path = "/oauth2/federation/robot/token/";
  test.each<[string, Reply, ExchangeResult]>([
    ["gunicorn's 500", INTERNAL_ERROR, { kind: "unclear", status: 500 }],
    ["the page Quay Loading", LOADING, { kind: "unclear", status: 502 }],
    ["nginx's 504", GATEWAY_TIMEOUT, { kind: "busy", code: "quay-unavailable", status: 504 }],
    ["nginx's 429", TOO_MANY_REQUESTS, { kind: "busy", code: "rate-limited", status: 429 }],
    ["Quay's own 429", TOO_MANY_LOGINS, { kind: "busy", code: "rate-limited", status: 429 }],
    ["a proxy's 503", { status: 503, body: "<h1>503</h1>" }, { kind: "busy", code: "quay-unavailable", status: 503 }],
    [
      "read-only mode",
      {
        status: 503,
        body: '{"message": "System is currently read-only. Pulls will succeed but all write operations are currently suspended.", "is_readonly": true}',
      },
      { kind: "busy", code: "quay-read-only", status: 503 },
    ],
    ...[408, 425, 501].map((status): [string, Reply, ExchangeResult] => [
      `a proxy's ${status}`,
      { status, body: "" },
      { kind: "busy", code: "quay-unavailable", status },
    ]),
    ["a CDN's 520", { status: 520, body: "" }, { kind: "busy", code: "quay-unavailable", status: 520 }],
    ["gunicorn's 431", HEADERS_TOO_LARGE, { kind: "too-big" }],
    ["nginx's 400 for headers", REQUEST_TOO_LARGE, { kind: "too-big" }],
    ["a Quay without the feature", slashRedirect(`https://localhost:8543${path}`), { kind: "without-federation" }],
    [
      "the same, in capitals",
      slashRedirect(`https://localhost:8443${path.toUpperCase()}`),
      { kind: "without-federation" },
    ],
    ["the same, followed", notFound(67_919), { kind: "without-federation" }],
    [
      "http instead of https",
      { ...MOVED, headers: { location: "https://localhost/oauth2/federation/robot/token" } },
      {
        kind: "unusable",
        why: "a redirect to localhost, which is not followed: the identity token would go there",
      },
    ],
    [
      "a login portal",
      { status: 302, body: "", headers: { location: "https://sso.example.com/?next=quay" } },
      {
        kind: "unusable",
        why: "a redirect to sso.example.com, which is not followed: the identity token would go there",
      },
    ],
    [
      "a redirect on the same host",
      { status: 302, body: "", headers: { location: "/login" } },
      {
        kind: "unusable",
        why: "a redirect to another path, which is not followed: the identity token would go there",
      },
    ],
    [
      "a redirect with several choices",
      { status: 300, body: "", headers: { location: "https://other.example.com/" } },
      {
        kind: "unusable",
        why: "a redirect to other.example.com, which is not followed: the identity token would go there",
      },
    ],
    [
      "a redirect to something below the path",
      slashRedirect(`https://localhost:8543${path}more`),
      {
        kind: "unusable",
        why: "a redirect to localhost:8543, which is not followed: the identity token would go there",
      },
    ],
    [
      "a redirect without an address",
      { status: 304, body: "" },
      {
        kind: "unusable",
        why: "a redirect to another path, which is not followed: the identity token would go there",
      },
    ],
    [
      "plain http sent to the https port",
      PLAIN_HTTP,
      { kind: "unusable", why: "status 400 with a page instead of a reason" },
    ],
    [
      "a wrong method",
      methodNotAllowed("GET, OPTIONS, HEAD"),
      { kind: "unusable", why: "status 405 with a page instead of a reason" },
    ],
    [
      "a reason that is no text",
      { status: 400, body: '{"message": {"code": 5}}' },
      { kind: "unusable", why: "status 400 with a page instead of a reason" },
    ],
    ["a 500 that speaks of headers", { ...REQUEST_TOO_LARGE, status: 500 }, { kind: "unclear", status: 500 }],
    [
      "a reason with an invalid status",
      { status: 201, body: '{"message": "Token does not match robot"}' },
      { kind: "unusable", why: "status 201 with a page instead of a reason" },
    ],
    ["201", { status: 201, body: "{}" }, { kind: "unusable", why: "status 201 with a page instead of a reason" }],
  ])("%s", (_, reply, expected) => {
    expect(read(reply)).toEqual(expected);
  });
});
