/** GitHub's workflows and composite actions, as far as a login needs them. Pure. */

import { posix } from "node:path";
import { isMap, type Node, type YAMLMap } from "yaml";
import { asPattern } from "../platform/text.ts";
import type { Env } from "./values.ts";
import { type Entries, entriesOf, itemsOf, nodeAt, type Tree, textAt, textOf, textOrEmpty } from "./yaml-tree.ts";

export interface Step {
  readonly node: YAMLMap;
  readonly entries: Entries;
  /** What `${{ env.NAME }}` and `$NAME` mean in it. */
  readonly env: Env;
}

export interface Job {
  /** "" in a composite action */
  readonly id: string;
  readonly file: GithubFile;
  readonly node: YAMLMap;
  readonly entries: Entries;
  readonly steps: readonly Step[];
  /** The reusable workflow or the actions that it uses, as written. */
  readonly uses: readonly string[];
}

export interface GithubFile {
  readonly kind: "workflow" | "action";
  readonly tree: Tree;
  readonly entries: Entries;
  readonly jobs: readonly Job[];
  /** The events of `on`, with what stands below each. */
  readonly triggers: ReadonlyMap<string, Node | undefined>;
}

/** undefined: it is neither a workflow nor a composite action */
export function readGithubFile(tree: Tree): GithubFile | undefined {
  const entries = entriesOf(tree, tree.root);
  const { path } = tree;
  if (/(?:^|\/)action\.ya?ml$/.test(path) && textAt(tree, tree.root, "runs", "using") === "composite") {
    return fileOf("action", tree, [["", nodeAt(tree, tree.root, "runs")]]);
  }
  if (/(?:^|\/)\.github\/workflows\/[^/]+\.ya?ml$/.test(path) && isMap(entries.get("jobs")?.value)) {
    const jobs = [...entriesOf(tree, entries.get("jobs")?.value)];
    return fileOf(
      "workflow",
      tree,
      jobs.map(([id, { value }]) => [id, value]),
    );
  }
  return undefined;
}

function fileOf(
  kind: GithubFile["kind"],
  tree: Tree,
  nodes: readonly (readonly [string, Node | undefined])[],
): GithubFile {
  const entries = entriesOf(tree, tree.root);
  const jobs: Job[] = [];
  const file: GithubFile = { kind, tree, entries, jobs, triggers: triggersOf(tree, entries.get("on")?.value) };
  for (const [id, node] of nodes) {
    if (isMap(node)) {
      jobs.push(jobOf(file, id, node));
    }
  }
  return file;
}

function triggersOf(tree: Tree, on: Node | undefined): GithubFile["triggers"] {
  return isMap(on)
    ? new Map([...entriesOf(tree, on)].map(([name, { value }]) => [name, value]))
    : new Map(
        itemsOf(tree, on)
          .map(textOrEmpty)
          .map((name) => [name, undefined]),
      );
}

function jobOf(file: GithubFile, id: string, node: YAMLMap): Job {
  const { tree } = file;
  const entries = entriesOf(tree, node);
  const nodes = itemsOf(tree, entries.get("steps")?.value).filter((step) => isMap(step));
  const scripts = nodes.map((step) => textAt(tree, step, "run") ?? "").join("\n");
  const outer = [file.entries, entries].flatMap((each) => envOf(tree, each));
  // A step can change the variable for those after it.
  const isChanged = (name: string) =>
    new RegExp(`(?:^|[\\s"'])${asPattern(name)}=[^\\n]*GITHUB_ENV`, "m").test(scripts);
  const known = outer.filter(([name]) => !isChanged(name));
  const steps = nodes.map((step): Step => {
    const own = entriesOf(tree, step);
    return { node: step, entries: own, env: new Map([...known, ...envOf(tree, own)]) };
  });
  const uses = [entries, ...steps.map((step) => step.entries)].flatMap((each) => {
    return textOf(each.get("uses")?.value) ?? [];
  });
  return { id, file, node, entries, steps, uses };
}

function envOf(tree: Tree, entries: Entries): readonly (readonly [string, string])[] {
  return [...entriesOf(tree, entries.get("env")?.value)].flatMap(([name, { value }]) => {
    const text = textOf(value);
    return text === undefined ? [] : [[name, text] as const];
  });
}

/** What a checkout holds for GitHub. */
export interface World {
  readonly files: readonly GithubFile[];
  /** Whether a file is among the paths to migrate. */
  readonly isSelected: (path: string) => boolean;
  /** The branch that origin/HEAD names. */
  readonly defaultBranch: string | undefined;
  /** OWNER/REPO, where the remote is GitHub's. */
  readonly repository: string | undefined;
}

/** The jobs that use this file: those that call a reusable workflow, those whose steps use an action. */
export function usersOf({ files, repository }: World, { tree: { path } }: GithubFile): readonly Job[] {
  const folder = path.replace(/(?:^|\/)action\.ya?ml$/, "") || ".";
  const isThis = (uses: string): boolean => {
    const [name = "", ref] = uses.split("@");
    const isOwn =
      repository !== undefined && ref !== undefined && name.toLowerCase().startsWith(`${repository.toLowerCase()}/`);
    const local = isOwn ? name.slice(repository.length + 1) : name.startsWith("./") ? name : undefined;
    return local !== undefined && [path, folder].includes(posix.normalize(local).replace(/\/$/, ""));
  };
  return files.flatMap(({ jobs }) => jobs.filter(({ uses }) => uses.some(isThis)));
}

/** Where a job is, for a reader: `.github/workflows/release.yml, job publish`. */
export const placeOf = ({ id, file }: Job): string => (id === "" ? file.tree.path : `${file.tree.path}, job ${id}`);

export const isCalled = ({ kind, triggers }: GithubFile): boolean => kind === "action" || triggers.has("workflow_call");

/** Whether it runs only where a workflow of this or another repository calls it. */
export const isOnlyCalled = (file: GithubFile): boolean =>
  file.kind === "action" || (file.triggers.has("workflow_call") && file.triggers.size === 1);

/** The operating systems of GitHub-hosted runners, where runs-on says it. */
export function runnerOf({ file: { tree }, entries }: Job): "hosted" | "not Linux" | "unknown" {
  const node = entries.get("runs-on")?.value;
  const labels = itemsOf(tree, node).map(textOrEmpty);
  const matrix = nodeAt(tree, entries.get("strategy")?.value, "matrix");
  const isFromMatrix = labels.some((label) => /\bmatrix\b/.test(label));
  const values = isFromMatrix && matrix ? JSON.stringify(matrix) : "";
  if (labels.some((label) => /^(?:windows|macos)/i.test(label)) || /"(?:windows|macos)\b/i.test(values)) {
    return "not Linux";
  }
  return labels.length === 1 && labels.every((label) => label.startsWith("ubuntu-")) ? "hosted" : "unknown";
}
