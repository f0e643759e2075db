/**
 * Renders `kubernetes/` like `kubectl kustomize`, as far as these manifests need it: the Deployment or Job with the
 * components' strategic merge patches. test/real uses kubectl itself.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { parse } from "yaml";

export interface Probe {
  readonly exec: { readonly command: readonly string[] };
  /** Seconds, as the next. */
  readonly periodSeconds: number;
  readonly timeoutSeconds: number;
  readonly failureThreshold: number;
}

export interface Container {
  readonly name: string;
  readonly image: string;
  readonly command?: readonly string[];
  readonly args?: readonly string[];
  readonly env?: readonly {
    readonly name: string;
    readonly value?: string;
    readonly valueFrom?: { readonly configMapKeyRef?: { readonly name: string; readonly key: string } };
  }[];
  readonly volumeMounts?: readonly { readonly name: string; readonly mountPath: string; readonly readOnly?: boolean }[];
  readonly securityContext?: Readonly<Record<string, unknown>>;
  readonly restartPolicy?: string;
  readonly startupProbe?: Probe;
  readonly readinessProbe?: Probe;
  readonly livenessProbe?: Probe;
  readonly resources?: Readonly<Record<string, Readonly<Record<string, string>>>>;
}

export interface PodSpec {
  readonly serviceAccountName: string;
  readonly automountServiceAccountToken: boolean;
  readonly securityContext: Readonly<Record<string, unknown>>;
  readonly initContainers: readonly Container[];
  readonly containers: readonly Container[];
  readonly volumes: readonly (Readonly<Record<string, unknown>> & { readonly name: string })[];
}

interface Kustomization {
  readonly resources?: readonly string[];
  readonly components?: readonly string[];
  readonly patches?: readonly { readonly target: { readonly kind: string }; readonly patch: string }[];
  readonly configMapGenerator?: readonly {
    readonly name: string;
    readonly literals?: readonly string[];
    readonly files?: readonly string[];
  }[];
}

export interface Rendered {
  readonly pod: PodSpec;
  readonly documents: readonly Readonly<Record<string, unknown>>[];
  /** Keys and values of generated ConfigMaps, by name. */
  readonly configMaps: Readonly<Record<string, Readonly<Record<string, string>>>>;
}

const read = (file: string) => parse(readFileSync(file, "utf8"));

/** @param folders of a kustomization, and of components that come after it */
export function render(...folders: string[]): Rendered {
  const parts = folders.flatMap((folder) => [...collect(folder)]);
  const configMaps: Record<string, Record<string, string>> = {};
  let documents: Json[] = [];
  for (const { folder, resources = [], configMapGenerator = [], patches = [] } of parts) {
    documents.push(...resources.filter((name) => name.endsWith(".yaml")).map((name) => read(join(folder, name))));
    for (const { name, literals = [], files = [] } of configMapGenerator) {
      const pairs = literals.map((literal) => literal.split(/=(.*)/s).slice(0, 2));
      const contents = files.map((file) => [file, readFileSync(join(folder, file), "utf8")]);
      configMaps[name] = { ...configMaps[name], ...Object.fromEntries([...pairs, ...contents]) };
    }
    for (const { target, patch } of patches.map((each) => ({ ...each, patch: parse(each.patch) }))) {
      documents = documents
        .filter(({ kind }) => kind !== target.kind || patch.$patch !== "delete")
        .map((each) => (each.kind === target.kind ? merge(each, patch, "") : each));
    }
  }
  const { spec } = documents.find(({ kind }) => kind === "Deployment" || kind === "Job");
  return { pod: { initContainers: [], ...spec.template.spec }, documents, configMaps };
}

/** The kustomizations of a folder, in the order in which they apply. */
function* collect(folder: string): Generator<Kustomization & { folder: string }> {
  const own: Kustomization = read(join(folder, "kustomization.yaml"));
  for (const other of [...(own.resources ?? []), ...(own.components ?? [])]) {
    if (!other.endsWith(".yaml")) {
      yield* collect(join(folder, other));
    }
  }
  yield { ...own, folder };
}

/** The key of a list's elements. Other lists are replaced whole, by Kubernetes' types. */
const keys: Readonly<Record<string, string>> = {
  containers: "name",
  initContainers: "name",
  volumes: "name",
  env: "name",
  volumeMounts: "mountPath",
};

type Json = ReturnType<typeof parse>;

function merge(before: Json, patch: Json, field: string): Json {
  const key = keys[field];
  if (Array.isArray(patch) && Array.isArray(before) && key !== undefined) {
    const kept = before.filter((each) => !patch.some((other) => other[key] === each[key] && other.$patch === "delete"));
    const changed = kept.map((each) => {
      const change = patch.find((other) => other[key] === each[key]);
      return change ? merge(each, change, "") : each;
    });
    const added = patch.filter((other) => other.$patch !== "delete" && !kept.some((each) => each[key] === other[key]));
    return [...changed, ...added];
  }
  if (typeof patch !== "object" || patch === null || Array.isArray(patch) || typeof before !== "object") {
    return patch;
  }
  const fields = Object.entries(patch).map(([name, value]) => [name, merge(before[name], value, name)]);
  return { ...before, ...Object.fromEntries(fields) };
}
