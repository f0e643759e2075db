/** Wrong use of `federate`, each refused before anything is sent. Values of bindings: binding-forms.test.ts; files: trust-file.test.ts. */
import { describe, expect, test } from "vitest";
import { parseArguments } from "../../src/cli/arguments.ts";
import { flagSyntax } from "../../src/cli/syntax.ts";
import { failureObject, formatError } from "../../src/platform/errors.ts";
import { type FederationRequest, parseFederateRequest } from "../../src/trust/request.ts";
import { thrown } from "../fixtures.ts";

function parse(line: string) {
  const invocation = parseArguments(["federate", ...line.split(" ")]);
  if (invocation.kind !== "run") throw new Error(`not a run: ${invocation.kind}`);
  return parseFederateRequest(invocation.values);
}

async function refused(line: string): Promise<string> {
  const error = await thrown(() => parse(line));
  expect(error.code).toBe("invalid-input");
  return formatError(failureObject(error, { syntax: flagSyntax("federate"), hide: (text) => text }));
}

const bound = "--robot acme+ci --github acme/app --environment release";

describe("rejects", () => {
  test.each<[line: string, ...says: string[]]>([
    ["--dry-run", "--robot acme+ci"],
    ["--robot acme", "--robot acme+ci"],
    [`${bound} --robot other+ci`, "other+ci", "belong to acme"],
    [`${bound} --robot acme+ci`, "given twice"],
    [`${bound} --issuer https://x.example`, "--issuer"],
    [`${bound} --subject x`, "--subject"],
    [`${bound} --branch main`, "--branch", "--environment"],
    [`${bound} --permission acme/app=owner`, "owner", "read, write, admin"],
    [`${bound} --permission app=write`, "--permission acme/app=write"],
    [`${bound} --permission other/app=write`, "belongs to acme"],
    [`${bound} --permission acme/app`, "no role"],
    [`${bound} --permission App=write`, "organization/repository=role", "--permission acme/app=write"],
    [`${bound} --prune`, "--prune", "--file"],
    [`${bound} --check --dry-run`, "--check", "Set only one of the two."],
    [`${bound} --organization acme`, "--organization", "--export"],
    [`${bound} --token-file /x`, "--token-file", "no identity token is read"],
    [`${bound} --identity github`, "--identity"],
    [`${bound} --timeout 0`, "--timeout"],
    [`${bound} --api-token-env a-b`, "--api-token-env", "not the token"],
    [`${bound} --registry https://quay.io`, "--registry quay.io"],
    [`${bound} --description ${"x".repeat(256)}`, "--description", "255"],
    ["--robot acme+ci --environment release", "--environment", "--github"],
    ["--robot acme+ci --service-account team/deployer", "--issuer"],
    ["--robot acme+ci --issuer https://x.example", "--subject"],
    [`${bound} --environment release`, "--environment", "given twice"],
    ["--file t.yaml --robot acme+ci", "--robot", "--file t.yaml"],
    ["--file t.yaml --github acme/app", "--github"],
    ["--file t.yaml --permission acme/app=read", "--permission"],
    ["--file t.yaml --description x", "--description"],
    ["--file t.yaml --audience x", "--audience"],
    ["--file t.yaml --pull-request", "--pull-request"],
    ["--file t.yaml --token-env eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJ4In0.c2ln", "--token-env", "…"],
    ["--export", "--organization acme"],
    ["--export --organization Acme", "--organization", "Acme"],
    ["--export --organization acme --file t.yaml", "--file", "--export"],
    ["--export --organization acme --robot acme+ci", "--robot"],
    ["--export --organization acme --check", "--check"],
    ["--export --organization acme --prune", "--prune"],
  ])("%s", async (line, ...says) => {
    const output = await refused(line);
    for (const words of says) expect(output).toContain(words);
  });
});

test("an option that is given several times is several bindings", () => {
  const { source } = parse(`${bound} --environment staging`) as FederationRequest;
  const subjects = source.kind === "options" ? source.trust.robots[0]?.bindings.map(({ subject }) => subject) : [];
  expect(subjects).toEqual(["repo:acme/app:environment:release", "repo:acme/app:environment:staging"]);
});

describe("reads", () => {
  test.each<[line: string, object]>([
    [bound, { kind: "federation", mode: "apply", source: { kind: "options" } }],
    ["--robot acme+ci --check", { mode: "check", source: { kind: "place" } }],
    ["--robot acme+ci --dry-run --strict --offline", { mode: "dry-run", strict: true, offline: true }],
    ["--file t.yaml --prune", { prune: true, source: { kind: "file", path: "t.yaml", registry: undefined } }],
    ["--file t.yaml --registry quay.io", { source: { registry: "quay.io" } }],
    ["--file t.yaml --create-robot", { source: { createRobots: true, createRepositories: false } }],
    ["--export --organization acme", { kind: "export", organization: "acme", registry: "quay.io" }],
    ["--robot acme+ci --api-token-file -", { apiToken: { kind: "file", path: "-" } }],
  ])("%s", (line, expected) => {
    expect(parse(line)).toMatchObject(expected);
  });
});
