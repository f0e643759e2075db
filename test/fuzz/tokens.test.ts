/** Input from servers: identity tokens, Quay's answers, messages of the Workload API. */
import fc from "fast-check";
import { expect, test } from "vitest";
import { decodeResponse, encodeRequest } from "../../src/identity/spiffe/wire.ts";
import { asIdentity, assertUsable, audienceWarning, bindingOf, isoTime, readToken } from "../../src/identity/token.ts";
import { readTokenText } from "../../src/identity/token-text.ts";
import { ExplainedError, formatError } from "../../src/platform/errors.ts";
import { type Attempt, retry } from "../../src/platform/retry.ts";
import { readExchangeAnswer } from "../../src/quay/answers.ts";
import { explainResult } from "../../src/quay/explain.ts";
import { failureOf, fakeClock, testIdentity, testPlatform, unsignedJwt } from "../fixtures.ts";
import { encodeResponse, field, frame, varint } from "../support/workload-api.ts";
import { expectUnsaid, forAll, forAllAsync, outcome } from "./property.ts";
import { endless, hostile, like, nearly, secret } from "./values.ts";

const encode = (text: string) => Buffer.from(text).toString("base64url");
const time = fc.oneof(
  fc.integer({ min: 0, max: 2 ** 33 }),
  fc.constantFrom<unknown>(
    0,
    -1,
    1.5,
    1e15,
    1e300,
    -1e300,
    Number.MAX_SAFE_INTEGER,
    "1700000000",
    "soon",
    null,
    [],
    {},
  ),
);
const text = fc.oneof(hostile, fc.constantFrom<unknown>("", "quay", 7, null, true, ["a", "b"], { a: 1 }));
const address = fc.oneof(
  text,
  nearly("https://issuer.example", "https://kubernetes.default.svc", "http://issuer.example"),
  fc.constant("https://issuer.example"),
);

/** Claims of a token; its secret is in an unused claim, and in its signature. */
const claims = fc.record({ iss: address, sub: text, aud: text, iat: time, exp: time }, { requiredKeys: [] });
const header = fc.record(
  { alg: fc.oneof(fc.constantFrom<unknown>("RS256", "ES256", "none", 5), hostile), kid: text },
  { requiredKeys: [] },
);
const jwt = fc
  .tuple(header, claims)
  .map(
    ([head, claims]) =>
      `${encode(JSON.stringify(head))}.${encode(JSON.stringify({ ...claims, note: secret }))}.${secret}`,
  );

const nearlyJwt = fc.oneof(
  jwt,
  jwt.chain((token) => nearly(token)),
  fc
    .array(fc.oneof(hostile, hostile.map(encode), fc.json().map(encode), fc.constant(secret)), { maxLength: 6 })
    .map((parts) => parts.join(".")),
  endless,
);

const provenance = (source: "github" | "file") => ({ source, origin: "a test", wantedAudience: "quay" }) as const;
const codes = ["token-not-a-jwt", "token-algorithm", "token-incomplete", "issuer-cluster-internal", "issuer-not-https"];

test("any text gives a usable identity, or an error that does not quote it", () => {
  let identities = 0;
  const inputs = fc.tuple(nearlyJwt, fc.boolean(), fc.integer({ min: 0, max: 2 ** 43 }));
  const judge = ([token, fresh, now]: [string, boolean, number]) => {
    const result = outcome(() => asIdentity(readToken(token, provenance(fresh ? "github" : "file"))));
    if (result instanceof ExplainedError) {
      expect(codes).toContain(result.code);
      expectUnsaid(result, secret);
      return;
    }
    identities++;
    expect(result.token).toBe(token);
    const binding = bindingOf(result);
    expect([binding.issuer, binding.subject]).toEqual([result.issuer, result.subject]);
    expect(audienceWarning(result) ?? "").not.toContain(secret);
    const usable = outcome(() => assertUsable(result, ["acme+ci"], now));
    if (usable instanceof ExplainedError) {
      expect(["token-expired", "token-too-big"]).toContain(usable.code);
      expectUnsaid(usable, secret);
    }
  };
  forAll(inputs, judge, 800);
  const sound = fc
    .record({
      iss: fc.constant("https://issuer.example"),
      sub: fc.constant("job"),
      iat: fc.constant(1),
      exp: fc.integer({ min: 1 }),
      aud: text,
    })
    .map((claims) => unsignedJwt({ ...claims, note: secret }));
  forAll(fc.tuple(sound, fc.boolean(), fc.integer({ min: 0, max: 2 ** 43 })), judge);
  expect(identities).toBeGreaterThan(200);
});

