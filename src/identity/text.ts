/** A token as people leave it in files and variables: with blanks around it, and nothing else. */
export type TokenText =
  | { readonly ok: true; readonly token: string }
  | { readonly ok: false; readonly problem: string };

export function readTokenText(text: string): TokenText {
  const token = text.trim();
  if (token === "") {
    return { ok: false, problem: "is empty" };
  }
  if (/\s/.test(token)) {
    return { ok: false, problem: "holds more than one word or line; a token is a single one" };
  }
  return { ok: true, token };
}
