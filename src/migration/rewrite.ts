/** The edits that make a step of GitHub's log in with its identity. Pure. */

import { isMap, isScalar, type Node, visit } from "yaml";
import type { OptionName } from "../options/table.ts";
import { asPattern } from "../platform/text.ts";
import { deleteLines, type Edit, endOfLine, lineBreakOf, startOfLine } from "./edits.ts";
import { type Change, listed, type Robot, robotText } from "./finding.ts";
import type { Job, Step } from "./github.ts";
import { indentOf } from "./permissions.ts";
import { type Entry, endOf, entriesOf, isBlock, startOf, type Tree, textOf, textOrEmpty } from "./yaml-tree.ts";

export interface Target {
  readonly job: Job;
  readonly step: Step;
  /** The Action's address. */
  readonly action: string;
  readonly registry: string;
  readonly robot: Robot;
  /** docker reads another file than the Action's own. */
  readonly needsDockerConfig: boolean;
}

type Edits = readonly Edit[] | string;

/** @param edits or why there are none */
export const changeOf = ({ job }: Pick<Target, "job">, edits: Edits): Change =>
  typeof edits === "string"
    ? listed(edits)
    : { kind: "rewritten", edits: edits.map((edit) => ({ ...edit, path: job.file.tree.path })) };

const inBraces = "the step is written in braces, or as a part of another list";
const hasAnchor = "a part of the step has an anchor that other places use";

/** Why the text of a step can't be changed in its place. */
function obstacleIn({
  job: {
    file: { tree },
  },
  step,
}: Target): string | undefined {
  if (!isBlock(step.node)) {
    return inBraces;
  }
  let isShared = step.entries.has("<<");
  visit(step.node, {
    Node: (_, node) => {
      isShared ||= node !== step.node && tree.isShared(node);
    },
  });
  return isShared ? hasAnchor : undefined;
}

const kept = new Set(["registry", "logout", "username", "password", "auth_file_path"]);

/** `docker/login-action` and `redhat-actions/podman-login`: the address, and the inputs one by one. */
export function rewriteAction(target: Target): Edits {
  const { job, step, action } = target;
  const { tree } = job.file;
  const [uses, inputs] = [step.entries.get("uses"), step.entries.get("with")];
  const obstacle = obstacleIn(target);
  if (
    obstacle !== undefined ||
    !uses?.raw ||
    !inputs?.value ||
    uses.raw !== uses.value ||
    inputs.raw !== inputs.value
  ) {
    return obstacle ?? hasAnchor;
  }
  const entries = entriesOf(tree, inputs.value);
  const other = [...entries.keys()].find(
    (name) => !kept.has(name) && !(name === "ecr" && /^(?:auto|false)$/.test(textOrEmpty(entries.get(name)?.value))),
  );
  if (other !== undefined) {
    return `its input ${other} has no counterpart`;
  }
  const address = addressEdits(tree, uses.raw, action);
  if (!isBlock(inputs.value)) {
    const lines = ["with:", ...inputLines(target).map((line) => `  ${line}`)];
    return [...address, replaceEntry(tree, inputs, lines)];
  }
  const edits = inputEdits(target, entries);
  return typeof edits === "string" ? edits : [...address, ...edits];
}

/** The version that a comment beside the old address names is not that of the new one. */
function addressEdits({ text }: Tree, node: Node, action: string): readonly Edit[] {
  const [start, end] = [startOf(node), endOf(text, node)];
  const rest = /^[ \t]+#[ \t]*(?:tag=)?v?[0-9][\w.+-]*[ \t]*$/.exec(text.slice(end, endOfLine(text, end)))?.[0] ?? "";
  return [{ start, end: end + rest.length, text: action }];
}

function inputEdits(target: Target, entries: ReadonlyMap<string, Entry>): Edits {
  const { job, step, registry, robot, needsDockerConfig } = target;
  const { tree } = job.file;
  const edits: Edit[] = [];
  const map = step.entries.get("with")?.value;
  const robotEntry = entries.get("username") ?? entries.get("password");
  for (const [name, entry] of entries) {
    const { value } = entry;
    if (entry === robotEntry) {
      const more = needsDockerConfig ? [input("docker-config", "true")] : [];
      const hasName = name === "username" && "name" in robot && isScalar(value) && textOf(value) === robot.name;
      edits.push(
        hasName && more.length === 0
          ? renameEntry(tree, entry, "robot")
          : replaceEntry(tree, entry, [...more, input("robot", robotText(robot))]),
      );
    } else if (name === "password" || name === "ecr") {
      const edit = deleteEntry(tree, keysOf(map), entry);
      if (!edit) {
        return inBraces;
      }
      edits.push(edit);
    } else if (name === "registry" && /\/|:443/.test(textOrEmpty(value)) && !textOrEmpty(value).includes("${{")) {
      edits.push(replaceEntry(tree, entry, [input("registry", registry)]));
    } else if (name === "auth_file_path") {
      edits.push(renameEntry(tree, entry, "auth-file"));
    }
  }
  return edits;
}

