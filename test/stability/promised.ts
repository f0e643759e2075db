/**
 * What docs/stability.md promises, read from the things themselves: a section for each of them, with a line for each name that users
 * write or read. What users may leave out has a line that says so: it is compatible to add that line, and not to remove it.
 */
import { readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { parse } from "yaml";
import { verbs } from "../../src/cli/arguments.ts";
import { exitCodeOf } from "../../src/cli/failure.ts";
import { variableOf } from "../../src/helper/configuration.ts";
import {
  type Command,
  commands,
  federationOutputs,
  type OwnOption,
  optionsOf,
  outputs,
  promotionOutputs,
} from "../../src/options/table.ts";
import { type ErrorCode, ExplainedError, errorCodes } from "../../src/platform/errors.ts";
import { type Resource, resources } from "../tekton/resources.ts";

/** The lines of each section, by its title. */
export type Surface = ReadonlyMap<string, readonly string[]>;

const root = resolve(import.meta.dirname, "../..");
const read = (file: string): string => readFileSync(join(root, file), "utf8");

/** Everything that is known without a run. */
export const promised = (): Surface =>
  new Map([
    ...["action.yml", "promote/action.yml", "federate/action.yml"].map((file) => [file, actionLines(file)] as const),
    ...commands.map(
      (command) => [`quay-keyless-login ${command}`, optionsOf(command).flatMap(flagLines(command))] as const,
    ),
    ["commands", verbs] as const,
    ["results of login", outputs.map(({ name }) => name)] as const,
    ["results of promote", promotionOutputs.map(({ name }) => name)] as const,
    ["results of federate", federationOutputs.map(({ name }) => name)] as const,
    [
      "credential helper: variables",
      [...optionsOf("helper").map(({ name }) => name), "cache"].map(variableOf),
    ] as const,
    [
      "error codes and exit codes",
      Object.keys(errorCodes).map((code) => `${code}: ${exitCode(code as ErrorCode)}`),
    ] as const,
    ...resources("tekton/{task,stepaction}/*/*/*.yaml").map((each) => [titleOf(each), tektonLines(each)] as const),
    ["quay-trust.yaml", schemaLines(JSON.parse(read("docs/quay-trust.schema.json")))] as const,
  ]);

const exitCode = (code: ErrorCode): number => exitCodeOf(new ExplainedError(code, "", { remedy: [] }));

interface Action {
  readonly inputs: Readonly<Record<string, { readonly required?: boolean; readonly default?: string }>>;
  readonly outputs: Readonly<Record<string, unknown>>;
}

function actionLines(file: string): readonly string[] {
  const { inputs, outputs: given } = parse(read(file)) as Action;
  return [
    ...Object.entries(inputs).flatMap(([name, { required, default: preset }]) => [
      `input ${name}`,
      ...(required ? [] : [optional(`input ${name}`, preset)]),
    ]),
    ...Object.keys(given).map((name) => `output ${name}`),
  ];
}

const optional = (what: string, preset: unknown): string =>
  `${what}: optional${preset === undefined || preset === "" ? "" : `, ${JSON.stringify(preset)}`}`;

const flagLines = (command: Command) => (option: OwnOption) => {
  const { name, short, takes, required, default: preset, choices = [], argumentsOf } = option;
  const isFlag = takes === "flag";
  return [
    isFlag ? `--${name}` : `--${name}=`,
    ...(short ? [`-${short} is --${name}`] : []),
    ...(takes === "list" ? [`--${name}=: several times`] : []),
    ...(argumentsOf?.includes(command) ? [`--${name}=: plain arguments are its values`] : []),
    ...(required || isFlag ? [] : [optional(`--${name}=`, preset)]),
    ...choices.map((choice) => `--${name}=${choice}`),
  ];
};

const titleOf = ({ kind, apiVersion, metadata }: Resource): string =>
  `${kind} ${metadata.name} ${metadata.labels?.["app.kubernetes.io/version"]} (${apiVersion})`;

function tektonLines({ spec }: Resource): readonly string[] {
  return [
    ...(spec.params ?? []).flatMap(({ name, type = "string", default: preset }) => [
      `parameter ${name}, ${type}`,
      ...(preset === undefined ? [] : [optional(`parameter ${name}`, preset)]),
    ]),
    ...(spec.workspaces ?? []).flatMap(({ name, optional: may }) => [
      `workspace ${name}`,
      ...(may ? [`workspace ${name}: optional`] : []),
    ]),
    ...(spec.results ?? []).map(({ name, type = "string" }) => `result ${name}, ${type}`),
  ];
}

interface Schema {
  readonly $ref?: string;
  readonly $defs?: Readonly<Record<string, Schema>>;
  readonly required?: readonly string[];
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly [more: string]: unknown;
}

/** Each object of the schema with its keys; where a key leads to is in the schema itself. */
const schemaLines = ({ $defs = {}, ...whole }: Schema): readonly string[] =>
  [["the file", whole] as const, ...Object.entries($defs)].flatMap(([name, { properties = {}, required = [] }]) =>
    Object.keys(properties).flatMap((key) => [
      `${name}: ${key}`,
      ...(required.includes(key) ? [] : [`${name}: ${key}: optional`]),
    ]),
  );

/** Timings: for people who look for what is slow. */
const notPromised = ["phases", "milliseconds"];

/** @returns a line for each key of a JSON text, with the types of its values; `[]` is each entry of a list. */
export function jsonLines(value: unknown, path = ""): readonly string[] {
  if (Array.isArray(value)) {
    return [`${path}: list`, ...value.flatMap((entry) => jsonLines(entry, `${path}[]`))];
  }
  if (typeof value === "object" && value !== null) {
    return Object.entries(value)
      .filter(([key]) => !notPromised.includes(key))
      .flatMap(([key, entry]) => jsonLines(entry, path === "" ? key : `${path}.${key}`));
  }
  return [`${path}: ${value === null ? "null" : typeof value}`];
}
