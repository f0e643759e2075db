import { describe, expect, test } from "vitest";
import {
  assertUsable,
  audienceWarning,
  basicAuthorization,
  basicCredentials,
  bindingOf,
  type Identity,
  isoTime,
  readToken,
} from "../../src/identity/token.ts";
import { formatError } from "../../src/platform/errors.ts";
import {
  claims,
  failure,
  inWorkflow,
  issuer,
  now,
  readIdentity,
  subject,
  testIdentity,
  unsignedJwt,
} from "../fixtures.ts";

const origin = "the file /t";
const provenance = { origin, source: "file", wantedAudience: "quay" } as const;
const read = (change: Record<string, unknown> = {}, header: Record<string, unknown> = {}) =>
  readIdentity(unsignedJwt({ ...claims, ...change }, { alg: "RS256", kid: "rsa1", ...header }), origin, "file");

test("reads a good token's claims", () => {
  const token = unsignedJwt(claims);
  expect(readIdentity(token, origin)).toEqual({
    token,
    issuer,
    subject,
    audience: ["quay"],
    algorithm: "RS256",
    keyId: "rsa1",
    issuedAt: now,
    expiresAt: now + 300,
    origin,
    source: "github",
    wantedAudience: "quay",
  });
});

test.each<[string, unknown, object, object]>([
  ["nothing in it", {}, {}, {}],
  ["values of other kinds", { iss: 5, sub: ["a"], iat: "1", exp: 1.5 }, { kid: 7 }, {}],
  ["empty text", { iss: "", sub: "" }, { kid: "" }, {}],
  [
    "an issuer that Quay can't reach",
    { iss: "kubernetes/serviceaccount" },
    {},
    { issuer: "kubernetes/serviceaccount" },
  ],
  [
    "some of it",
    { sub: "s", exp: 5, aud: [1, "b"] },
    { alg: "ES256" },
    { subject: "s", expiresAt: 5, audience: ["1", "b"], algorithm: "ES256" },
  ],
])("reads what it can of a token that Quay could not accept: %s", (_, change, header, expected) => {
  const token = unsignedJwt(change, header);
  const nothing = { issuer: undefined, subject: undefined, audience: [], algorithm: "undefined", keyId: undefined };
  expect(readToken(token, provenance)).toEqual({
    token,
    ...nothing,
    issuedAt: undefined,
    expiresAt: undefined,
    ...provenance,
    ...expected,
  });
});

test.each<[unknown, string[], string]>([
  ["quay", ["quay"], "quay"],
  [["quay", "sts"], ["quay", "sts"], "quay"],
  [["account", "quay"], ["account", "quay"], "quay"],
  [["account", "sts"], ["account", "sts"], "account"],
  [[], [], "(none)"],
  [undefined, [], "(none)"],
])("the audience %j", (aud, audience, shown) => {
  const identity = read({ aud });
  expect(identity.audience).toEqual(audience);
  expect(bindingOf(identity)).toEqual({ issuer, subject, audience: shown });
});

test("RS384 is accepted", () => {
  expect(read({}, { alg: "RS384" }).algorithm).toBe("RS384");
});

