/** The README's Pipeline, unchanged, run by Tekton in the real cluster. */
import { afterAll, beforeAll, expect, test } from "vitest";
import { parse } from "yaml";
import { addRobot } from "../quay-stand-in/quay/store.ts";
import {
  CLUSTER_ISSUER,
  createNamespace,
  importImages,
  type Manifest,
  type Namespace,
  type QuayForPods,
  startQuayForPods,
} from "../support/cluster.ts";
import { readmeBlock, substitute } from "../support/readme.ts";
import { CA_WORKSPACE, caConfigMap, serviceAccount, TOOLS_IMAGE, task, workspaces } from "./tekton.ts";

let peers: QuayForPods;
let namespace: Namespace;
beforeAll(async () => {
  await importImages();
  peers = await startQuayForPods();
  namespace = await createNamespace("readme");
  const subject = `system:serviceaccount:${namespace.name}:quay-ci`;
  addRobot(peers.quay.store, "acme+ci", [{ issuer: CLUSTER_ISSUER, subject }]);
  await namespace.claim("shared");
  await namespace.apply(
    serviceAccount("quay-ci"),
    caConfigMap(peers),
    buildah(),
    ...task("quay-keyless-login"),
    ...task("quay-keyless-logout"),
  );
});
afterAll(async () => {
  await namespace?.remove();
  await peers?.close();
});

/** Replaces the catalog's Task, with its parameter and workspaces, and reads the login as that one does. */
function buildah(): Manifest {
  return {
    apiVersion: "tekton.dev/v1",
    kind: "Task",
    metadata: { name: "buildah" },
    spec: {
      params: [{ name: "IMAGE" }],
      workspaces: [{ name: "source" }, { name: "dockerconfig", optional: true }],
      volumes: [{ name: "ca", configMap: { name: "quay-ca" } }],
      steps: [
        {
          name: "build-and-push",
          image: TOOLS_IMAGE,
          env: [
            { name: "DOCKER_CONFIG", value: "$(workspaces.dockerconfig.path)" },
            { name: "IMAGE", value: "$(params.IMAGE)" },
          ],
          volumeMounts: [{ name: "ca", mountPath: "/ca" }],
          script: `#!/bin/sh
            set -e
            cd "$(workspaces.source.path)"
            printf 'FROM scratch\\nCOPY Containerfile /\\n' >Containerfile
            buildah --storage-driver=vfs bud --isolation=chroot --tag "$IMAGE" .
            buildah --storage-driver=vfs push --cert-dir /ca "$IMAGE"
          `,
        },
      ],
    },
  };
}

interface Pipeline {
  workspaces: object[];
  tasks: { name: string; params: object[]; workspaces: object[] }[];
}

test("logs in, pushes with the Task that reads dockerconfig, and logs out", async () => {
  const image = `${peers.registryHost}/acme/app:1.2.3`;
  const written = substitute(readmeBlock("### Tekton", "yaml"), [["quay.io/acme/app:1.2.3", image]]);
  const pipeline = parse(written) as Manifest & { spec: Pipeline };
  // This Quay is not quay.io, and its certificate authority is private.
  const login = pipeline.spec.tasks.find(({ name }) => name === "login");
  login?.params.push({ name: "registry", value: peers.registryHost }, { name: "ca-file", value: "ca.crt" });
  login?.workspaces.push({ name: "ca", workspace: "ca" });
  pipeline.spec.workspaces.push({ name: "ca" });
  await namespace.apply(pipeline);

  // As in the sample of a PipelineRun: the login's user can write to the volume.
  const pod = { hostAliases: peers.hostAliases, securityContext: { fsGroup: 65532 } };
  const run = await namespace.run({
    apiVersion: "tekton.dev/v1",
    kind: "PipelineRun",
    metadata: { name: "release" },
    spec: {
      pipelineRef: { name: "release" },
      taskRunTemplate: { serviceAccountName: "quay-ci", podTemplate: pod },
      workspaces: workspaces({ ...CA_WORKSPACE, shared: { persistentVolumeClaim: { claimName: "shared" } } }),
    },
  });
  expect(run, run.log).toMatchObject({ succeeded: true });
  expect(peers.quay.requests.filter(({ path }) => path.startsWith("/v2/acme/app/manifests/1.2.3"))).not.toEqual([]);
  expect(run.log).toContain("Logged out of");
  expect(peers.secretsShown(await namespace.traces())).toEqual([]);
});
