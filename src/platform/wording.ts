/** Text that mentions options. A mention is data: each entry point writes it in its own syntax. Pure. */

/** The options that a text can mention, by name. The table of options adds them (src/options/table.ts). */
// biome-ignore lint/suspicious/noEmptyInterface: this folder imports no other, the table adds the names to it
export interface MentionableOptions {}

export type MentionableOption = keyof MentionableOptions;

/** A variable of the environment, by its name. */
export interface Variable {
  readonly variable: string;
}

export interface Mention {
  readonly option: MentionableOption;
  /** undefined: only the option is named. */
  readonly value: string | Variable | undefined;
}

type Part = string | Mention;

/** Made by `text`. */
export interface Text {
  readonly parts: readonly Part[];
}

export type Words = string | Mention | Text;

/** How an entry point writes the options that a text mentions. */
export interface Syntax {
  /** Whether the option exists here. A remedy that mentions another one is left out. */
  has(option: MentionableOption): boolean;
  write(mention: Mention): string;
}

/** `mention("timeout")` names an option, `mention("timeout", "600")` sets it. */
export const mention = (option: MentionableOption, value?: string | Variable): Mention => ({ option, value });

export const variable = (name: string): Variable => ({ variable: name });

/** A tag for templates: text`Or name another file: ${mention("auth-file", "/path/auth.json")}`. */
export const text = (strings: TemplateStringsArray, ...values: readonly (Words | number)[]): Text => ({
  parts: strings.flatMap((string, index) => [string, ...partsOf(values[index] ?? "")]).filter((part) => part !== ""),
});

const partsOf = (words: Words | number): readonly Part[] =>
  typeof words === "number" ? [String(words)] : typeof words === "object" && "parts" in words ? words.parts : [words];

/** The words with each piece of text in them changed, values of options too. */
export function withText(words: Words, change: (text: string) => string): Words {
  const changed = (part: Part): Part =>
    typeof part === "string"
      ? change(part)
      : { ...part, value: typeof part.value === "string" ? change(part.value) : part.value };
  return typeof words === "object" && "parts" in words ? { parts: words.parts.map(changed) } : changed(words);
}

/** The words with other words in place of each mention. */
export const withMentions = (words: Words, change: (mention: Mention) => Words): Text => ({
  parts: partsOf(words).flatMap((part) => (typeof part === "string" ? [part] : partsOf(change(part)))),
});

export const written = (words: Words, { write }: Pick<Syntax, "write">): string =>
  partsOf(words)
    .map((part) => (typeof part === "string" ? part : write(part)))
    .join("");

/** One text of several, with `separator` between them. */
export const joined = (several: readonly Words[], separator: string): Text => ({
  parts: several.flatMap((words, index) => [...(index === 0 ? [] : [separator]), ...partsOf(words)]),
});

export const mentionsIn = (words: Words): readonly MentionableOption[] =>
  partsOf(words).flatMap((part) => (typeof part === "string" ? [] : [part.option]));

/** Without a syntax: for text that no entry point prints, such as the stack of an error. */
export const plainly = (words: Words): string =>
  written(words, {
    write: ({ option, value }) =>
      value === undefined ? option : `${option}: ${typeof value === "string" ? value : value.variable}`,
  });
