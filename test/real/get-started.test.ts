/**
 * docs/get-started/pod.md and openshift.md, walked as their reader walks them, in the real cluster. This is no OpenShift: `oc` is kubectl
 * with `new-project`, pods get here what the constraint pipelines-scc gives, and the Tasks of openshift-pipelines are stand-ins.
 */
import { cp, readFile, writeFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, expect, onTestFinished, test } from "vitest";
import { parseAllDocuments, stringify } from "yaml";
import {
  adminConfig,
  CLUSTER_ISSUER,
  clusterScript,
  enterNamespace,
  importImages,
  kubectl,
  kubectlCommand,
  type Manifest,
  type Namespace,
  type QuayForPods,
  startQuayForPods,
} from "../support/cluster.ts";
import { type Desk, openDesk } from "../support/desk.ts";
import { walk } from "../support/page.ts";
import { image, version } from "../support/project.ts";
import { publish } from "../support/published.ts";
import { substitute } from "../support/readme.ts";
import { caConfigMap, imageConfigMap, LOGIN_IMAGE, TOOLS_IMAGE } from "./tekton.ts";

const project = resolve(import.meta.dirname, "../..");
/** The namespace of both pages. */
const NAMESPACE = "quay-demo";
const oc = `if [ "$1" = new-project ]; then
  kubectl create namespace "$2" >/dev/null
  kubectl config set-context --current --namespace "$2" >/dev/null
  echo "Now using project \\"$2\\" on server \\"$(kubectl config view --minify --output 'jsonpath={..server}')\\"."
  exit
fi
exec kubectl "$@"
`;

let peers: QuayForPods;
let desk: Desk;
let namespace: Namespace | undefined;

beforeAll(async () => {
  await importImages();
  [peers] = await Promise.all([startQuayForPods({ quay: { release: "newer" } }), clusterScript("resolvers.sh", "up")]);
}, 480_000);
afterAll(async () => {
  await peers?.close();
  await clusterScript("resolvers.sh", "down");
});

beforeEach(async () => {
  await kubectl(["delete", "namespace", NAMESPACE, "--ignore-not-found"]);
  const hosts = join(project, ".cache", "get-started-hosts");
  await writeFile(
    hosts,
    `127.0.0.1 localhost\n${peers.hostAliases.map(({ ip, hostnames }) => `${ip} ${hostnames}`)}\n`,
  );
  desk = await openDesk({
    issuer: "https://oidc.example.com/cluster",
    issuerHere: CLUSTER_ISSUER,
    peers,
    programs: { kubectl: `exec ${kubectlCommand} "$@"\n`, oc },
    // This machine knows the stand-in's name only there.
    inside: ["unshare", "--mount", "sh", "-c", `mount --bind ${hosts} /etc/hosts && exec "$@"`, "sh"],
  });
  await cp(adminConfig, join(desk.home, ".kube/config"));
  await publish(join(desk.root, "published"), desk.home);
});
afterEach(async () => {
  await namespace?.remove();
  namespace = undefined;
  await desk?.close();
});

type Json = ReturnType<typeof JSON.parse>;

/** Merges what this cluster needs into each object of a file. */
function adapt(content: string, change: (object: Json) => void): string {
  const objects = parseAllDocuments(content).map((each) => each.toJS());
  for (const each of objects) change(each);
  return objects.map((each) => stringify(each)).join("---\n");
}

const said = `${image}:${version}`;
/** The image of the page is not published, and Quay has a private authority, which the pod gets as a folder. */
const podOptions: readonly (readonly [string, string])[] = [
  [said, LOGIN_IMAGE],
  ["docker://registry.k8s.io/pause:3.10", "oci-archive:/image/image.tar"],
];

function adaptPod(spec: Json): void {
  spec.hostAliases = peers.hostAliases;
  for (const container of spec.containers) {
    container.args = container.args.map((each: string) =>
      substitute(each, [["login --robot", `login --registry ${peers.registryHost} --ca-file /ca/ca.crt --robot`]]),
    );
    container.env = [{ name: "SSL_CERT_FILE", value: "/ca/ca.crt" }];
    container.volumeMounts.push({ name: "ca", mountPath: "/ca" }, { name: "image", mountPath: "/image" });
  }
  spec.volumes.push({ name: "ca", configMap: { name: "quay-ca" } }, { name: "image", configMap: { name: "image" } });
}

/** In place of the kustomization's own part for a cluster. */
function adaptKustomization(object: Json): void {
  const spec = { template: { spec: { hostAliases: peers.hostAliases } } };
  const deployment = { kind: "Deployment", apiVersion: "apps/v1", metadata: { name: "quay-keyless" }, spec };
  const [newName, newTag] = TOOLS_IMAGE.split(":");
  const [loginName] = LOGIN_IMAGE.split(":");
  const [base = ""]: string[] = object.resources;
  object.components = [base.replace("overlays/kubernetes", "components/private-ca")];
  object.patches = [{ patch: JSON.stringify(deployment) }];
  object.configMapGenerator[0].literals.push(`registry=${peers.registryHost}`);
  expect(object.images[0].newName).toBe(image);
  object.images[0].newName = loginName;
  object.images.push({ name: "quay.io/skopeo/stable", newName, newTag });
}

