/**
 * The Tasks that promote, run by Tekton in the real cluster: the sample Pipeline with two service accounts, the refusal of
 * the wrong one, a random user as on OpenShift, and SPIFFE.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { parse } from "yaml";
import { addRepository, addRobot } from "../quay-stand-in/quay/store.ts";
import {
  CLUSTER_ISSUER,
  clusterScript,
  createNamespace,
  importImages,
  type Namespace,
  type QuayForPods,
  type Run,
  SPIRE_ISSUER,
  startQuayForPods,
  startSpireForPods,
} from "../support/cluster.ts";
import {
  CA_WORKSPACE,
  caConfigMap,
  IMAGE_WORKSPACE,
  imageConfigMap,
  LOGIN_IMAGE,
  OPENSHIFT_USER,
  type Param,
  params,
  serviceAccount,
  TOOLS_IMAGE,
  task,
  taskRun,
  withWorkloadApi,
  workspaces,
} from "./tekton.ts";

interface PipelineTask {
  name: string;
  runAfter?: string[];
  params?: Param[];
  workspaces?: object[];
  [key: string]: unknown;
}

let peers: QuayForPods;
let namespace: Namespace;
/** Parameters of every promotion. */
let toQuay: Record<string, string>;
/** Digest of the image that the Pipeline has built; each later test promotes it. */
let built: string;

beforeAll(async () => {
  await importImages();
  const socketFolder = await startSpireForPods();
  peers = await startQuayForPods();
  namespace = await createNamespace("promote");
  const id = await clusterScript("spire.sh", "entry", namespace.name, "quay-release-spiffe");
  const { store } = peers.quay;
  const account = (name: string) => [
    { issuer: CLUSTER_ISSUER, subject: `system:serviceaccount:${namespace.name}:${name}` },
  ];
  const releases = [...account("quay-release"), { issuer: SPIRE_ISSUER, subject: id }];
  addRobot(store, "acme+ci", account("quay-ci"));
  addRobot(store, "acme+reader", releases);
  addRobot(store, "acme+release", releases);
  store.repositories.delete("acme/app");
  addRepository(store, "acme/staging", { "acme+ci": "write", "acme+reader": "read" });
  addRepository(store, "acme/app", { "acme+release": "write" });
  toQuay = {
    image: LOGIN_IMAGE,
    registry: peers.registryHost,
    destination: "acme/app",
    "source-robot": "acme+reader",
    "destination-robot": "acme+release",
    "ca-file": "ca.crt",
  };
  await namespace.claim("shared");
  await namespace.apply(
    ...["quay-ci", "quay-release", "quay-release-spiffe"].map(serviceAccount),
    caConfigMap(peers),
    await imageConfigMap(),
    ...task("quay-keyless-login"),
    ...task("quay-keyless-logout"),
    ...task("quay-promote"),
    ...task("quay-promote-spiffe").map((each) => withWorkloadApi(each, socketFolder)),
  );
});
afterAll(async () => {
  await namespace?.remove();
  await peers?.close();
  await clusterScript("spire.sh", "down");
});

const ca = { name: "ca", workspace: "ca" };

/** Replaces the catalog's buildah, which is not available: pushes an existing image, and writes its digest. */
const push = {
  params: [{ name: "IMAGE" }],
  workspaces: [{ name: "dockerconfig" }, { name: "ca" }, { name: "image" }],
  results: [{ name: "IMAGE_DIGEST" }],
  steps: [
    {
      name: "push",
      image: TOOLS_IMAGE,
      env: [
        { name: "IMAGE", value: "$(params.IMAGE)" },
        { name: "REGISTRY_AUTH_FILE", value: "$(workspaces.dockerconfig.path)/config.json" },
      ],
      script: `#!/bin/sh
        set -e
        skopeo copy --dest-cert-dir "$(workspaces.ca.path)" --digestfile /tmp/digest \\
          "oci-archive:$(workspaces.image.path)/image.tar" "docker://$IMAGE"
        tr -d '\\n' </tmp/digest >"$(results.IMAGE_DIGEST.path)"
      `,
    },
  ],
};

/** The sample, without what it downloads, and with this Quay's authority. */
function samplePipeline(): { tasks: PipelineTask[]; [key: string]: unknown } {
  const file = join(import.meta.dirname, "../../tekton/task/quay-promote/0.1/samples/pipeline.yaml");
  const { spec } = parse(readFileSync(file, "utf8"));
  const inTheCluster = ({ name, runAfter: _, taskRef, ...rest }: PipelineTask): PipelineTask =>
    name === "build"
      ? {
          name,
          runAfter: ["login"],
          taskSpec: push,
          params: rest.params ?? [],
          workspaces: [
            { name: "dockerconfig", workspace: "shared", subPath: "dockerconfig" },
            ca,
            { name: "image", workspace: "image" },
          ],
        }
      : {
          ...rest,
          name,
          taskRef,
          // The sample retries, which would hide a failure here.
          retries: 0,
          params: [...(rest.params ?? []), ...params({ registry: peers.registryHost, "ca-file": "ca.crt" })],
          workspaces: [...(rest.workspaces ?? []), ca],
        };
  return {
    ...spec,
    workspaces: [...spec.workspaces, { name: "ca" }, { name: "image" }],
    results: [...spec.results, { name: "BUILT", value: "$(tasks.build.results.IMAGE_DIGEST)" }],
    tasks: spec.tasks.filter(({ name }: PipelineTask) => name !== "fetch").map(inTheCluster),
  };
}

