/** A script inside YAML: where its characters are in the file, and how one command is cut out of it. Pure. */
import { Scalar } from "yaml";
import { deleteLines, type Edit } from "./edits.ts";
import type { Command, Pipeline, Script } from "./shell.ts";
import { startOf, type Tree } from "./yaml-tree.ts";

/** Turns a position in the script into one in the file; undefined where the script's text is not the file's. */
export type ToSource = (at: number) => number;

export function sourceOf({ text }: Tree, node: Scalar<string>): ToSource | undefined {
  const start = startOf(node);
  const { value } = node;
  if (node.type === Scalar.BLOCK_LITERAL) {
    return literalSource(text, start, value);
  }
  const first = node.type === Scalar.PLAIN ? start : start + 1;
  return text.slice(first, first + value.length) === value ? (at) => first + at : undefined;
}

function literalSource(text: string, start: number, value: string): ToSource | undefined {
  const header = text.indexOf("\n", start);
  const lines = value.split("\n");
  const source: number[] = [];
  let at = header + 1;
  const indent = / *(?=\S)/.exec(text.slice(at))?.[0].length ?? 0;
  for (const line of lines) {
    const end = text.indexOf("\n", at);
    const found = text.slice(at, end === -1 ? text.length : end).replace(/\r$/, "");
    if (line !== "" && found.slice(indent) !== line) {
      return undefined;
    }
    source.push(at + Math.min(indent, found.length));
    at = end === -1 ? text.length : end + 1;
  }
  return (position) => {
    const before = value.slice(0, position);
    const line = before.split("\n").length - 1;
    return (source[line] ?? at) + position - (before.lastIndexOf("\n") + 1);
  };
}

export type Cut = { readonly edit: Edit } | { readonly why: string };

/** What earlier commands of the script may do for a login, which then comes before them. */
const prepares = /\b(?:REGISTRY_AUTH_FILE|DOCKER_CONFIG|logout|auth\.json|config\.json|install)\b/;

/** Why a login without this script has another meaning; undefined: it is a plain command of the script's top level. */
export function dependence(script: Script, pipeline: Pipeline, registry: string): string | undefined {
  const { before, after, depth, modifier } = pipeline;
  const index = script.pipelines.indexOf(pipeline);
  const next = script.pipelines[index + 1];
  const joined = [before, after].find((each) => each !== "line" && each !== ";");
  if (depth > 0) {
    return "it is inside a condition, a loop, a function or a group";
  }
  if (joined !== undefined) {
    return `it is in a list with ${joined}, where one command depends on another`;
  }
  if (modifier !== undefined) {
    return `${modifier} is in front of it`;
  }
  if (next && script.text.slice(next.start, next.end).includes("$?")) {
    return "the next command reads its exit code ($?)";
  }
  const earlier = script.pipelines.slice(0, index).flatMap(({ commands }) => commands);
  if (earlier.some(endsScript)) {
    return "an earlier command may end the script before it";
  }
  if (
    earlier.some(
      ({ words: [name, ...words] }) => name?.raw !== "echo" && words.some(({ raw }) => raw.includes(`${registry}/`)),
    )
  ) {
    return `an earlier command of the same script uses ${registry}, maybe as another user`;
  }
  return script.pipelines
    .slice(index + 1)
    .some(({ start, end }) => /\b(?:auth|config)\.json\b/.test(script.text.slice(start, end)))
    ? "a later command of the same script reads the file that it writes"
    : undefined;
}

/** `exit 1` fails the step, and nothing that follows logs in. */
const endsScript = ({ words: [first, second] }: Command): boolean =>
  (/^(?:exit|return)$/.test(first?.raw ?? "") && !/^[1-9]\d*$/.test(second?.raw ?? "")) ||
  (first?.raw === "exec" && second !== undefined);

/** The edit that takes one command out of its script, and leaves the others as they are. */
export function cut(tree: Tree, script: Script, pipeline: Pipeline, toSource: ToSource): Cut {
  const { before, after } = pipeline;
  const index = script.pipelines.indexOf(pipeline);
  const [previous, next] = [script.pipelines[index - 1], script.pipelines[index + 1]];
  const preparation = script.pipelines
    .slice(0, index)
    .find(({ start, end }) => prepares.test(script.text.slice(start, end)));
  if (preparation) {
    return { why: "an earlier command of the same script may prepare it" };
  }
  const range = (start: number, end: number): Cut => ({
    edit: { start: toSource(start), end: toSource(end), text: "" },
  });
  const between = (start: number, end: number) => /^\s*;\s*$/.test(script.text.slice(start, end));
  if (before === "line" && after === "line") {
    const end = endWithDocument(script, pipeline);
    return { edit: deleteLines(tree.text, { start: toSource(pipeline.start), end: toSource(end) }) };
  }
  if (next && between(pipeline.end, next.start)) {
    return range(pipeline.start, next.start);
  }
  if (previous && between(previous.end, pipeline.start)) {
    return range(previous.end, pipeline.end);
  }
  return { why: "it is one of several commands in a line" };
}

/** The end of a command, or of the here-document that follows its line. */
function endWithDocument({ text, silent }: Script, { end, commands }: Pipeline): number {
  const hasDocument = commands.some(({ redirects }) =>
    redirects.some(({ operator }) => operator.startsWith("<<") && operator !== "<<<"),
  );
  const next = text.indexOf("\n", end) + 1;
  const document = hasDocument ? silent.find(({ start }) => start === next) : undefined;
  return document ? document.end - (text[document.end - 1] === "\n" ? 1 : 0) : end;
}
