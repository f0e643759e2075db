/** A token as people leave it in files and variables: with blanks around it, and nothing else. Pure. */
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
      remedy: `So jq and JavaScript print a field that isn't there: look at the answer that the token was taken from.`,
    };
  }
  if (/^(?:Bearer|Token)\s+\S+$/i.test(token)) {
    return { ok: false, problem: "holds a header's value", remedy: "Leave the word before the token out." };
  }
  if (/\s/.test(token)) {
    return { ok: false, problem: "holds more than one word or line; a token is a single one" };
  }
  return { ok: true, token };
}

/** Where token servers put the token: OAuth and OpenID Connect, the distribution project, GitHub. */
const fields = ["access_token", "id_token", "token", "value"];

function ofJson(text: string): { readonly problem: string; readonly remedy: string } {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    // said below
  }
  if (typeof value === "string") {
    return { problem: "holds a token in quotes", remedy: "Leave the quotes out: jq -r prints a text without them." };
  }
  const field = fields.find(
    (name) => typeof (value as Record<string, unknown> | null | undefined)?.[name] === "string",
  );
  return field
    ? {
        problem: "holds a whole JSON answer, not the token in it",
        remedy: `Keep the ${field} alone: jq -r .${field}`,
      }
    : { problem: "holds JSON, not a token", remedy: "Keep the token alone: jq -r .access_token" };
}
