/** Text from outside, made safe to print; and what in a text looks like a secret. Pure. */
import { parseObject } from "./json.ts";

/**
 * Escape sequences (ECMA-48, 5.3 to 5.6): an operating system command, a control sequence, any other. Each ends where the
 * next begins. Node's own stripVTControlCharacters searches the whole rest of the text for the end of each.
 */
const sequence =
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
  /(?:\u001b\]|\u009d)[^\u0007\u001b\u009c\u009d]*(?:\u0007|\u001b\\|\u009c)|(?:\u001b\[|\u009b)[0-?]*[ -/]*[@-~]|\u001b[ -/]*[0-~]/g;

/** Controls, characters that reverse or hide letters (bidi, zero-width), lone surrogates, Unicode's line separators. */
export const unprintable = /(?![\n\t])[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}\p{Default_Ignorable_Code_Point}]/gu;

/** Keeps lines and tabs; removes what moves a cursor, colors, reverses or hides. */
export const printable = (text: string): string => text.replaceAll(sequence, "").replaceAll(unprintable, "\ufffd");

/** The last step before an entry point prints a text. */
export const plain = (text: string): string => withoutTokens(printable(text));

/**
 * Text from outside (Quay, a registry, an issuer, a token's claims, a tool, a file's keys), for a place inside a line: it can
 * neither begin a line nor run on.
 * @param most characters
 */
export function oneLine(text: string, most = 500): string {
  // 4 times: removing escape sequences shortens a text, and searching megabytes for them is slow.
  const line = printable(text.slice(0, 4 * most).replaceAll(/[\t\n\v\f\r\u0085\u2028\u2029]+/g, " "));
  return cut(line.replaceAll(/\p{Zs}/gu, " "), most);
}

const cut = (text: string, most: number): string =>
  text.length > most ? `${text.slice(0, most).toWellFormed()}…` : text;

/** A server's reason for a refusal, from JSON: Quay `message`, `error` or `detail`, OAuth (RFC 6749, 5.2) `error_description`. */
export function reasonIn(body: string): string | undefined {
  const { message, error_description, error, detail } = parseObject(body) ?? {};
  const reason = message ?? error_description ?? error ?? detail;
  return typeof reason === "string" && reason.trim() !== "" ? oneLine(reason) : undefined;
}

const secretForms: readonly (readonly [form: RegExp, shown: string])[] = [
  [/-----BEGIN [A-Z ]*PRIVATE KEY-----.*/gs, "…"],
  [/\beyJ[\w-]{6,}(?:\.[\w-]*){0,2}/gi, "…"],
  [/\b(?:gh[oprsu]_|github_pat_|gl(?:pat|cbt|rt|dt|ptt|soat|ft|imt|agent|oas)-|dckr_[a-z]{3}_)[\w-]{8,}/gi, "…"],
  [/\b(?:xox[a-z]-|hv[bs]\.|sha256~|npm_(?=\w{30}))[\w-]{8,}/gi, "…"],
  [/\b(Bearer|Basic) (?=\S*[0-9])[\w+/=.~-]{16,}/gi, "$1 …"],
  [/(?<![a-z0-9+.-])([a-z0-9+.-]+:\/\/)[^\s/"']*@/gi, "$1…@"],
];

/** The text without what can only be a secret: tokens of a known form, users and passwords in addresses. */
export const withoutTokens = (text: string): string =>
  secretForms.reduce((rest, [form, shown]) => rest.replaceAll(form, shown), text);

/** The text without anything that may be a secret in the wrong place. It hides a harmless value rather than show a password. */
export const withoutSecrets = (text: string): string =>
  withoutTokens(text)
    .replaceAll(/\S+/g, withoutUser)
    .replaceAll(userAndPassword, withoutPassword)
    .replaceAll(/[\w+/=~-]{16,}/g, withoutRandom);

/** The text without tokens and without what is as random as a key. Unlike `withoutSecrets` it keeps `arn:aws:…` and `sts:GetCallerIdentity`. */
export const withoutKeys = (text: string): string =>
  withoutTokens(text).replaceAll(/[\w+/=~-]{16,}/g, (run: string, at: number, whole: string) =>
    /^[a-z]*(?:[A-Z][a-z]+)+$/.test(run) ? run : withoutRandom(run, at, whole),
  );

/** A word for a POSIX shell (XCU, 2.2): in single quotes, unless no character needs them. */
export const shellWord = (value: string): string =>
  /^[^\s"'`$\\!*?#~<>|&;(){}[\]^]+$/.test(value) ? value : `'${value.replaceAll("'", `'\\''`)}'`;

/** `a, b and c`. */
export const listed = (words: readonly string[]): string =>
  [words.slice(0, -1).join(", "), ...words.slice(-1)].filter(Boolean).join(" and ");

/** `1 robot`, `3 robots`, `0 entries` */
export const counted = (count: number, one: string, several = `${one}s`): string =>
  `${count} ${count === 1 ? one : several}`;

/** A user's input, for a message about it. */
export const asGiven = (value: string): string => cut(withoutSecrets(value), 120);

/** Up to the last at sign, because a password may contain one. */
function withoutUser(word: string): string {
  const start = /[a-z0-9+.-]:\/\//i.exec(word);
  const at = start ? start.index + start[0].length : word.length;
  return word.slice(0, at) + word.slice(at).replace(/^.*@(?!sha256:)/s, "…@");
}

const userAndPassword = /(?<=^|[\s"',;=])([^\s"',;=/:@[\]]+):(?!\/)(\S+)/g;
const scheme = /^(?:unix|tcp|dns|https?|docker|oci|file|spiffe)$/i;
/** A port and what follows it, a version, actions on a repository, a digest. */
const noPassword = /^(?:[0-9]{1,5}(?:[/.=,;:)].*)?|v?[0-9]+(?:\.[0-9]+)+|(?:pull|push|,)+|[0-9a-f]{64})$/;

const withoutPassword = (whole: string, user: string, rest: string): string =>
  scheme.test(user) || noPassword.test(rest) ? whole : `${user}:…`;

/** Keys and random passwords alternate between small letters, capitals and digits; words don't. */
function isRandom(word: string): boolean {
  const kinds = [...word.replaceAll(/[^A-Za-z0-9]/g, "")].map((character) =>
    character <= "9" ? "digit" : character <= "Z" ? "capital" : "small",
  );
  const changes = kinds.filter((kind, index) => index > 0 && kind !== kinds[index - 1]).length;
  const isTemporary = /^(?:[a-z0-9]+[-._])+[A-Za-z0-9]{6,12}$/.test(word); // as mkdtemp and the like name a folder
  const isMixed = /^(?=.*[0-9])(?=.*[A-Za-z])[A-Za-z0-9]{32,}$/.test(word);
  return word.length >= 16 && !isTemporary && (changes / word.length >= 0.3 || isMixed);
}

/** Base64 may contain slashes; in a path each part is judged on its own. */
function withoutRandom(run: string, at: number, text: string): string {
  const before = text.slice(Math.max(0, at - 300), at); // a reference's name has up to 255
  if (/^[0-9a-f]+$/i.test(run) && /(?:sha[0-9]+[:-]|\/[^@]*@)$/i.test(before)) {
    return run; // a digest
  }
  const parts = run.split("/");
  const isPath = run.startsWith("/") || /[.~]$/.test(before);
  return isPath ? parts.map((part) => (isRandom(part) ? "…" : part)).join("/") : isRandom(parts.join("")) ? "…" : run;
}

/** A text as a part of a regular expression that stands for itself. */
export const asPattern = (text: string): string => text.replaceAll(/\W/g, "\\$&");
