/** Text from outside becomes one line of printable characters; what looks like a secret is hidden. */
import { describe, expect, test } from "vitest";
import { ExplainedError, invalidInput } from "../../src/platform/errors.ts";
import { asGiven, oneLine, plain, reasonIn } from "../../src/platform/text.ts";

describe("text from outside", () => {
  test.each<[string, string, string]>([
    ["lines of all kinds", "a\nb\r\nc\u0085d\u2028e\u2029f\vg\fh\ti", "a b c d e f g h i"],
    ["sequences for terminals", "\u001b[2J\u001b[31mred\u001b]0;title\u0007", "red"],
    ["a lone escape, NUL, bell, delete, C1", "\u001b\0\u0007\u007f\u009d", "\ufffd\ufffd\ufffd\ufffd\ufffd"],
    ["what reverses letters", "a\u202eb\u2066c\u2069d\u200ee\u061cf", "a\ufffdb\ufffdc\ufffdd\ufffde\ufffdf"],
    ["what hides", "a\u200bb\u200dc\u2060d\ufeffe\u00adf\u180eg", "a\ufffdb\ufffdc\ufffdd\ufffde\ufffdf\ufffdg"],
    ["what looks empty", "a\u3164b\u115fc\u{e0041}d", "a\ufffdb\ufffdc\ufffdd"],
    ["halves of characters", "a\ud83db\ude42c", "a\ufffdb\ufffdc"],
    ["spaces of all widths", "a\u00a0b\u2003c\u3000d", "a b c d"],
    ["what people write", 'Größe 名前 🙂 <b> `x` "y"', 'Größe 名前 🙂 <b> `x` "y"'],
  ])("%s", (_, text, shown) => {
    expect(oneLine(text)).toBe(shown);
  });

  test("is cut after 500 characters, never inside one", () => {
    expect(oneLine("x".repeat(501))).toBe(`${"x".repeat(500)}…`);
    expect(oneLine(`${"x".repeat(499)}🙂🙂`)).toBe(`${"x".repeat(499)}\ufffd…`);
    expect(oneLine("🙂".repeat(3), 2)).toBe("🙂…");
  });

  test("is cut quickly, even megabytes of it", () => {
    const began = performance.now();
    for (const text of ["\u001b]", "\u001b[", "\n", "\u202e", "eyJ.", "a:b "]) {
      oneLine(text.repeat(500_000));
      asGiven(text.repeat(2_000));
    }
    expect(performance.now() - began).toBeLessThan(2_000);
  });

  test("is one line in each part of an error; the binding is unchanged", () => {
    const evil = "x\n::error::y\u202e\u001b[2J";
    const error = new ExplainedError("quay-refused", evil, {
      remedy: [`  ${evil}`],
      binding: { issuer: evil, subject: evil, audience: evil },
    });
    expect([error.message, ...error.remedy]).toEqual(["x ::error::y\ufffd", "  x ::error::y\ufffd"]);
    expect(error.binding?.subject).toBe(evil);
  });

  test.each<[string, string | undefined]>([
    ['{"message":"a\\nb"}', "a b"],
    ['{"error":"invalid_grant","error_description":"Realm not enabled"}', "Realm not enabled"],
    ['{"error":"Realm does not exist"}', "Realm does not exist"],
    ['{"detail":"d"}', "d"],
    ['{"message":""}', undefined],
    ['{"message":5}', undefined],
    ["null", undefined],
    ["[]", undefined],
    ["<html>", undefined],
    ["", undefined],
  ])("the reason in %s", (body, reason) => {
    expect(reasonIn(body)).toBe(reason);
  });
});

