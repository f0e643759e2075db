/** The Deployments of kubernetes/, as a user takes them: with an overlay that has the names of this cluster. */
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, relative, resolve } from "node:path";
import { expect } from "vitest";
import { parseAllDocuments } from "yaml";
import { kubectl, type Manifest, type Namespace, type QuayForPods } from "../support/cluster.ts";
import { caConfigMap, LOGIN_IMAGE, ociArchive, TOOLS_IMAGE, withWorkloadApi } from "./tekton.ts";

const kubernetes = resolve(import.meta.dirname, "../../kubernetes");

/** The parts of a user's overlay. */
export interface Overlay {
  resource: string;
  components: string[];
  /** Merged into the pod's spec. */
  pod?: Record<string, unknown>;
  /** Folder of the SPIRE agent's socket. */
  socketFolder?: string;
}

function replace(name: string, image: string) {
  const [newName, newTag] = image.split(":");
  return { name, newName, newTag };
}

/**
 * The output of kustomize.
 * @param overlay makes it, with the paths of the project's folders from it
 * @param files that it names, by name
 */
export async function kustomize(
  overlay: (path: (name: string) => string) => object,
  files: Readonly<Record<string, string>> = {},
): Promise<Manifest[]> {
  const folder = await mkdtemp(join(tmpdir(), "quay-keyless-overlay-"));
  const kustomization = JSON.stringify(overlay((name) => relative(folder, join(kubernetes, name))));
  try {
    for (const [name, content] of Object.entries({ ...files, "kustomization.yaml": kustomization })) {
      await writeFile(join(folder, name), content);
    }
    return parseAllDocuments(await kubectl(["kustomize", folder])).map((each) => each.toJS() as Manifest);
  } finally {
    await rm(folder, { recursive: true });
  }
}

/** The manifests of an overlay with a Deployment. */
export async function build({ resource, components, pod, socketFolder }: Overlay, peers: QuayForPods) {
  const spec = { hostAliases: peers.hostAliases, ...pod };
  const deployment = { kind: "Deployment", apiVersion: "apps/v1", metadata: { name: "quay-keyless" } };
  const documents = await kustomize((path) => ({
    apiVersion: "kustomize.config.k8s.io/v1beta1",
    kind: "Kustomization",
    resources: [path(resource)],
    components: components.map((each) => path(`components/${each}`)),
    configMapGenerator: [
      { name: "quay-login", behavior: "merge", literals: [`registry=${peers.registryHost}`, "robot=acme+ci"] },
    ],
    images: [
      replace("registry.invalid/quay-keyless-login", LOGIN_IMAGE),
      replace("quay.io/skopeo/stable", TOOLS_IMAGE),
    ],
    patches: [{ patch: JSON.stringify({ ...deployment, spec: { template: { spec } } }) }],
  }));
  return socketFolder === undefined ? documents : documents.map((each) => withWorkloadApi(each, socketFolder));
}

/** Applies it and waits until it is ready. */
export async function deploy(namespace: Namespace, overlay: Overlay, peers: QuayForPods): Promise<void> {
  await namespace.apply(caConfigMap(peers), ...(await build(overlay, peers)));
  await namespace.kubectl("rollout", "status", "deployment/quay-keyless", "--timeout=120s");
}

/** Runs a line of shell in the workload. */
export const inWorkload = (namespace: Namespace, script: string, input?: Buffer) =>
  namespace.exec("quay-keyless", "workload", ["sh", "-c", script], input);

/** Pushes and inspects from the workload, with only what the Deployment gives it. */
export async function useIt(namespace: Namespace, tag: string, { registryHost }: QuayForPods): Promise<void> {
  const image = `docker://${registryHost}/acme/app:${tag}`;
  const pushed = await inWorkload(
    namespace,
    `mkdir /tmp/image && tar -x -C /tmp/image && skopeo copy oci:/tmp/image:v1 ${image}`,
    await ociArchive(),
  );
  expect(pushed, pushed.stderr).toMatchObject({ code: 0 });
  const inspected = await inWorkload(namespace, `skopeo inspect ${image}`);
  expect(inspected, inspected.stderr).toMatchObject({ code: 0 });
  expect(JSON.parse(inspected.stdout)).toMatchObject({ Name: `${registryHost}/acme/app` });
  // The workload has no identity token, and can't change the login.
  expect((await inWorkload(namespace, "ls /var/run/secrets/tokens /var/run/secrets/kubernetes.io")).code).not.toBe(0);
  expect((await inWorkload(namespace, "echo >>$REGISTRY_AUTH_FILE")).code).not.toBe(0);
}