test("builds with the sample Pipeline as one service account, and promotes as the other", async () => {
  const values = {
    "login-image": LOGIN_IMAGE,
    repository: "https://github.com/acme/app",
    revision: "v1.2.3",
    staging: `${peers.registryHost}/acme/staging`,
    "build-robot": "acme+ci",
    "source-robot": "acme+reader",
    destination: `${peers.registryHost}/acme/app`,
    "destination-robot": "acme+release",
  };
  const run = await namespace.run({
    apiVersion: "tekton.dev/v1",
    kind: "PipelineRun",
    metadata: { name: "release" },
    spec: {
      params: params(values),
      taskRunTemplate: {
        serviceAccountName: "quay-ci",
        podTemplate: { hostAliases: peers.hostAliases, securityContext: { fsGroup: 65532 } },
      },
      taskRunSpecs: [{ pipelineTaskName: "promote", serviceAccountName: "quay-release" }],
      workspaces: workspaces({
        ...CA_WORKSPACE,
        ...IMAGE_WORKSPACE,
        shared: { persistentVolumeClaim: { claimName: "shared" } },
      }),
      pipelineSpec: samplePipeline(),
    },
  });
  expect(run, run.log).toMatchObject({ succeeded: true, results: { IMAGE_URL: values.destination } });
  built = run.results.BUILT ?? "";
  expect(built).toMatch(/^sha256:[0-9a-f]{64}$/);
  expect(run.results.IMAGE_DIGEST).toBe(built);
  expect(peers.quay.requests).toContainEqual(
    expect.objectContaining({ method: "PUT", path: "/v2/acme/app/manifests/v1.2.3" }),
  );
});

function promote(name: string, more: Record<string, string | string[]>, how: object = {}): Promise<Run> {
  return namespace.run(
    taskRun(name, peers, {
      task: "quay-promote",
      serviceAccount: "quay-release",
      params: { ...toQuay, source: `acme/staging@${built}`, tags: ["1.2"], ...more },
      workspaces: CA_WORKSPACE,
      ...how,
    }),
  );
}

test("rejects the service account that builds, before any request for the release repository", async () => {
  const before = peers.quay.requests.length;
  const run = await promote("refused", {}, { serviceAccount: "quay-ci" });
  expect(run.succeeded).toBe(false);
  expect(run.log).toContain("explain subject-not-bound");
  expect(run.log).toContain(`system:serviceaccount:${namespace.name}:quay-ci`);
  expect(peers.quay.requests.slice(before).filter(({ path }) => path.startsWith("/v2/acme/app/"))).toEqual([]);
});

test("promotes several tags as a random user of group 0, with a read-only root, twice", async () => {
  const pod = { securityContext: OPENSHIFT_USER };
  const first = await promote("several", { tags: ["1.2", "stable"] }, { pod });
  expect(first, first.log).toMatchObject({
    succeeded: true,
    results: {
      IMAGE_URL: `${peers.registryHost}/acme/app`,
      IMAGE_DIGEST: built,
      IMAGES: `${peers.registryHost}/acme/app@${built}`,
    },
  });
  const second = await promote("again", { tags: ["1.2", "stable"] }, { pod });
  expect(second, second.log).toMatchObject({ succeeded: true });
  expect(second.log).toMatch(/1\.2 +already there/);
});

test("promotes a file of the workspace release, with a check that reads another file there", async () => {
  const release = { apiVersion: "v1", kind: "ConfigMap", metadata: { name: "release" } };
  const entries = ["1.10", "1.11"].map((tag) => ({
    source: `acme/staging@${built}`,
    destination: "acme/app",
    tags: [tag],
  }));
  await namespace.apply({ ...release, data: { "release.yaml": JSON.stringify(entries), expected: built } });
  const { destination: _, ...others } = toQuay;
  const run = await namespace.run(
    taskRun("file", peers, {
      task: "quay-promote",
      serviceAccount: "quay-release",
      // The reference is its last argument, which is $1 in the shell.
      params: { ...others, file: "release.yaml", "verify-command": `sh -c 'grep -q "\${1#*@}" expected' sh` },
      workspaces: { ...CA_WORKSPACE, release: { configMap: { name: "release" } } },
    }),
  );
  const image = `${peers.registryHost}/acme/app@${built}`;
  expect(run, run.log).toMatchObject({ succeeded: true, results: { IMAGES: `${image}\n${image}` } });
});

test("promotes with SPIFFE", async () => {
  const run = await promote(
    "spiffe",
    { tags: ["1"] },
    { task: "quay-promote-spiffe", serviceAccount: "quay-release-spiffe" },
  );
  expect(run, run.log).toMatchObject({ succeeded: true, results: { IMAGE_DIGEST: built } });
});

test("shows no token in logs, objects, results and events", async () => {
  const traces = await namespace.traces();
  expect(traces).toContain("quay-promote");
  expect(peers.secretsShown(traces)).toEqual([]);
});
