import { expect, test } from "vitest";
import { credentialLine, hostOf, parseCall, parseStored, usage, versionLine } from "../../src/helper/protocol.ts";

test.each(["get", "store", "erase", "list"] as const)("acts: %s, also from a wrapper", (action) => {
  expect(parseCall([action])).toEqual({ kind: "act", action, file: undefined });
  expect(parseCall(["--configuration", "/c.json", action])).toEqual({ kind: "act", action, file: "/c.json" });
});

test.each<[string[], string, boolean]>([
  [["version"], versionLine, false],
  [["--version"], versionLine, false],
  [["-v"], versionLine, false],
  [["--help"], usage, false],
  [["-h"], usage, false],
  [["--configuration", "/c.json", "--version"], versionLine, false],
  [[], usage, true],
  [["get", "quay.io"], usage, true],
  [["--configuration", "/c.json"], usage, true],
  [["--configuration", "/c.json", "get", "x"], usage, true],
  [["help"], "docker-credential-quay-keyless: unknown action: help", true],
  [["get\n::error::x\u001b[2J"], "docker-credential-quay-keyless: unknown action: get ::error::x", true],
  [[""], "docker-credential-quay-keyless: unknown action: ", true],
  [["eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJhIn0.c2ln"], "docker-credential-quay-keyless: unknown action: …", true],
])("prints for %j: %j", (args, line, failed) => {
  expect(parseCall(args)).toEqual({ kind: "print", line, failed });
});

test.each<[string, string | undefined]>([
  ["quay.io", "quay.io"],
  ["https://quay.io", "quay.io"],
  ["https://quay.io/v1/", "quay.io"],
  ["HTTPS://Quay.IO/", "quay.io"],
  ["quay.io/acme/app", "quay.io"],
  ["quay.io:443", "quay.io"],
  ["quay.example.com:8443", "quay.example.com:8443"],
  ["https://[::1]:8443/v2/", "[::1]:8443"],
  ["http://quay.io", undefined],
  ["oci://quay.io", undefined],
  ["user@quay.io", undefined],
  ["https://user:password@quay.io", undefined],
  ["quay.io\ndocker.io", undefined],
  ["quay.io docker.io", undefined],
  ["quay.io?x", undefined],
  ["quay.io\0", undefined],
  ["//quay.io", undefined],
  ["quay.io:8443x", undefined],
  ["quay.io:", undefined],
  ["x".repeat(254), undefined],
  ["", undefined],
])("the host of %j is %s", (address, host) => {
  expect(hostOf(address)).toBe(host);
});

test.each<[string, object | undefined]>([
  ['{"ServerURL":" quay.io ","Username":"me","Secret":"s"}', { address: "quay.io", user: "me" }],
  ['{"ServerURL":1,"Username":null}', { address: "", user: "" }],
  ["{}", { address: "", user: "" }],
  ["[]", undefined],
  ["quay.io", undefined],
])("of what is stored, %s says %j", (input, stored) => {
  expect(parseStored(input)).toEqual(stored);
});

test("a credential is one line, with the capitals of the protocol", () => {
  expect(credentialLine('a"\n', "acme+ci", "x.y.z")).toBe(
    String.raw`{"ServerURL":"a\"\n","Username":"acme+ci","Secret":"x.y.z"}`,
  );
});