test("a token has the claims that its issuer wrote", () => {
  const claims = fc.record({
    iss: fc.webUrl({ validSchemes: ["https"] }),
    sub: fc.string({ unit: "grapheme", minLength: 1 }),
    aud: fc.oneof(fc.string(), fc.array(fc.string(), { minLength: 1, maxLength: 3 })),
    iat: fc.integer({ min: 1, max: 2 ** 37 }),
    exp: fc.integer({ min: 1, max: 2 ** 37 }),
  });
  forAll(fc.tuple(claims, fc.string({ unit: "grapheme", minLength: 1 })), ([{ iss, sub, aud, iat, exp }, kid]) => {
    const token = unsignedJwt({ iss, sub, aud, iat, exp }, { alg: "RS256", kid });
    expect(asIdentity(readToken(token, provenance("github")))).toMatchObject({
      issuer: iss,
      subject: sub,
      audience: [aud].flat(),
      keyId: kid,
      issuedAt: iat,
      expiresAt: exp,
    });
  });
});

test("the text of a file is one word, or no token", () => {
  forAll(like("eyJ.eyJ.sig", " eyJ.eyJ.sig\r\n"), (content) => {
    const result = readTokenText(content);
    if (result.ok) {
      expect(result.token).toMatch(/^\S+$/);
      expect(content).toContain(result.token);
      expect(readTokenText(`\n ${result.token}\t\n`)).toEqual(result);
    } else {
      expect(content).not.toMatch(/^\s*[^\s[{"]\S*\s*$/);
    }
  });
});

test("any answer to the exchange gives a robot token with an expiry, or says what is wrong, without a token", () => {
  const robotToken = fc.oneof(
    fc
      .record({ sub: fc.oneof(fc.constant("acme+ci"), text), exp: time }, { requiredKeys: [] })
      .map((claims) => unsignedJwt({ ...claims, note: secret }).replace(/[^.]+$/, secret)),
    nearlyJwt,
  );
  const word = fc.oneof(
    text,
    nearly(
      "Could not find robot with specified username",
      "issuer https://x not configured for this robot",
      "Token does not match robot",
      "Ambiguous federation binding",
      "Signature has expired",
      "Robot accounts have been disabled. Please contact your administrator.",
    ),
  );
  const body = fc.oneof(
    fc.record({ token: fc.oneof(robotToken, text) }).map((object) => JSON.stringify(object)),
    fc
      .record({ message: word, error: word, detail: word }, { requiredKeys: [] })
      .map((object) => JSON.stringify(object)),
    fc.json(),
    nearly('{"token": "eyJ"}', "<html>Request Header Or Cookie Too Large</html>"),
    endless,
  );
  const status = fc.oneof(
    fc.constantFrom(200, 301, 400, 401, 403, 404, 429, 431, 500, 502, 503, 504),
    fc.integer({ min: 100, max: 999 }),
  );
  const headers = fc.record(
    { location: like("/oauth2/federation/robot/token/", "https://elsewhere.example/login"), "retry-after": hostile },
    { requiredKeys: [] },
  );
  const kinds = new Set<string>();
  const context = { registry: "quay.io", robot: "acme+ci", identity: testIdentity(), now: Date.now() };
  forAll(
    fc.oneof(
      fc.record({ status, headers, body }),
      fc.record({
        status: fc.constant(200),
        headers,
        body: robotToken.map((token) => JSON.stringify({ token })),
      }),
    ),
    (answer) => {
      const result = readExchangeAnswer(answer, "acme+ci", 0);
      kinds.add(result.kind);
      if (result.kind === "token") {
        expect(answer.status).toBe(200);
        expect(Number.isFinite(result.expiresAt)).toBe(true);
        expect(isoTime(result.expiresAt)).toMatch(/Z$/);
        expect(answer.body).toContain(result.token);
        return;
      }
      const error = explainResult(result, context);
      expect(error.code).not.toBe("unforeseen");
      expect(formatError(failureOf(error))).not.toContain(context.identity.token);
      expect(formatError(failureOf(error)).length).toBeLessThan(3_000);
      if (result.kind !== "refused") {
        expectUnsaid(error, secret);
      }
    },
    2_000,
  );
  expect([...kinds].sort()).toEqual([
    "busy",
    "refused",
    "token",
    "too-big",
    "unclear",
    "unusable",
    "without-federation",
  ]);
});

test("for any Retry-After the wait is finite and ends before the deadline", async () => {
  const platform = testPlatform();
  const start = Date.UTC(2026, 10, 24, 12);
  const left = 600_000;
  const asked = fc.oneof(
    fc.integer({ min: 0, max: 1_000 }).map((seconds) => ({ header: String(seconds), ms: seconds * 1000 })),
    fc.integer({ min: -1_000, max: 1_000 }).map((seconds) => ({
      header: new Date(start + seconds * 1000).toUTCString(),
      ms: Math.max(0, seconds * 1000),
    })),
    like("120", "Tue, 24 Nov 2026 12:00:30 GMT", "99999999999999999999", "-5", "soon").map((header) => ({
      header,
      ms: undefined,
    })),
  );
  await forAllAsync(
    asked,
    async ({ header, ms }) => {
      const clock = fakeClock(start);
      let attempts = 0;
      const answer = { status: 429, headers: { "retry-after": header }, body: "" };
      const error = new ExplainedError("rate-limited", "Busy.", { remedy: [] });
      const attempt = async (): Promise<Attempt<string>> =>
        ++attempts === 1 ? { retry: "patient", error, answer } : { value: "done" };
      const result = await retry({ ...platform, clock, deadline: start + left }, "it", attempt).catch(
        (thrown) => thrown,
      );
      const [wait = 0, ...more] = clock.waits;
      expect(more).toEqual([]);
      if (result === error) {
        expect(clock.waits).toEqual([]);
        expect(ms ?? left).toBeGreaterThanOrEqual(left);
      } else {
        expect(result).toBe("done");
        expect(wait).toBeGreaterThan(0);
        expect(wait).toBeGreaterThanOrEqual(ms ?? 0);
        expect(wait).toBeLessThan(left);
      }
    },
    300,
  );
});

const bytes = fc.uint8Array({ maxLength: 60 }).map((array) => Buffer.from(array));
const svid = fc.record({
  id: fc.string({ unit: "grapheme", minLength: 1, maxLength: 300 }),
  token: fc.string({ unit: "grapheme", minLength: 1 }),
  hint: fc.string({ unit: "grapheme" }),
});
const svids = fc.array(svid, { maxLength: 5 });

test("any bytes give SVIDs, or say what is wrong", () => {
  const parts = fc.oneof(
    bytes,
    svids.map((list) => encodeResponse(list)),
    fc.nat().map(varint),
    fc.tuple(fc.integer({ min: 1, max: 20 }), bytes).map(([number, content]) => field(number, content)),
    fc.constant(Buffer.alloc(12, 255)),
  );
  const message = fc.array(parts, { maxLength: 6 }).map((list) => Buffer.concat(list));
  const body = fc.oneof(
    message,
    message.map((content) => frame(content)),
  );
  let decoded = 0;
  forAll(
    body,
    (input) => {
      const result = decodeResponse(input);
      if ("problem" in result) {
        expect(result.problem).toMatch(/^it/);
      } else {
        decoded++;
        expect(result.every(({ id, token }) => id !== "" && token !== "")).toBe(true);
        expect(result.map(({ id, token, hint }) => id + token + hint).join("").length).toBeLessThanOrEqual(
          input.length,
        );
      }
    },
    2_000,
  );
  expect(decoded).toBeGreaterThan(50);
});

test("SVIDs are read as sent, and not at all if cut anywhere", () => {
  forAll(fc.tuple(svids, fc.nat(), fc.nat({ max: 255 })), ([list, at, value]) => {
    const message = encodeResponse(list);
    expect(decodeResponse(frame(message))).toEqual(list);
    const cut = frame(message).subarray(0, at % (message.length + 5));
    expect(decodeResponse(cut)).toHaveProperty("problem");
    // The frame is complete and the message is not: the result is a part of what was sent, or nothing.
    const part = decodeResponse(frame(message.subarray(0, at % (message.length + 1))));
    expect("problem" in part ? [] : list).toEqual(expect.arrayContaining("problem" in part ? [] : [...part]));
    const broken = Buffer.from(frame(message));
    broken[at % broken.length] = value;
    decodeResponse(broken);
  });
});

test("a request follows the encoding", () => {
  forAll(fc.tuple(fc.oneof(hostile, endless).filter(Boolean), fc.oneof(hostile, fc.constant(""))), ([audience, id]) => {
    const expected = [field(1, audience), ...(id === "" ? [] : [field(2, id)])];
    expect(encodeRequest(audience, id).equals(frame(Buffer.concat(expected)))).toBe(true);
  });
});
