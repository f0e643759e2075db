import { describe, expect, test } from "vitest";
import { flagSyntax } from "../../src/cli/syntax.ts";
import { type OptionName, optionsOf } from "../../src/options/table.ts";
import { mention, variable, written } from "../../src/platform/wording.ts";

const { write } = flagSyntax("promote");

describe("writes an option as it is typed", () => {
  test.each<[OptionName, string | undefined, string]>([
    ["timeout", undefined, "--timeout"],
    ["ca-file", "root.pem", "--ca-file root.pem"],
    ["spiffe-socket", "unix:///run/agent.sock", "--spiffe-socket unix:///run/agent.sock"],
    ["robot", "quay.io/acme=acme+ci", "--robot quay.io/acme=acme+ci"],
    ["access", "acme/app:pull,push", "--access acme/app:pull,push"],
    ["source", "acme/app@sha256:0123…", "--source acme/app@sha256:0123…"],
    ["auth-file-mode", "0640", "--auth-file-mode 0640"],
    ["auth-file", "/a folder/auth.json", "--auth-file '/a folder/auth.json'"],
    ["auth-file", "/it's/$HOME", "--auth-file '/it'\\''s/$HOME'"],
    ["auth-file", "", "--auth-file ''"],
    ["move-tags", "true", "--move-tags"],
    ["move-tags", "false", "--move-tags=false"],
    ["docker-config", "true", "--docker-config true"],
  ])("%s %s", (option, value, expected) => {
    expect(write(mention(option, value))).toBe(expected);
  });

  test("writes a variable of the shell", () => {
    const login = mention("source-auth-file", variable("REGISTRY_AUTH_FILE"));
    expect(written(login, { write })).toBe('--source-auth-file "$REGISTRY_AUTH_FILE"');
  });
});

describe("the known options", () => {
  test.each(["login", "logout", "status", "identity", "promote"] as const)(
    "of %s are those of the table",
    (command) => {
      const { has } = flagSyntax(command);
      expect(optionsOf(command).every(({ name }) => has(name))).toBe(true);
      expect(has("without-identity")).toBe(false);
    },
  );

  test("differ between commands", () => {
    expect([flagSyntax("login"), flagSyntax("identity")].map(({ has }) => has("auth-file"))).toEqual([true, false]);
    expect([flagSyntax("login"), flagSyntax("promote")].map(({ has }) => has("source-robot"))).toEqual([false, true]);
  });

  test("are those of all commands while the command is unknown", () => {
    const { has } = flagSyntax(undefined);
    expect([has("auth-file"), has("source-robot"), has("refresh")]).toEqual([true, true, false]);
  });
});
