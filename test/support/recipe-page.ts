/** The recipes of docs/ as data: their workflows, the Actions that they use, and which file's tests run them. */
import { readFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { parse } from "yaml";
import { repository } from "./project.ts";
import { blocksOf, blocksUnder, documentBlock, substitute } from "./readme.ts";

export const pages = ["docs/recipes.md", "docs/recipes-jobs.md"] as const;
const project = resolve(import.meta.dirname, "../..");
export const ours = repository;
const standIns = join(import.meta.dirname, "recipes");

/** The workflows of the pages, as text. */
export const workflows = (): string[] =>
  pages.flatMap((page) => blocksOf(page).map(({ text }) => text)).filter(isWorkflow);
export const isWorkflow = (text: string): boolean => /^jobs:/m.test(text);

/** The workflows below a heading, but illustrations. */
export function workflowsUnder(heading: string): string[] {
  const [page, count] = runs[heading as keyof typeof runs] ?? [pages[0], 1];
  return blocksUnder(page, heading, "yaml", count).filter(isWorkflow);
}

/** Each step of a workflow that uses an Action: its name and reference, and its inputs. */
export function actionsIn(workflow: string): { uses: string; inputs: Record<string, string> }[] {
  interface Workflow {
    jobs: Record<string, { steps?: { uses?: string; with?: Record<string, string> }[] }>;
  }
  const { jobs } = parse(workflow) as Workflow;
  return Object.values(jobs).flatMap(({ steps = [] }) =>
    steps.flatMap(({ uses, with: inputs = {} }) => (uses === undefined ? [] : [{ uses, inputs }])),
  );
}

/** The inputs of an Action, and whether each is required; undefined: act itself has the Action. */
export async function inputsOf(uses: string): Promise<Record<string, { required?: boolean }> | undefined> {
  const folder = folderOf(uses);
  return folder && parse(await readFile(join(folder, "action.yml"), "utf8")).inputs;
}

/** Where an Action is, or what stands in for it. */
export function folderOf(uses: string): string | undefined {
  const [name = ""] = uses.split("@");
  if (name === "actions/checkout") return undefined;
  return name === ours ? project : join(standIns, name);
}

/** The sections with workflows: the page, and how many blocks of YAML the tests take. test/real/recipes.test.ts runs those of tools that take long to build. */
export const runs = {
  "## An Action that takes `username` and `password`": ["docs/recipes.md", 1],
  "## redhat-actions/push-to-registry": ["docs/recipes.md", 1],
  "## oras and helm, with `--password-stdin`": ["docs/recipes.md", 1],
  "## Helm: a chart that is not there yet": ["docs/recipes.md", 1],
  "## ko": ["docs/recipes.md", 1],
  "## GoReleaser": ["docs/recipes.md", 3],
  "## Jib": ["docs/recipes.md", 1],
  "## Secrets of a build": ["docs/recipes-jobs.md", 2],
  "## Renovate": ["docs/recipes.md", 1],
  "## A program in a container": ["docs/recipes-jobs.md", 1],
  "### Matrix jobs": ["docs/recipes-jobs.md", 1],
  "### A reusable workflow": ["docs/recipes-jobs.md", 2],
  "## `container:` and `services:`": ["docs/recipes-jobs.md", 1],
} as const;

/** For tests of what the page says about an hour: a name, and the recipe's part. */
export const bothWays = [
  ["with the login", {}],
  ["with the credential helper", { helper: true }],
] as const;

/** The page's Containerfile, with the image that `buildCrane` makes. */
export function containerfile(): string {
  const file = documentBlock("docs/recipes-jobs.md", "## Secrets of a build", "dockerfile");
  return substitute(file, [["gcr.io/go-containerregistry/crane", "quay.io/acme/crane:1"]]);
}
