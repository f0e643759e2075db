/** Whether a TaskRun, a PipelineRun, a Pipeline's task or a step sets what its target declares. */
import type { Binding, Param, Workspace } from "./resources.ts";

export interface Caller {
  /** Its place, for the problem's text. */
  readonly place: string;
  readonly params?: readonly Binding[] | undefined;
  readonly workspaces?: readonly Binding[] | undefined;
}

interface Callee {
  readonly params?: readonly Param[];
  readonly workspaces?: readonly Workspace[];
}

/** @returns one line for each parameter or workspace that is missing, unknown, given twice or of the wrong type */
export function referenceProblems(
  { place, params = [], workspaces = [] }: Caller,
  { params: wanted = [], workspaces: places = [] }: Callee,
): string[] {
  const types = new Map(wanted.map(({ name, type = "string" }) => [name, type]));
  return [
    ...compare(
      "parameter",
      params,
      wanted.filter((param) => param.default === undefined),
      wanted,
    ),
    ...compare(
      "workspace",
      workspaces,
      places.filter(({ optional }) => !optional),
      places,
    ),
    ...params
      .filter(({ name, value }) => types.has(name) && types.get(name) !== typeOf(value))
      .map(({ name, value }) => `parameter ${name} is ${typeOf(value)}, not ${types.get(name)}`),
  ].map((problem) => `${place}: ${problem}`);
}

const typeOf = (value: unknown): string =>
  Array.isArray(value) || (typeof value === "string" && value.endsWith("[*])")) ? "array" : typeof value;

function compare(
  what: string,
  given: readonly Binding[],
  required: readonly { readonly name: string }[],
  known: readonly { readonly name: string }[],
): string[] {
  const names = given.map(({ name }) => name);
  const has = (list: readonly { readonly name: string }[], name: string) => list.some((each) => each.name === name);
  return [
    ...required.filter(({ name }) => !names.includes(name)).map(({ name }) => `${what} ${name} is missing`),
    ...names.filter((name) => !has(known, name)).map((name) => `${what} ${name} is unknown`),
    ...names.filter((name, index) => names.indexOf(name) !== index).map((name) => `${what} ${name} is given twice`),
  ];
}
