/** Splits a command into words as a POSIX shell quotes them (XCU, 2.2), and expands nothing. Pure. */
import { oneLine, withoutSecrets } from "../platform/text.ts";

export type CommandWords =
  | { readonly ok: true; readonly words: readonly [program: string, ...args: string[]] }
  /** `needsShell`: only a shell could run it. */
  | { readonly ok: false; readonly problem: string; readonly needsShell?: true };

type Failure = Extract<CommandWords, { ok: false }>;

/** What a shell would interpret outside quotes, and what it would do with it. */
const interpreted: readonly (readonly [characters: string, does: string])[] = [
  ["|", "connect commands with it"],
  ["&;", "separate commands with it"],
  ["<>", "redirect with it"],
  ["()", "begin another shell with it"],
  ["$", "expand it"],
  ["`", "run what follows it"],
  ["*?[", "look for files by it"],
  ["\n", "begin another command at it"],
];

/** What a shell would interpret at the beginning of a word. */
const atBeginning: readonly (readonly [characters: string, does: string])[] = [
  ["~", "put a home folder in its place"],
  ["#", "take what follows as a comment"],
];

/** Its program and subcommands, for messages: what follows may hold a secret. */
export function nameOf([program, ...args]: readonly [program: string, ...args: string[]]): string {
  const end = args.findIndex((word) => !/^[a-z][a-z-]{0,30}$/.test(word));
  return withoutSecrets(oneLine([program, ...args.slice(0, end < 0 ? undefined : end)].join(" "), 200));
}

/**
 * @param text several lines are joined by a backslash at the end of a line, as in a shell
 */
export function wordsOf(text: string): CommandWords {
  const words: string[] = [];
  let position = 0;
  for (;;) {
    position += /^(?:[ \t\r]|\\\r?\n)*/.exec(text.slice(position))?.[0].length ?? 0;
    if (position >= text.length) {
      break;
    }
    const word = readWord(text, position);
    if ("problem" in word) {
      return word;
    }
    words.push(word.text);
    position = word.end;
  }
  return checked(words, text);
}

function checked([program, ...args]: readonly string[], text: string): CommandWords {
  if (program === undefined || program === "") {
    return { ok: false, problem: "it names no program" };
  }
  if (text.includes("\0")) {
    return { ok: false, problem: "it has a NUL character" };
  }
  const [, name] = /^\s*([A-Za-z_]\w*)=/.exec(text) ?? [];
  return name === undefined
    ? { ok: true, words: [program, ...args] }
    : { ok: false, problem: `it sets ${name} first, as only a shell or the program env can`, needsShell: true };
}

interface Read {
  readonly text: string;
  /** The position behind it. */
  readonly end: number;
}

function readWord(text: string, start: number): Read | Failure {
  let word = "";
  let at = start;
  while (at < text.length && !/[ \t\r]/.test(text.charAt(at))) {
    const part = readPart(text, at, at === start);
    if ("problem" in part) {
      return part;
    }
    word += part.text;
    at = part.end;
  }
  return { text: word, end: at };
}

function readPart(text: string, at: number, isFirst: boolean): Read | Failure {
  const character = text.charAt(at);
  switch (character) {
    case "'": {
      const end = text.indexOf("'", at + 1);
      return end < 0 ? open(at, character) : { text: text.slice(at + 1, end), end: end + 1 };
    }
    case '"':
      return readQuoted(text, at);
    case "\\": {
      const next = /^(?:\r?\n|[\s\S])/u.exec(text.slice(at + 1))?.[0];
      return next === undefined
        ? { ok: false, problem: "it ends in a backslash, which quotes nothing" }
        : { text: next.endsWith("\n") ? "" : next, end: at + 1 + next.length };
    }
    default: {
      const does = doesWith(character, isFirst ? [...interpreted, ...atBeginning] : interpreted);
      return does === undefined ? { text: character, end: at + 1 } : interpretedAt(at, character, does);
    }
  }
}

/** In double quotes a backslash quotes only these (XCU, 2.2.3). */
function readQuoted(text: string, start: number): Read | Failure {
  let quoted = "";
  for (let at = start + 1; at < text.length; at++) {
    const character = text.charAt(at);
    const next = text.charAt(at + 1);
    if (character === '"') {
      return { text: quoted, end: at + 1 };
    }
    if (character === "$" || character === "`") {
      return interpretedAt(at, character, doesWith(character, interpreted) ?? "");
    }
    const isEscape = character === "\\" && /[$`"\\\n]/.test(next);
    quoted += isEscape ? next.replace("\n", "") : character;
    at += isEscape ? 1 : 0;
  }
  return open(start, '"');
}

const doesWith = (character: string, table: typeof interpreted): string | undefined =>
  table.find(([characters]) => characters.includes(character))?.[1];

const interpretedAt = (at: number, character: string, does: string): Failure => ({
  ok: false,
  problem: `it has ${character === "\n" ? "a line break" : character} (character ${at + 1}): a shell would ${does}, but no shell runs it. Between single quotes the character stands for itself`,
  needsShell: true,
});

const open = (at: number, quote: string): Failure => ({
  ok: false,
  problem: `its quote ${quote} (character ${at + 1}) has no end`,
});
