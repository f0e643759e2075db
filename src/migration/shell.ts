/**
 * The commands of a POSIX shell script with their positions (POSIX XCU, 2.10), as far as finding a login needs it. GitHub's
 * expressions are parts of words, as the runner puts their values there. Pure.
 */
import type { Range } from "./edits.ts";
import { type Part, readWord, type Word } from "./shell-words.ts";

export interface Redirect {
  readonly operator: string;
  readonly target: Word | undefined;
  /** The text of a here-document. */
  document?: string;
}

export interface Assignment {
  readonly name: string;
  /** The value as it is written. */
  readonly raw: string;
  readonly parts: readonly Part[];
}

export interface Command extends Range {
  readonly assignments: readonly Assignment[];
  readonly words: readonly Word[];
  readonly redirects: readonly Redirect[];
}

export type Separator = "line" | ";" | "&&" | "||" | "&";

/** Commands with | between them; mostly one. */
export interface Pipeline extends Range {
  readonly commands: readonly Command[];
  readonly before: Separator;
  readonly after: Separator;
  /** How many compound commands are around it: if, for, a function, ( ), { }. */
  readonly depth: number;
  /** `!` or `time` in front of it. */
  readonly modifier: string | undefined;
}

export interface Script {
  readonly text: string;
  readonly pipelines: readonly Pipeline[];
  /** Comments and here-documents. */
  readonly silent: readonly Range[];
}

interface Open {
  words: Word[];
  assignments: Assignment[];
  redirects: Redirect[];
  start: number;
  end: number;
}

interface State {
  readonly text: string;
  at: number;
  command: Open | undefined;
  commands: Command[];
  before: Separator;
  readonly openers: string[];
  depth: number;
  modifier: string | undefined;
  readonly pipelines: Pipeline[];
  readonly silent: Range[];
  documents: { readonly delimiter: string; readonly isIndented: boolean; readonly redirect: Redirect }[];
}

export function parseScript(text: string): Script {
  const state: State = {
    text,
    at: 0,
    command: undefined,
    commands: [],
    before: "line",
    openers: [],
    depth: 0,
    modifier: undefined,
    pipelines: [],
    silent: [],
    documents: [],
  };
  while (state.at < text.length) {
    const before = state.at;
    step(state);
    state.at = Math.max(state.at, before + 1);
  }
  endPipeline(state, "line");
  return { text, pipelines: state.pipelines, silent: state.silent };
}

const separators: readonly (readonly [token: string, separator: Separator])[] = [
  ["&&", "&&"],
  ["||", "||"],
  [";;", ";"],
  [";", ";"],
  ["&", "&"],
];

