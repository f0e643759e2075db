/** Shared by the tests of the Tasks: reading tekton/, and the runs, Tasks and volumes around them. */
import { execFile } from "node:child_process";
import { globSync, readFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { parseAllDocuments } from "yaml";
import type { Manifest, QuayForPods } from "../support/cluster.ts";
import { writeImage } from "../support/image.ts";
import { ownBuild } from "../support/project.ts";

const root = join(import.meta.dirname, "..", "..");

/** The image that the samples name. The cluster has it under this name; no registry does. */
export const LOGIN_IMAGE = ownBuild;
/** Debian with skopeo and buildah, as the image of a user. */
export const TOOLS_IMAGE = "localhost/tools:test";
export const BUSYBOX_IMAGE = "localhost/busybox:test";

/** The user that OpenShift's restricted constraint gives a pod. */
export const OPENSHIFT_USER = {
  runAsUser: 1000680000,
  runAsGroup: 0,
  fsGroup: 1000680000,
  runAsNonRoot: true,
  seccompProfile: { type: "RuntimeDefault" },
};

/** What Pod Security `restricted` requires of each container. */
export const RESTRICTED = {
  allowPrivilegeEscalation: false,
  capabilities: { drop: ["ALL"] },
};

function readManifests(...path: string[]): Manifest[] {
  const documents = parseAllDocuments(readFileSync(join(root, ...path), "utf8"));
  return documents.map((each) => each.toJS() as Manifest | null).filter((each) => each !== null);
}

export const task = (name: string): Manifest[] => readManifests("tekton", "task", name, "0.1", `${name}.yaml`);

export const stepAction = (): Manifest[] =>
  readManifests("tekton", "stepaction", "quay-keyless-login", "0.1", "quay-keyless-login.yaml");

/** Every sample below tekton/. */
export const sampleFiles = (): string[] =>
  globSync("tekton/**/samples/*.yaml", { cwd: root }).map((file) => join(root, file));

export function serviceAccount(name: string): Manifest {
  return { apiVersion: "v1", kind: "ServiceAccount", metadata: { name }, automountServiceAccountToken: false };
}

/** The stand-in's root as the key `ca.crt`. */
export function caConfigMap({ authority }: QuayForPods): Manifest {
  return { apiVersion: "v1", kind: "ConfigMap", metadata: { name: "quay-ca" }, data: { "ca.crt": authority.ca } };
}

/** What a Task that uses the StepAction declares. */
export function tokenVolume(name: string): object {
  const serviceAccountToken = { audience: "quay", expirationSeconds: 600, path: "quay-token" };
  return { name, projected: { sources: [{ serviceAccountToken }] } };
}

/** The same object with the agent's folder mounted directly, since this cluster has no SPIFFE CSI driver. */
export function withWorkloadApi<T>(manifest: T, socketFolder: string): T {
  const text = JSON.stringify(manifest, (_key, value) =>
    value?.csi?.driver === "csi.spiffe.io"
      ? { name: value.name, hostPath: { path: socketFolder, type: "Directory" } }
      : value,
  );
  return JSON.parse(text);
}

export type Param = { name: string; value: string | string[] };

/** `{a: "b"}` as Tekton's params. */
export const params = (values: Record<string, string | string[]>): Param[] =>
  Object.entries(values).map(([name, value]) => ({ name, value }));

/** The same for workspaces: `{dockerconfig: {emptyDir: {}}}`. */
export const workspaces = (volumes: Record<string, object>): object[] =>
  Object.entries(volumes).map(([name, volume]) => ({ name, ...volume }));

/** A tiny image, for `skopeo copy oci-archive:FILE`. */
export async function ociArchive(): Promise<Buffer> {
  const folder = await mkdtemp(join(tmpdir(), "quay-keyless-image-"));
  try {
    await writeImage(folder);
    const tar = await promisify(execFile)("tar", ["-C", folder, "-cf", "-", "."], { encoding: "buffer" });
    return tar.stdout;
  } finally {
    await rm(folder, { recursive: true });
  }
}

/** The same as the key `image.tar`. */
export async function imageConfigMap(): Promise<Manifest> {
  const binaryData = { "image.tar": (await ociArchive()).toString("base64") };
  return { apiVersion: "v1", kind: "ConfigMap", metadata: { name: "image" }, binaryData };
}

export const IMAGE_WORKSPACE = { image: { configMap: { name: "image" } } };
export const CA_WORKSPACE = { ca: { configMap: { name: "quay-ca" } } };

export interface TaskRunOptions {
  /** A name, or the whole Task. */
  task: string | object;
  params?: Record<string, string | string[]>;
  workspaces?: Record<string, object>;
  serviceAccount?: string;
  /** More of the pod's template. */
  pod?: Record<string, unknown>;
}

export function taskRun(name: string, peers: QuayForPods, options: TaskRunOptions): Manifest {
  const { task: which } = options;
  return {
    apiVersion: "tekton.dev/v1",
    kind: "TaskRun",
    metadata: { name },
    spec: {
      serviceAccountName: options.serviceAccount ?? "quay-ci",
      ...(typeof which === "string" ? { taskRef: { name: which } } : { taskSpec: which }),
      params: params(options.params ?? {}),
      workspaces: workspaces(options.workspaces ?? {}),
      podTemplate: { hostAliases: peers.hostAliases, ...options.pod },
    },
  };
}
