/** A Task's only step as Tekton starts it: arguments and folder, with substituted variables. */
import type { Resource } from "./resources.ts";
import { containersOf } from "./rules.ts";

export interface Given {
  readonly params?: Readonly<Record<string, string | readonly string[]>>;
  /** The path of each bound workspace, instead of its `mountPath`. */
  readonly workspaces?: Readonly<Record<string, string>>;
  /** Folder of results, instead of /tekton/results. */
  readonly results?: string;
}

export interface Step {
  readonly command: readonly string[];
  readonly args: readonly string[];
  /** "": the image's own */
  readonly workingDir: string;
}

/**
 * Substitutes as the controller does: one literal pass each for parameters, results and workspaces, an array only as a
 * whole argument, and nothing unknown. An unbound workspace has no path; a `mountPath` that ends with a slash keeps it.
 */
export function stepOf(resource: Resource, { params = {}, workspaces = {}, results = "/tekton/results" }: Given): Step {
  const [container] = containersOf(resource);
  const values = {
    ...Object.fromEntries((resource.spec.params ?? []).map((each) => [each.name, each.default])),
    ...params,
  };
  const paths = new Map(
    (resource.spec.workspaces ?? []).map(({ name, mountPath }) => {
      const path = workspaces[name] ?? "";
      return [name, path && mountPath?.endsWith("/") ? `${path}/` : path];
    }),
  );
  const replace = (text: string) =>
    text
      .replace(/\$\(params\.([\w-]+)\)/g, (whole, name: string) =>
        name in values ? String(values[name] ?? "") : whole,
      )
      .replace(/\$\(results\.([\w-]+)\.path\)/g, (_, name: string) => `${results}/${name}`)
      .replace(/\$\(workspaces\.([\w-]+)\.path\)/g, (whole, name: string) => paths.get(name) ?? whole);
  return {
    command: container?.command ?? [],
    args: (container?.args ?? []).flatMap((arg) => {
      const [, list] = /^\$\(params\.([\w-]+)\[\*\]\)$/.exec(arg) ?? [];
      return list === undefined ? [replace(arg)] : [values[list] ?? []].flat().map(String);
    }),
    workingDir: replace(container?.workingDir ?? ""),
  };
}