/** Reads one token. */
function step(state: State): void {
  const { text, at } = state;
  const blank = /^(?:[ \t\r]|\\\r?\n)+/.exec(text.slice(at, at + 4096))?.[0];
  if (blank !== undefined) {
    state.at += blank.length;
    return;
  }
  const character = text.charAt(at);
  if (character === "\n") {
    // A line break after | goes on with the same pipeline.
    if (state.command !== undefined || state.commands.length === 0) {
      endPipeline(state, "line");
    }
    state.at += 1;
    skipDocuments(state);
    return;
  }
  if (character === "#") {
    const end = text.indexOf("\n", at);
    state.at = end === -1 ? text.length : end;
    state.silent.push({ start: at, end: state.at });
    return;
  }
  const redirect = /^(?:[0-9]*(?:<<<|<<-?|>>|>\||>&|<&|<>|[<>](?!\())|&>>?)/.exec(text.slice(at, at + 16))?.[0];
  if (redirect !== undefined) {
    readRedirect(state, redirect);
    return;
  }
  const separator = separators.find(([token]) => text.startsWith(token, at));
  if (separator) {
    endPipeline(state, separator[1]);
    state.at += separator[0].length;
  } else if (character === "|") {
    endCommand(state);
    state.at += text[at + 1] === "&" ? 2 : 1;
  } else if (character === "(" || character === ")") {
    parenthesis(state, character);
  } else {
    takeWord(state);
  }
}

function parenthesis(state: State, character: string): void {
  state.at += 1;
  if (character === "(") {
    state.command = undefined; // the name of a function, or none
    state.commands = [];
    state.openers.push("(");
    return;
  }
  endPipeline(state, ";");
  // Otherwise it ends a pattern of case.
  if (state.openers.at(-1) === "(") {
    state.openers.pop();
  }
}

function open(state: State): Open {
  if (state.command === undefined) {
    if (state.commands.length === 0) {
      state.depth = state.openers.length;
    }
    state.command = { words: [], assignments: [], redirects: [], start: state.at, end: state.at };
  }
  return state.command;
}

function readRedirect(state: State, token: string): void {
  const command = open(state);
  state.at += token.length;
  state.at += state.text.slice(state.at, state.at + 256).search(/[^ \t]|$/);
  const isFollowed = /^[^ \t\r\n;|&<>()]/.test(state.text.slice(state.at, state.at + 1));
  const target = isFollowed ? readWord(state.text, state.at) : undefined;
  state.at = target?.end ?? state.at;
  command.end = state.at;
  const operator = token.replace(/^[0-9]+/, "");
  const redirect: Redirect = { operator, target };
  command.redirects.push(redirect);
  if (target && (operator === "<<" || operator === "<<-")) {
    const delimiter = target.parts.map((part) => (part.kind === "text" ? part.text : "")).join("");
    state.documents.push({ delimiter, isIndented: operator === "<<-", redirect });
  }
}

function skipDocuments(state: State): void {
  for (const { delimiter, isIndented, redirect } of state.documents) {
    const start = state.at;
    let last = start;
    while (state.at < state.text.length) {
      last = state.at;
      const found = state.text.indexOf("\n", state.at);
      const end = found === -1 ? state.text.length : found;
      const line = state.text.slice(state.at, end);
      state.at = Math.min(end + 1, state.text.length);
      if ((isIndented ? line.replace(/^\t+/, "") : line) === delimiter) {
        break;
      }
    }
    redirect.document = state.text.slice(start, last);
    state.silent.push({ start, end: state.at });
  }
  state.documents = [];
}

const openers = new Set(["if", "while", "until", "{", "for", "case", "select"]);
const closers = new Set(["fi", "done", "esac", "}"]);
/** Words after which a command follows; those that are not here begin a command of their own, such as `for`. */
const transparent = new Set(["if", "while", "until", "{", "then", "else", "elif", "do", "!", "time"]);

function takeWord(state: State): void {
  const word = readWord(state.text, state.at);
  const { raw } = word;
  if (state.command === undefined || state.command.words.length + state.command.assignments.length === 0) {
    if (closers.has(raw)) {
      endPipeline(state, ";");
      state.openers.pop();
      state.at = word.end;
      return;
    }
    if (openers.has(raw)) {
      state.openers.push(raw);
    }
    if (transparent.has(raw)) {
      state.modifier = raw === "!" || raw === "time" ? raw : state.modifier;
      state.at = word.end;
      return;
    }
  }
  if (raw === "{" && state.command?.words[0]?.raw === "function") {
    state.command = undefined; // `function NAME {`
    state.openers.push(raw);
    state.at = word.end;
    return;
  }
  const command = open(state);
  const [, name, sign] = /^([A-Za-z_]\w*)(\+?=)/.exec(raw) ?? [];
  if (name !== undefined && sign !== undefined && command.words.length === 0) {
    const value = readWord(state.text, state.at + name.length + sign.length);
    command.assignments.push({ name, raw: value.raw, parts: value.parts });
  } else {
    command.words.push(word);
  }
  state.at = word.end;
  command.end = word.end;
  if (raw === "[[") {
    const end = state.text.indexOf("]]", state.at);
    state.at = end === -1 ? state.text.length : end + 2;
    command.end = state.at;
  }
}

function endCommand(state: State): void {
  if (state.command) {
    state.commands.push(state.command);
    state.command = undefined;
  }
}

function endPipeline(state: State, after: Separator): void {
  endCommand(state);
  const [first] = state.commands;
  const last = state.commands.at(-1);
  // A line break after && goes on with the same list.
  if (first === undefined || last === undefined) {
    state.before = after === "line" && state.before !== ";" && state.before !== "&" ? state.before : after;
    return;
  }
  const { commands, before, depth, modifier } = state;
  state.pipelines.push({ commands, before, after, depth, modifier, start: first.start, end: last.end });
  state.commands = [];
  state.modifier = undefined;
  state.before = after;
}