describe("rejects what Quay could never accept, before any request", () => {
  test.each([
    ["nothing", ""],
    ["a word", "ABCDEF"],
    ["garbage with two dots", "a.b.c"],
    ["claims that are not JSON", `${unsignedJwt(claims).split(".")[0]}.bm8gSlNPTg.c2ln`],
    ["a list for claims", unsignedJwt([])],
    ["an encrypted token of five parts", "a.b.c.d.e"],
  ])("%s is not a JWT", async (_, token) => {
    const error = await failure(() => readToken(token, provenance));
    expect(error.code).toBe("token-not-a-jwt");
    expect(error.message).toBe("The identity token from the file /t is not a JWT.");
    if (token !== "") {
      expect(`${formatError(error)}${String(error.cause)}`).not.toContain(token);
    }
  });

  test.each(["ES256", "RS512", "PS256", "HS256", "EdDSA", "none", undefined])("algorithm %s", async (alg) => {
    const error = await failure(() => read({}, { alg }));
    expect(error.code).toBe("token-algorithm");
    expect(error.message).toBe(`The identity token from the file /t is signed with ${alg}, which Quay refuses.`);
    expect(error.remedy.join("\n")).toMatch(/RS256.*RS384/);
    expect(error.remedy.join("\n")).toMatch(/SPIRE/);
  });

  test.each<[string, Record<string, unknown>, Record<string, unknown>, string]>([
    ["no kid", {}, { kid: undefined }, "kid (in the header)"],
    ["an empty kid", {}, { kid: "" }, "kid (in the header)"],
    ["a number for kid", {}, { kid: 5 }, "kid (in the header)"],
    ["no iss", { iss: undefined }, {}, "iss"],
    ["an empty iss", { iss: "" }, {}, "iss"],
    ["a number for iss", { iss: 5 }, {}, "iss"],
    ["no sub", { sub: undefined }, {}, "sub"],
    ["a list for sub", { sub: ["a"] }, {}, "sub"],
    ["no iat", { iat: undefined }, {}, "iat"],
    ["text for iat", { iat: String(now) }, {}, "iat"],
    ["no exp", { exp: undefined }, {}, "exp"],
    ["text for exp", { exp: String(now + 300) }, {}, "exp"],
    ["half a second in exp", { exp: now + 0.5 }, {}, "exp"],
    [
      "nothing but a subject",
      { iss: undefined, iat: undefined, exp: undefined },
      { kid: undefined },
      "kid (in the header), iss, iat, exp",
    ],
  ])("%s", async (_, change, header, missing) => {
    const error = await failure(() => read(change, header));
    expect(error.code).toBe("token-incomplete");
    expect(error.message).toBe(`The identity token from the file /t lacks ${missing}, which Quay requires.`);
  });

  test.each([
    "https://kubernetes.default.svc",
    "https://kubernetes.default.svc/",
    "https://kubernetes.default.svc.cluster.local",
    "https://kubernetes.default.svc:443",
  ])("rejects %s, which exists only in its cluster", async (iss) => {
    const error = await failure(() => read({ iss }));
    expect(error.code).toBe("issuer-cluster-internal");
    expect(error.message).toContain(iss);
    expect(error.remedy.join("\n")).toMatch(/--service-account-issuer/);
  });

  test.each([
    "http://issuer.example.com",
    "issuer.example.com",
    "kubernetes/serviceaccount",
    "https://",
    "HTTPS issuer",
  ])("rejects %s, which is not an https address", async (iss) => {
    const error = await failure(() => read({ iss }));
    expect(error.code).toBe("issuer-not-https");
    expect(error.message).toContain(iss);
  });

  test.each(["https://kubernetes.default.svc-proxy.example.com", "https://oidc.example.com/kubernetes.default.svc"])(
    "%s may well be reachable",
    (iss) => {
      expect(read({ iss }).issuer).toBe(iss);
    },
  );
});

describe("a token's expiry", () => {
  const usable = (secondsAfterEnd: number, source: Identity["source"] = "file") =>
    assertUsable(testIdentity({ expiresAt: now, source, origin }), ["acme+ci"], (now + secondsAfterEnd) * 1000);

  test("allows Quay's leeway of 30 s", async () => {
    expect(() => usable(29)).not.toThrow();
    const error = await failure(() => usable(30));
    expect(error.code).toBe("token-expired");
    expect(error.message).toBe(
      `The identity token from the file /t expired at ${isoTime(now)}; this machine's clock says ${isoTime(now + 30)}.`,
    );
  });

  test("accepts a token issued just now that looks expired: Quay judges it", () => {
    expect(() => usable(3600, "github")).not.toThrow();
  });
});

describe("a token's size: Quay takes a header of 8170 bytes and refuses one of 8174", () => {
  /** A token whose header has exactly this size, with the longest robot's name. */
  const sized = (authorization: number) => {
    const bytes = ((authorization - "Basic ".length) / 4) * 3;
    return testIdentity({ token: "x".repeat(bytes - "acme+release:".length), origin });
  };
  const robots = ["acme+ci", "acme+release", "acme+x1"];

  test("accepts 8170", () => {
    expect(basicAuthorization("acme+release", sized(8170).token)).toHaveLength(8170);
    expect(() => assertUsable(sized(8170), robots, now * 1000)).not.toThrow();
  });

  test("rejects 8174, with the numbers", async () => {
    const error = await failure(() => assertUsable(sized(8174), robots, now * 1000));
    expect(error.code).toBe("token-too-big");
    expect(error.message).toContain(`${sized(8174).token.length} characters`);
    expect(error.remedy[0]).toMatch(/header of 8174 characters; Quay's limit is 8170/);
    expect(() => assertUsable(sized(8174), ["acme+ci"], now * 1000)).not.toThrow();
  });
});

test.each<[string[], string | undefined]>([
  [["quay"], undefined],
  [["other", "quay"], undefined],
  [["other"], "has the audience other, not quay"],
  [["other", "sts"], "has the audience other sts, not quay"],
  [[], "has no audience, not quay"],
])("the audience %j if quay is expected", (audience, warning) => {
  const shown = audienceWarning(testIdentity({ audience, origin }));
  if (warning === undefined) {
    expect(shown).toBeUndefined();
  } else {
    expect(inWorkflow(shown ?? "")).toContain(warning);
    expect(inWorkflow(shown ?? "")).toContain("option audience");
  }
});

test("RFC 7617", () => {
  expect(basicCredentials("Aladdin", "open sesame")).toBe("QWxhZGRpbjpvcGVuIHNlc2FtZQ==");
  expect(basicAuthorization("Aladdin", "open sesame")).toBe("Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==");
});

test("writes times to the second, in UTC", () => {
  expect(isoTime(1795507766)).toBe("2026-11-24T08:09:26Z");
  expect(isoTime(1795507766.9)).toBe("2026-11-24T08:09:26Z");
});
