/** The Tasks that promote: what the command line gets from their parameters, and no drift from the Tasks of the login. */
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { parseArguments } from "../../src/cli/arguments.ts";
import { readPromotionRequest } from "../../src/promotion/request.ts";
import { type Resource, resources } from "./resources.ts";
import { type Given, stepOf } from "./step.ts";

const [spiffe, promote] = resources("tekton/task/quay-promote*/*/*.yaml") as [Resource, Resource];
const [loginSpiffe, login] = resources("tekton/task/quay-keyless-login*/*/*.yaml") as [Resource, Resource];
const digest = `sha256:${"0123456789abcdef".repeat(4)}`;
const single = {
  source: `quay.io/acme/staging@${digest}`,
  destination: "quay.io/acme/app",
  tags: ["1.2.3"],
  "destination-robot": "acme+release",
};

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "quay-keyless-tekton-"));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

async function requestOf(resource: Resource, given: Given) {
  const invocation = parseArguments(stepOf(resource, given).args);
  if (invocation.kind !== "run") throw new Error(invocation.kind);
  expect(invocation.command).toBe("promote");
  return readPromotionRequest(invocation.values);
}

describe("the command line gets", () => {
  test.each([
    ["service account", promote, { source: "file", path: "/var/run/secrets/tokens/quay-token" }],
    ["SPIFFE", spiffe, expect.objectContaining({ source: "spiffe" })],
  ])("the defaults with required parameters only: %s", async (_, resource, wanted) => {
    expect(await requestOf(resource, { params: single })).toMatchObject({
      promotions: [
        {
          source: { registry: "quay.io", repository: "acme/staging", by: { digest } },
          destination: { registry: "quay.io", repository: "acme/app" },
          tags: ["1.2.3"],
        },
      ],
      sourceRobot: undefined,
      destinationRobot: "acme+release",
      identity: { wanted, audience: "quay" },
      existingTags: "stay",
      platforms: [],
      withSignatures: false,
      verifyCommand: undefined,
      dryRun: false,
      parallel: 4,
      caFile: undefined,
      timeoutSeconds: 120,
    });
  });

  test.each([promote, spiffe])("every parameter: $metadata.name", async (resource) => {
    const params = {
      source: `acme/staging@${digest}`,
      destination: "acme/app",
      tags: ["1.2.3", "1.2", "latest"],
      "source-robot": "acme+reader",
      "destination-robot": "acme+release",
      registry: "quay.example.com:8443",
      audience: "quay.example.com",
      "move-tags": "true",
      platform: "linux/amd64\nlinux/arm/v7",
      "with-signatures": "true",
      "verify-command": "cosign verify --key $(params.destination) release.pub",
      "dry-run": "true",
      parallel: "8",
      "ca-file": "ca.crt",
      timeout: "60",
    };
    const workspaces = { release: "/etc/quay-release", ca: "/etc/quay-ca" };
    const request = await requestOf(resource, { params, workspaces });
    expect(request).toMatchObject({
      promotions: [
        {
          source: { registry: "quay.example.com:8443", repository: "acme/staging" },
          destination: { registry: "quay.example.com:8443", repository: "acme/app" },
          tags: ["1.2.3", "1.2", "latest"],
        },
      ],
      sourceRobot: "acme+reader",
      identity: { audience: "quay.example.com" },
      existingTags: "move",
      platforms: ["linux/amd64", "linux/arm/v7"],
      withSignatures: true,
      // One pass: a value is not substituted again.
      verifyCommand: params["verify-command"],
      dryRun: true,
      parallel: 8,
      caFile: "/etc/quay-ca/ca.crt",
      timeoutSeconds: 60,
    });
    expect(await requestOf(resource, { params: { ...single, "create-only": "true" } })).toMatchObject({
      existingTags: "forbidden",
    });
    const withFile = { ...single, "source-auth-file": ".dockerconfigjson", "allow-expiring": "true" };
    const mounted = { "source-login": "/etc/quay-source" };
    expect(await requestOf(resource, { params: withFile, workspaces: mounted })).toMatchObject({
      sourceRobot: undefined,
      sourceAuthFile: "/etc/quay-source/.dockerconfigjson",
      allowExpiring: true,
    });
    expect(stepOf(resource, { params, workspaces }).workingDir).toBe("/etc/quay-release");
    expect(stepOf(resource, { params })).toMatchObject({ command: ["quay-keyless-login"], workingDir: "" });
  });

  test.each([promote, spiffe])("a file instead of the three parameters: $metadata.name", async (resource) => {
    const file = join(folder, `${resource.metadata.name}.yaml`);
    await writeFile(file, `- source: acme/staging@${digest}\n  destination: acme/app\n  tags: [1.10, latest]\n`);
    const { promotions } = await requestOf(resource, { params: { file, "destination-robot": "acme+release" } });
    expect(promotions.map(({ tags }) => tags)).toEqual([["1.10", "latest"]]);
    await expect(requestOf(resource, { params: { ...single, file } })).rejects.toThrow(/file/);
  });

  test("a tag that looks like an option as a tag, and no tag as an error", async () => {
    for (const tag of ["--move-tags", "--destination-robot=acme+other"]) {
      await expect(requestOf(promote, { params: { ...single, tags: [tag] } })).rejects.toThrow(/tag/);
    }
    await expect(requestOf(promote, { params: { ...single, tags: [] } })).rejects.toThrow(/tag/);
  });

  test("the socket in the volume and the SPIFFE ID", async () => {
    const params = { ...single, socket: "api.sock", "spiffe-id": "spiffe://acme/release" };
    const request = await requestOf(spiffe, { params });
    expect(JSON.stringify(request.identity)).toContain("/spiffe-workload-api/api.sock");
    expect(request.identity.spiffeId).toBe("spiffe://acme/release");
  });
});

