/** Literal passwords, hidden in everything that is shown. Pure. */
import { withoutTokens } from "../platform/text.ts";
import type { Range } from "./edits.ts";

export type Mask = (text: string) => string;

/** A shorter one is hidden in its place only: it may be a word of its own anywhere else. */
export const isShort = (password: string): boolean => password.length < 4;

/** Also as YAML, JSON, a shell and an address write it. */
export const formsOf = (password: string): readonly string[] => [
  ...new Set([
    password,
    password.replaceAll("'", "''"),
    password.replaceAll("'", `'\\''`),
    JSON.stringify(password).slice(1, -1),
    password.replaceAll(/([\\"$`])/g, "\\$1"),
    encodeURIComponent(password.toWellFormed()),
    decoded(password),
  ]),
];

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/** A short one may be a part of other words. */
export function patternOf(form: string): RegExp {
  const escaped = form.replaceAll(/[^\w]/gu, (sign) => `\\u{${sign.codePointAt(0)?.toString(16)}}`);
  return new RegExp(form.length < 8 ? `(?<!\\w)${escaped}(?!\\w)` : escaped, "gu");
}

/** Quay's for a robot: it may be in the wrong place, such as that of the user. */
const staticToken = /(?<![A-Za-z0-9])[A-Z0-9]{64}(?![A-Za-z0-9])/g;

export function createMask(passwords: readonly string[]): Mask {
  const forms = [...new Set(passwords.flatMap((each) => each.split("\n")).flatMap(formsOf))].filter(
    (form) => form.trim() !== "",
  );
  const patterns = forms.toSorted((one, other) => other.length - one.length).map(patternOf);
  const unencoded = (text: string) =>
    text.replaceAll(/[A-Za-z0-9+/_-]{8,}={0,2}/g, (token) => {
      const inner = Buffer.from(token, "base64").toString();
      return passwords.some((each) => inner.includes(each)) ? "***" : token;
    });
  return (text) =>
    lineByLine(unencoded([...patterns, staticToken].reduce((rest, pattern) => rest.replaceAll(pattern, "***"), text)));
}

/** Stands for a hidden character: a text keeps its positions. */
const hidden = "\u{f8ff}";

/** The same text with these places hidden, line by line. */
export function hide(text: string, places: readonly Range[]): string {
  const characters = text.split("");
  for (const { start, end } of places) {
    for (let at = start; at < end; at += 1) {
      characters[at] = /\s/.test(text.charAt(at)) ? text.charAt(at) : hidden;
    }
  }
  return characters.join("");
}

/** What is hidden, as it is shown. */
export const shownHidden = (text: string): string =>
  text.replaceAll(new RegExp(`${hidden}(?:[ \\t]*${hidden})*`, "gu"), "***");

/** Tokens of a known form; a line with variables holds a secret's place, not a secret. */
const lineByLine = (text: string): string =>
  text
    .split("\n")
    .map((line) => (/\$[{(]/.test(line) ? line : withoutTokens(line)))
    .join("\n");

/** The same value with each text in it masked. */
export function maskAll<T>(value: T, mask: Mask): T {
  const inner = (each: unknown): unknown =>
    typeof each === "string"
      ? mask(each)
      : Array.isArray(each)
        ? each.map(inner)
        : typeof each === "object" && each !== null
          ? Object.fromEntries(Object.entries(each).map(([name, part]) => [name, inner(part)]))
          : each;
  return inner(value) as T;
}