/** A step that only logs in becomes the Action. */
export function replaceStep(target: Target, script: string): Edits {
  const { job, step, action } = target;
  const { tree } = job.file;
  const obstacle = obstacleIn(target);
  const run = step.entries.get("run");
  if (obstacle !== undefined || !run || run.raw !== run.value) {
    return obstacle ?? hasAnchor;
  }
  const keys = keysOf(step.node);
  const edits: (Edit | undefined)[] = [
    replaceEntry(tree, run, [`uses: ${action}`, "with:", ...inputLines(target).map((line) => `  ${line}`)]),
  ];
  for (const name of ["shell", "working-directory"]) {
    const entry = step.entries.get(name);
    edits.push(...(entry ? [deleteEntry(tree, keys, entry)] : []));
  }
  edits.push(...environmentEdits(tree, step, script));
  const known = edits.filter((edit) => edit !== undefined);
  return known.length === edits.length ? known : inBraces;
}

/** Takes those variables out of the step's env that its script has read. */
function environmentEdits(tree: Tree, step: Step, script: string): readonly (Edit | undefined)[] {
  const env = step.entries.get("env");
  const entries = entriesOf(tree, env?.value);
  const read = [...entries].filter(([name]) => new RegExp(`\\b${asPattern(name)}\\b`).test(script));
  if (!env || read.length === 0) {
    return [];
  }
  if (read.length === entries.size) {
    return [deleteEntry(tree, keysOf(step.node), env)];
  }
  return read.map(([, entry]) => (isBlock(env.value) ? deleteEntry(tree, keysOf(env.value), entry) : undefined));
}

/** A step that logs in, before one that has more to do. */
export function insertStep(target: Target): Edits {
  const { job, step, action, registry } = target;
  const { text } = job.file.tree;
  const obstacle = obstacleIn(target);
  const start = startOf(step.node);
  const line = startOfLine(text, start);
  const dash = /^([ \t]*)-[ \t]+$/.exec(text.slice(line, start));
  if (obstacle !== undefined || job.file.tree.isShared(step.node)) {
    return obstacle ?? hasAnchor;
  }
  if (!dash) {
    return "the step does not begin beside its dash";
  }
  const [lead = "", indent = ""] = dash;
  const inner = " ".repeat(lead.length);
  const copied = ["if", "continue-on-error"].flatMap((name) => {
    const entry = step.entries.get(name);
    return entry?.value ? [text.slice(startOf(entry.key), endOf(text, entry.value))] : [];
  });
  const lines = [
    `name: Log in to ${registry}`,
    ...copied,
    `uses: ${action}`,
    "with:",
    ...inputLines(target).map((each) => `  ${each}`),
  ];
  const at = aboveComments(text, line, indent);
  return [
    {
      start: at,
      end: at,
      text: lines.map((each, index) => (index === 0 ? lead : inner) + each + lineBreakOf(text)).join(""),
    },
  ];
}

/** Comments right above a step belong to it. */
function aboveComments(text: string, line: number, indent: string): number {
  let at = line;
  while (at > 0) {
    const above = startOfLine(text, at - 1);
    if (!text.slice(above, at).startsWith(`${indent}#`)) {
      break;
    }
    at = above;
  }
  return at;
}

/** An input of the Action. */
const input = (name: OptionName, value: string): string => `${name}: ${value}`;

const inputLines = ({ registry, robot, needsDockerConfig }: Target): readonly string[] => [
  input("registry", registry),
  ...(needsDockerConfig ? [input("docker-config", "true")] : []),
  input("robot", robotText(robot)),
];

const keysOf = (node: Node | undefined): readonly Node[] =>
  isMap(node) ? node.items.map(({ key }) => key as Node) : [];

const endOfEntry = ({ text }: Tree, { key, raw }: Entry): number => endOf(text, raw ?? key);

const renameEntry = ({ text }: Tree, { key }: Entry, name: OptionName): Edit => ({
  start: startOf(key),
  end: endOf(text, key),
  text: name,
});

/** Other lines in the place of a key and its value, with the key's indentation. */
function replaceEntry(tree: Tree, entry: Entry, lines: readonly string[]): Edit {
  const { text } = tree;
  const [start, end] = [startOf(entry.key), endOfEntry(tree, entry)];
  const blanks = /^[ \t]+(?=\r?\n|$)/.exec(text.slice(end, endOfLine(text, end) + 2))?.[0].length ?? 0;
  return { start, end: end + blanks, text: lines.join(lineBreakOf(text) + indentOf(text, start)) };
}

/** @returns undefined if it is the only key of a list's item */
function deleteEntry(tree: Tree, keys: readonly Node[], entry: Entry): Edit | undefined {
  const { text } = tree;
  const [start, end] = [startOf(entry.key), endOfEntry(tree, entry)];
  if (text.slice(startOfLine(text, start), start).trim() === "") {
    return deleteLines(text, { start, end });
  }
  const next = keys[keys.indexOf(entry.key) + 1];
  return next ? { start, end: startOf(next), text: "" } : undefined;
}
