/** Text as a value in YAML. Pure. */

/** Words that YAML 1.1 or 1.2 reads as another type than text. */
const words = /^(?:y|n|yes|no|on|off|true|false|null)$/i;

/** No character has a meaning of its own, in lists and mappings in brackets too. */
const plain = /^[A-Za-z][\w./@+-]*(?::[\w./@+-]+)*$/;

/** A text as YAML 1.1, YAML 1.2 and JSON read it. */
export const yamlText = (text: string): string => (plain.test(text) && !words.test(text) ? text : escapedJson(text));

/** `key: value`, for a file or an example of one. */
export const yamlPair = (key: string, value: string): string => `${yamlText(key)}: ${yamlText(value)}`;

/**
 * JSON that is YAML, too: characters are escaped that YAML does not allow or takes for line ends (YAML 1.2, 5.1 and 5.4), and those
 * that reverse or hide letters.
 */
export const escapedJson = (value: unknown): string =>
  JSON.stringify(value).replaceAll(
    escaped,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );

const escaped = /[\u007f-\u009f\u00ad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff0-\uffff]/g;
