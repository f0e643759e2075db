/** The YAML under `tekton/`: documents with their file, and the parts of a Task that tests check. */
import { globSync, readFileSync } from "node:fs";
import { parseAllDocuments } from "yaml";

export interface Named {
  readonly name: string;
  readonly description?: string;
}

export interface Param extends Named {
  readonly type?: "string" | "array";
  readonly default?: unknown;
}

export interface Workspace extends Named {
  readonly optional?: boolean;
  readonly readOnly?: boolean;
  readonly mountPath?: string;
}

export interface Binding {
  readonly name: string;
  readonly value?: unknown;
  readonly workspace?: string;
}

export interface Probe {
  readonly exec: { readonly command: readonly string[] };
}

export interface Container {
  readonly name?: string;
  readonly image?: string;
  readonly ref?: { readonly name?: string };
  readonly params?: readonly Binding[];
  readonly command?: readonly string[];
  readonly args?: readonly string[];
  readonly workingDir?: string;
  readonly script?: string;
  readonly env?: readonly { readonly name: string; readonly value?: string }[];
  readonly volumeMounts?: readonly { readonly name: string; readonly mountPath: string; readonly readOnly?: boolean }[];
  readonly startupProbe?: Probe;
  readonly readinessProbe?: Probe;
  readonly livenessProbe?: Probe;
  readonly securityContext?: Readonly<Record<string, unknown>>;
  readonly computeResources?: Readonly<Record<string, unknown>>;
}

export interface Spec extends Container {
  readonly description?: string;
  readonly workspaces?: readonly Workspace[];
  readonly results?: readonly (Named & { readonly type?: string; readonly value?: unknown })[];
  readonly volumes?: readonly { readonly name: string }[];
  readonly steps?: readonly Container[];
  readonly sidecars?: readonly Container[];
  readonly stepTemplate?: Container;
  readonly params?: readonly Param[];
}

export interface Resource {
  readonly file: string;
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: {
    readonly name?: string;
    readonly labels?: Readonly<Record<string, string>>;
    readonly annotations?: Readonly<Record<string, string>>;
  };
  readonly spec: Spec;
}

/** @returns every document of the files that a pattern, relative to the project's root, matches */
export function resources(pattern: string): Resource[] {
  return globSync(pattern)
    .sort()
    .flatMap((file) => documents(readFileSync(file, "utf8")).map((document) => ({ ...document, file }) as Resource));
}

/** @throws Error with the place, if the text is not YAML */
function documents(text: string): Readonly<Record<string, unknown>>[] {
  return parseAllDocuments(text).flatMap((document) => {
    const [error] = document.errors;
    if (error) {
      throw error;
    }
    return document.contents === null ? [] : [document.toJS()];
  });
}
