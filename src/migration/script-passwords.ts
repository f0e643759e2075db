/**
 * Literal passwords in a script: whatever is written where a password is taken. Pure.
 */
import {
  add,
  addExpression,
  addExpressions,
  collectTexts,
  dynamic,
  expression,
  type Passwords,
  passwordName,
  type Written,
} from "./password-texts.ts";
import { type Command, parseScript } from "./shell.ts";
import { type Part, readWord } from "./shell-words.ts";

/** Stands for what a function is called with: `$1`. */
const argument = "$1";

const maxDepth = 4;

/** A script, or a comment that may hold one. */
export function collectPasswords(text: string, into: Passwords, depth = 0): void {
  collectTexts(text, into);
  const script = parseScript(text);
  const assigned: (Written & { readonly name: string })[] = [];
  for (const { commands } of script.pipelines) {
    for (const [index, command] of commands.entries()) {
      assigned.push(...command.assignments, ...command.words.flatMap(assignmentIn), ...readIn(command));
      collectOptions(command, into);
      collectInput(command, commands.slice(0, index), into);
      collectContents(command, commands.slice(0, index), into);
      if (depth < maxDepth) {
        innerScripts(command).forEach((inner) => {
          collectPasswords(inner, into, depth + 1);
        });
      }
    }
  }
  for (const { start, end } of depth < maxDepth ? script.silent : []) {
    collectPasswords(text.slice(start, end).replace(/^#+!?/, ""), into, depth + 1);
  }
  const functions = new Set([...text.matchAll(/([\w-]+)[ \t]*\(\)/g)].map(([, name]) => name));
  const called = script.pipelines
    .flatMap(({ commands }) => commands)
    .filter(({ words }) => functions.has(words[0]?.raw));
  // A password's variable may be made of others.
  for (let known = -1; known < into.names.size; ) {
    known = into.names.size;
    assigned
      .filter(({ name }) => into.names.has(name))
      .forEach((word) => {
        addWord(word, into);
      });
  }
  for (const [, name = "", items = ""] of text.matchAll(/\b(\w+)\+?=\(([^)]*)\)/g)) {
    if (into.names.has(name)) {
      parseScript(items)
        .pipelines.flatMap(({ commands }) => commands.flatMap(({ words }) => words))
        .forEach((word) => {
          addWord(word, into);
        });
    }
  }
  if (into.names.has(argument)) {
    called
      .flatMap(({ words }) => words.slice(1))
      .forEach((word) => {
        addWord(word, into);
      });
  }
  assigned
    .filter(({ name }) => passwordName.test(name))
    .forEach((word) => {
      addWord(word, into);
    });
}

/** `NAME=value`, also behind `export` and `env`. */
function assignmentIn({ raw }: Written) {
  const [whole, name] = /^["']?([A-Za-z_]\w*)=/.exec(raw) ?? [];
  return whole === undefined || name === undefined ? [] : [{ name, ...rest(raw, whole.length) }];
}

/** `read NAME <<< value` */
const readIn = ({ words: [name, ...words], redirects }: Command) =>
  name?.raw === "read"
    ? redirects.flatMap(({ operator, target }) =>
        operator === "<<<" && target
          ? words.map(({ raw }) => ({ name: raw, raw: target.raw, parts: target.parts }))
          : [],
      )
    : [];

/** What follows a part of a word, in the same quotes. */
function rest(raw: string, from: number): Written {
  const quote = /^["']/.exec(raw)?.[0] ?? "";
  const tail = raw.slice(from);
  const opens = quote !== "" && !raw.slice(1, from).includes(quote) ? quote : "";
  return { raw: tail, parts: readWord(opens + tail, 0).parts };
}

const option = /^["']?--?[\w-]*?(password|passwd|passphrase|token|bearer|creds|credentials)(=|["']?$)/i;

function collectOptions({ words }: Command, into: Passwords): void {
  const isLogin = words.some(({ raw }) => raw === "login" || raw === "sshpass");
  const isCurl = words.some(({ raw }) => /(?:^|\/)(?:curl|wget|http|https)$/.test(raw));
  for (const [index, { raw }] of words.entries()) {
    const [whole, name = "", end] =
      option.exec(raw) ??
      (isLogin ? /^(-[vq]*p)(=?)/.exec(raw) : null) ??
      (isCurl || isLogin ? (/^(--(?:proxy-)?user)(=|$)/.exec(raw) ?? /^(-[a-zA-Z]*[uU])(=?)/.exec(raw)) : null) ??
      [];
    if (whole === undefined) {
      continue;
    }
    const next = words[index + 1];
    const isAttached = end === "=" || (whole.length < raw.length && !/^["']$/.test(end ?? ""));
    const value = isAttached ? rest(raw, whole.length) : next;
    if (value && (isAttached || !/^--[a-z]/.test(value.raw))) {
      addWord(/^cred|^-.*u/i.test(name) ? afterColon(value) : value, into);
    }
  }
}

/** The password of NAME:PASSWORD. */
function afterColon({ raw }: Written): Written {
  const before = /^(?:\$\{\{.*?\}\}|\$\{[^}]*\}|\$\([^)]*\)|[^:])*:/s.exec(raw)?.[0];
  return before === undefined ? { raw: "", parts: [] } : rest(raw, before.length);
}

/** What a command with `--password-stdin` reads. */
function collectInput({ words, redirects }: Command, before: readonly Command[], into: Passwords): void {
  if (!words.some(({ raw }) => /-stdin$|^--with-token$/.test(raw))) {
    return;
  }
  collectRedirects(redirects, into);
  addInner(
    words.flatMap(({ raw, parts }) => (raw.startsWith("<(") ? parts : [])),
    into,
  );
  before.forEach((command) => {
    collectOutput(command, into);
  });
}

function collectRedirects(redirects: Command["redirects"], into: Passwords): void {
  for (const { operator, target, document } of redirects) {
    if (operator === "<<<" && target) {
      addWord(target, into);
    } else if (operator === "<" && target) {
      into.files.add(fileName(target.raw));
      addInner(target.parts, into);
    }
    linesOf(document, target).forEach((line) => {
      addWord(line, into);
    });
  }
}

/** The lines of a here-document; quotes around its delimiter leave what is no expression of GitHub as it is. */
const linesOf = (document: string | undefined, delimiter: Written | undefined): readonly Written[] =>
  (document ?? "").split("\n").map((line) => {
    const raw = line.trim();
    const isPlain = /["'\\]/.test(delimiter?.raw ?? "") && !raw.includes("${{");
    return {
      raw,
      parts: isPlain ? [{ kind: "text", text: raw }] : readWord(`"${raw.replaceAll('"', '\\"')}"`, 0).parts,
    };
  });

const fileName = (raw: string): string => raw.replaceAll(/["']/g, "").replace(/^.*\//s, "");

/** What a command in front of a pipe, or in `$(…)`, gives. */
function collectOutput(command: Command, into: Passwords): void {
  collectRedirects(command.redirects, into);
  printed(command).forEach((word) => {
    addWord(word, into);
  });
  if (/^(?:cat|tail|head|base64)$/.test(command.words[0]?.raw ?? "")) {
    command.words.slice(1).forEach(({ raw }) => {
      into.files.add(fileName(raw));
    });
  }
}

/** The texts of `echo` and `printf`. */
function printed({ words: [name, ...words] }: Command): readonly Written[] {
  const texts = words.filter(({ raw }) => !/^-[neE]+$/.test(raw));
  const isFormat = (raw: string) => /^["']?(?:%s|\\n|\\r)+["']?$/.test(raw);
  return /^(?:echo|printf|yes|sed|awk)$/.test(name?.raw ?? "") ? texts.filter(({ raw }) => !isFormat(raw)) : [];
}

function collectContents(command: Command, before: readonly Command[], into: Passwords): void {
  const { words, redirects } = command;
  const files = [
    ...redirects.filter(({ operator }) => /^(?:>|>>|>\|)$/.test(operator)).map(({ target }) => target?.raw ?? ""),
    ...(words[0]?.raw === "tee" ? words.slice(1).map(({ raw }) => raw) : []),
  ];
  const inputs = [command, ...before].flatMap((each) => [
    ...printed(each),
    ...each.redirects.flatMap(({ operator, target, document }) => [
      ...(operator === "<<<" && target ? [target] : []),
      ...linesOf(document, target),
    ]),
  ]);
  into.contents.push(...files.map((file) => ({ file: fileName(file), words: inputs })));
}

/** What is written to files that a password is read from. */
export function collectFiles(files: ReadonlySet<string>, into: Passwords): void {
  into.contents
    .filter(({ file }) => files.has(file))
    .flatMap(({ words }) => words)
    .forEach((word) => {
      addWord(word, into);
    });
}

/** Scripts in quotes, as of `sh -c` and `ssh`, in `$(…)` and in here-documents. */
const innerScripts = ({ words, assignments, redirects }: Command): readonly string[] => [
  ...[...words, ...assignments].flatMap(({ parts }) =>
    parts.flatMap((part) =>
      part.kind === "computed"
        ? [part.text.replace(/^\$\(|^`|^[<>]\(/, "").replace(/[)`]$/, "")]
        : part.kind === "text" && /\s/.test(part.text)
          ? [part.text]
          : [],
    ),
  ),
  ...redirects.flatMap(({ document, target }) => [
    ...(document === undefined ? [] : [document]),
    ...(target?.parts.flatMap((part) => (part.kind === "computed" ? [part.text.slice(2, -1)] : [])) ?? []),
  ]),
];

/** A word that is a password. */
function addWord({ raw, parts }: Written, into: Passwords): void {
  const written = raw
    .split(dynamic)
    .flatMap((piece) => piece.split(/\\\r?\n/))
    .map((piece) => piece.trim().replace(/^\$?["']+|["']+$/g, ""));
  // Quotes of the shell are none for GitHub.
  const literal = parts.flatMap((part) => (part.kind === "text" ? [part.text] : []));
  add(
    literal.flatMap((text) => text.split(expression)),
    written,
    into,
  );
  addExpressions(literal.join(""), into);
  addInner(parts, into);
}

function addInner(parts: readonly Part[], into: Passwords): void {
  for (const part of parts) {
    if (part.kind === "variable") {
      into.names.add(part.name);
    } else if (part.kind === "expression") {
      addExpression(part.text, into);
    } else if (part.kind === "computed" && part.text.startsWith("${")) {
      const [, name = "", value = ""] = /^\$\{!?(\w+)(?:\[[^\]]*\])?:?[-=+?]?(.*)\}$/s.exec(part.text) ?? [];
      into.names.add(name);
      addWord({ raw: value, parts: readWord(value.replaceAll(/[ \t\r\n;|&<>()]/g, "\\$&"), 0).parts }, into);
    } else if (/^\$[0-9@*]$/.test(part.text)) {
      into.names.add(argument);
    } else if (part.kind === "computed") {
      const inner = part.text.replace(/^\$\(|^`|^<\(/, "").replace(/[)`]$/, "");
      parseScript(inner)
        .pipelines.flatMap(({ commands }) => commands)
        .forEach((command) => {
          collectOutput(command, into);
        });
    }
  }
}
