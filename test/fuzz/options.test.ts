/** User input: options, scopes, addresses of sockets, arguments, durations. */
import { join } from "node:path";
import fc from "fast-check";
import { expect, test } from "vitest";
import { parseArguments } from "../../src/cli/arguments.ts";
import { status } from "../../src/cli/commands/status.ts";
import { createTerminal } from "../../src/cli/terminal.ts";
import { wordsOf } from "../../src/identity/command-words.ts";
import { parseIdentityRequest } from "../../src/identity/source.ts";
import { parseEndpoint } from "../../src/identity/spiffe/endpoint.ts";
import { parseRequest } from "../../src/login/request.ts";
import { readOptions } from "../../src/options/reader.ts";
import { type Command, type OptionName, type OptionValues, options, optionsOf } from "../../src/options/table.ts";
import { ExplainedError } from "../../src/platform/errors.ts";
import { shellWord } from "../../src/platform/text.ts";
import { parseScopes, robotFor } from "../../src/quay/scope.ts";
import { scopedTools } from "../../src/tools/tools.ts";
import { makeFolder } from "../fixtures.ts";
import { expectUnsaid, forAll, forAllAsync, outcome, outcomeAsync } from "./property.ts";
import { endless, hostile, like, nearly, quayName, registryHost, secret } from "./values.ts";

/** Valid values, most of them together. */
const good: Partial<Record<OptionName, readonly string[]>> = {
  registry: ["quay.io", "QUAY.io", "quay.example.com:8443", "[::1]:8443", "localhost:5000"],
  robot: ["acme+ci", "quay.io/acme=acme+ci\nquay.io/acme/app=acme+release", "acme+ci\nbolt+ci", "quay.io=acme+ci"],
  identity: ["auto", "github", "file", "spiffe", "environment", "command"],
  audience: ["quay", "https://quay.io"],
  "token-file": ["/var/run/secrets/tokens/quay-token"],
  "token-env": ["QUAY_ID_TOKEN"],
  "token-command": [
    "aws sts get-web-identity-token --audience quay",
    `circleci run oidc get --claims '{"aud":"quay"}'`,
  ],
  "spiffe-socket": ["unix:///run/spire/agent.sock", "tcp://127.0.0.1:8081", "tcp://[::1]:8081"],
  "spiffe-id": ["spiffe://example.org/ci", "internal"],
  tool: ["auto", "skopeo", "docker"],
  "auth-file-mode": ["0640", "600", "0o660"],
  "docker-config": ["auto", "true", "false"],
  access: ["acme/app:pull,push", "quay.io/acme/app:pull"],
  timeout: ["120", "1", "3600"],
  logout: ["true", "FALSE"],
  "without-identity": ["fail", "skip"],
  "export-token": ["true", "false"],
  scope: ["quay.io", "quay.io/acme", "QUAY.io/acme/app"],
  for: ["90s", "10m", "1h", "5"],
};

const valuesFor = (name: OptionName) => like(...(good[name] ?? ["/path/of/something"]));

const anyValues: fc.Arbitrary<OptionValues> = fc.record(
  Object.fromEntries(options.map(({ name }) => [name, valuesFor(name)])),
  { requiredKeys: [] },
);

const byRequest = (values: OptionValues) => parseRequest(values);
const byIdentity = (values: OptionValues) => parseIdentityRequest(readOptions(values));
const byScopes = (values: OptionValues) => parseScopes(values);

