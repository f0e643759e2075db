/** Quay's reading of a Basic header (`auth/basic.py`), Python's forgiving base64 included. */
export type Credentials = { ok: true; user: string; password: string } | { ok: false; error: string };

export function parseBasic(header: string): Credentials {
  const parts = header.split(" ").filter((part) => part !== "");
  if (parts.length !== 2 || parts[0]?.toLowerCase() !== "basic") {
    return { ok: false, error: "Invalid basic auth header" };
  }
  const text = decode(parts[1] ?? "");
  if (text === undefined) return { ok: false, error: "Could not parse basic auth header" };
  const colon = text.indexOf(":");
  if (colon < 0) return { ok: false, error: "Unexpected number of credentials found in basic auth header" };
  return { ok: true, user: text.slice(0, colon), password: text.slice(colon + 1) };
}

/** `base64.b64decode`: skips what is not of the alphabet, insists on the padding; then strict UTF-8. */
function decode(encoded: string): string | undefined {
  const [, letters = "", padding = ""] = /^([^=]*)(=*)/.exec(encoded.replace(/[^A-Za-z0-9+/=]/g, "")) ?? [];
  const needed = (4 - (letters.length % 4)) % 4;
  if (needed === 3 || padding.length < needed) return undefined;
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(Buffer.from(letters, "base64"));
  } catch {
    return undefined;
  }
}
