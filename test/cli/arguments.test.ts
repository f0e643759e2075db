import { describe, expect, test } from "vitest";
import { parseArguments } from "../../src/cli/arguments.ts";
import { commands, optionsOf } from "../../src/options/table.ts";
import { formatError } from "../../src/platform/errors.ts";
import { failure } from "../fixtures.ts";

/** As a shell splits it; `_` is a blank within an argument. */
const parse = (line: string) =>
  parseArguments(
    line
      .split(" ")
      .filter(Boolean)
      .map((word) => word.replaceAll("_", " ")),
  );
const run = (command: string, values: object) => ({ kind: "run", command, values });

describe("a command with its options", () => {
  test.each<[string, object]>([
    ["status", run("status", {})],
    ["login --robot acme+ci", run("login", { robot: "acme+ci" })],
    ["login --robot=acme+ci", run("login", { robot: "acme+ci" })],
    ["login --robot=quay.io/acme=acme+ci", run("login", { robot: "quay.io/acme=acme+ci" })],
    ["--registry quay.example.com login", run("login", { registry: "quay.example.com" })],
    ["status --for 10m --output json", run("status", { for: "10m", output: "json" })],
    ["logout --session /run/session", run("logout", { session: "/run/session" })],
    ["identity --spiffe-socket unix:///a=b", run("identity", { "spiffe-socket": "unix:///a=b" })],
    // An empty value, such as a param of Tekton.
    ["login --ca-file= --robot acme+ci", run("login", { "ca-file": "", robot: "acme+ci" })],
    ["login --token-file __", run("login", { "token-file": "  " })],
    // A value may begin with a dash if it is unambiguous.
    ["login --token-file=-t", run("login", { "token-file": "-t" })],
    ["login --auth-file=--help", run("login", { "auth-file": "--help" })],
  ])("%s", (line, expected) => {
    expect(parse(line)).toEqual(expected);
  });

  test("accepts every option of a command, and none of another's", async () => {
    for (const command of commands) {
      const own = optionsOf(command);
      for (const { name, takes } of own) {
        const expected = run(command, { [name]: takes === "flag" ? "true" : "x" });
        expect(parse(`${command} --${name}${takes === "flag" ? "" : " x"}`)).toEqual(expected);
      }
      for (const { name } of commands.flatMap(optionsOf)) {
        if (!own.some((option) => option.name === name)) {
          expect((await failure(() => parse(`${command} --${name}=x`))).message).toBe(
            `${command} has no option --${name}.`,
          );
        }
      }
    }
  });
});

describe("flags", () => {
  test.each<[string, string]>([
    ["login --verbose", "true"],
    ["login --verbose=true", "true"],
    ["login --verbose=false", "false"],
    ["login --verbose --verbose=false", "false"],
    ["login --verbose=maybe", "maybe"],
    ["login --verbose=", ""],
  ])("%s: %j", (line, verbose) => {
    expect(parse(line)).toEqual(run("login", { verbose }));
  });

  test("-q is --quiet", () => {
    expect(parse("login -q acme+ci")).toEqual(run("login", { quiet: "true", robot: "acme+ci" }));
  });

  test("take no value: the next word is an argument", () => {
    expect(parse("login --export-token acme+ci")).toEqual(run("login", { "export-token": "true", robot: "acme+ci" }));
  });
});