test.each([
  ["a request", byRequest],
  ["an identity", byIdentity],
  ["scopes", byScopes],
])("any options give %s, or an error that names one of them on one line", (_, parse) => {
  const names = options.map(({ name }) => name);
  forAll(anyValues, (values) => {
    const result = outcome<unknown>(() => parse(values));
    if (result instanceof ExplainedError) {
      expect(result.code).toBe("invalid-input");
      expect(names).toContain(/^(?:The option "|Missing required options? )([\w-]+)/.exec(result.message)?.[1]);
      expect(result.message + result.remedy.join("")).not.toMatch(/[\r\n]/);
      expect(result.message.length).toBeLessThan(2_000);
    }
  });
});

test("so do valid options with one invalid value", () => {
  const base = { robot: "acme+ci", registry: "quay.io", scope: "quay.io" } as const;
  const one = fc
    .constantFrom(...options.map(({ name }) => name))
    .chain((name) => valuesFor(name).map((value) => ({ ...base, [name]: value })));
  let right = 0;
  forAll(
    one,
    (values) => {
      for (const parse of [byRequest, byIdentity, byScopes]) {
        right += Number(!(outcome<unknown>(() => parse(values)) instanceof ExplainedError));
      }
    },
    600,
  );
  expect(right).toBeGreaterThan(100);
});

test("a request has its options' values, in any notation", () => {
  const robots = registryHost.chain((registry) =>
    fc.record({
      registry: fc.constant(registry),
      robots: fc.uniqueArray(fc.tuple(quayName, quayName, fc.option(quayName, { nil: undefined })), {
        minLength: 1,
        maxLength: 6,
        selector: ([organization, , repository]) => `${organization}/${repository ?? ""}`,
      }),
    }),
  );
  const upper = (text: string, is: boolean) => (is ? text.toUpperCase() : text);
  const rest = fc.record({
    capitals: fc.boolean(),
    lineEnd: fc.constantFrom("\n", "\r\n", "\n\n", " \n\t"),
    around: fc.constantFrom("", " ", "\n", "\t"),
    tool: fc.constantFrom("auto", ...scopedTools),
    mode: fc.constantFrom(0o600, 0o640, 0o644, 0o660, 0o666),
  });
  forAll(fc.tuple(robots, rest), ([{ registry, robots }, { capitals, lineEnd, around, tool, mode }]) => {
    const expected = robots.map(([organization, name, repository]) => ({
      robot: `${organization}+${name}`,
      scope: `${registry}/${organization}${repository === undefined ? "" : `/${repository}`}`,
    }));
    const lines = expected.map(({ robot, scope }, index) => {
      const isDefault = robots[index]?.[2] === undefined && robots.length > 1;
      return isDefault ? robot : `${scope.replace(registry, upper(registry, capitals))} = ${robot}`;
    });
    const request = parseRequest({
      registry: `${around}${upper(registry, capitals)}${around}`,
      robot: lines.join(lineEnd),
      tool: upper(tool, capitals),
      "auth-file-mode": mode.toString(8),
      access: expected.map(({ scope }) => `${scope.slice(registry.length + 1)}/x:pull`).join(lineEnd),
    });
    expect(request).toMatchObject({ registry, robots: expected, tool, store: { authFileMode: mode } });
    expect(request.access).toHaveLength(expected.length);
    // A repository's robot is the one with the longest matching scope.
    for (const { repository } of request.access) {
      const holding = expected.filter(({ scope }) => `${registry}/${repository}/`.startsWith(`${scope}/`));
      const longest = Math.max(...holding.map(({ scope }) => scope.length));
      expect(robotFor(repository, request.robots, ["pull"])?.scope.length).toBe(longest);
    }
  });
});

test("a parser accepts its own result again, unchanged", () => {
  forAll(like("quay.io", "QUAY.example:8443", "[::1]:1"), (registry) => {
    const once = outcome(() => parseScopes({ registry }));
    if (!(once instanceof ExplainedError)) {
      expect(parseScopes({ registry: once.registry })).toEqual(once);
    }
  });
  forAll(like("quay.io/acme", "QUAY.io", "quay.io/acme/app.x"), (scope) => {
    const once = outcome(() => parseScopes({ scope }));
    if (!(once instanceof ExplainedError)) {
      expect(parseScopes({ registry: once.registry, scope: once.scopes.join("\n") })).toEqual(once);
    }
  });
});

test("errors never quote a password before a host, nor a token in place of a variable's name", () => {
  const before = fc.constantFrom("", "https://", "oauth2://", "user:", "https://user:");
  const userinfo = fc
    .tuple(before, hostile, hostile)
    .map(([start, a, b]) => `${start}${a}${secret}${b}@`)
    // The part before :// is not a password.
    .filter((text) => !/^[a-z][a-z0-9+.-]*:\/\//i.exec(text)?.[0].includes(secret));
  const where = fc.constantFrom<(text: string) => OptionValues>(
    (text) => ({ robot: "acme+ci", registry: `${text}quay.io` }),
    // Each line, and the part before =, is a value of its own.
    (text) => ({ robot: `${text.replaceAll(/[=\r\n]/g, "")}quay.io/acme=acme+ci` }),
    (text) => ({ robot: "acme+ci", scope: `${text.replaceAll(/[\r\n]/g, "")}quay.io/acme` }),
  );
  forAll(fc.tuple(userinfo, where), ([text, build]) => {
    for (const parse of [byRequest, byScopes]) {
      const result = outcome<unknown>(() => parse(build(text)));
      if (result instanceof ExplainedError) {
        expectUnsaid(result, secret);
      }
    }
  });
  const token = fc.tuple(fc.constantFrom("eyJh.", "-", "ü"), hostile).map(([start, end]) => `${start}${secret}${end}`);
  forAll(fc.tuple(token, fc.constantFrom("auto", "environment", "github", "file")), ([variable, identity]) => {
    const result = outcome(() => parseRequest({ robot: "acme+ci", identity, "token-env": variable }));
    expect(result).toBeInstanceOf(ExplainedError);
    expectUnsaid(result as ExplainedError, secret);
  });
});

test("any text is a socket's address, or an error says what is wrong", () => {
  forAll(like(...(good["spiffe-socket"] ?? [])), (text) => {
    const endpoint = parseEndpoint(text);
    if ("problem" in endpoint) {
      expect(endpoint.problem).toMatch(/^\S.*[^.\s]$/);
    } else if (endpoint.kind === "unix") {
      expect(endpoint.path).toMatch(/^\/[^\0]/);
      expect(Buffer.byteLength(endpoint.path)).toBeLessThan(108);
    } else {
      expect(URL.canParse(`tcp://${endpoint.host.includes(":") ? `[${endpoint.host}]` : endpoint.host}`)).toBe(true);
      expect(endpoint.port).toBeGreaterThan(0);
      expect(endpoint.port).toBeLessThan(65_536);
    }
  });
  const path = fc.string({ unit: "grapheme", minLength: 1, maxLength: 20 }).map((name) => `/run/${name}`);
  forAll(
    path.filter((text) => !/\p{Cc}/u.test(text) && Buffer.byteLength(text) < 108),
    (path) => {
      const escaped = encodeURI(path).replaceAll("?", "%3F").replaceAll("#", "%23");
      for (const address of [`unix://${escaped}`, `unix:${escaped}`, `UNIX://${escaped}`]) {
        expect(parseEndpoint(address)).toEqual({ kind: "unix", path });
      }
    },
  );
  forAll(fc.tuple(fc.oneof(fc.ipV4(), fc.ipV6()), fc.integer({ min: 1, max: 65_535 })), ([host, port]) => {
    const written = host.includes(":") ? `[${host}]` : host;
    expect(parseEndpoint(`tcp://${written}:${port}`)).toEqual({ kind: "tcp", host, port });
  });
});

const commands = ["login", "logout", "status", "identity", "promote"] as const satisfies readonly Command[];

test("any arguments give a command and its options, or an error that says what to type", () => {
  const words = [...commands, "help", "--help", "-h", "--version", "--", "-", "-abc", "--no-robot", "---", "--=x"];
  const flag = fc.constantFrom(...options.map(({ name }) => `--${name}`));
  const argument = fc.oneof(
    { weight: 3, arbitrary: fc.constantFrom(...words) },
    { weight: 4, arbitrary: flag },
    { weight: 2, arbitrary: fc.tuple(flag, hostile).map(([name, value]) => `${name}=${value}`) },
    { weight: 2, arbitrary: nearly(...words, "--registry=quay.io", "--robot") },
    { weight: 1, arbitrary: hostile },
    { weight: 1, arbitrary: endless },
  );
  const seen = new Set<string>();
  forAll(
    fc.tuple(fc.option(fc.constantFrom(...commands), { nil: undefined }), fc.array(argument, { maxLength: 6 })),
    ([command, rest]) => {
      const result = outcome(() => parseArguments(command === undefined ? rest : [command, ...rest]));
      if (result instanceof ExplainedError) {
        expect(result.code).toBe("invalid-input");
        expect(result.remedy.length).toBeGreaterThan(0);
        expect(result.message.length).toBeLessThan(2_000);
        seen.add("error");
        return;
      }
      seen.add(result.kind);
      if (result.kind === "run") {
        const own = optionsOf(result.command).map(({ name }) => name);
        expect(own).toEqual(expect.arrayContaining(Object.keys(result.values)));
      }
    },
    600,
  );
  expect([...seen].sort()).toEqual(["error", "help", "run", "version"]);
});

test("arguments mean the same in any order and either form", () => {
  const value = fc.oneof(fc.constantFrom("", "a=b", "=", "x"), hostile).filter((text) => !text.startsWith("-"));
  const invocation = fc.constantFrom(...commands).chain((command) =>
    fc.record({
      command: fc.constant(command),
      given: fc.shuffledSubarray([...optionsOf(command)]).chain((chosen) =>
        fc.tuple(
          ...chosen.map(({ name, takes }) =>
            fc.record({
              name: fc.constant(name),
              takes: fc.constant(takes),
              values: takes === "list" ? fc.array(value, { minLength: 1, maxLength: 3 }) : fc.tuple(value),
              inline: fc.boolean(),
            }),
          ),
        ),
      ),
      at: fc.nat(),
    }),
  );
  forAll(invocation, ({ command, given, at }) => {
    const groups = given.flatMap(({ name, takes, values, inline }) =>
      takes === "flag" ? [[`--${name}`]] : values.map((text) => (inline ? [`--${name}=${text}`] : [`--${name}`, text])),
    );
    const place = at % (groups.length + 1);
    const args = [...groups.slice(0, place), [command], ...groups.slice(place)].flat();
    const expected = given.map(({ name, takes, values }) => [name, takes === "flag" ? "true" : values.join("\n")]);
    expect(parseArguments(args)).toEqual({ kind: "run", command, values: Object.fromEntries(expected) });
  });
});

test("any text is a duration of a login, or an error", async () => {
  const file = join(await makeFolder(), "auth.json");
  const call = (text: string) => ({
    values: { for: text, "auth-file": file },
    env: {},
    terminal: createTerminal(),
  });
  await forAllAsync(
    like("90s", "10m", "1h", "0", "99999999999999999999h"),
    async (text) => {
      const isDuration = text.trim() === "" || /^[0-9]+[smh]?$/.test(text.trim());
      const result = await outcomeAsync(() => status(call(text)));
      if (isDuration) {
        expect(result).toMatchObject({ failure: { code: "not-logged-in" } });
      } else {
        expect(result).toMatchObject({ code: "invalid-input" });
      }
    },
    200,
  );
});

test("the words of a command, quoted for a shell, are read as they were; any other text gives words or a problem on one line", () => {
  const word = fc
    .oneof(hostile, nearly("--audience", "quay", "$HOME", "it's"))
    .map((text) => text.replaceAll("\0", ""));
  forAll(fc.array(word, { maxLength: 5 }), (args) => {
    const quoted = ["/bin/true", ...args].map((each) => (each === "" ? "''" : shellWord(each))).join(" ");
    expect(wordsOf(quoted)).toEqual({ ok: true, words: ["/bin/true", ...args] });
  });
  forAll(fc.oneof(hostile, endless, nearly(`a 'b' "c" \\d`, "a | b", "a=b c")), (text) => {
    const read = wordsOf(text);
    expect(read.ok ? "" : read.problem).not.toContain("\n");
  });
});