/** Saves a file of the page as this cluster needs it. */
async function save(file: string, content: string): Promise<void> {
  const files: Record<string, () => string> = {
    "pod.yaml": () => adapt(substitute(content, podOptions), ({ spec }) => adaptPod(spec)),
    "job.yaml": () => adapt(substitute(content, podOptions), ({ spec }) => adaptPod(spec.template.spec)),
    "kustomization.yaml": () => adapt(content, adaptKustomization),
    "pipeline.yaml": () => adapt(substitute(content, [[said, LOGIN_IMAGE]]), adaptPipeline),
    "run.yaml": () => adapt(content, adaptRun),
  };
  const adapted = files[file] ?? expect.fail(`${file} is not known here`);
  await desk.save(file, adapted());
}

/** The stand-in instead of quay.io for the login, and its root. */
function adaptPipeline({ spec }: Json): void {
  const login = spec.tasks.find(({ name }: Json) => name === "login");
  login.params.push({ name: "registry", value: peers.registryHost }, { name: "ca-file", value: "ca.crt" });
  login.workspaces.push({ name: "ca", workspace: "ca" });
  spec.workspaces.push({ name: "ca" });
}

/** pipelines-scc gives a pod a group for its volumes. */
function adaptRun({ spec }: Json): void {
  spec.taskRunTemplate.podTemplate = { hostAliases: peers.hostAliases, securityContext: { fsGroup: 65532 } };
  spec.workspaces.push({ name: "ca", configMap: { name: "quay-ca" } });
}

/** Types a command. The reader's pause after a new namespace is enough for the cluster to get it ready. */
async function type(command: string): Promise<string> {
  const printed = await desk.type(command.replaceAll(said, LOGIN_IMAGE));
  if (/^kubectl create namespace|^oc new-project/m.test(command)) {
    namespace = await enterNamespace(NAMESPACE, "privileged");
    await namespace.apply(caConfigMap(peers), await imageConfigMap());
  }
  if (/^quay-keyless-login federate/m.test(command)) desk.trustHere("acme+ci");
  return printed;
}

const manifestsOf = (tag: string) =>
  peers.quay.requests.filter(({ method, path }) => `${method} ${path}` === `PUT /v2/acme/app/manifests/${tag}`);

test("pod.md: a pod, a Job and a Deployment", { timeout: 400_000 }, async () => {
  const reader = { save, type, names: desk.names };
  await walk("docs/get-started/pod.md", reader, (heading) => !heading.includes("podman"));
  expect([manifestsOf("1.2.3").length, manifestsOf("1.2.4").length]).toEqual([1, 1]);
  expect(peers.secretsShown((await namespace?.traces()) ?? "")).toEqual([]);
});

/** A Task of openshift-pipelines, with its parameters and workspaces. */
function shipped(name: string, params: string[], workspaces: object[], script: string): Manifest {
  return {
    apiVersion: "tekton.dev/v1",
    kind: "Task",
    metadata: { name },
    spec: {
      params: params.map((each) => ({ name: each })),
      workspaces,
      volumes: [{ name: "ca", configMap: { name: "quay-ca" } }],
      steps: [
        {
          name,
          image: TOOLS_IMAGE,
          env: params.map((each) => ({ name: each, value: `$(params.${each})` })),
          volumeMounts: [{ name: "ca", mountPath: "/ca" }],
          script: `#!/bin/sh\nset -e\n${script}`,
        },
      ],
    },
  };
}

test("openshift.md: from an empty namespace to a green PipelineRun", { timeout: 400_000 }, async () => {
  const clone = `[ "$URL" = https://github.com/acme/app ]
    cd "$(workspaces.output.path)"
    printf 'FROM scratch\\nCOPY Containerfile /\\n' >Containerfile`;
  const build = `cd "$(workspaces.source.path)"
    export DOCKER_CONFIG="$(workspaces.dockerconfig.path)"
    buildah --storage-driver=vfs bud --isolation=chroot --file "$DOCKERFILE" --tag "$IMAGE" .
    buildah --storage-driver=vfs push --cert-dir /ca "$IMAGE"`;
  const shippedHere = await enterNamespace("openshift-pipelines", "privileged");
  onTestFinished(() => shippedHere.remove());
  const both = [{ name: "source" }, { name: "dockerconfig", optional: true }];
  await shippedHere.apply(
    shipped("git-clone", ["URL"], [{ name: "output" }], clone),
    shipped("buildah", ["IMAGE", "DOCKERFILE"], both, build),
  );
  const reader = {
    save,
    names: desk.names,
    async type(command: string) {
      const printed = await type(command);
      // Nothing makes volumes for claims here.
      if (command.startsWith("oc new-project")) await namespace?.volume("shared", "1Gi");
      return printed;
    },
  };
  const before = manifestsOf("1.2.3").length;
  await walk("docs/get-started/openshift.md", reader);
  expect(manifestsOf("1.2.3").length).toBe(before + 1);
  expect(peers.secretsShown((await namespace?.traces()) ?? "")).toEqual([]);
  const { keys } = JSON.parse(await readFile(join(desk.work, "cluster/keys.json"), "utf8"));
  expect(keys).toEqual([expect.objectContaining({ kid: expect.any(String), alg: "RS256" })]);
});
