/** What a value in a pipeline's file is before the pipeline runs: known, a secret's, or not known. Pure. */
import { type Command, parseScript, type Script } from "./shell.ts";
import type { Part } from "./shell-words.ts";

export type Value =
  | { readonly kind: "literal"; readonly text: string }
  | { readonly kind: "secret"; readonly name: string }
  /** Known only when the pipeline runs. */
  | { readonly kind: "unknown"; readonly text: string };

/** Variables and the texts that the file gives them; the innermost scope counts. */
export type Env = ReadonlyMap<string, string>;

/** With a bound: a text of nothing but beginnings would be searched to its end for each. */
const expression = /\$\{\{\s{0,20}(.{0,500}?)\s{0,20}\}\}/gs;

/** Variables that lead to one another end here. */
const maxSteps = 8;

/** A text with GitHub's expressions in it. `${{ env.NAME }}` is followed where the file says what it is. */
export function readValue(text: string, env: Env, steps = 0): Value {
  const pieces: Value[] = [];
  let at = 0;
  for (const { 0: whole, 1: inner = "", index } of text.matchAll(expression)) {
    pieces.push({ kind: "literal", text: text.slice(at, index) }, expressionValue(whole, inner, { env, steps }));
    at = index + whole.length;
  }
  return together([...pieces, { kind: "literal", text: text.slice(at) }], text);
}

interface Known {
  readonly env: Env;
  readonly steps: number;
}

function expressionValue(whole: string, inner: string, { env, steps }: Known): Value {
  const [, context, name, index] = /^(secrets|env)\s*(?:\.\s*([\w-]+)|\[\s*'([^']+)'\s*\])$/i.exec(inner) ?? [];
  const key = name ?? index;
  if (context?.toLowerCase() === "secrets" && key !== undefined) {
    return { kind: "secret", name: key };
  }
  const text = key === undefined ? undefined : env.get(key);
  if (text !== undefined && steps < maxSteps) {
    return readValue(text, env, steps + 1);
  }
  const [, quoted] = /^'([^']*)'$/.exec(inner) ?? [];
  return quoted === undefined ? { kind: "unknown", text: whole } : { kind: "literal", text: quoted };
}

/** Pieces that follow each other are known only if each is. */
function together(pieces: readonly Value[], whole: string): Value {
  const some = pieces.filter((piece) => piece.kind !== "literal" || piece.text !== "");
  const [only] = some;
  if (some.length === 1 && only) {
    return only;
  }
  return some.every((piece) => piece.kind === "literal")
    ? { kind: "literal", text: some.map((piece) => piece.text).join("") }
    : { kind: "unknown", text: whole };
}

/** What a script's words can mean: variables of its environment, and those that it sets itself. */
export interface Scope {
  readonly env: Env;
  readonly own: ReadonlyMap<string, readonly Part[]>;
}

/** A variable that a script sets twice is not known. */
export function scopeOf(script: Script, env: Env): Scope {
  const own = new Map<string, readonly Part[]>();
  for (const { name, parts } of commandsIn(script).flatMap(({ assignments, words }) => [
    ...assignments,
    ...exported(words),
  ])) {
    own.set(name, own.has(name) ? [{ kind: "computed", text: `$${name}` }] : parts);
  }
  return { env, own };
}

/** `export NAME=value` and `local NAME=value` */
const exported = ([command, ...words]: Command["words"]) =>
  /^(?:export|local|declare|readonly)$/.test(command?.raw ?? "")
    ? words.flatMap(({ parts: [first, ...rest] }) => {
        const [whole, name] = first?.kind === "text" ? (/^(\w+)=/.exec(first.text) ?? []) : [];
        return whole !== undefined && name !== undefined && first?.kind === "text"
          ? [{ name, parts: [{ kind: "text" as const, text: first.text.slice(whole.length) }, ...rest] }]
          : [];
      })
    : [];

export function wordValue(parts: readonly Part[], scope: Scope, steps = 0): Value {
  const shown = parts.map((part) => (part.kind === "variable" ? `$${part.name}` : part.text)).join("");
  return together(
    parts.map((part): Value => {
      if (part.kind === "text") {
        return { kind: "literal", text: part.text };
      }
      if (part.kind === "expression") {
        return readValue(part.text, scope.env);
      }
      if (part.kind === "variable" && steps < maxSteps) {
        const own = scope.own.get(part.name);
        const given = scope.env.get(part.name);
        return own
          ? wordValue(own, scope, steps + 1)
          : given === undefined
            ? { kind: "unknown", text: `$${part.name}` }
            : readValue(given, scope.env);
      }
      return { kind: "unknown", text: shown };
    }),
    shown,
  );
}

/** All commands, those inside `$(…)` too. */
export function commandsIn(script: Script, depth = 0): readonly Command[] {
  return script.pipelines
    .flatMap(({ commands }) => commands)
    .flatMap((command) => {
      const parts = [...command.assignments, ...command.words].flatMap((each) => each.parts);
      const inner = parts.flatMap((part) =>
        part.kind === "computed" && part.text.startsWith("$(") && depth < 4
          ? commandsIn(parseScript(part.text.slice(2, -1)), depth + 1)
          : [],
      );
      return [command, ...inner];
    });
}

/** The names of all secrets that a text mentions as `secrets.NAME`. */
export const secretsIn = (text: string): readonly string[] =>
  [...text.matchAll(/\bsecrets\s*(?:\.\s*([\w-]+)|\[\s*['"]([^'"]+)['"]\s*\])/gi)].map(
    ([, name, index = ""]) => name ?? index,
  );

export type Belongs = "ours" | "part" | "other" | "unknown";

/** Whether a login for this registry is one for `host`. `part`: for an organization or repository of it only. */
export function belongs(registry: Value, host: string): Belongs {
  if (registry.kind !== "literal") {
    return "unknown";
  }
  const name = hostOf(registry.text);
  const ours = hostOf(host);
  return name === ours ? "ours" : name.startsWith(`${ours}/`) ? "part" : "other";
}

/** `https://Quay.io/v2/` and `quay.io:443` are quay.io. */
const hostOf = (text: string): string =>
  text
    .trim()
    .toLowerCase()
    .replace(/^https?:\/\//, "")
    .replace(/\/+$/, "")
    .replace(/\/v[12]$/, "")
    .replace(/:443(?=\/|$)/, "");

/** For messages: the secret QUAY_TOKEN, the expression … */
export function nameOf(value: Value): string {
  switch (value.kind) {
    case "literal":
      return value.text;
    case "secret":
      return `the secret ${value.name}`;
    default:
      return value.text;
  }
}