const jwt = "eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJodHRwczovL2kifQ.c2lnbmF0dXJl";
const secrets: readonly (readonly [what: string, value: string, secret: string])[] = [
  ["a JWT", jwt, "eyJ"],
  ["the beginning of a JWT", jwt.slice(0, 30), "eyJ"],
  ["a JWT in lower case", jwt.toLowerCase(), "eyj"],
  ["a header", `Authorization: Bearer ${jwt}`, "eyJ"],
  ["basic credentials", "Basic YWNtZStjaTpwYXNzd29yZA1==", "YWNt"],
  ["a robot and its password", "acme+ci:PASSWORD", "PASSWORD"],
  ["a robot and its password, one of several", "acme+cd\nacme+ci:PASSWORD", "PASSWORD"],
  ["a user and a password", "somebody:hunter2", "hunter2"],
  ["a user and a password with slashes", "somebody:hun/ter2", "ter2"],
  ["a scope with a user and a password", "quay.io/acme=acme+ci:PASSWORD", "PASSWORD"],
  ["an address with a password", "https://me:hunter2@quay.io", "hunter2"],
  ["an address with a password with an @", "https://me:hunt@er2@quay.io", "er2@"],
  ["an address with a password with a slash", "https://me:hun/ter2@quay.io", "ter2"],
  ["a host with a password", "me:hunter2@quay.io", "hunter2"],
  ["a robot's static token", "ABCDEFGH1234IJKLMNOP5678QRSTUVWX9012YZABCDEF3456GHIJKLMN7890OPQR", "ABCD"],
  ["an entry of an auth file", "YWNtZStjaTpwYXNzd29yZDEyMzQ=", "YWNt"],
  ["base64 with a slash", "a8Zk/Q9xLw3mT7vB2nR5/pK1sD", "Q9xL"],
  ["hex", "d41d8cd98f00b204e9800998ecf8427e", "d41d"],
  ["GitHub's", "ghp_abcdefghijklmnopqrstuvwxyz0123456789", "abcdef"],
  ["GitHub's fine-grained", "github_pat_11ABCDEFG0abcdefghijkl_mnopqrstuv", "11ABC"],
  ["GitHub's for a job", "ghs_abcdefghijklmnop", "abcdef"],
  ["GitLab's", "glpat-abcdefghijklmnop1234", "abcdef"],
  ["Docker Hub's", "dckr_pat_abcdefghijklmnop", "abcdef"],
  ["OpenShift's", "sha256~abcdefghijklmnopqrstuvwxyz", "abcdef"],
  ["Vault's", "hvs.abcdefghijklmnopqrst", "abcdef"],
  ["Slack's", "xoxb-1234567890-abcdefghij", "1234"],
  ["a private key", "-----BEGIN RSA PRIVATE KEY-----\nMIIEpAIBAAKCAQEA\n-----END RSA PRIVATE KEY-----", "MIIE"],
];

describe("what looks like a secret", () => {
  test.each(secrets)("%s is not shown", (_, value, secret) => {
    expect(asGiven(value)).not.toContain(secret);
    const error = invalidInput("token-file", value, `${value} is wrong`, `token-file: ${value}`);
    expect(`${error.message}\n${error.remedy.join("\n")}`).not.toContain(secret);
  });

  test.each(secrets)("%s is not shown in the middle of words", (_, value, secret) => {
    expect(asGiven(`see "${value}", please`)).not.toContain(secret);
  });

  test.each([
    "quay.io:8443",
    "quay.example.com:8443/acme=acme+ci",
    "acme+ci, acme+cd",
    "acme/app:pul,push",
    "acme:pull,push",
    "acme/app:1.2.3-rc.1",
    `acme/app@sha256:${"0123456789abcdef".repeat(4)}`,
    `acme/app@sha256:${"0123456789abcde".repeat(4)}`,
    "[::1]:5000",
    "unix:relative/path",
    "tcp:127.0.0.1:8081",
    "docker://quay.io/acme/app@sha256:abc",
    "/home/runner/work/_temp/quay-keyless-login-AbC123/auth.json",
    "/tmp/quay-keyless-e2e-0sTVvX/job-h9HWLX/temp/tmp.X4b7Kq9ZpL/auth.json",
    "/home/runner/work/_temp/0f8fad5b-d9cb-469f-a165-70867728950e/auth.json",
    "QUAY_ID_TOKEN",
    "linux/amd64,linux/arm64/v8",
    "system-serviceaccount-builder-of-images",
    "10m",
    "0640",
  ])("%s is not hidden", (value) => {
    expect(asGiven(value)).toBe(value);
  });

  test("tokens of a known form are hidden in all output; identifiers are not", () => {
    expect(plain(`a ${jwt} b`)).toBe("a … b");
    const keyId = "FoctWQ0bLx9Gf2Jv7Kz3Np8Qr5St1Uw4Xy6Za0Bc2De";
    const words = `kid ${keyId}, subject repo:acme/app:ref:refs/heads/main of https://issuer.example/realms/acme`;
    expect(plain(words)).toBe(words);
    expect(new ExplainedError("key-not-published", words, { remedy: [] }).message).toBe(words);
  });
});
