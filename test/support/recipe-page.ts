/** docs/recipes.md as data: its workflows, the Actions that they use, and which file's tests run them. */
import { readFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { parse } from "yaml";
import { blocksUnder, documentBlocks, substitute } from "./readme.ts";

export const page = "docs/recipes.md";
const project = resolve(import.meta.dirname, "../..");
export const ours = "OWNER/quay-keyless-login";
const standIns = join(import.meta.dirname, "recipes");

/** The workflows of the page, as text. */
export const workflows = (): string[] => documentBlocks(page, "yaml").filter(isWorkflow);
export const isWorkflow = (text: string): boolean => /^jobs:/m.test(text);
export const workflowsUnder = (heading: string): string[] => blocksUnder(page, heading, "yaml").filter(isWorkflow);

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

/** The sections with workflows, and the file whose tests run them. */
export const runs = {
  "## An Action that takes `username` and `password`": "e2e",
  "## redhat-actions/push-to-registry": "e2e",
  "## oras and helm, with `--password-stdin`": "real",
  "## Helm: a chart that is not there yet": "real",
  "## ko": "e2e",
  "## GoReleaser": "real",
  "## Jib": "real",
  "## Secrets of a build": "e2e",
  "## Renovate": "real",
  "## A program in a container": "e2e",
  "## The token in another job": "not run: act passes masked outputs on, GitHub does not",
  "### Matrix jobs": "e2e",
  "### A reusable workflow": "e2e",
  "## `container:` and `services:`": "e2e",
} as const;

/** For tests of what the page says about an hour: a name, and the recipe's part. */
export const bothWays = [
  ["with the login", {}],
  ["with the credential helper", { helper: true }],
] as const;

/** The page's Containerfile, with the image that `buildCrane` makes. */
export function containerfile(): string {
  const [file = ""] = blocksUnder(page, "## Secrets of a build", "dockerfile");
  return substitute(file, [["gcr.io/go-containerregistry/crane", "quay.io/acme/crane:1"]]);
}