describe("no drift", () => {
  const stepArgs = (resource: Resource) => resource.spec.steps?.[0]?.args ?? [];
  const identity = ["--identity=", "--token-file=", "--spiffe-socket=", "--spiffe-id="];
  const isOf = (prefixes: readonly string[]) => (arg: string) => prefixes.some((prefix) => arg.startsWith(prefix));

  test("the two differ in the identity only", () => {
    const rest = (resource: Resource) => stepArgs(resource).filter((arg) => !isOf(identity)(arg));
    expect(rest(spiffe)).toEqual(rest(promote));
    expect(spiffe.spec.workspaces).toEqual(promote.spec.workspaces);
    expect(spiffe.spec.results).toEqual(promote.spec.results);
    const [one, other] = [promote, spiffe].map(({ spec }) => spec.steps?.[0]);
    for (const part of ["image", "command", "workingDir", "env", "securityContext", "computeResources"] as const) {
      expect(other?.[part], part).toEqual(one?.[part]);
    }
  });

  test.each([
    [promote, login],
    [spiffe, loginSpiffe],
  ])("they get the identity like the Task that logs in: $metadata.name", (own, other) => {
    expect(stepArgs(own).filter(isOf(identity))).toEqual(stepArgs(other).filter(isOf(identity)));
    const [step, model] = [own, other].map(({ spec }) => spec.steps?.[0]);
    expect(step?.securityContext).toEqual(model?.securityContext);
    expect(step?.env).toEqual(model?.env);
    expect(step?.volumeMounts).toEqual(model?.volumeMounts);
  });

  test("the token lasts longer than the robot token's hour, which avoids needless logins in a long copy", () => {
    expect(JSON.stringify(promote.spec.volumes)).toContain('"audience":"$(params.audience)","expirationSeconds":3600,');
    expect(spiffe.spec.volumes?.map(({ name }) => name)).not.toContain("spiffe-workload-api");
  });
});
