import { describe, expect, test } from "vitest";
import type { OptionValues } from "../../src/options/table.ts";
import {
  hasNamespacedScope,
  isHost,
  kindOf,
  parseRegistry,
  parseRobot,
  parseScope,
  parseScopes,
  scopeParts,
} from "../../src/quay/scope.ts";
import { failure } from "../fixtures.ts";

describe("a registry", () => {
  test.each([
    ["quay.io", "quay.io"],
    ["Quay.Example.COM:8443", "quay.example.com:8443"],
    ["localhost", "localhost"],
    ["10.0.0.1:80", "10.0.0.1:80"],
    ["[::1]:8443", "[::1]:8443"],
    ["[2001:DB8::1]", "[2001:db8::1]"],
    ["q", "q"],
    ["eyjafjallajokull.example.is", "eyjafjallajokull.example.is"],
  ])("%s", (value, expected) => {
    expect(parseRegistry(value)).toBe(expected);
  });

  test.each<[value: string, shown: string, problem: string, example?: string]>([
    ["https://quay.io", "https://quay.io", "it must be a host, without a scheme such as https://", "quay.io"],
    [
      "HTTPS://me:secret@quay.io/x",
      "HTTPS://…@quay.io/x",
      "it must be a host, without a scheme such as https://",
      "quay.io",
    ],
    [
      "docker://me:se@cret@quay.io",
      "docker://…@quay.io",
      "it must be a host, without a scheme such as https://",
      "quay.io",
    ],
    [
      "https://me:se/cret@quay.io/",
      "https://…@quay.io/",
      "it must be a host, without a scheme such as https://",
      "quay.io",
    ],
    ["https://q:8443/?x", "https://q:8443/?x", "it must be a host, without a scheme such as https://", "q:8443"],
    ["https://", "https://", "it must be a host, without a scheme such as https://"],
    ["me:secret@quay.io", "…@quay.io", "it must be a host, without a user or password", "quay.io"],
    ["quay.io/acme", "quay.io/acme", "it must be a host, without a path; organizations go into robot", "quay.io"],
    ["eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJjaSJ9.c2lnbmF0dXJl", "…", "it has the form of a token"],
    ["quay.io/", "quay.io/", "it must be a host, without a path; organizations go into robot", "quay.io"],
    ["quay io", "quay io", "it is not a host with an optional port"],
    ["quay.io:", "quay.io:", "it is not a host with an optional port"],
    ["quay.io:65536", "quay.io:65536", "it is not a host with an optional port"],
    ["quay_io", "quay_io", "it is not a host with an optional port"],
    ["quay.io-", "quay.io-", "it is not a host with an optional port"],
    ["::1", "::1", "it is not a host with an optional port"],
    ["", "", "it is not a host with an optional port"],
  ])("not %s", async (value, shown, problem, example = "quay.example.com:8443") => {
    const error = await failure(() => parseRegistry(value));
    expect(error.message).toBe(`The option "registry" is ${JSON.stringify(shown)}: ${problem}.`);
    expect(error.remedy).toEqual([`Write, for example, registry: ${example}`]);
  });
});

test("a host has at most 253 characters, without its port", () => {
  const longest = `${"a.".repeat(126)}a`;
  expect([isHost(`${longest}:65535`), isHost(`${longest}a:65535`)]).toEqual([true, false]);
});

describe("a scope", () => {
  const parse = (scope: string, registry = "quay.io") =>
    parseScope({ option: "scope", scope, registry, rest: "=rest" });

  test.each([
    ["quay.io", "quay.io"],
    ["QUAY.io", "quay.io"],
    ["Quay.io/acme", "quay.io/acme"],
    ["quay.io/acme/app", "quay.io/acme/app"],
    ["quay.io/acme/group/app_1.x-y", "quay.io/acme/group/app_1.x-y"],
  ])("%s", (text, expected) => {
    expect(parse(text)).toBe(expected);
  });

  test.each([
    ["quay.io/acme/app@push", "quay.io/acme/app@push", "action"],
    ["QUAY.io/acme/app@push,pull,push", "quay.io/acme/app@pull,push", "action"],
    ["Quay.io@pull", "quay.io@pull", "action"],
    ["quay.io", "quay.io", "host"],
    ["quay.io/acme", "quay.io/acme", "organization"],
    ["quay.io/acme/app/sub", "quay.io/acme/app/sub", "repository"],
  ])("%s is one, as %s: %s", (text, expected, kind) => {
    expect([parse(text), kindOf(parse(text))]).toEqual([expected, kind]);
  });

  test("has its parts", () => {
    expect(scopeParts("[::1]:1/acme/app@pull,push")).toEqual({
      host: "[::1]:1",
      path: "acme/app",
      actions: ["pull", "push"],
    });
    expect(scopeParts("quay.io")).toEqual({ host: "quay.io", path: "", actions: [] });
  });

  test.each(["quay.io.example/acme", "quay.iox", "acme/app", "quay.io:8443/acme", "", "/quay.io"])(
    "%j is on another host",
    async (text) => {
      const error = await failure(() => parse(text));
      expect(error.message).toBe(
        `The option "scope" is "${text}=rest": the scope is on another host than registry (quay.io).`,
      );
      expect(error.remedy).toEqual(["Write, for example, scope: quay.io/acme=rest"]);
    },
  );

  // What is given, what the error shows of it, and its example.
  test.each([
    ["quay.io/acme/app@PUSH", "quay.io/acme/app@PUSH", "quay.io/acme/app@push"],
    ["quay.io/acme/app@", "quay.io/acme/app@", "quay.io/acme/app@push"],
    ["quay.io/acme/app@Pull,push,", "quay.io/acme/app@Pull,push,", "quay.io/acme/app@pull,push"],
    ["quay.io/acme/app:tag@push", "quay.io/acme/app:tag@push", "quay.io/acme/app@push"],
    ["quay.io/acme/app/@pull", "quay.io/acme/app/@pull", "quay.io/acme/app@pull"],
    ["quay.io/Acme/App/sub@push", "quay.io/Acme/App/sub@push", "quay.io/acme/app/sub@push"],
    ["quay.io/release@push", "quay.io/release@push", "quay.io/release/app@push"],
    ["release/app@push", "release/app@push", "quay.io/release/app@push"],
    ["ghcr.io/release/app@push", "ghcr.io/release/app@push", "quay.io/release/app@push"],
    ["@push", "@push", "quay.io/acme/app@push"],
    // A user and password given by mistake are not shown.
    ["me:secret@quay.io/release/app", "…@quay.io/release/app", "quay.io/acme"],
    ["me:secret@push", "…@push", "quay.io/acme"],
    ["a-secret@quay.io", "…@quay.io", "quay.io/acme"],
    ["quay.io:secret@other.io", "…@other.io", "quay.io/acme"],
    ["quay.io/me:secret@host", "…@host", "quay.io/acme"],
  ])("%s: an error shows %s, and the example %s", async (text, shown, example) => {
    const error = await failure(() => parse(text));
    expect(error.message).toContain(`The option "scope" is "${shown}=rest": `);
    expect(error.remedy).toEqual([`Write, for example, scope: ${example}=rest`]);
    expect(parse(example)).toBe(example);
  });

  test.each(["quay.io/", "quay.io/acme/", "quay.io//acme", "quay.io/Acme", "quay.io/-acme", "quay.io/acme:tag"])(
    "%s is none",
    async (text) => {
      expect((await failure(() => parse(text))).message).toContain(
        "a scope is a host, host/organization or host/organization/repository",
      );
    },
  );
});

