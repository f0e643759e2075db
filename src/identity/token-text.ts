/** The text of a token in a file or variable: spaces around it are accepted, nothing else is. Pure. */
export type TokenText =
  | { readonly ok: true; readonly token: string }
  /** `field`: where the token is in a whole JSON answer. */
  | { readonly ok: false; readonly problem: string; readonly remedy?: string; readonly field?: string };

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

/** The fields in which the token is: OAuth and OpenID Connect, the distribution project, GitHub, Azure DevOps, the CLIs of AWS and Azure. */
const fields = ["access_token", "id_token", "token", "value", "oidcToken", "WebIdentityToken", "accessToken"];

function ofJson(text: string): { readonly problem: string; readonly remedy: string; readonly field?: string } {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    // reported below
  }
  if (typeof value === "string") {
    return { problem: "holds a token in quotes", remedy: "Remove the quotes: jq -r prints a text without them." };
  }
  const fieldOf = (object: unknown) =>
    fields.find((name) => typeof (object as Record<string, unknown> | null | undefined)?.[name] === "string");
  // Vault wraps each of its answers (its HTTP API).
  const wrapped = fieldOf((value as { readonly data?: unknown } | null | undefined)?.data);
  const field = fieldOf(value) ?? (wrapped && `data.${wrapped}`);
  return field
    ? {
        problem: "holds a whole JSON answer, not the token in it",
        remedy: `Keep only the ${field}: jq -r .${field}`,
        field,
      }
    : { problem: "holds JSON, not a token", remedy: "Keep only the token: jq -r .FIELD prints the text of one field." };
}
