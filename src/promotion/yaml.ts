/**
 * Reads the one YAML document of a file, within bounds that keep the library from a long run or a stack overflow. Its own
 * `parseDocument` has no bounds. Measured with hostile files of 1 MiB each (nested lists, anchors, aliases, commas, brackets, long
 * lines; yaml 2, Node.js 24): it takes up to 2.4 s of CPU and 1,030 MB for `[[[[…`, where this takes 0.6 s and 260 MB at most.
 * With a cap of 256 KiB, which would refuse files that are read today, it still takes 360 MB.
 */
import type { Alias, Document, ErrorCode, Node, YAMLParseError } from "yaml";
import { type ExplainedError, invalidInput } from "../platform/errors.ts";

/** The library. Only a promotion with a file loads it. */
export type Yaml = typeof import("yaml");

/** Far beyond any release, and read within a second. */
const maxLexemes = 200_000;

/** Nesting of collections, parts of a key included. The library itself has no bound: the stack overflows. */
const maxDepth = 40;

export const example = "a list in which each entry has source, destination and tags";

export const notYaml = (path: string, problem: string): ExplainedError =>
  invalidInput("file", path, `it is not YAML, ${problem}`, example);

export interface Composed {
  readonly document: Document;
  readonly lineOf: (node: unknown) => number;
}

/**
 * The one document of the file. Does what the library's `parseDocument` does, within bounds.
 * @throws ExplainedError `invalid-input`
 */
export function compose(yaml: Yaml, text: string, path: string): Composed {
  const lines = new yaml.LineCounter();
  const parser = new yaml.Parser(lines.addNewLine);
  // Every value is text: 1.10 and no are tags. Messages and the check for duplicate keys are made here.
  const options = { schema: "failsafe", prettyErrors: false, uniqueKeys: false, logLevel: "silent" } as const;
  const composer = new yaml.Composer(options);
  lines.addNewLine(0);
  function* tokens() {
    let count = 0;
    for (const lexeme of new yaml.Lexer().lex(text)) {
      count += 1;
      if (count > maxLexemes) {
        throw invalidInput("file", path, "it has too many parts", "a file for each part of the release");
      }
      yield* parser.next(lexeme);
      if (parser.stack.length > maxDepth) {
        throw invalidInput("file", path, "its lists are nested too deeply", example);
      }
    }
    yield* parser.end();
  }
  // Broken text makes an error for each of its characters: their stacks alone would take half a minute.
  const { stackTraceLimit } = Error;
  let document: Document | undefined;
  try {
    Error.stackTraceLimit = 0;
    for (const next of composer.compose(tokens(), true, text.length)) {
      if (document) {
        throw invalidInput("file", path, "it has several documents, separated by ---", example);
      }
      document = next;
      const [error] = next.errors;
      if (error) {
        const { line, col } = lines.linePos(error.pos[0]);
        throw notYaml(path, `line ${line}, column ${col}: ${reasonOf(error)}`);
      }
    }
  } finally {
    Error.stackTraceLimit = stackTraceLimit;
  }
  const lineOf = (node: unknown) => (yaml.isNode(node) && node.range ? lines.linePos(node.range[0]).line : 1);
  return { document: document ?? new yaml.Document(null), lineOf };
}

/** The library's message, without the part of the file that it may quote: a password may be in it. */
const reasonOf = ({ code, message }: YAMLParseError): string => wording[code] ?? message.replace(/(?<=\w): .*$/s, "");

const wording: Partial<Record<ErrorCode, string>> = {
  BAD_DIRECTIVE: "Unusable directive",
  BAD_DQ_ESCAPE: "Invalid escape sequence",
  TAG_RESOLVE_FAILED: "Unusable tag (with !)",
};

export type Resolve = (node: unknown) => unknown;

/** Resolves aliases. The library's `resolve` walks the whole document for each of them. */
export function anchorsOf(yaml: Yaml, document: Document, fail: (alias: Alias) => ExplainedError): Resolve {
  const anchors = new Map<string, Node>();
  const found = new Map<Alias, Node>();
  yaml.visit(document, {
    Node: (_, node) => {
      if (!yaml.isAlias(node)) {
        if (node.anchor) {
          anchors.set(node.anchor, node);
        }
        return;
      }
      const target = anchors.get(node.source);
      if (!target) {
        throw fail(node);
      }
      found.set(node, target);
    },
  });
  return (node) => (yaml.isAlias(node) ? found.get(node) : node);
}
