import { describe, expect, test } from "vitest";
import { type IdentityRequest, parseIdentityRequest, parseSocket } from "../../src/identity/source.ts";
import { readOptions } from "../../src/options/reader.ts";
import type { OptionValues } from "../../src/options/table.ts";
import { formatError } from "../../src/platform/errors.ts";
import { variable } from "../../src/platform/wording.ts";
import { failure } from "../fixtures.ts";

const parse = (values: OptionValues): IdentityRequest => parseIdentityRequest(readOptions(values));

const address = "unix:///run/agent.sock";
const socket = { endpoint: { kind: "unix", path: "/run/agent.sock" }, address };
const conventional = "/var/run/secrets/tokens/quay-token";

test("defaults to auto", () => {
  expect(parse({})).toEqual({
    wanted: { source: "auto" },
    spiffeId: undefined,
    audience: "quay",
    workflowRef: undefined,
  });
});

describe("each source can be named, or selected by its own option", () => {
  test.each<[OptionValues, IdentityRequest["wanted"] | object]>([
    [{ identity: "auto" }, { source: "auto" }],
    [{ identity: "github" }, { source: "github" }],
    [{ identity: "FILE" }, { source: "file", path: conventional }],
    [
      { identity: "file", "token-file": "/t" },
      { source: "file", path: "/t" },
    ],
    [{ "token-file": "/t" }, { source: "file", path: "/t" }],
    [
      { identity: "auto", "token-file": "/t" },
      { source: "file", path: "/t" },
    ],
    [
      { identity: "environment", "token-env": "QUAY_TOKEN" },
      { source: "environment", variable: "QUAY_TOKEN" },
    ],
    [{ "token-env": "_t1" }, { source: "environment", variable: "_t1" }],
    [
      { "token-command": "aws sts  get-web-identity-token\t--audience 'quay' " },
      {
        source: "command",
        words: ["aws", "sts", "get-web-identity-token", "--audience", "quay"],
        withheld: ["QUAY_API_TOKEN"],
      },
    ],
    [
      { identity: "command", "token-command": "/opt/print-token", "api-token-env": "ADMIN" },
      { source: "command", words: ["/opt/print-token"], withheld: ["ADMIN"] },
    ],
    [{ identity: "spiffe" }, { source: "spiffe", socket: undefined }],
    [
      { identity: "spiffe", "spiffe-socket": address },
      { source: "spiffe", socket },
    ],
    [{ "spiffe-socket": address }, { source: "spiffe", socket }],
    [
      { "spiffe-socket": "tcp://127.0.0.1:8081" },
      {
        source: "spiffe",
        socket: { endpoint: { kind: "tcp", host: "127.0.0.1", port: 8081 }, address: "tcp://127.0.0.1:8081" },
      },
    ],
    [
      { "token-file": "/t", "token-env": " ", "spiffe-socket": "" },
      { source: "file", path: "/t" },
    ],
  ])("%j", (values, expected) => {
    expect(parse(values).wanted).toEqual(expected);
  });

  test("passes on audience and workflow", () => {
    expect(parse({ audience: "https://quay.example.com", "workflow-ref": "acme/app@r" })).toMatchObject({
      audience: "https://quay.example.com",
      workflowRef: "acme/app@r",
    });
  });

  test.each<OptionValues>([{}, { identity: "spiffe" }, { "spiffe-socket": address }])(
    "accepts an SVID with %j: auto may find SPIFFE",
    (values) => {
      expect(parse({ ...values, "spiffe-id": "spiffe://example.org/ci" }).spiffeId).toBe("spiffe://example.org/ci");
    },
  );
});

type Bad = [values: OptionValues, option: string, shown: string, problem: string, example: string];
const jwt = "eyJhbGciOi.eyJpc3Mi.c2ln";
const two = "Set only one of the two.";
const unused = (source: string) => `identity is ${source}, which does not use it`;

