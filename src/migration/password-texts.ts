/** Literal passwords in texts, and in expressions of GitHub. Pure. */
import type { Part } from "./shell-words.ts";

/** A password, or the literal pieces of one. */
export interface Literal {
  /** As the shell or YAML reads it. */
  readonly values: readonly string[];
  /** As it is written. */
  readonly written: readonly string[];
}

/** What is found in one text. */
export interface Passwords {
  readonly literals: Literal[];
  /** Variables, inputs and keys of a matrix that hold a password. */
  readonly names: Set<string>;
  /** Files that a password is read from. */
  readonly files: Set<string>;
  /** What is written to files. */
  readonly contents: { readonly file: string; readonly words: readonly Written[] }[];
}

export interface Written {
  readonly raw: string;
  readonly parts: readonly Part[];
}

export const noPasswords = (): Passwords => ({ literals: [], names: new Set(), files: new Set(), contents: [] });

/** Names of keys, variables and options that hold a password. */
export const passwordName =
  /(?:password|passwd|passphrase|dockerconfigjson|dockercfg|creds|credentials)$|(?:^|[-_])(?:pass|pwd|pw|token|secret)$/i;

/** What is known only when the pipeline runs. */
export const dynamic = /\$\{\{.*?\}\}|\$\{[^}]*\}|\$\([^)]*\)|`[^`]*`|\$\w+/s;

export const expression = /\$\{\{.*?\}\}/s;

export function addExpressions(text: string, into: Passwords): void {
  for (const [found] of text.matchAll(new RegExp(expression, "gs"))) {
    addExpression(found, into);
  }
}

/** Texts that an expression of GitHub may give; what it compares with is none. */
export function addExpression(text: string, into: Passwords): void {
  for (const { 0: whole, 1: quoted = "", index } of text.matchAll(/'((?:[^']|'')*)'/g)) {
    const [before, after] = [text.slice(0, index), text.slice(index + whole.length)];
    const isCompared = /(?:[=!]=\s*|\[\s*|(?:startsWith|endsWith|contains|hashFiles)\([^)]*)$/.test(before);
    if (!isCompared && !/^\s*(?:[=!]=|\])/.test(after)) {
      add([quoted.replaceAll("''", "'").replaceAll(/\{\d\}/g, "")], [quoted], into);
    }
  }
  for (const [, name, index = ""] of text
    .replaceAll(/\bsecrets\s*\[[^\]]*\]/g, "")
    .matchAll(/\b(?:env|matrix|inputs|vars|variables)\s*(?:\.\s*([\w-]+)|\[\s*'([^']+)'\s*\])/g)) {
    into.names.add(name ?? index);
  }
}

/** A text of YAML that is a password. */
export function addText(text: string, into: Passwords): void {
  const [name] = /(?<=^\$\{?)\w+(?=\}?$)|(?<=^\$\((?:params|inputs)\.)[\w-]+(?=\)$)/.exec(text) ?? [];
  if (name !== undefined) {
    into.names.add(name);
    return;
  }
  addExpressions(text, into);
  add(text.split(/\$\{\{.*?\}\}|\$\{[^}]*\}|\$\([^)]*\)/s), [], into);
}

const texts: readonly RegExp[] = [
  /(?:password|passwd|passphrase|\bpwd|\bpw)\\?["']?(?:=|:[ \t]*)\\?["']?((?=[^$\s"'&,;{}\\=|>])[^\s"'&,;}\\]+)/gi,
  /"(?:auth|identitytoken|registrytoken|password|secret|token)\\?"\s*:\s*\\?"([^"$\\]+)/gi,
  /authorization\W{1,4}(?:basic|bearer|token)\s+([\w+/=.~-]{4,})/gi,
  /-H\s*["'][\w-]*(?:token|key|secret|auth\w*)\s*:\s*(?:(?:basic|bearer|token)\s+)?((?!(?:basic|bearer|token)\b)[^\s"'$]+)/gi,
  /::add-mask::([^\s"'$]+)/g,
  /(?:password|passwd)\}?["']?\s*[!=]?=\s*["']([^"'$]+)/gi,
  /\$\{\w*(?:password|passwd|passphrase|token|secret|pass|pw):?[-=+]["']?([^}$"']+)/gi,
  /:\/\/[^\s/"'@:]*:((?=[^$])[^\s"'@/]+)@/g,
];

/** Keys, addresses and headers in any text. */
export function collectTexts(text: string, into: Passwords): void {
  const whole = text.replaceAll(/\\\r?\n/g, "");
  for (const [, found = ""] of texts.flatMap((form) => [...whole.matchAll(form)])) {
    const pieces = found.split(dynamic);
    const decoded = Buffer.from(found, "base64").toString();
    const [, password] = /^[\x20-\x7e]+?:([\x20-\x7e]+)$/.exec(decoded) ?? [];
    add(pieces, pieces, into);
    if (password !== undefined) {
      add([password], [found], into);
    }
  }
}

export function add(values: readonly string[], written: readonly string[], into: Passwords): void {
  const real = (texts: readonly string[]) =>
    texts
      .flatMap((each) => each.split("\n"))
      .map((each) => each.trim())
      .filter((each) => /[^"'\\]/.test(each) && !/^(?:true|false|write|read|none|\*+)$/.test(each));
  if (real(values).length > 0) {
    into.literals.push({ values: real(values), written: real(written) });
  }
}
