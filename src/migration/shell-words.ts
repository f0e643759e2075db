/** One word of a shell script (POSIX XCU, 2.2), in parts. Pure. */
import type { Range } from "./edits.ts";

export type Part =
  | { readonly kind: "text"; readonly text: string }
  | { readonly kind: "variable"; readonly name: string }
  /** `${{ … }}` of GitHub */
  | { readonly kind: "expression"; readonly text: string }
  /** A command's output, arithmetic, a variable with a default. */
  | { readonly kind: "computed"; readonly text: string };

export interface Word extends Range {
  readonly raw: string;
  readonly parts: readonly Part[];
}

/** Reads the word that begins at `at`; it may be empty. */
export function readWord(text: string, at: number): Word {
  const parts: Part[] = [];
  let position = at;
  while (position < text.length && !/[ \t\r\n;|&<>()]/.test(text.charAt(position))) {
    position = readPart(text, position, parts);
  }
  if (position === at && /[<>]/.test(text.charAt(at)) && text[at + 1] === "(") {
    position = endOfParentheses(text, at + 1); // <(…)
    parts.push({ kind: "computed", text: text.slice(at, position) });
  }
  return { start: at, end: position, raw: text.slice(at, position), parts: joined(parts) };
}

/** @returns the position behind the part */
function readPart(text: string, at: number, parts: Part[]): number {
  const character = text[at];
  const literal = (content: string, end: number) => {
    parts.push({ kind: "text", text: content });
    return end;
  };
  switch (character) {
    case "\\": {
      const lineBreak = /^\\\r?\n/.exec(text.slice(at, at + 3))?.[0];
      return lineBreak ? at + lineBreak.length : literal(text.slice(at + 1, at + 2), at + 2);
    }
    case "'": {
      const end = endAt(text, "'", at + 1);
      return literal(text.slice(at + 1, end), end + 1);
    }
    case '"':
      return readQuoted(text, at + 1, parts);
    case "$":
      return readDollar(text, at, parts);
    case "`": {
      const end = endAt(text, "`", at + 1) + 1;
      parts.push({ kind: "computed", text: text.slice(at, end) });
      return end;
    }
    default: {
      const length = text.slice(at).search(/[ \t\r\n;|&<>()\\'"$`]/);
      const end = length === -1 ? text.length : at + length;
      return literal(text.slice(at, end), end);
    }
  }
}

const endAt = (text: string, sign: string, from: number): number => {
  const found = text.indexOf(sign, from);
  return found === -1 ? text.length : found;
};

function readQuoted(text: string, from: number, parts: Part[]): number {
  let at = from;
  parts.push({ kind: "text", text: "" });
  while (at < text.length && text[at] !== '"') {
    if (text[at] === "\\" && /[\\"$`\n]/.test(text.charAt(at + 1))) {
      parts.push({ kind: "text", text: text.charAt(at + 1).trim() }); // a line break goes on
      at += 2;
    } else if (text[at] === "$" || text[at] === "`") {
      at = readPart(text, at, parts);
    } else {
      const plain = /^[^"\\$`]+/.exec(text.slice(at))?.[0] ?? text.slice(at, at + 1);
      parts.push({ kind: "text", text: plain });
      at += plain.length;
    }
  }
  return at + 1;
}

function readDollar(text: string, at: number, parts: Part[]): number {
  const add = (part: Part, end: number) => {
    parts.push(part);
    return end;
  };
  if (text.startsWith("${{", at)) {
    const end = Math.min(endAt(text, "}}", at) + 2, text.length);
    return add({ kind: "expression", text: text.slice(at, end) }, end);
  }
  const [whole, braced, bare = ""] = /^\$(?:\{([A-Za-z_]\w*)\}|([A-Za-z_]\w*))/.exec(text.slice(at, at + 256)) ?? [];
  if (whole !== undefined) {
    return add({ kind: "variable", name: braced ?? bare }, at + whole.length);
  }
  if (text[at + 1] === "(") {
    const end = endOfParentheses(text, at + 1);
    return add({ kind: "computed", text: text.slice(at, end) }, end);
  }
  if (text[at + 1] === "{") {
    const end = Math.min(endAt(text, "}", at) + 1, text.length);
    return add({ kind: "computed", text: text.slice(at, end) }, end);
  }
  if (text[at + 1] === "'") {
    const end = endAt(text, "'", at + 2);
    return add({ kind: "text", text: text.slice(at + 2, end) }, end + 1);
  }
  if (/[?#@*!$0-9-]/.test(text.charAt(at + 1))) {
    return add({ kind: "computed", text: text.slice(at, at + 2) }, at + 2);
  }
  return add({ kind: "text", text: "$" }, at + 1);
}

/** @param from the position of the opening one. @returns the position behind the closing one, with quotes respected */
function endOfParentheses(text: string, from: number): number {
  let depth = 0;
  for (let at = from; at < text.length; at += 1) {
    const character = text[at];
    if (character === "\\") {
      at += 1;
    } else if (character === "'") {
      at = endAt(text, "'", at + 1);
    } else if (character === "(") {
      depth += 1;
    } else if (character === ")") {
      depth -= 1;
      if (depth === 0) {
        return at + 1;
      }
    }
  }
  return text.length;
}

/** Neighbouring pieces of text are one. */
function joined(parts: readonly Part[]): readonly Part[] {
  const result: Part[] = [];
  for (const part of parts) {
    const last = result.at(-1);
    if (part.kind === "text" && last?.kind === "text") {
      result[result.length - 1] = { kind: "text", text: last.text + part.text };
    } else {
      result.push(part);
    }
  }
  return result;
}