describe("an option that can be repeated becomes lines, in order", () => {
  test.each<[string, object]>([
    ["login --robot acme+ci --robot other+ci", { robot: "acme+ci\nother+ci" }],
    [
      "login --access acme/a:pull --robot a+b --access=acme/b:push",
      { access: "acme/a:pull\nacme/b:push", robot: "a+b" },
    ],
    ["login --result robot=/a --result registry=/b", { result: "robot=/a\nregistry=/b" }],
    // Robots as plain arguments, also after a --.
    ["login acme+ci other+ci", { robot: "acme+ci\nother+ci" }],
    [
      "login --registry r -- acme+ci quay.io/acme/x=acme+release",
      { registry: "r", robot: "acme+ci\nquay.io/acme/x=acme+release" },
    ],
    ["login other+ci --robot acme+ci -- third+ci", { robot: "acme+ci\nother+ci\nthird+ci" }],
    ["login -- --help", { robot: "--help" }],
    ["login -- -h --version", { robot: "-h\n--version" }],
    ["login --", {}],
  ])("%s", (line, values) => {
    expect(parse(line)).toEqual(run("login", values));
  });

  test("tags and platforms of promote", () => {
    expect(parse("promote --tag 1.0 --platform linux/amd64 --tag=1 --platform linux/arm64")).toEqual(
      run("promote", { tag: "1.0\n1", platform: "linux/amd64\nlinux/arm64" }),
    );
    // Tags as plain arguments too.
    expect(parse("promote --tag 1.0 1 -- latest")).toEqual(run("promote", { tag: "1.0\n1\nlatest" }));
  });

  test("scopes of logout and status", () => {
    for (const command of ["logout", "status"]) {
      expect(parse(`${command} --scope quay.io --scope quay.io/acme`)).toEqual(
        run(command, { scope: "quay.io\nquay.io/acme" }),
      );
    }
  });
});

describe("help and version", () => {
  test.each<[string, string | undefined]>([
    ["--help", undefined],
    ["-h", undefined],
    ["help", undefined],
    ["help login", "login"],
    ["help explain", "explain"],
    ["help help", undefined],
    ["version --help", undefined],
    ["explain -h", "explain"],
    ["login --help", "login"],
    ["login -h", "login"],
    ["--help status", "status"],
    ["status --for 10m --help", "status"],
    // Help comes before any other error.
    ["logout --nonsense --help", "logout"],
    ["identity more words --help", "identity"],
    ["login --registry a --registry b -h", "login"],
    ["--version --help", undefined],
  ])("%s", (line, topic) => {
    expect(parse(line)).toEqual({ kind: "help", topic });
  });

  test.each([
    "--version",
    "-V",
    "version",
    "login --version",
    "login -V",
    "nonsense --version",
    "--version --nonsense",
  ])("%s", (line) => {
    expect(parse(line)).toEqual({ kind: "version" });
  });

  test("licenses", () => {
    expect(parse("licenses")).toEqual({ kind: "licenses" });
    expect(parse("licenses --help")).toEqual({ kind: "help", topic: undefined });
  });
});

describe("the code to explain", () => {
  test.each<[string, string | undefined]>([
    ["explain", undefined],
    ["explain tag-taken", "tag-taken"],
    ["explain nonsense", "nonsense"],
    ["explain -- promote", "promote"],
  ])("%s", (line, code) => {
    expect(parse(line)).toEqual({ kind: "explain", code });
  });
});

