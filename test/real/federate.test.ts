/** The Task that federates, run by Tekton in the real cluster: alone, as a random user as on OpenShift, and in the sample Pipeline. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { parse } from "yaml";
import {
  createNamespace,
  importImages,
  type Namespace,
  type QuayForPods,
  startQuayForPods,
} from "../support/cluster.ts";
import {
  BUSYBOX_IMAGE,
  CA_WORKSPACE,
  caConfigMap,
  LOGIN_IMAGE,
  OPENSHIFT_USER,
  params,
  serviceAccount,
  task,
  taskRun,
  workspaces,
} from "./tekton.ts";

let peers: QuayForPods;
let namespace: Namespace;
let toQuay: Record<string, string>;

const subject = "system:serviceaccount:build:quay-ci";
const file = `organization: acme
robots:
  bare:
    permissions: { app: write }
    bindings:
      - service-account: build/quay-ci
        issuer: https://oidc.example.com/cluster
`;

beforeAll(async () => {
  await importImages();
  peers = await startQuayForPods({ registry: false });
  namespace = await createNamespace("federate");
  // The issuer of the file does not exist.
  toQuay = { image: LOGIN_IMAGE, registry: peers.registryHost, "ca-file": "ca.crt", offline: "true" };
  await namespace.claim("shared");
  await namespace.apply(
    serviceAccount("quay-trust"),
    caConfigMap(peers),
    { apiVersion: "v1", kind: "ConfigMap", metadata: { name: "quay-trust" }, data: { "quay-trust.yaml": file } },
    { apiVersion: "v1", kind: "Secret", metadata: { name: "quay-api-token" }, stringData: { token: peers.oauthToken } },
    ...task("quay-federate"),
  );
});
afterAll(async () => {
  await namespace?.remove();
  await peers?.close();
});

const bindings = () => peers.quay.store.robots.get("acme+bare")?.bindings.map((binding) => binding.subject);

const API_TOKEN = { "api-token": { secret: { secretName: "quay-api-token" } } };

const check = (name: string) =>
  namespace.run(
    taskRun(name, peers, {
      task: "quay-federate",
      serviceAccount: "quay-trust",
      params: { ...toQuay, file: "quay-trust.yaml", "api-token-file": "token", check: "true" },
      workspaces: { ...CA_WORKSPACE, ...API_TOKEN, trust: { configMap: { name: "quay-trust" } } },
      pod: { securityContext: OPENSHIFT_USER },
    }),
  );

/** The status of a step that has ended. */
interface Status {
  status?: { steps?: { terminated?: { exitCode?: number } }[] };
}

test("finds the difference as a random user of group 0, and exits with 3", async () => {
  const run = await check("drift");
  expect(run.succeeded, run.log).toBe(false);
  expect(run.log).toContain(`+   binding ${subject} of https://oidc.example.com/cluster`);
  expect(run.log).toContain("explain trust-drift");
  const { status } = (await namespace.get("taskrun", "drift")) as Status;
  expect(status?.steps?.[0]?.terminated?.exitCode).toBe(3);
  expect(bindings()).toEqual([]);
});

/** The sample, with a Task that writes the file in place of git-clone, and with this Quay's authority. */
function samplePipeline() {
  const sample = join(import.meta.dirname, "../../tekton/task/quay-federate/0.1/samples/pipeline.yaml");
  const { spec } = parse(readFileSync(sample, "utf8"));
  const [fetch, federate] = spec.tasks;
  const { image: _, ...others } = toQuay;
  const write = {
    workspaces: [{ name: "output" }],
    steps: [
      {
        name: "write",
        image: BUSYBOX_IMAGE,
        env: [{ name: "FILE", value: file }],
        script: `#!/bin/sh\nprintf %s "$FILE" >"$(workspaces.output.path)/quay-trust.yaml"\n`,
      },
    ],
  };
  return {
    ...spec,
    workspaces: [...spec.workspaces, { name: "ca" }],
    tasks: [
      { name: fetch.name, workspaces: fetch.workspaces, taskSpec: write },
      {
        ...federate,
        params: [...federate.params, ...params(others)],
        workspaces: [...federate.workspaces, { name: "ca", workspace: "ca" }],
      },
    ],
  };
}

test("applies the file of a checkout with the sample Pipeline, after which nothing differs", async () => {
  const run = await namespace.run({
    apiVersion: "tekton.dev/v1",
    kind: "PipelineRun",
    metadata: { name: "federate" },
    spec: {
      params: params({ image: LOGIN_IMAGE, repository: "https://github.com/acme/trust", revision: "main" }),
      taskRunTemplate: {
        serviceAccountName: "quay-trust",
        podTemplate: { hostAliases: peers.hostAliases, securityContext: { fsGroup: 65532 } },
      },
      workspaces: workspaces({
        ...CA_WORKSPACE,
        ...API_TOKEN,
        shared: { persistentVolumeClaim: { claimName: "shared" } },
      }),
      pipelineSpec: samplePipeline(),
    },
  });
  expect(run, run.log).toMatchObject({ succeeded: true });
  expect(bindings()).toEqual([subject]);
  expect(peers.quay.store.repositories.get("acme/app")?.permissions.get("acme+bare")).toBe("write");
  const again = await check("same");
  expect(again, again.log).toMatchObject({ succeeded: true });
});

test("shows the token to nobody who reads logs and objects", async () => {
  const traces = await namespace.traces();
  expect(peers.secretsShown(traces)).toEqual([]);
  expect(traces).not.toContain(peers.oauthToken);
});
