/** The README's tasks and pod, unchanged but for addresses, in the real cluster; and the commands of the pages in tekton/. */
import { execFile } from "node:child_process";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
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
  withKubectl,
} from "../support/cluster.ts";
import { ownBuild, image as published, version } from "../support/project.ts";
import { blocksUnder, documentBlock, substitute } from "../support/readme.ts";
import { kustomize } from "./deployment.ts";
import { CA_WORKSPACE, caConfigMap, LOGIN_IMAGE, serviceAccount, TOOLS_IMAGE, workspaces } from "./tekton.ts";

const root = join(import.meta.dirname, "../..");

let peers: QuayForPods;
let namespace: Namespace;
beforeAll(async () => {
  await importImages();
  peers = await startQuayForPods();
  namespace = await createNamespace("readme");
  const subject = `system:serviceaccount:${namespace.name}:quay-ci`;
  addRobot(peers.quay.store, "acme+ci", [{ issuer: CLUSTER_ISSUER, subject }]);
  await namespace.claim("shared");
  await namespace.apply(serviceAccount("quay-ci"), caConfigMap(peers), buildah());
});
afterAll(async () => {
  await namespace?.remove();
  await peers?.close();
});

/** Types commands in the project's folder, as a user of the namespace. @returns what they print */
async function bash(commands: string): Promise<string> {
  const { stdout } = await promisify(execFile)(
    "bash",
    ["-euo", "pipefail", "-c", withKubectl(namespace.name, commands)],
    {
      cwd: root,
    },
  );
  return stdout;
}

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

/** An example of the README's first blocks, at the addresses of this cluster. */
function example(index: number): string {
  const written = blocksUnder("README.md", "## Get started", "yaml", 3)[index] ?? "";
  return substitute(written, [
    [`${published}:${version}`, LOGIN_IMAGE],
    ["quay.io/acme/", `${peers.registryHost}/acme/`],
  ]);
}

test.for([
  "tekton/stepaction/quay-keyless-login/0.1/README.md",
  "tekton/task/quay-federate/0.1/README.md",
  "tekton/task/quay-keyless-login/0.1/README.md",
  "tekton/task/quay-keyless-login-spiffe/0.1/README.md",
  "tekton/task/quay-keyless-logout/0.1/README.md",
  "tekton/task/quay-promote/0.1/README.md",
  "tekton/task/quay-promote-spiffe/0.1/README.md",
])("the installation of %s", async (page) => {
  expect(await bash(documentBlock(page, "## Install", "sh"))).toMatch(/(?:created|configured|unchanged)\n$/);
});

test("the installation of the two Tasks of a Pipeline", async () => {
  expect(await bash(documentBlock("tekton/README.md", "## Install", "sh"))).toContain(
    "task.tekton.dev/quay-keyless-logout",
  );
});

test("the issuer of the cluster, and the Secret of the Task that federates", async () => {
  const [issuer = ""] = blocksUnder("tekton/task/quay-keyless-login/0.1/README.md", "## Set up Quay, once", "sh", 2);
  expect(await bash(issuer)).toBe(`${CLUSTER_ISSUER}\n`);
  const secret = documentBlock("tekton/task/quay-federate/0.1/README.md", "## The API token", "sh");
  await bash(`printf %s 'an API token' | ${secret}`);
  const { data } = (await namespace.get("secret", "quay-api-token")) as Manifest & { data: { token: string } };
  expect(Buffer.from(data.token, "base64").toString()).toBe("an API token");
});

test("an overlay of your own, and without its readiness probe", async () => {
  const written = documentBlock("kubernetes/README.md", "## Your own overlay", "yaml");
  const patches = parse(documentBlock("kubernetes/README.md", "## Longer than an hour", "yaml"));
  const deploymentOf = async (more: object) => {
    const all = await kustomize((path) => ({
      ...parse(written.replaceAll(/https:\S+?\/\/kubernetes\/([^?]+)\?ref=\S+/g, (_, name: string) => path(name))),
      ...more,
    }));
    return all.find(({ kind }) => kind === "Deployment") as Manifest & { spec: { template: { spec: Spec } } };
  };
  const [whole, patched] = await Promise.all([deploymentOf({}), deploymentOf({ patches })]);
  const [login] = whole.spec.template.spec.initContainers;
  expect(login).toMatchObject({ image: ownBuild, readinessProbe: expect.anything() });
  expect(patched.spec.template.spec.initContainers[0]).not.toHaveProperty("readinessProbe");
});

interface Spec {
  initContainers: object[];
}

interface Pipeline {
  tasks: { name: string; params: object[]; workspaces: object[] }[];
  finally: object[];
}

describe("the README", () => {
  test("logs in, pushes with the Task that reads dockerconfig, and logs out", async () => {
    const spec = parse(example(0)) as Pipeline;
    // This Quay is not quay.io, and its certificate authority is private.
    const login = spec.tasks.find(({ name }) => name === "login");
    login?.params.push({ name: "registry", value: peers.registryHost }, { name: "ca-file", value: "ca.crt" });
    login?.workspaces.push({ name: "ca", workspace: "ca" });
    await namespace.apply({
      apiVersion: "tekton.dev/v1",
      kind: "Pipeline",
      metadata: { name: "release" },
      spec: { workspaces: [{ name: "shared" }, { name: "ca" }], ...spec },
    });

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

  test("the pod copies the image that the Pipeline has pushed", async () => {
    const { spec } = parse(
      substitute(example(1), [["login --robot", `login --registry ${peers.registryHost} --robot`]]),
    );
    const [container] = spec.containers;
    container.volumeMounts.push({ name: "ca", mountPath: "/ca" });
    container.env = [
      { name: "SSL_CERT_FILE", value: "/ca/ca.crt" },
      { name: "NODE_EXTRA_CA_CERTS", value: "/ca/ca.crt" },
    ];
    spec.volumes.push({ name: "ca", configMap: { name: "quay-ca" } });
    await namespace.apply({
      apiVersion: "v1",
      kind: "Pod",
      metadata: { name: "release" },
      spec: { ...spec, hostAliases: peers.hostAliases },
    });
    await namespace.kubectl("wait", "--for=jsonpath={.status.phase}=Succeeded", "--timeout=60s", "pod/release");
    expect(peers.quay.requests).toContainEqual(
      expect.objectContaining({ method: "PUT", path: "/v2/acme/app/manifests/stable" }),
    );
    expect(peers.secretsShown(await namespace.traces())).toEqual([]);
  });
});
