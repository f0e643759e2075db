import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { exitCodeOf, mentioned, withFlags } from "../../src/cli/failure.ts";
import { chooseIdentity } from "../../src/identity/index.ts";
import { parseIdentityRequest } from "../../src/identity/source.ts";
import { readOptions } from "../../src/options/reader.ts";
import { optionsOf } from "../../src/options/table.ts";
import { type ErrorCode, ExplainedError, errorCodes, failureObject, formatError } from "../../src/platform/errors.ts";
import { failure, testPlatform } from "../fixtures.ts";

const errorOf = (remedy: string[], message = "Headline.") => new ExplainedError("invalid-input", message, { remedy });
const remedyOf = (line: string) => withFlags(errorOf([line])).remedy;

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

  test("of several failures: may pass by itself only where all may", () => {
    const both = (first: ErrorCode, ...others: ErrorCode[]) => {
      const error = new ExplainedError(first, "", { remedy: [] });
      error.also = others.map((code) => new ExplainedError(code, "", { remedy: [] }));
      return exitCodeOf(error);
    };
    expect(both("timeout", "rate-limited", "registry-unavailable")).toBe(75);
    expect(both("timeout", "rate-limited", "tag-taken")).toBe(1);
    expect(both("tag-taken", "timeout")).toBe(1);
    const nested = new ExplainedError("timeout", "", { remedy: [] });
    const middle = new ExplainedError("timeout", "", { remedy: [] });
    nested.also = [middle];
    middle.also = [new ExplainedError("verify-failed", "", { remedy: [] })];
    expect(exitCodeOf(nested)).toBe(1);
  });

  test("every code has one of three; wrong use has one code only", () => {
    const codes = Object.keys(errorCodes) as ErrorCode[];
    expect(codes.filter((code) => ![1, 2, 75].includes(codeOf(code)))).toEqual([]);
    expect(codes.filter((code) => codeOf(code) === 2)).toEqual(["invalid-input"]);
  });
});

