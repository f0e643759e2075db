/** What the pages of tekton/ show of a Pipeline or a Task of your own gives our Tasks and the StepAction what they need. */
import { expect, test } from "vitest";
import { parse } from "yaml";
import { documentBlock } from "../support/readme.ts";
import { type Caller, referenceProblems } from "./references.ts";
import { resources } from "./resources.ts";

const catalog = resources("tekton/{task,stepaction}/*/*/*.yaml");

interface Step extends Omit<Caller, "place"> {
  readonly name: string;
  readonly taskRef?: { readonly name: string };
  readonly ref?: { readonly name: string };
}

test.for([
  ["tekton/task/quay-keyless-login/0.1/README.md", ["quay-keyless-login", "quay-keyless-logout"]],
  ["tekton/task/quay-promote/0.1/README.md", ["quay-promote"]],
  ["tekton/stepaction/quay-keyless-login/0.1/README.md", ["quay-keyless-login"]],
] as const)("%s", ([page, names]) => {
  const { tasks = [], steps = [], finally: last = [] } = parse(documentBlock(page, "## Usage", "yaml"));
  const ours = [...tasks, ...steps, ...last].filter(({ taskRef, ref }: Step) => taskRef ?? ref);
  expect(ours.map(({ taskRef, ref }: Step) => (taskRef ?? ref)?.name)).toEqual(names);
  for (const each of ours as Step[]) {
    const kind = each.ref ? "StepAction" : "Task";
    const target = catalog.find((one) => one.kind === kind && one.metadata.name === (each.ref ?? each.taskRef)?.name);
    expect(referenceProblems({ place: `${page}: ${each.name}`, ...each }, target?.spec ?? {})).toEqual([]);
  }
});