describe("contradictions", () => {
  test.each<Bad>([
    [
      { identity: "gitlab" },
      "identity",
      "gitlab",
      "it must be one of auto, github, file, spiffe, environment, command",
      "identity: auto",
    ],
    [{ identity: "environment" }, "token-env", "", "identity: environment needs it", "token-env: QUAY_ID_TOKEN"],
    [
      { identity: "command" },
      "token-command",
      "",
      "identity: command needs it",
      "token-command: buildkite-agent oidc request-token --audience quay",
    ],
    [
      { "token-command": "bin/token" },
      "token-command",
      "bin/token",
      "bin/token depends on the current folder, where a checkout may have put another file",
      "token-command: /usr/local/bin/print-token",
    ],
    [
      { "token-command": "curl -s 'https://x | jq" },
      "token-command",
      "curl -s 'https://x | jq",
      "its quote ' (character 9) has no end",
      "token-command: buildkite-agent oidc request-token --audience quay",
    ],
    [
      { "token-command": "curl -s https://x/ | jq -r '.t'" },
      "token-command",
      "curl -s https://x/ | jq -r '.t'",
      "it has | (character 20): a shell would connect commands with it, but no shell runs it. Between single quotes the character stands for itself",
      "token-command: sh -c 'curl -s https://x/ | jq -r '\\''.t'\\'''",
    ],
    [
      { "token-command": "x\ny" },
      "token-command",
      "x\ny",
      "it has a line break (character 2): a shell would begin another command at it, but no shell runs it. Between single quotes the character stands for itself",
      "token-command: sh -c '…'",
    ],
    // Two sources at once, each pair.
    [{ "token-file": "/t", "token-command": "c" }, "token-command", "c", 'token-file is set too ("/t")', two],
    [{ "token-env": "T", "token-command": "c" }, "token-command", "c", 'token-env is set too ("T")', two],
    [
      { "token-command": "c", "spiffe-socket": address },
      "spiffe-socket",
      address,
      'token-command is set too ("c")',
      two,
    ],
    [{ "token-file": "/t", "token-env": "T" }, "token-env", "T", 'token-file is set too ("/t")', two],
    [{ "token-file": "/t", "spiffe-socket": address }, "spiffe-socket", address, 'token-file is set too ("/t")', two],
    [{ "token-env": "T", "spiffe-socket": address }, "spiffe-socket", address, 'token-env is set too ("T")', two],
    [
      { identity: "file", "token-file": "/t", "token-env": "T", "spiffe-socket": address },
      "token-env",
      "T",
      'token-file is set too ("/t")',
      two,
    ],
    // An option of another source than the chosen one.
    [{ identity: "github", "token-file": "/t" }, "token-file", "/t", unused("github"), "identity: auto"],
    [{ identity: "spiffe", "token-file": "/t" }, "token-file", "/t", unused("spiffe"), "identity: auto"],
    [{ identity: "github", "token-command": "c" }, "token-command", "c", unused("github"), "identity: auto"],
    [{ identity: "command", "token-file": "/t" }, "token-file", "/t", unused("command"), "identity: auto"],
    [{ identity: "environment", "token-file": "/t" }, "token-file", "/t", unused("environment"), "identity: auto"],
    [{ identity: "file", "token-env": "T" }, "token-env", "T", unused("file"), "identity: auto"],
    [{ identity: "spiffe", "token-env": "T" }, "token-env", "T", unused("spiffe"), "identity: auto"],
    [{ identity: "file", "spiffe-socket": address }, "spiffe-socket", address, unused("file"), "identity: auto"],
    [{ identity: "github", "spiffe-socket": address }, "spiffe-socket", address, unused("github"), "identity: auto"],
    // spiffe-id with a source that has no SVIDs.
    [{ identity: "github", "spiffe-id": "ci" }, "spiffe-id", "ci", unused("github"), "identity: auto"],
    [{ identity: "file", "spiffe-id": "ci" }, "spiffe-id", "ci", unused("file"), "identity: auto"],
    [{ "token-file": "/t", "spiffe-id": "ci" }, "spiffe-id", "ci", unused("file"), "identity: auto"],
    [{ "token-command": "c", "spiffe-id": "ci" }, "spiffe-id", "ci", unused("command"), "identity: auto"],
    [{ "token-env": "T", "spiffe-id": "ci" }, "spiffe-id", "ci", unused("environment"), "identity: auto"],
    // Addresses.
    [
      { "spiffe-socket": "/run/agent.sock" },
      "spiffe-socket",
      "/run/agent.sock",
      "it is a path, not an address",
      `spiffe-socket: ${address}`,
    ],
    [
      { "spiffe-socket": "tcp://localhost:8081" },
      "spiffe-socket",
      "tcp://localhost:8081",
      "tcp:// needs an IP address and a port",
      "spiffe-socket: tcp://127.0.0.1:8081",
    ],
    [{ audience: "quay staging" }, "audience", "quay staging", "an audience contains no spaces", "audience: quay"],
  ])("%j", async (values, option, shown, problem, example) => {
    const error = await failure(() => parse(values));
    expect(error.code).toBe("invalid-input");
    expect(error.message).toBe(`The option "${option}" is ${JSON.stringify(shown)}: ${problem}.`);
    expect(error.remedy).toEqual([example === two ? two : `Write, for example, ${example}`]);
  });
});

// A user may paste the token in place of its variable's name: it must not reach a log.
describe("never shows a token given in place of the variable's name", () => {
  test.each<[OptionValues, string]>([
    [{}, 'The option "token-env" is "…": it must be the name of a variable, not the token.'],
    [{ identity: "environment" }, 'The option "token-env" is "…": it must be the name of a variable, not the token.'],
    [{ "token-file": "/t" }, 'The option "token-env" is "…": token-file is set too ("/t").'],
    [{ "spiffe-socket": address }, `The option "spiffe-socket" is "${address}": token-env is set too ("…").`],
    [{ identity: "github" }, 'The option "token-env" is "…": identity is github, which does not use it.'],
    [{ identity: "spiffe" }, 'The option "token-env" is "…": identity is spiffe, which does not use it.'],
    [{ "spiffe-id": "ci" }, 'The option "token-env" is "…": it must be the name of a variable, not the token.'],
  ])("with %j", async (values, message) => {
    const error = await failure(() => parse({ ...values, "token-env": jwt }));
    expect(error.message).toBe(message);
    for (const piece of jwt.split(".")) {
      expect(formatError(error)).not.toContain(piece);
    }
  });

  test.each(["1T", "A-B", "A B", "$T", "ß"])("rejects %s as the name of a variable", async (name) => {
    expect((await failure(() => parse({ "token-env": name }))).message).toContain("it must be the name of a variable");
  });
});

test("never shows a token given in place of the command", async () => {
  const error = await failure(() => parse({ "token-command": jwt }));
  expect(error.message).toBe(
    'The option "token-command" is "…": it must be a command that prints the token, not the token.',
  );
  expect(formatError(error)).not.toContain(jwt.split(".")[1]);
});

test("names the variable of an invalid address", async () => {
  expect(parseSocket(variable("SPIFFE_ENDPOINT_SOCKET"), address)).toEqual(socket);
  const error = await failure(() => parseSocket(variable("SPIFFE_ENDPOINT_SOCKET"), "/run/agent.sock"));
  expect(error.message).toBe('The option "SPIFFE_ENDPOINT_SOCKET" is "/run/agent.sock": it is a path, not an address.');
  expect(error.remedy).toEqual([`Write, for example, SPIFFE_ENDPOINT_SOCKET=${address}`]);
});
