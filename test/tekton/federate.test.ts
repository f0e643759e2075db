/** The Task that federates: what the command line gets from its parameters, and which of its parts see the token. */
import { describe, expect, test } from "vitest";
import { parseArguments } from "../../src/cli/arguments.ts";
import { parseFederateRequest } from "../../src/trust/request.ts";
import { type Resource, resources } from "./resources.ts";
import { type Given, stepOf } from "./step.ts";

const [task] = resources("tekton/task/quay-federate/*/*.yaml") as [Resource];
const [promote] = resources("tekton/task/quay-promote/*/*.yaml") as [Resource];
const required = { file: "quay-trust.yaml", "api-token-file": "token" };
const bound = { trust: "/etc/quay-trust", "api-token": "/etc/quay-api-token" };

function requestOf(given: Given) {
  const invocation = parseArguments(stepOf(task, { ...given, workspaces: { ...bound, ...given.workspaces } }).args);
  if (invocation.kind !== "run") throw new Error(invocation.kind);
  expect(invocation.command).toBe("federate");
  return parseFederateRequest(invocation.values);
}

describe("the command line gets", () => {
  test("the defaults with required parameters only", () => {
    expect(requestOf({ params: required })).toEqual({
      kind: "federation",
      apiToken: { kind: "file", path: "/etc/quay-api-token/token" },
      caFile: undefined,
      timeoutSeconds: 120,
      source: {
        kind: "file",
        path: "quay-trust.yaml",
        // The file may name it.
        registry: undefined,
        prune: false,
        createRobots: false,
        createRepositories: false,
      },
      mode: "apply",
      prune: false,
      strict: false,
      offline: false,
    });
    expect(stepOf(task, { params: required, workspaces: bound })).toMatchObject({
      command: ["quay-keyless-login"],
      workingDir: "/etc/quay-trust",
    });
  });

  test("every parameter", () => {
    const flags = ["create-robot", "create-repository", "prune", "check", "strict", "offline"];
    const params = {
      ...{ file: "trust/acme.yaml", "api-token-file": "api", registry: "quay.example.com:8443", "ca-file": "ca.crt" },
      ...Object.fromEntries(flags.map((name) => [name, "true"])),
      timeout: "600",
    };
    expect(Object.keys(params).sort()).toEqual(
      (task.spec.params ?? []).flatMap(({ name }) => (name === "image" ? [] : [name])).sort(),
    );
    expect(requestOf({ params, workspaces: { ca: "/etc/quay-ca" } })).toMatchObject({
      apiToken: { path: "/etc/quay-api-token/api" },
      caFile: "/etc/quay-ca/ca.crt",
      timeoutSeconds: 600,
      source: {
        path: "trust/acme.yaml",
        registry: "quay.example.com:8443",
        prune: true,
        createRobots: true,
        createRepositories: true,
      },
      mode: "check",
      strict: true,
      offline: true,
    });
  });

  test("a parameter that looks like an option as its value", () => {
    expect(requestOf({ params: { ...required, file: "--prune" } })).toMatchObject({
      source: { path: "--prune" },
      prune: false,
    });
    expect(() => requestOf({ params: { ...required, check: "yes" } })).toThrow(/check.*true/);
  });
});

test("the pod has no identity token, and is confined as the other Tasks are", () => {
  expect(task.spec.volumes).toBeUndefined();
  const [own, other] = [task, promote].map(({ spec }) => spec.steps?.[0]);
  expect(own?.securityContext).toEqual(other?.securityContext);
  expect(own?.volumeMounts).toBeUndefined();
  // No variable holds the API token: it is read from the file.
  expect(own?.env).toEqual([{ name: "HOME", value: "/tekton/home" }]);
});
