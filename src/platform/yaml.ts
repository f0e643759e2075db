/**
 * Reads the one YAML document of a file, within bounds that keep the library from a long run or a stack overflow. Its own
 * `parseDocument` has no bounds. Measured with hostile files of 1 MiB each (nested lists, anchors, aliases, commas, brackets, long
 * lines; yaml 2, Node.js 24): it takes up to 2.4 s of CPU and 1,030 MB for `[[[[…`, where this takes 0.6 s and 260 MB at most.
 * With a cap of 256 KiB, which would refuse files that are read today, it still takes 360 MB.
 */
import type { Alias, CST, Document, ErrorCode, Node, Parser, YAMLParseError } from "yaml";
import { type ExplainedError, invalidInput } from "./errors.ts";
import { FileFailure, readFileOrPipeWithin } from "./files.ts";
import { mention } from "./wording.ts";

/** The library. Only a command with such a file loads it. */
export type Yaml = typeof import("yaml");

/** A kind of file, which the option `file` names, for errors about it. */
export interface YamlKind {
  /** A name for it: `release.yaml` */
  readonly name: string;
  /** What it is: `a list in which each entry has …` */
  readonly holds: string;
  /** What to write instead of one that is too large: `a file for each …` */
  readonly smaller: string;
}

const maxBytes = 1024 * 1024;

/** Far beyond any file that people write, and read within a second. */
const maxLexemes = 200_000;

/** Nesting of collections, parts of a key included. The library itself has no bound: the stack overflows. */
const maxDepth = 40;

export const notYaml = (path: string, problem: string, { holds }: YamlKind): ExplainedError =>
  invalidInput("file", path, `it is not YAML, ${problem}`, holds);

/**
 * The text of a file or pipe, up to 1 MiB.
 * @param signal ends the wait for a pipe without a writer
 * @throws ExplainedError `invalid-input`
 */
export async function readYamlText(path: string, kind: YamlKind, signal: AbortSignal): Promise<string> {
  let bytes: Buffer;
  try {
    bytes = await readFileOrPipeWithin(path, maxBytes, signal);
  } catch (error) {
    const named = mention("file", kind.name);
    if (signal.aborted) {
      throw invalidInput("file", path, "no process writes to this pipe", named);
    }
    if (!(error instanceof FileFailure)) {
      throw error;
    }
    throw invalidInput("file", path, `it ${error.message}`, error.code === "EFBIG" ? kind.smaller : named);
  }
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    throw invalidInput("file", path, "it is not UTF-8 text", kind.holds);
  }
}

/**
 * The tokens of a text, within bounds.
 * @param fail makes the error that is thrown where the text is too long or nested too deeply
 */
export function* tokensWithin(
  yaml: Pick<Yaml, "Lexer">,
  parser: Parser,
  text: string,
  fail: (problem: "long" | "deep") => Error,
): Generator<CST.Token, void> {
  let count = 0;
  for (const lexeme of new yaml.Lexer().lex(text)) {
    count += 1;
    if (count > maxLexemes) {
      throw fail("long");
    }
    yield* parser.next(lexeme);
    if (parser.stack.length > maxDepth) {
      throw fail("deep");
    }
  }
  yield* parser.end();
}

export interface Composed {
  readonly document: Document;
  readonly lineOf: (node: unknown) => number;
}

/**
 * The one document of the file. Does what the library's `parseDocument` does, within bounds.
 * @throws ExplainedError `invalid-input`
 */
export function compose(yaml: Yaml, text: string, path: string, kind: YamlKind): Composed {
  const lines = new yaml.LineCounter();
  const parser = new yaml.Parser(lines.addNewLine);
  // Every value is text: 1.10 and no are tags. Messages and the check for duplicate keys are made here.
  const options = { schema: "failsafe", prettyErrors: false, uniqueKeys: false, logLevel: "silent" } as const;
  const composer = new yaml.Composer(options);
  lines.addNewLine(0);
  const tokens = () =>
    tokensWithin(yaml, parser, text, (problem) =>
      problem === "long"
        ? invalidInput("file", path, "it has too many parts", kind.smaller)
        : invalidInput("file", path, "its lists are nested too deeply", kind.holds),
    );
  // Broken text makes an error for each of its characters: their stacks alone would take half a minute.
  const { stackTraceLimit } = Error;
  let document: Document | undefined;
  try {
    Error.stackTraceLimit = 0;
    for (const next of composer.compose(tokens(), true, text.length)) {
      if (document) {
        throw invalidInput("file", path, "it has several documents, separated by ---", kind.holds);
      }
      document = next;
      const [error] = next.errors;
      if (error) {
        const { line, col } = lines.linePos(error.pos[0]);
        throw notYaml(path, `line ${line}, column ${col}: ${reasonOf(error)}`, kind);
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