describe("options as they are typed here", () => {
  test.each([
    ["Write, for example, ca-file: root.pem", "Write, for example, --ca-file root.pem"],
    ["Write, for example, robot: acme+ci", "Write, for example, --robot acme+ci"],
    ['auth-file-mode: "0640"', '--auth-file-mode "0640"'],
    [
      "A private authority: give its root certificate, ca-file: path/to/root.pem",
      "A private authority: give its root certificate, --ca-file path/to/root.pem",
    ],
    [
      "docker-config: false, or a single robot without a scope",
      "--docker-config false, or a single robot without a scope",
    ],
    [
      "SPIFFE: spiffe-socket: unix:///path. GitLab: token-env: NAME",
      "SPIFFE: --spiffe-socket unix:///path. GitLab: --token-env NAME",
    ],
    ["session: /path/of/a/new/folder", "--session /path/of/a/new/folder"],
    ["scope: quay.io/acme", "--scope quay.io/acme"],
    ["Check the option registry, and the way there", "Check the option --registry, and the way there"],
    ["Check the option spiffe-socket.", "Check the option --spiffe-socket."],
    ["Or, if the tag is meant to move on: move-tags: true", "Or, if the tag is meant to move on: --move-tags"],
    ["Write, for example, with-signatures: true", "Write, for example, --with-signatures"],
    ["Write, for example, tag: 1.4.2", "Write, for example, --tag 1.4.2"],
    ["source-robot: acme+reads", "--source-robot acme+reads"],
    // biome-ignore lint/suspicious/noTemplateCurlyInString: an expression of GitHub Actions
    ["Private: source-auth-file: ${{ env.REGISTRY_AUTH_FILE }}", 'Private: --source-auth-file "$REGISTRY_AUTH_FILE"'],
  ])("%s", (line, expected) => {
    expect(remedyOf(line)).toEqual([expected]);
  });

  test.each([
    "Looked for: GitHub's variables (ACTIONS_ID_TOKEN_REQUEST_URL)",
    "its output: nothing",
    "the result: none",
    "GitLab: id_tokens: {QUAY_ID_TOKEN: {aud: quay}}",
    "my-registry: quay.io",
    "--ca-file: x",
    "Robot: acme+ci",
    "source: acme/app, file: release.yaml, tag: latest",
    "move-tags: trueish",
    "robots: acme+ci",
    "registry:quay.io",
    "registry: ",
    'SPIRE: set jwt_key_type = "rsa-2048"',
    "the options audience",
    "an optional robot",
    "https://registry.example.com/",
    "skopeo logout --authfile /a.json quay.io",
  ])("other text stays: %s", (line) => {
    expect(remedyOf(line)).toEqual([line]);
  });

  test("in the headline, an option is named as it is typed; what was typed stays", () => {
    const error = withFlags(errorOf([], 'The option "ca-file" is "ca-file: x": the option timeout, registry: y.'));
    expect(error.message).toBe('The option "--ca-file" is "ca-file: x": the option --timeout, registry: y.');
    expect(mentioned("set the option audience to")).toBe("set the option --audience to");
    // A longer name is not cut.
    expect(mentioned('The option "auth-file-mode" is')).toBe('The option "--auth-file-mode" is');
    expect(mentioned('The option "SPIFFE_ENDPOINT_SOCKET" is')).toBe('The option "SPIFFE_ENDPOINT_SOCKET" is');
    expect(mentioned("the option without-identity")).toBe("the option without-identity");
  });

  test("advice that only the Action can follow is left out", () => {
    const error = errorOf(["Do this.", "To let such runs go on without a login: without-identity: skip", "And that."]);
    expect(withFlags(error).remedy).toEqual(["Do this.", "And that."]);
  });

  test("all else of the error goes along, and so do its companions", () => {
    const cause = new Error("below");
    const binding = { issuer: "https://i", subject: "s", audience: "quay" };
    const error = new ExplainedError("issuer-not-bound", "M", { remedy: ["robot: a+b"], binding, cause });
    error.also = [errorOf(["tool: skopeo"])];
    const told = withFlags(error);
    expect(told).toMatchObject({ code: "issuer-not-bound", message: "M", remedy: ["--robot a+b"], binding, cause });
    expect(told.also.map(({ remedy }) => remedy)).toEqual([["--tool skopeo"]]);
    expect(error.remedy).toEqual(["robot: a+b"]);
  });

  test("no text of the core is turned into a flag that the sentence does not mean", async () => {
    const error = await failure(chooseIdentity(parseIdentityRequest(readOptions({})), testPlatform()));
    expect(formatError(withFlags(error))).not.toMatch(/Looked --for|--[a-z-]+: /);
    // Whatever else is written so in the core is a Kubernetes field or an English word: it must not look like an option.
    const root = join(import.meta.dirname, "../../src");
    const texts = readdirSync(root, { recursive: true, encoding: "utf8" })
      .filter((file) => file.endsWith(".ts") && !/^(?:cli|github)\/|^options\//.test(file))
      .flatMap((file) => [...readFileSync(join(root, file), "utf8").matchAll(/"((?:[^"\\\n]|\\.)*)"|`([^`]*)`/g)])
      .map(([, text, template]) => text ?? template ?? "");
    const names = optionsOf("login")
      .map(({ name }) => name)
      .join("|");
    const told = texts
      .flatMap(remedyOf)
      .flatMap((text) => [...text.matchAll(new RegExp(`([^ ]*) --(?:${names}) `, "g"))]);
    expect(
      told.filter(([, word = ""]) => /^(?:with|an?|the|its|of|whose)$/.test(word)).map(([match]) => match),
    ).toEqual([]);
  });
});

describe("as JSON", () => {
  test("what there is of it, and never the cause", () => {
    const error = new ExplainedError("timeout", "Late.", { remedy: ["Wait"], cause: new Error("secret") });
    expect(failureObject(error)).toEqual({ code: "timeout", message: "Late.", remedy: ["Wait"] });
    expect(Object.keys(failureObject(error))).toEqual(["code", "message", "remedy"]);
  });

  test("with a binding, and the failures of other robots", () => {
    const binding = { issuer: "https://i", subject: "s", audience: "quay" };
    const error = new ExplainedError("issuer-not-bound", "M", { remedy: [], binding });
    error.also = [errorOf(["x"])];
    expect(JSON.parse(JSON.stringify(failureObject(error)))).toEqual({
      code: "issuer-not-bound",
      message: "M",
      remedy: [],
      binding,
      also: [{ code: "invalid-input", message: "Headline.", remedy: ["x"] }],
    });
  });
});