test("an option that takes one robot says it, and is given no list", async () => {
  const error = await failure(() => parseRobot("acme+ci acme+cd", "destination-robot"));
  expect(error.message).toContain("a name contains no space, comma or semicolon; this option takes one robot");
});

describe("registry and scopes of a search", () => {
  test.each<[OptionValues, string, string[]]>([
    [{}, "quay.io", []],
    [{ registry: " ", scope: "\n" }, "quay.io", []],
    [{ registry: "Quay.Example.com" }, "quay.example.com", []],
    // A scope contains its host.
    [{ scope: "Quay.Example.com/acme" }, "quay.example.com", ["quay.example.com/acme"]],
    [{ scope: "localhost:5000" }, "localhost:5000", ["localhost:5000"]],
    [{ scope: "localhost:5000@push" }, "localhost:5000", ["localhost:5000@push"]],
    [{ scope: "Quay.io/acme/app@push,pull" }, "quay.io", ["quay.io/acme/app@pull,push"]],
    [
      { scope: "quay.example.com/acme\nquay.example.com" },
      "quay.example.com",
      ["quay.example.com/acme", "quay.example.com"],
    ],
    [{ registry: "quay.example.com", scope: "quay.example.com/acme" }, "quay.example.com", ["quay.example.com/acme"]],
  ])("%j", (values, registry, scopes) => {
    expect(parseScopes(values)).toEqual({ registry, scopes });
  });

  test.each<[OptionValues, string]>([
    [
      { registry: "quay.io", scope: "ghcr.io/acme" },
      'The option "scope" is "ghcr.io/acme": the scope is on another host than registry (quay.io).',
    ],
    [
      { scope: "quay.io/acme\nghcr.io/acme" },
      'The option "scope" is "ghcr.io/acme": the scope is on another host than registry (quay.io).',
    ],
    [
      { scope: "quay.io/Acme" },
      'The option "scope" is "quay.io/Acme": a scope is a host, host/organization or host/organization/repository.',
    ],
    ...["acme app", "https://quay.io/acme", "/acme", "quay.io:x/acme"].map((scope): [OptionValues, string] => [
      { scope },
      `The option "scope" is "${scope.replace(":x/acme", ":…")}": a scope is a host, host/organization or host/organization/repository.`,
    ]),
    // A password given by mistake is not shown.
    [
      { scope: "me:secret@quay.io/acme" },
      'The option "scope" is "…@quay.io/acme": a scope is a host, host/organization or host/organization/repository.',
    ],
    [
      { registry: "quay.io", scope: "me:secret@quay.io" },
      'The option "scope" is "…@quay.io": the scope is on another host than registry (quay.io).',
    ],
    [
      { registry: "quay.io", scope: "quay.io/me:secret@acme" },
      'The option "scope" is "…@acme": a scope is a host, host/organization or host/organization/repository.',
    ],
    [
      { registry: "quay io", scope: "quay io/acme" },
      'The option "registry" is "quay io": it is not a host with an optional port.',
    ],
  ])("not %j", async (values, message) => {
    const error = await failure(() => parseScopes(values));
    expect(error.message).toBe(message);
    expect(error.remedy[0]).toMatch(/^Write, for example, (?:scope: quay\.io\/acme|registry: .*)$/);
  });
});

test.each<[string[], boolean]>([
  [["quay.io"], false],
  [["quay.io/acme"], true],
  [["quay.io", "quay.io/acme"], true],
])("logins for %j include a part of a host: %s", (scopes, expected) => {
  const robots = scopes.map((scope) => ({ robot: "acme+ci", scope }));
  expect(hasNamespacedScope("quay.io", robots)).toBe(expected);
});
