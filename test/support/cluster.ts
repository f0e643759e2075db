/**
 * The real cluster of test/cluster (see its README): thin functions over its kubectl and scripts. `script/test --real`
 * starts it.
 */
import { execFile } from "node:child_process";
import { randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import { mkdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { type Peers, type PeersOptions, startPeers } from "../quay-stand-in/peers.ts";
import { kindsIn, type Secret, secretsIn, watch } from "./leaks.ts";

const { env } = process;
const scripts = join(import.meta.dirname, "..", "cluster");
const cache = join(env.XDG_CACHE_HOME ?? join(env.HOME ?? "", ".cache"), "quay-keyless-login");
const home = env.CLUSTER_HOME ?? join(cache, "cluster");

/** This machine, as pods see it. */
export const NODE_ADDRESS = "10.88.64.1";
/** The `iss` of service account tokens. */
export const CLUSTER_ISSUER = "https://localhost:6443";
/** The root of the cluster's own certificates, PEM: for the issuer's discovery document and keys. */
const clusterCa = (): string => readFileSync(join(home, "pki", "ca.crt"), "utf8");
/** The key that signs service account tokens; for tokens that this API server wouldn't issue. */
export const clusterSigningKey = (): string => readFileSync(join(home, "pki", "sa.key"), "utf8");

/** The parts of a Kubernetes object that these functions read. */
export interface Manifest {
  apiVersion: string;
  kind: string;
  metadata: { name: string; namespace?: string; [key: string]: unknown };
  [key: string]: unknown;
}

export interface Finished {
  code: number;
  stdout: string;
  stderr: string;
}

function run(command: string, args: readonly string[], input: string | Buffer = ""): Promise<Finished> {
  return new Promise((resolve, reject) => {
    const child = execFile(command, args, { maxBuffer: 64 * 1024 * 1024 }, (error, stdout, stderr) => {
      if (error !== null && typeof error.code !== "number") reject(error);
      else resolve({ code: Number(error?.code ?? 0), stdout, stderr });
    });
    child.stdin?.on("error", () => {}).end(input);
  });
}

/** Fails unless the command succeeds. @returns its standard output */
async function must(command: string, args: readonly string[], input?: string): Promise<string> {
  const { code, stdout, stderr } = await run(command, args, input);
  if (code !== 0) throw new Error(`${command} ${args.join(" ")} failed with ${code}:\n${stderr || stdout}`);
  return stdout;
}

export const kubectlCommand = join(home, "bin", "kubectl");
export const adminConfig = join(home, "kubeconfig", "admin.conf");
const asAdmin = ["--kubeconfig", adminConfig];

export function kubectl(args: readonly string[], input?: string): Promise<string> {
  return must(kubectlCommand, [...asAdmin, ...args], input);
}

/** A script in which kubectl is the cluster's, in a namespace. */
export const withKubectl = (namespace: string, commands: string): string =>
  `kubectl() { ${[kubectlCommand, ...asAdmin].join(" ")} --namespace ${namespace} "$@"; }\n${commands}`;

/** One of test/cluster's scripts. @returns its last line */
export async function clusterScript(
  name: "image.sh" | "resolvers.sh" | "spire.sh",
  ...args: string[]
): Promise<string> {
  return (await must(join(scripts, name), args)).trim().split("\n").at(-1) ?? "";
}

/** Builds the images of the tests and imports them, unless that is done already. */
export async function importImages(): Promise<void> {
  await clusterScript("image.sh");
}

/** The `iss` of JWT-SVIDs for pods; its keys have a certificate of the cluster's authority. */
export const SPIRE_ISSUER = "https://localhost:18443";

/** Starts SPIRE beside the cluster. @returns the folder of its agent's socket, `spire-agent.sock`, for pods to mount */
export function startSpireForPods(): Promise<string> {
  return clusterScript("spire.sh", "up");
}

/** The outcome of a TaskRun or PipelineRun. */
export interface Run {
  succeeded: boolean;
  reason: string;
  message: string;
  results: Record<string, string>;
  /** The log of each container of each of its pods, by `pod/container`. */
  logs: Record<string, string>;
  /** All of them. */
  log: string;
}

/** A namespace for one test. */
export interface Namespace {
  name: string;
  kubectl(...args: string[]): Promise<string>;
  apply(...manifests: Manifest[]): Promise<void>;
  get(kind: string, name: string): Promise<Manifest>;
  /** Makes a volume to which only root and a pod's `fsGroup` may write, for whichever claim asks. @returns its name */
  volume(name: string, size: string): Promise<string>;
  /** Makes a volume claim, and a volume for it to which only root and a pod's `fsGroup` may write. */
  claim(name: string): Promise<void>;
  /** Creates a TaskRun or PipelineRun and waits for its end, at most two minutes. */
  run(manifest: Manifest): Promise<Run>;
  /** In the first pod of a Deployment. */
  exec(deployment: string, container: string, command: readonly string[], input?: Buffer): Promise<Finished>;
  /** Everything that a user who may view the namespace reads: logs, objects (not Secrets), events. */
  traces(): Promise<string>;
  remove(): Promise<void>;
}

/** @param podSecurity enforced by the API server's admission (Pod Security Standards) */
export async function createNamespace(
  prefix: string,
  podSecurity: "privileged" | "restricted" = "privileged",
): Promise<Namespace> {
  return enterNamespace(`${prefix}-${randomBytes(3).toString("hex")}`, podSecurity);
}

/** As `createNamespace`, with a given name. */
export async function enterNamespace(name: string, podSecurity: "privileged" | "restricted"): Promise<Namespace> {
  const here = (...args: string[]) => kubectl(["--namespace", name, ...args]);
  const apply = async (...manifests: Manifest[]) => {
    await kubectl(["--namespace", name, "apply", "--filename", "-"], asStream(manifests));
  };
  const labels = { "pod-security.kubernetes.io/enforce": podSecurity };
  await apply({ apiVersion: "v1", kind: "Namespace", metadata: { name, labels } });
  // Pods are rejected until the namespace's controllers have made these.
  // One each: of two that are missing, kubectl makes an error that it does not wait for.
  const created = (object: string) => here("wait", "--for=create", "--timeout=60s", object);
  await Promise.all([created("serviceaccount/default"), created("configmap/kube-root-ca.crt")]);

  async function get<T = Manifest>(kind: string, object: string): Promise<T> {
    return JSON.parse(await here("get", kind, object, "--output", "json"));
  }

  async function logs(selector: string[]): Promise<Record<string, string>> {
    const { items }: PodList = JSON.parse(await here("get", "pods", ...selector, "--output", "json"));
    const containers = items.flatMap(({ metadata, spec }) =>
      [...(spec.initContainers ?? []), ...spec.containers].map((each) => [metadata.name, each.name] as const),
    );
    // A container that never started has no log.
    const read = async (pod: string, container: string) =>
      (await run(kubectlCommand, [...asAdmin, "--namespace", name, "logs", pod, "--container", container])).stdout;
    return Object.fromEntries(
      await Promise.all(containers.map(async ([pod, each]) => [`${pod}/${each}`, await read(pod, each)] as const)),
    );
  }

  const volumes: string[] = [];
  const common = { accessModes: ["ReadWriteOnce"], storageClassName: "" };
  async function volume(volumeName: string, storage: string): Promise<string> {
    const own = `${name}-${volumeName}`;
    volumes.push(own);
    const path = join(home, "volumes", own);
    await mkdir(path, { recursive: true });
    const onThisNode = { key: "kubernetes.io/hostname", operator: "Exists" };
    const nodeAffinity = { required: { nodeSelectorTerms: [{ matchExpressions: [onThisNode] }] } };
    await apply({
      apiVersion: "v1",
      kind: "PersistentVolume",
      metadata: { name: own },
      spec: { ...common, capacity: { storage }, local: { path }, nodeAffinity },
    });
    return own;
  }

  async function claim(claimName: string): Promise<void> {
    const storage = "10Mi";
    const volumeName = await volume(claimName, storage);
    await apply({
      apiVersion: "v1",
      kind: "PersistentVolumeClaim",
      metadata: { name: claimName },
      spec: { ...common, volumeName, resources: { requests: { storage } } },
    });
  }

  return {
    name,
    kubectl: here,
    apply,
    get,
    volume,
    claim,
    run: async (manifest) => {
      await kubectl(["--namespace", name, "create", "--filename", "-"], asStream([manifest]));
      const { kind, metadata } = manifest;
      const status = await finished(() => get<RunObject>(kind, metadata.name));
      const condition = status.conditions?.[0];
      const byContainer = await logs(["--selector", `tekton.dev/${lowerFirst(kind)}=${metadata.name}`]);
      return {
        succeeded: condition?.status === "True",
        reason: condition?.reason ?? "",
        message: condition?.message ?? "",
        results: Object.fromEntries((status.results ?? []).map((each) => [each.name, each.value])),
        logs: byContainer,
        log: Object.values(byContainer).join("\n"),
      };
    },
    exec: (deployment, container, command, input) => {
      const stdin = input === undefined ? [] : ["--stdin"];
      const place = ["--namespace", name, "exec", ...stdin, `deployment/${deployment}`, "--container", container];
      return run(kubectlCommand, [...asAdmin, ...place, "--", ...command], input);
    },
    traces: async () => {
      const kinds = "pods,events,configmaps,serviceaccounts,deployments,jobs,taskruns,pipelineruns,tasks,pipelines";
      return [
        await here("get", kinds, "--output", "yaml"),
        await here("get", "events"),
        ...Object.entries(await logs([])).flat(),
      ].join("\n");
    },
    remove: async () => {
      await kubectl(["delete", "namespace", name, "--wait=false"]);
      for (const volume of volumes.splice(0)) {
        await kubectl(["delete", "persistentvolume", volume, "--wait=false"]);
        await rm(join(home, "volumes", volume), { recursive: true });
      }
    },
  };
}

interface PodList {
  items: { metadata: { name: string }; spec: Record<"initContainers" | "containers", { name: string }[]> }[];
}

interface RunStatus {
  conditions?: { type: string; status: string; reason: string; message: string }[];
  results?: { name: string; value: string }[];
}

interface RunObject {
  status?: RunStatus;
}

async function finished(get: () => Promise<RunObject>): Promise<RunStatus> {
  const deadline = Date.now() + 120_000;
  for (;;) {
    const { status = {} } = await get();
    const state = status.conditions?.[0]?.status;
    if (state === "True" || state === "False") return status;
    if (Date.now() > deadline) throw new Error(`not finished in 2 minutes: ${JSON.stringify(status)}`);
    await new Promise((resolve) => setTimeout(resolve, 300));
  }
}

/** JSON is YAML, one document after another. */
function asStream(manifests: readonly Manifest[]): string {
  return manifests.map((each) => JSON.stringify(each)).join("\n---\n");
}

const lowerFirst = (text: string) => text.charAt(0).toLowerCase() + text.slice(1);

/** The peers, with Quay where pods can reach it. */
export interface QuayForPods extends Peers {
  /** For `podTemplate` or a pod's spec: makes its host name known. */
  hostAliases: { ip: string; hostnames: string[] }[];
  /** The secrets in a text that others may read: none, if all is well. */
  secretsShown(text: string): string[];
}

/** Starts them; the stand-in is quay.test or `name`, and trusts the cluster's issuer and SPIRE's. */
export async function startQuayForPods(options: PeersOptions = {}): Promise<QuayForPods> {
  const carried = new Set<string>();
  const { name = "quay.test" } = options.quay ?? {};
  const quay = {
    listen: NODE_ADDRESS,
    name,
    trust: clusterCa(),
    onSecret: (value: string) => void carried.add(value),
    ...options.quay,
  };
  const peers = await startPeers({ ...options, quay });
  const { robot, registry } = watch(peers);
  return {
    ...peers,
    hostAliases: [{ ip: NODE_ADDRESS, hostnames: [name] }],
    secretsShown: (text) => {
      const known: Secret[] = [
        ...[...carried].map((value): Secret => ({ kind: "identity", value })),
        ...robot.map((value): Secret => ({ kind: "robot", value })),
        ...registry.map((value): Secret => ({ kind: "registry", value })),
      ].filter(({ value }) => value.length > 20);
      // Besides known ones: everything in the form of a token or of an auth file's entry.
      return [...kindsIn(text, known), ...secretsIn(text).map(({ value }) => `${value.slice(0, 12)}…`)];
    },
  };
}
