/** The text of a token in a file or variable: spaces around it are accepted, nothing else is. Pure. */
export type TokenText =
  | { readonly ok: true; readonly token: string }
  | { readonly ok: false; readonly problem: string; readonly remedy?: string };

export function readTokenText(text: string): TokenText {
  const token = text.trim();
  if (token === "") {
    return { ok: false, problem: "is empty" };
  }
  if (/^[{["]/.test(token)) {
    return { ok: false, ...ofJson(token) };
  }
  if (token === "null" || token === "undefined") {
    return {
      ok: false,
      problem: `holds the word ${token}`,
      remedy: "jq and JavaScript print that word for a missing field: check the answer that the token was taken from.",
    };
  }
  if (/^(?:Bearer|Token)\s+\S+$/i.test(token)) {
    return { ok: false, problem: "holds a header's value", remedy: "Remove the word before the token." };
  }
  if (/\s/.test(token)) {
    return { ok: false, problem: "holds more than one word or line; a token is a single one" };
  }
  return { ok: true, token };
}

/** The fields in which token servers send the token: OAuth and OpenID Connect, the distribution project, GitHub. */
const fields = ["access_token", "id_token", "token", "value"];

function ofJson(text: string): { readonly problem: string; readonly remedy: string } {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    // reported below
  }
  if (typeof value === "string") {
    return { problem: "holds a token in quotes", remedy: "Remove the quotes: jq -r prints a text without them." };
  }
  const field = fields.find(
    (name) => typeof (value as Record<string, unknown> | null | undefined)?.[name] === "string",
  );
  return field
    ? {
        problem: "holds a whole JSON answer, not the token in it",
        remedy: `Keep only the ${field}: jq -r .${field}`,
      }
    : { problem: "holds JSON, not a token", remedy: "Keep only the token: jq -r .access_token" };
}
