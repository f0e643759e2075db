/** The Deployments of kubernetes/ in a real cluster: the login in one container, skopeo in another, under another user. */
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, relative, resolve } from "node:path";
import { afterAll, beforeAll, expect, onTestFinished, test } from "vitest";
import { parseAllDocuments } from "yaml";
import {
  CLUSTER_ISSUER,
  clusterScript,
  createNamespace,
  importImages,
  kubectl,
  type Manifest,
  type Namespace,
  type QuayForPods,
  SPIRE_ISSUER,
  startQuayForPods,
  startSpireForPods,
} from "../support/cluster.ts";
import { addRobot } from "../support/quay/store.ts";
import { caConfigMap, OPENSHIFT_USER, ociArchive, TOOLS_IMAGE, withWorkloadApi } from "./tekton.ts";

const kubernetes = resolve(import.meta.dirname, "../../kubernetes");

let peers: QuayForPods;
let socketFolder: string;
beforeAll(async () => {
  await importImages();
  [peers, socketFolder] = await Promise.all([startQuayForPods(), startSpireForPods()]);
});
afterAll(async () => {
  await peers?.close();
  await clusterScript("spire.sh", "down");
});

/** What a user's own overlay is made of. */
interface Overlay {
  resource: string;
  components: string[];
  /** Merged into the pod's spec. */
  pod?: Record<string, unknown>;
}

/** Builds an overlay as a user would write it, with the names of this cluster. */
async function build({ resource, components, pod }: Overlay): Promise<Manifest[]> {
  const folder = await mkdtemp(join(tmpdir(), "quay-keyless-overlay-"));
  const path = (name: string) => relative(folder, join(kubernetes, name));
  const spec = { hostAliases: peers.hostAliases, ...pod };
  const deployment = { kind: "Deployment", apiVersion: "apps/v1", metadata: { name: "quay-keyless" } };
  const overlay = {
    apiVersion: "kustomize.config.k8s.io/v1beta1",
    kind: "Kustomization",
    resources: [path(resource)],
    components: components.map((each) => path(`components/${each}`)),
    configMapGenerator: [
      { name: "quay-login", behavior: "merge", literals: [`registry=${peers.registryHost}`, "robot=acme+ci"] },
    ],
    images: [{ name: "quay.io/skopeo/stable", newName: TOOLS_IMAGE.split(":")[0], newTag: "test" }],
    patches: [{ patch: JSON.stringify({ ...deployment, spec: { template: { spec } } }) }],
  };
  await writeFile(join(folder, "kustomization.yaml"), JSON.stringify(overlay));
  try {
    const documents = parseAllDocuments(await kubectl(["kustomize", folder]));
    return documents.map((each) => withWorkloadApi(each.toJS() as Manifest, socketFolder));
  } finally {
    await rm(folder, { recursive: true });
  }
}

/** Applies it and waits until it is ready. */
async function deploy(namespace: Namespace, overlay: Overlay): Promise<void> {
  await namespace.apply(caConfigMap(peers), ...(await build(overlay)));
  await namespace.kubectl("rollout", "status", "deployment/quay-keyless", "--timeout=120s");
}

async function enter(prefix: string, podSecurity: "privileged" | "restricted"): Promise<Namespace> {
  const namespace = await createNamespace(prefix, podSecurity);
  onTestFinished(() => namespace.remove());
  return namespace;
}

const trust = (issuer: string, subject: string) => addRobot(peers.quay.store, "acme+ci", [{ issuer, subject }]);

/** Pushes, lists and inspects from the workload, with nothing but what the Deployment gives it. */
async function useIt(namespace: Namespace, tag: string): Promise<void> {
  const shell = (script: string, input?: Buffer) =>
    namespace.exec("quay-keyless", "workload", ["sh", "-c", script], input);
  const image = `docker://${peers.registryHost}/acme/app:${tag}`;
  const pushed = await shell(
    `mkdir /tmp/image && tar -x -C /tmp/image && skopeo copy oci:/tmp/image:v1 ${image}`,
    await ociArchive(),
  );
  expect(pushed, pushed.stderr).toMatchObject({ code: 0 });
  const inspected = await shell(`skopeo inspect ${image}`);
  expect(inspected, inspected.stderr).toMatchObject({ code: 0 });
  expect(JSON.parse(inspected.stdout)).toMatchObject({ Name: `${peers.registryHost}/acme/app` });
  // No identity token where the workload is, and no way to change the login.
  expect((await shell("ls /var/run/secrets/tokens /var/run/secrets/kubernetes.io")).code).not.toBe(0);
  expect((await shell("echo >>$REGISTRY_AUTH_FILE")).code).not.toBe(0);
}

const id = (namespace: Namespace) => namespace.exec("quay-keyless", "workload", ["id"]);

test("overlays/kubernetes under Pod Security restricted; the login waits until Quay knows it", async () => {
  const namespace = await enter("deployment", "restricted");
  const subject = `system:serviceaccount:${namespace.name}:quay-keyless`;
  addRobot(peers.quay.store, "acme+ci");
  // Awaited below; a failure before that is the test's own.
  const ready = deploy(namespace, { resource: "overlays/kubernetes", components: ["private-ca"] });
  ready.catch(() => {});

  // What the README says to read when Quay refuses.
  await expect
    .poll(() => namespace.kubectl("logs", "deployment/quay-keyless", "-c", "login").catch(String), { timeout: 60_000 })
    .toMatch(new RegExp(`Error:[^]*${CLUSTER_ISSUER}[^]*${subject}[^]*#robot-not-federated`));
  trust(CLUSTER_ISSUER, subject);
  await ready;
  await useIt(namespace, "kubernetes");
  // The login ran as 65532.
  expect((await id(namespace)).stdout).toMatch(/^uid=1000\b.*\b65532\b/);
  expect(peers.secretsShown(await namespace.traces())).toEqual([]);
});

test("base as OpenShift runs it: a random user", async () => {
  const namespace = await enter("openshift", "restricted");
  trust(CLUSTER_ISSUER, `system:serviceaccount:${namespace.name}:quay-keyless`);
  await deploy(namespace, {
    resource: "base",
    components: ["private-ca"],
    pod: { securityContext: OPENSHIFT_USER },
  });
  await useIt(namespace, "openshift");
  expect((await id(namespace)).stdout).toMatch(/^uid=1000680000 gid=0/);
  expect(peers.secretsShown(await namespace.traces())).toEqual([]);
});

test("overlays/spiffe", async () => {
  const namespace = await enter("workload", "privileged");
  trust(SPIRE_ISSUER, await clusterScript("spire.sh", "entry", namespace.name, "quay-keyless"));
  await deploy(namespace, { resource: "overlays/spiffe", components: ["fixed-user", "private-ca"] });
  await useIt(namespace, "spiffe");
  expect(peers.secretsShown(await namespace.traces())).toEqual([]);
});
