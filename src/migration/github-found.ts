/** What the searches of GitHub's steps share. Pure. */
import { type Change, nameOfRobot, type Robot } from "./finding.ts";
import type { Job, Step } from "./github.ts";
import { belongs, nameOf, secretsIn, type Value } from "./values.ts";
import { nodeAt } from "./yaml-tree.ts";

export interface Wanted {
  readonly registry: string;
  /** The Action's address. */
  readonly action: string;
}

/** A login as it is found in a step, before the job's permissions are looked at. */
export interface Found {
  readonly what: string;
  readonly line: number;
  readonly robot: Robot;
  readonly secrets: readonly string[];
  readonly change: Change;
  /** Its registry is not known: no robot is asked to trust the job. */
  readonly isUncertain?: boolean;
  readonly notes?: readonly string[];
}

export interface StepAt {
  readonly job: Job;
  readonly step: Step;
  readonly wanted: Wanted;
}

/** Why a login for this registry can't be replaced; undefined if it can. */
export function whyNot(registry: Value, robot: Robot, { job, wanted: { registry: host } }: StepAt): string | undefined {
  switch (belongs(registry, host)) {
    case "ours":
      return undefined;
    case "part":
      return `it is a login for ${nameOf(registry)} alone: in the Action, its robot is ${nameOf(registry)}=${nameOfRobot(robot)}`;
    default:
      return `whether it logs in to ${host} can't be seen here, since its registry is ${nameOf(registry)}${matrixOf(registry, job)}`;
  }
}

/** The values that a matrix gives, where the file lists them. */
function matrixOf(registry: Value, { file: { tree }, node }: Job): string {
  const [, key] = /matrix\.([\w-]+)/.exec(registry.kind === "unknown" ? registry.text : "") ?? [];
  const values = key === undefined ? undefined : nodeAt(tree, node, "strategy", "matrix", key);
  const texts = values ? [...JSON.stringify(values).matchAll(/"([^"]+)"/g)].map(([, text]) => text) : [];
  return texts.length > 0 ? ` (${texts.join(", ")})` : "";
}

/** A password that an earlier step has made is no stored one. */
export const fromStep = (password: Value | undefined): string | undefined => {
  const [, id] = /\b(?:steps|needs)\.([\w-]+)/.exec(password?.kind === "unknown" ? password.text : "") ?? [];
  return id === undefined ? undefined : `its password comes from the step or job ${id}: replace both together`;
};

/** Callers go on passing a password that nothing reads any more. */
export function inputNotes(password: Value | undefined): readonly string[] {
  const [, name] = /\binputs\.([\w-]+)/.exec(password?.kind === "unknown" ? password.text : "") ?? [];
  return name === undefined
    ? []
    : [`Its password was the input ${name}: take that out of the inputs, and out of what callers pass.`];
}

export const secretsOf = (values: readonly (Value | undefined)[]): readonly string[] => [
  ...new Set(
    values.flatMap((value) =>
      value?.kind === "secret" ? [value.name] : value?.kind === "unknown" ? secretsIn(value.text) : [],
    ),
  ),
];
