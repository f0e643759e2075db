/** The texts that script/generate.ts writes: YAML for Actions and Tasks, tables for people. Pure. */
import { Scalar, stringify } from "yaml";
import { variableOf } from "../src/helper/configuration.ts";
import { describe } from "../src/options/descriptions.ts";
import {
  type Command,
  type EntryPoint,
  type Option,
  type OptionName,
  type OwnOption,
  options,
  optionsOf,
} from "../src/options/table.ts";

type Described = Readonly<{ name: string; description: string }>;

/** What an input or parameter, which is always text, may be; empty where the description says it. */
function noteOf({ takes, default: preset }: OwnOption, quote = ""): string {
  if (preset === "true" || preset === "false") {
    return ` Value: ${quote}true${quote} or ${quote}false${quote}.`;
  }
  return takes === "list" ? " Several: one per line." : "";
}

const asInputs = (action: EntryPoint): (OwnOption & Described)[] =>
  optionsOf(action).map((option) => ({ ...option, description: describe(option.name, action) + noteOf(option) }));

export function actionInputs(entryPoint: EntryPoint): string {
  const inputs = asInputs(entryPoint).map(({ name, description, required, default: preset }) => [
    name,
    { description, required, default: preset },
  ]);
  return actionYaml({ inputs: Object.fromEntries(inputs) });
}

export const actionOutputs = (outputs: readonly Described[]): string =>
  actionYaml({ outputs: Object.fromEntries(outputs.map(({ name, description }) => [name, { description }])) });

const actionYaml = (value: unknown): string =>
  stringify(value, { defaultStringType: "QUOTE_DOUBLE", defaultKeyType: "PLAIN", lineWidth: 0 });

export const inputTable = (action: EntryPoint): string =>
  table(
    ["option", "default", "meaning"],
    asInputs(action)
      .filter(({ internal }) => !internal)
      .map((option) => [code(option.name), presetOf(option), option.description]),
  );

/** The flags that `other` (an Action's inputs, another command) does not have, and those that mean something else there. */
export function flagTable(other: EntryPoint | undefined, commands: readonly Command[]): string {
  const all: readonly (Option & { readonly name: OptionName })[] = options;
  const rows = all.flatMap((option) => {
    const command = commands.find((name) => option.entryPoints.includes(name));
    const known = other && option.entryPoints.includes(other) ? describe(option.name, other) : undefined;
    const meaning = command && describe(option.name, command);
    if (!command || meaning === undefined || meaning === known) {
      return [];
    }
    const own = optionsOf(command).find(({ name }) => name === option.name);
    return [[code(`--${option.name}`), presetOf(own ?? {}), meaning]];
  });
  return table(["flag", "default", "meaning"], rows);
}

/** The credential helper's options: a variable each, and a key of its file. */
export const variableTable = (): string =>
  table(
    ["variable", "in the file", "default", "meaning"],
    optionsOf("helper").map((option) => [
      code(variableOf(option.name)),
      option.name === "registry" ? "the key" : code(option.name),
      presetOf(option),
      describe(option.name, "helper"),
    ]),
  );

export const outputTable = (outputs: readonly Described[]): string =>
  table(
    ["output", "meaning"],
    outputs.map(({ name, description }) => [code(name), description]),
  );

const presetOf = ({
  required,
  default: preset,
}: Pick<OwnOption, "default"> & { readonly required?: unknown }): string =>
  required ? "**required**" : preset === undefined ? "" : code(preset);

/** @returns items of a Task's `params`; an array where the option has a name for it */
export function taskParams(entryPoint: EntryPoint): string {
  const params = optionsOf(entryPoint).map((option) => ({
    name: option.array ?? option.name,
    type: option.array ? "array" : "string",
    ...(!option.required && { default: option.array ? [] : (option.default ?? "") }),
    description: folded(describe(option.name, entryPoint) + (option.array ? "" : noteOf(option, '"'))),
  }));
  return stringify(params, { lineWidth: 116, flowCollectionPadding: false });
}

function folded(text: string): Scalar<string> {
  const scalar = new Scalar(text);
  scalar.type = "BLOCK_FOLDED";
  return scalar;
}

/** What a README shows of a Task or StepAction. */
export interface TaskSpec {
  readonly params?: readonly (Described & { readonly type?: string; readonly default?: unknown })[];
  readonly workspaces?: readonly (Described & { readonly optional?: boolean; readonly readOnly?: boolean })[];
  readonly results?: readonly Described[];
}

/** @returns sections with a table each, of what there is */
export function taskTables({ params = [], workspaces = [], results = [] }: TaskSpec): string {
  const sections = [
    {
      title: "Parameters",
      head: ["parameter", "type", "default", "meaning"],
      rows: params.map(({ name, type = "string", default: preset, description }) => [
        code(name),
        type,
        preset === undefined ? "**required**" : String(preset) && code(String(preset)),
        description,
      ]),
    },
    {
      title: "Workspaces",
      head: ["workspace", "", "meaning"],
      rows: workspaces.map(({ name, optional, readOnly, description }) => [
        code(name),
        `${optional ? "optional" : "**required**"}${readOnly ? ", read only" : ""}`,
        description,
      ]),
    },
    {
      title: "Results",
      head: ["result", "meaning"],
      rows: results.map(({ name, description }) => [code(name), description]),
    },
  ];
  return sections
    .filter(({ rows }) => rows.length > 0)
    .map(({ title, head, rows }) => `## ${title}\n\n${table(head, rows)}`)
    .join("\n\n");
}

const code = (text: string): string => `\`${text}\``;

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]) => `|${cells.map((cell) => cell && ` ${cellOf(cell)}`).join(" |")} |`;
  return [line(head), `|${head.map(() => "---").join("|")}|`, ...rows.map(line)].join("\n");
}

const cellOf = (text: string): string => text.replaceAll(/\s+/g, " ").replaceAll("|", "\\|");