describe("wrong use suggests what was meant, and names the help", () => {
  const everyCommand = `The commands are ${[...commands, "explain", "completion"].join(", ")}.`;

  test.each<[line: string, message: string, remedy: string]>([
    ["", "No command was given.", everyCommand],
    ["--", "No command was given.", everyCommand],
    ["--verbose", "--verbose was given without a command.", everyCommand],
    ["--robot acme+ci", "--robot was given without a command.", everyCommand],
    ["logni", 'There is no command "logni".', "Did you mean: quay-keyless-login login"],
    ["log-out", 'There is no command "log-out".', "Did you mean: quay-keyless-login logout"],
    ["Login", 'There is no command "Login".', "Did you mean: quay-keyless-login login"],
    ["states", 'There is no command "states".', "Did you mean: quay-keyless-login status"],
    ["identify", 'There is no command "identify".', "Did you mean: quay-keyless-login identity"],
    ["help lgin", 'There is no command "lgin".', "Did you mean: quay-keyless-login login"],
    ["lgin --help", 'There is no command "lgin".', "Did you mean: quay-keyless-login login"],
    ["exlpain", 'There is no command "exlpain".', "Did you mean: quay-keyless-login explain"],
    ["verison", 'There is no command "verison".', "Did you mean: quay-keyless-login version"],
    ["frobnicate", 'There is no command "frobnicate".', everyCommand],
    ["acme+ci", 'There is no command "acme+ci".', everyCommand],
    ["login --robto acme+ci", "login has no option --robto.", "Did you mean: --robot"],
    ["login --tokenfile /t", "login has no option --tokenfile.", "Did you mean: --token-file"],
    ["login --spifee-socket=x", "login has no option --spifee-socket.", "Did you mean: --spiffe-socket"],
    ["login --cafile x", "login has no option --cafile.", "Did you mean: --ca-file"],
    ["login --authfile x", "login has no option --authfile.", "Did you mean: --auth-file"],
    ["login --auth-file-perm 0640", "login has no option --auth-file-perm.", "Did you mean: --auth-file-mode"],
    ["login --no-verbose", "login has no option --no-verbose.", "Its options are --registry, --robot, "],
    ["--frobnicate login", "login has no option --frobnicate.", "Its options are --registry, --robot, "],
    ["login -r quay.io", "login has no option -r.", "Its options are --registry, --robot, "],
    ["identity --frobnicate", "identity has no option --frobnicate.", "Its options are --identity, --audience, "],
    // An option of another command.
    ["login --for 10m", "login has no option --for.", "It belongs to status."],
    ["login --scope quay.io", "login has no option --scope.", "It belongs to logout, status."],
    [
      "logout --robot acme+ci",
      "logout has no option --robot.",
      "It belongs to login, configure, federate, retire-static-token.",
    ],
    ["status --session /s", "status has no option --session.", "It belongs to login, configure, logout."],
    [
      "logout --timeout 5",
      "logout has no option --timeout.",
      "It belongs to login, configure, identity, promote, federate, audit, retire-static-token.",
    ],
    // An option that only the Action has.
    ["login --without-identity skip", "login has no option --without-identity.", "Its options are "],
    ["login --workflow-ref x", "login has no option --workflow-ref.", "Its options are "],
    ["-q", "-q was given without a command.", "The commands are "],
    ["explain --output json", "explain has no option --output.", "For help: quay-keyless-login explain --help"],
    ["explain a b", 'explain takes one code, and got "b" too.', "For help: quay-keyless-login explain --help"],
    // A value is missing.
    ["login --robot", "--robot needs a value.", "Write, for example, --robot ROBOT"],
    [
      "status --for --verbose",
      "--for needs a value.",
      "Write, for example, --for DURATION; if it begins with a dash: --for=--verbose",
    ],
    ["login --robot --registry quay.io", "--robot needs a value.", "if it begins with a dash: --robot=--registry"],
    ["login --ca-file -x", "--ca-file needs a value.", "if it begins with a dash: --ca-file=-x"],
    // Given twice.
    [
      "login --registry a --registry b",
      'The option "registry" is "b": it was already given ("a"), and takes one value.',
      "Set only one of the two.",
    ],
    [
      "login --ca-file= --ca-file=b",
      'The option "ca-file" is "b": it was already given (""), and takes one value.',
      "Set only one of the two.",
    ],
    [
      "status --output json --output text",
      'The option "output" is "text": it was already given ("json"), and takes one value.',
      "Set only one of the two.",
    ],
    // Arguments of a command without any.
    ["status quay.io", 'status takes no arguments, and got "quay.io".', "Options begin with --."],
    ["logout session /s", 'logout takes no arguments, and got "session".', "Options begin with --."],
    ["identity -- x", 'identity takes no arguments, and got "x".', "Options begin with --."],
  ])("%s", async (line, message, remedy) => {
    const error = await failure(() => parse(line));
    expect(error.code).toBe("invalid-input");
    expect(error.message).toBe(message);
    expect(error.remedy[0]).toContain(remedy);
    if (!/is "|needs a value/.test(message)) {
      expect(error.remedy.join("\n")).toMatch(
        /For help: quay-keyless-login (?:(?:login|logout|status|identity|promote|explain) )?--help$/,
      );
    }
  });

  test("answers an argument of any length at once", async () => {
    const started = performance.now();
    const error = await failure(() => parseArguments(["x".repeat(1_000_000)]));
    await failure(() => parseArguments(["login", `--${"y".repeat(1_000_000)}`]));
    expect(performance.now() - started).toBeLessThan(3000);
    expect(formatError(error)).toContain("The commands are");
    expect(formatError(error).length).toBeLessThan(1000);
  });
});
